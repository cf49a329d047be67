package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// nginxModules is where Debian puts modules that are loaded.
const nginxModules = "/usr/lib/nginx/modules/"

// nginxWith gives the command that runs nginx with what a server does for each request.
func nginxWith(modules, location string) func(place) (*exec.Cmd, error) {
	return func(at place) (*exec.Cmd, error) {
		user := ""
		if os.Getuid() == 0 { // its worker would be somebody who can't read dir
			user = "user root;"
		}
		text := strings.NewReplacer("MODULES", modules, "LOCATION", location).Replace(nginxConfiguration)
		text = strings.NewReplacer("USER", user, "DIR", at.dir, "PORT", strconv.Itoa(at.port), "ORIGIN", strconv.Itoa(at.origin), "REDIS", strconv.Itoa(at.redis)).Replace(text)
		file := filepath.Join(at.dir, "nginx.conf")
		return exec.Command("nginx", "-p", at.dir, "-c", file), os.WriteFile(file, []byte(text), 0o600)
	}
}

// nginxConfiguration has one worker, as Envoy has.
const nginxConfiguration = `MODULES USER daemon off; worker_processes 1; pid DIR/nginx.pid; error_log stderr;
events { worker_connections 256; }
http {
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
  proxy_cache_path DIR/cache keys_zone=bench:10m;
  server {
    listen 127.0.0.1:PORT;
    LOCATION
  }
}
`

// nginxCaches is nginx' own cache.
const nginxCaches = `location / { proxy_pass http://127.0.0.1:ORIGIN; proxy_cache bench; proxy_cache_valid 200 1h; add_header x-cache $upstream_cache_status; }`

// luaModules are those that run Lua.
const luaModules = "load_module " + nginxModules + "ndk_http_module.so; load_module " + nginxModules + "ngx_http_lua_module.so;"

// luaCaches keeps whole answers in Redis, for each user and URL.
const luaCaches = `location /origin/ { internal; proxy_pass http://127.0.0.1:ORIGIN/; }
    location / { content_by_lua_block {
      local redis = require("nginx.redis"):new()
      redis:set_timeout(1000)
      local ok, err = redis:connect("127.0.0.1", REDIS)
      if not ok then error("redis: " .. err) end
      local key = "nginx:" .. (ngx.var.http_authorization or "") .. ":" .. ngx.var.request_uri
      local stored, err = redis:get(key)
      if not stored then error("redis: " .. err) end
      local cache = "hit"
      if stored == ngx.null then
        cache = "miss"
        local answer = ngx.location.capture("/origin" .. ngx.var.request_uri)
        if answer.status ~= 200 then ngx.exit(answer.status) end
        local lines = {}
        for name, value in pairs(answer.header) do
          if name ~= "Connection" and name ~= "Date" then table.insert(lines, name .. ": " .. tostring(value)) end
        end
        stored = table.concat(lines, "\n") .. "\n\n" .. answer.body
        local ok, err = redis:set(key, stored, "EX", 3600)
        if not ok then error("redis: " .. err) end
      end
      redis:set_keepalive(60000, 64)
      local past = stored:find("\n\n", 1, true)
      for name, value in stored:sub(1, past):gmatch("([^\n:]+): ([^\n]*)") do ngx.header[name] = value end
      ngx.header["x-cache"] = cache
      ngx.print(stored:sub(past + 2))
    } }`

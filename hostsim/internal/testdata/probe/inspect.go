package main

import (
	"crypto/rand"
	"encoding/base64"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
)

// inspect are the commands that look at something.
func (s *stream) inspect(c []string) error {
	response := c[1] == "response"
	switch c[0] {
	case "prop":
		v, err := proxywasm.GetProperty(strings.Split(c[1], "."))
		if err == nil {
			logf("prop %s = %q", c[1], v)
		}
		return err
	case "has": // what a property is depends on time and chance
		v, err := proxywasm.GetProperty(strings.Split(c[1], "."))
		logf("has %s: %d bytes err=%v", c[1], len(v), err)
	case "setprop":
		return proxywasm.SetProperty([]string{c[1]}, []byte(c[2]))
	case "now":
		logf("now %s", time.Now().UTC().Format(time.RFC3339Nano))
	case "headers":
		get := proxywasm.GetHttpRequestHeaders
		if response {
			get = proxywasm.GetHttpResponseHeaders
		}
		h, err := get()
		if err == nil {
			logf("headers %v", h)
		}
		return err
	case "header":
		get := proxywasm.GetHttpRequestHeader
		if response {
			get = proxywasm.GetHttpResponseHeader
		}
		v, err := get(c[2])
		if err == nil {
			logf("header %s = %q", c[2], v)
		}
		return err
	case "set":
		if response {
			return proxywasm.ReplaceHttpResponseHeader(c[2], c[3])
		}
		return proxywasm.ReplaceHttpRequestHeader(c[2], c[3])
	case "body":
		get := proxywasm.GetHttpRequestBody
		if response {
			get = proxywasm.GetHttpResponseBody
		}
		b, err := get(0, 1<<20)
		if err == nil {
			logf("body %q", b)
		}
		return err
	case "setbody":
		if response {
			return proxywasm.ReplaceHttpResponseBody([]byte(c[2]))
		}
		return proxywasm.ReplaceHttpRequestBody([]byte(c[2]))
	case "values":
		get := proxywasm.GetHttpRequestHeaders
		if response {
			get = proxywasm.GetHttpResponseHeaders
		}
		h, err := get()
		for _, f := range h {
			if f[0] == c[2] {
				logf("value %s = %q", c[2], f[1])
			}
		}
		return err
	case "fields": // fields request|response|call: all in their order, without values that depend on time and chance
		get := proxywasm.GetHttpRequestHeaders
		switch c[1] {
		case "response":
			get = proxywasm.GetHttpResponseHeaders
		case "call":
			get = proxywasm.GetHttpCallResponseHeaders
		}
		h, err := get()
		line := ""
		for _, f := range h {
			switch {
			case strings.HasPrefix(f[0], "x-on-"), f[0] == "date", f[0] == "x-request-id", f[0] == "x-envoy-upstream-service-time":
				f[1] = "…"
			}
			line += " " + f[0] + "=" + f[1]
		}
		logf("fields%s", line)
		return err
	case "trailer":
		if response {
			return proxywasm.AddHttpResponseTrailer(c[2], c[3])
		}
		return proxywasm.AddHttpRequestTrailer(c[2], c[3])
	case "fits":
		n, _ := strconv.Atoi(c[1])
		logf("fits %d: %v", n, s.size <= n)
	case "resolve":
		id, err := proxywasm.ResolveSharedQueue(c[1], c[2])
		queue = id
		return err
	case "enqueue":
		return proxywasm.EnqueueSharedQueue(queue, []byte(c[1]))
	case "hold":
		held = append(held, s.id)
	case "release": // release reply|resume: every held stream
		for _, id := range held {
			err := proxywasm.SetEffectiveContext(id)
			logf("release err=%v", err)
			if c[1] == "reply" {
				must(proxywasm.SendHttpResponse(200, nil, []byte("released"), -1))
			} else {
				must(proxywasm.ResumeHttpRequest())
			}
		}
		held = nil
		return proxywasm.SetEffectiveContext(s.id)
	case "kept":
		logf("kept %d", len(kept))
	case "starts":
		logf("starts %d", starts)
	case "plugin":
		logf("plugin %d", s.plugin.id)
	case "plugin-done":
		proxywasm.PluginDone()
	case "random":
		var b [8]byte
		rand.Read(b[:])
		logf("random %x", b)
	case "env":
		logf("env %q", os.Getenv("PROBE"))
	case "foreign":
		b, err := proxywasm.CallForeignFunction(c[1], []byte(c[2]))
		if err == nil {
			logf("foreign %q", b)
		}
		return err
	case "foreign64": // with the argument in base64
		argument, err := base64.StdEncoding.DecodeString(c[2])
		must(err)
		b, err := proxywasm.CallForeignFunction(c[1], argument)
		logf("%s %x err=%v", c[1], b, err)
	case "zip":
		b, err := proxywasm.CallForeignFunction("compress", []byte(c[1]))
		if err != nil {
			return err
		}
		b, err = proxywasm.CallForeignFunction("uncompress", b)
		logf("zip %q", b)
		return err
	case "state": // SetEnvoyFilterStateArguments{path, value}
		argument := append([]byte{10, byte(len(c[1]))}, c[1]...)
		argument = append(append(argument, 18, byte(len(c[2]))), c[2]...)
		_, err := proxywasm.CallForeignFunction("set_envoy_filter_state", argument)
		logf("state %s err=%v", c[1], err)
	case "shared":
		_, cas, err := proxywasm.GetSharedData(c[1])
		logf("shared known=%v err=%v", cas != 0, err)
		return proxywasm.SetSharedData(c[1], []byte(c[2]), cas)
	default:
		return s.raw(c)
	}
	return nil
}

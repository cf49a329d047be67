package parity_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	smallLimit = 20_000
	drainTime  = time.Second
	// streamWindow is HTTP/2's least, where the variant has a limit.
	streamWindow = 65535
)

// object is a message of Envoy's configuration.
type object = map[string]any

func (e *realEnvoy) accessLog() string { return filepath.Join(e.dir, "access.log") }

// configure writes Envoy's configuration; the listeners are in a file of their
// own, which may be replaced.
func (e *realEnvoy) configure(vs []variant) error {
	port := e.server.port()
	return errors.Join(e.write("envoy.json", object{
		"node":  object{"id": "hostsim", "cluster": "hostsim"},
		"admin": object{"address": address(e.admin)}, "stats_flush_on_admin": true,
		"dynamic_resources": object{"lds_config": object{"resource_api_version": "V3",
			"path_config_source": object{"path": filepath.Join(e.dir, "listeners.json")}}},
		"static_resources": object{"clusters": []any{
			cluster("backend", port), http2Cluster("backend2", port), cluster("refused", freePort()), fullCluster("full", port),
			small(cluster("backend-small", port)), small(http2Cluster("backend2-small", port)),
			object{"name": "nohosts", "type": "STATIC", "connect_timeout": "1s"},
		}},
	}), e.setListeners(vs...))
}

// setListeners gives a running Envoy other listeners: it looks when a file is moved into place.
func (e *realEnvoy) setListeners(vs ...variant) error {
	var listeners []any
	for _, v := range vs {
		listeners = append(listeners, e.listener(v))
	}
	return errors.Join(e.write("listeners.next", object{"resources": listeners}),
		os.Rename(filepath.Join(e.dir, "listeners.next"), filepath.Join(e.dir, "listeners.json")))
}

func (e *realEnvoy) write(name string, o object) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(e.dir, name), text, 0o600)
}

func address(port int) object {
	return object{"socket_address": object{"address": "127.0.0.1", "port_value": port}}
}

func cluster(name string, port int) object {
	return object{"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": object{
		"cluster_name": name, "endpoints": []any{object{"lb_endpoints": []any{object{
			"endpoint": object{"address": address(port)}}}}}}}
}

func http2Cluster(name string, port int) object {
	c := cluster(name, port)
	c["typed_extension_protocol_options"] = object{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": object{
		"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
		"explicit_http_config": object{"http2_protocol_options": object{}}}}
	return c
}

// small lets Envoy read little ahead of what the filter takes.
func small(c object) object {
	c["per_connection_buffer_limit_bytes"] = smallLimit
	return c
}

// fullCluster is one whose circuit breaker is open.
func fullCluster(name string, port int) object {
	c := cluster(name, port)
	c["circuit_breakers"] = object{"thresholds": []any{object{"max_pending_requests": 0, "max_requests": 0}}}
	return c
}

func (e *realEnvoy) listener(v variant) object {
	l := object{"@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
		"name": v.name, "address": address(e.ports[v.name]), "filter_chains": []any{object{
			"filters": []any{object{"name": "hcm", "typed_config": e.connectionManager(v)}}}}}
	if v.limit > 0 {
		l["per_connection_buffer_limit_bytes"] = v.limit
	}
	return l
}

func (e *realEnvoy) connectionManager(v variant) object {
	route := object{"cluster_header": "x-route", "timeout": fmt.Sprintf("%gs", v.routeTimeout().Seconds())}
	direct := object{"match": object{"path": "/direct"},
		"direct_response": object{"status": 203, "body": object{"inline_string": "direct"}}}
	host := object{"name": "hostsim", "domains": []any{"*"},
		"routes": []any{direct, object{"match": object{"prefix": "/"}, "route": route}}}
	if v.retry {
		route["retry_policy"] = object{"retry_on": "5xx,reset", "num_retries": 1}
		host["include_attempt_count_in_response"] = true
	}
	http2 := object{}
	if v.limit > 0 {
		http2["initial_stream_window_size"] = streamWindow
	}
	return object{
		"http2_protocol_options": http2,
		"@type":                  "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
		"stat_prefix":            "http", "codec_type": "AUTO",
		"normalize_path": v.normalize, "merge_slashes": v.normalize, "use_remote_address": v.edge,
		"access_log": []any{object{"name": "file", "typed_config": object{
			"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": e.accessLog(),
			"log_format": object{"text_format_source": object{"inline_string": "%REQ(:PATH)% %FILTER_STATE(wasm.mine:PLAIN)%\n"}}}}},
		"route_config": object{"virtual_hosts": []any{host}},
		"http_filters": []any{
			object{"name": "probe", "typed_config": object{
				"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": e.plugin(v)}},
			object{"name": "router", "typed_config": object{"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}},
		},
	}
}

func (e *realEnvoy) plugin(v variant) object {
	vm := object{"vm_id": or(v.vmID, v.name), "runtime": "envoy.wasm.runtime.v8", "code": object{"local": object{"filename": e.wasm()}}}
	if v.vmConfig != "" {
		vm["configuration"] = stringValue(v.vmConfig)
	}
	if v.env != nil {
		vm["environment_variables"] = object{"key_values": v.env}
	}
	plugin := object{"name": "probe", "allow_on_headers_stop_iteration": v.allow, "vm_config": vm}
	if v.structure != "" {
		plugin["configuration"] = object{"@type": "type.googleapis.com/google.protobuf.Struct", "value": json.RawMessage(v.structure)}
	}
	if v.config != "" {
		plugin["configuration"] = stringValue(v.config)
	}
	if v.policy != "" {
		plugin["failure_policy"] = v.policy
	}
	if v.backoff != "" {
		plugin["reload_config"] = object{"backoff": object{"base_interval": v.backoff}}
	}
	return plugin
}

func stringValue(text string) object {
	return object{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text}
}

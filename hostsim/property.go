package hostsim

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// property reads a property by its path, parts separated by zero bytes. A name
// that is not one of Envoy's is looked for among those that the module set, by
// the path's first part alone, as Envoy does.
func (c *vmContext) property(path string) ([]byte, status) {
	if path == "" {
		return nil, statusSerialization
	}
	parts := strings.Split(strings.TrimSuffix(path, "\x00"), "\x00") // each may have a zero byte behind it
	if st := c.stream; st != nil {
		if v, ok := st.req.Properties[strings.Join(parts, ".")]; ok {
			return serializeProperty(v)
		}
	}
	value, ok := c.rootProperty(parts[0])
	if !ok {
		if c.stream == nil || c.stream.filterState[parts[0]] == nil || len(parts) > 1 {
			return nil, statusNotFound
		}
		return c.stream.filterState[parts[0]], statusOK
	}
	for _, part := range parts[1:] {
		if value, ok = child(value, part); !ok {
			return nil, statusNotFound
		}
	}
	return serializeProperty(value)
}

// object is what has parts but no value of its own.
type object map[string]any

// child is a field of a map, or an element of a list.
func child(value any, part string) (any, bool) {
	switch value := value.(type) {
	case object:
		v, ok := value[part]
		return v, ok
	case map[string]any:
		v, ok := value[part]
		return v, ok
	case []any:
		i, err := strconv.Atoi(part)
		if err != nil || i < 0 || i >= len(value) {
			return nil, false
		}
		return value[i], true
	}
	return nil, false
}

// rootProperty is the value of a path's first part.
func (c *vmContext) rootProperty(name string) (any, bool) {
	o := c.sim().opts
	switch name {
	case "plugin_name":
		return o.PluginName, true
	case "plugin_root_id":
		return o.RootID, true
	case "plugin_vm_id":
		return o.VMID, true
	}
	st := c.stream
	if st == nil {
		return nil, false
	}
	switch name {
	case "request":
		return c.requestProperties(), true
	case "response":
		return c.responseProperties(), true
	case "connection":
		return object{"id": st.ID, "mtls": false, "requested_server_name": ""}, true
	case "connection_id":
		return st.ID, true
	case "source":
		return st.source(), true
	case "destination":
		return object{"address": "127.0.0.1:10000", "port": int64(10000)}, true
	case "upstream":
		return st.upstreamProperties(), true
	case "metadata":
		return map[string]any{"filter_metadata": st.req.Metadata}, true
	case "xds":
		return st.xdsProperties(), true
	case "filter_state":
		return st.filterStates(), true
	case "upstream_filter_state":
		return object{}, st.router.exchange != nil
	}
	return nil, false
}

// source is the client, or what the last proxy before this one names as such.
func (st *Stream) source() object {
	forwarded := strings.Split(strings.Join(st.req.Headers.Values("x-forwarded-for"), ","), ",")
	if client, err := netip.ParseAddr(strings.TrimSpace(forwarded[len(forwarded)-1])); err == nil && !st.sim.opts.UseRemoteAddress {
		return object{"address": netip.AddrPortFrom(client, 0).String(), "port": int64(0)}
	}
	return object{"address": "127.0.0.1:40000", "port": int64(40000)}
}

// filterStates are what the module set, by its names in filter state.
func (st *Stream) filterStates() object {
	all := object{}
	for name, value := range st.envoyState {
		all[name] = value
	}
	for name, value := range st.filterState {
		all["wasm."+name] = value
	}
	return all
}

// requestProperties rest on the request's headers while the module may see
// them: in response callbacks only what isn't in a header can be read.
func (c *vmContext) requestProperties() object {
	st := c.stream
	protocol := "HTTP/1.1"
	if st.req.HTTP2 {
		protocol = "HTTP/2"
	}
	m := object{"protocol": protocol, "time": st.sim.clock.start.Add(time.Duration(st.started))}
	m["size"], m["total_size"] = st.received, st.received
	if st.finished {
		m["duration"] = st.sim.clock.Since() - time.Duration(st.started)
	}
	headers := c.readableMap(mapRequestHeaders)
	if headers == nil {
		return m
	}
	h := *headers
	path := h.Get(":path")
	urlPath, query, _ := strings.Cut(path, "?")
	m["url_path"], m["headers"], m["total_size"] = urlPath, headerProperties(h), st.received+int64(h.byteSize())
	if n, err := strconv.ParseInt(h.Get("content-length"), 10, 64); err == nil {
		m["size"] = n // also before the body has come
	}
	m["query"], _, _ = strings.Cut(query, "#")
	for property, header := range requestFields {
		if v, ok := h.lookup(header); ok {
			m[property] = v
		}
	}
	return m
}

var requestFields = map[string]string{
	"path": ":path", "host": ":authority", "scheme": ":scheme", "method": ":method",
	"id": "x-request-id", "referer": "referer", "useragent": "user-agent",
}

func (c *vmContext) responseProperties() object {
	st := c.stream
	size := len(st.client.Body)
	total := size
	m := object{"flags": st.responseFlags(), "size": int64(size)}
	code, grpc := 0, ""
	if sent := st.sentHeaders(); sent != nil {
		code, _ = strconv.Atoi(sent.Get(":status"))
		grpc = sent.Get("grpc-status")
	}
	if h := c.readableMap(mapResponseHeaders); h != nil {
		m["headers"] = headerProperties(*h)
		total += h.byteSize()
	}
	if t := c.readableMap(mapResponseTrailers); t != nil {
		m["trailers"] = headerProperties(*t)
		total += t.byteSize()
		grpc = cmp.Or(t.Get("grpc-status"), grpc)
	}
	m["total_size"] = int64(total)
	if code != 0 {
		m["code"], m["grpc_status"] = int64(code), int64(grpcFromHTTP(code))
		if n, err := strconv.ParseInt(grpc, 10, 64); err == nil {
			m["grpc_status"] = n
		}
	}
	if st.finished && st.router.upstreamStarted {
		m["backend_latency"] = st.router.latency
	}
	if st.detailed {
		m["code_details"] = st.details
	}
	return m
}

func (st *Stream) upstreamProperties() object {
	m := object{"request_attempt_count": uint64(st.router.attempts)}
	if st.router.attempts > 0 {
		m["address"], m["port"] = "127.0.0.1:8080", int64(8080)
		m["transport_failure_reason"], m["locality"] = "", ""
		m["cx_pool_ready_duration"] = time.Duration(0)
	}
	if st.router.exchange != nil {
		m["local_address"] = "127.0.0.1:50000"
	}
	return m
}

// xdsProperties are about the configuration; the route's cluster is known before it is asked.
func (st *Stream) xdsProperties() object {
	m := object{"route_name": "", "filter_chain_name": "", "listener_metadata": "", "listener_direction": int64(0), "node": map[string]any{"id": "hostsim", "cluster": "hostsim"}}
	cluster := cmp.Or(st.router.cluster, st.route(&st.request.headers))
	if cluster != "" {
		m["route_metadata"], m["virtual_host_metadata"], m["virtual_host_name"] = "", "", "hostsim"
	}
	if st.router.attempts > 0 {
		m["upstream_host_metadata"], m["upstream_host_locality_metadata"] = nil, nil
	}
	if st.sim.clusters[cluster] != nil {
		m["cluster_name"], m["cluster_metadata"] = cluster, ""
	}
	return m
}

// headerProperties is a header map as properties see it: repeated fields joined by commas.
func headerProperties(h Headers) map[string]any {
	m := map[string]any{}
	for _, f := range h {
		if _, ok := m[f[0]]; !ok {
			m[f[0]] = strings.Join(h.Values(f[0]), ",")
		}
	}
	return m
}

// serializeProperty is serializeValue of Envoy's context.cc: numbers are 8
// bytes little endian, times and durations nanoseconds, maps and lists pairs.
func serializeProperty(v any) ([]byte, status) {
	switch v := v.(type) {
	case string:
		return []byte(v), statusOK
	case []byte:
		return v, statusOK
	case bool:
		return []byte{byte(boolArg(v))}, statusOK
	case int:
		return binary.LittleEndian.AppendUint64(nil, uint64(v)), statusOK
	case int64:
		return binary.LittleEndian.AppendUint64(nil, uint64(v)), statusOK
	case uint64:
		return binary.LittleEndian.AppendUint64(nil, v), statusOK
	case float64:
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)), statusOK
	case time.Duration:
		return binary.LittleEndian.AppendUint64(nil, uint64(v)), statusOK
	case time.Time:
		return binary.LittleEndian.AppendUint64(nil, uint64(v.UnixNano())), statusOK
	case map[string]any:
		return serializeMap(v)
	case []any:
		return serializeList(v)
	}
	return nil, statusSerialization
}

func serializeMap(m map[string]any) ([]byte, status) {
	var h Headers
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b, s := serializeProperty(m[k])
		if s != statusOK {
			return nil, statusSerialization
		}
		h = append(h, [2]string{k, string(b)})
	}
	return encodePairs(h), statusOK
}

func serializeList(list []any) ([]byte, status) {
	var h Headers
	for _, v := range list {
		b, s := serializeProperty(v)
		if s != statusOK {
			return nil, statusSerialization
		}
		h = append(h, [2]string{string(b), ""})
	}
	return encodePairs(h), statusOK
}

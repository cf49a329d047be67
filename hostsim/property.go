package hostsim

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// property reads a property by its path, parts separated by zero bytes. A name
// that is not one of Envoy's is looked for among those that the module set, by
// the path's first part alone, as Envoy does.
func (c *vmContext) property(path string) ([]byte, status) {
	parts := strings.Split(path, "\x00")
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

// child is a field of a map, or an element of a list.
func child(value any, part string) (any, bool) {
	switch value := value.(type) {
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
		return map[string]any{"id": st.ID, "mtls": false, "requested_server_name": ""}, true
	case "connection_id":
		return st.ID, true
	case "source":
		return map[string]any{"address": "127.0.0.1:40000", "port": int64(40000)}, true
	case "destination":
		return map[string]any{"address": "127.0.0.1:10000", "port": int64(10000)}, true
	case "upstream":
		return st.upstreamProperties(), true
	case "metadata":
		return map[string]any{"filter_metadata": st.req.Metadata}, true
	case "xds":
		return st.xdsProperties(), true
	}
	return nil, false
}

// requestProperties rest on the request's headers while the module may see
// them: in response callbacks only what isn't in a header can be read.
func (c *vmContext) requestProperties() map[string]any {
	st := c.stream
	protocol := "HTTP/1.1"
	if st.req.HTTP2 {
		protocol = "HTTP/2"
	}
	m := map[string]any{"protocol": protocol, "time": st.sim.clock.start.Add(time.Duration(st.started))}
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

func (c *vmContext) responseProperties() map[string]any {
	st := c.stream
	size := len(st.client.Body)
	total := size
	m := map[string]any{"flags": st.responseFlags(), "size": int64(size)}
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
	if st.detailed {
		m["code_details"] = st.details
	}
	return m
}

func (st *Stream) upstreamProperties() map[string]any {
	m := map[string]any{"request_attempt_count": uint64(st.router.attempts)}
	if st.router.attempts > 0 {
		m["address"], m["port"] = "127.0.0.1:8080", int64(8080)
		m["transport_failure_reason"], m["locality"] = "", ""
	}
	return m
}

// xdsProperties are about the configuration; the route's cluster is known before it is asked.
func (st *Stream) xdsProperties() map[string]any {
	m := map[string]any{"route_name": "", "listener_direction": int64(0), "node": map[string]any{"id": "hostsim", "cluster": "hostsim"}}
	cluster := cmp.Or(st.router.cluster, st.route(&st.request.headers))
	if st.sim.clusters[cluster] != nil {
		m["cluster_name"] = cluster
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

package hostsim

import (
	"encoding/binary"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"
)

// property reads a property by its path, parts separated by zero bytes.
func (c *vmContext) property(path string) ([]byte, status) {
	parts := strings.Split(path, "\x00")
	root, ok := c.rootProperty(parts[0])
	st := c.stream
	if st != nil {
		if v, set := st.override(parts); set {
			return serializeProperty(v)
		}
		if !ok { // own properties are found by their whole path
			v, set := st.filterState[path]
			if !set {
				return nil, statusNotFound
			}
			return v, statusOK
		}
	}
	if !ok {
		return nil, statusNotFound
	}
	value := root
	for _, part := range parts[1:] {
		m, isMap := value.(map[string]any)
		if !isMap {
			return nil, statusNotFound
		}
		if value, ok = m[part]; !ok {
			return nil, statusNotFound
		}
	}
	return serializeProperty(value)
}

// override looks a path up in Request.Properties.
func (st *Stream) override(parts []string) (any, bool) {
	v, ok := st.req.Properties[strings.Join(parts, ".")]
	return v, ok
}

// rootProperty is the value of a path's first part.
func (c *vmContext) rootProperty(name string) (any, bool) {
	o := c.vm.worker.sim.opts
	switch name {
	case "plugin_name":
		return o.PluginName, true
	case "plugin_root_id":
		return o.RootID, true
	case "plugin_vm_id":
		return o.VMID, true
	case "node":
		return map[string]any{"id": "hostsim", "cluster": "hostsim"}, true
	case "listener_direction":
		return int64(1), true
	}
	if c.stream == nil {
		return nil, false
	}
	return c.stream.rootProperty(name)
}

func (st *Stream) rootProperty(name string) (any, bool) {
	switch name {
	case "request":
		return st.requestProperties(), true
	case "response":
		return st.responseProperties(), true
	case "connection":
		return map[string]any{"id": st.ID, "mtls": false}, true
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
	case "cluster_name":
		return st.router.cluster, st.router.cluster != ""
	case "route_name":
		return "", true
	}
	return nil, false
}

func (st *Stream) requestProperties() map[string]any {
	h := st.request.headers
	path := h.Get(":path")
	urlPath, query, _ := strings.Cut(path, "?")
	protocol := "HTTP/1.1"
	if st.req.HTTP2 {
		protocol = "HTTP/2"
	}
	m := map[string]any{
		"path": path, "url_path": urlPath, "query": query, "host": h.Get(":authority"), "scheme": h.Get(":scheme"),
		"method": h.Get(":method"), "headers": headerProperties(h), "protocol": protocol,
		"time": st.sim.clock.start.Add(time.Duration(st.started)), "size": int64(len(st.req.Body)),
		"total_size": int64(len(st.req.Body) + h.byteSize()),
	}
	for property, header := range map[string]string{"id": "x-request-id", "referer": "referer", "useragent": "user-agent"} {
		if v, ok := h.lookup(header); ok {
			m[property] = v
		}
	}
	if st.finished {
		m["duration"] = st.sim.clock.Since() - time.Duration(st.started)
	}
	return m
}

func (st *Stream) responseProperties() map[string]any {
	m := map[string]any{"flags": int64(0), "size": int64(len(st.client.Body))}
	if h := st.sentHeaders(); h != nil {
		m["headers"] = headerProperties(*h)
		if code, err := strconv.ParseInt(h.Get(":status"), 10, 64); err == nil {
			m["code"] = code
		}
		m["total_size"] = int64(len(st.client.Body) + h.byteSize())
	}
	if t := st.response.trailers; t != nil {
		m["trailers"] = headerProperties(*t)
	}
	if st.details != "" {
		m["code_details"] = st.details
	}
	return m
}

func (st *Stream) upstreamProperties() map[string]any {
	m := map[string]any{}
	if st.router.attempts > 0 {
		m["request_attempt_count"] = uint64(st.router.attempts)
		m["address"], m["port"] = "127.0.0.1:8080", int64(8080)
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
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var h Headers
	for _, k := range keys {
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

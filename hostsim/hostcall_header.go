package hostsim

import (
	"slices"
	"strings"
)

// headerCalls: header and trailer maps.
var headerCalls = []hostcall{
	{"proxy_get_header_map_pairs", "iii", callGetPairs},
	{"proxy_set_header_map_pairs", "iii", callSetPairs},
	{"proxy_get_header_map_value", "iiiii", callGetValue},
	{"proxy_add_header_map_value", "iiiii", editMap(addField)},
	{"proxy_replace_header_map_value", "iiiii", editMap(replaceField)},
	{"proxy_remove_header_map_value", "iii", callRemoveValue},
	{"proxy_get_header_map_size", "ii", callMapSize},
}

// mutableMap is the map as the module may change it now, or nil. Trailers come
// into being where there are none, once the end of the body has been shown.
func (c *vmContext) mutableMap(m mapType) *Headers {
	switch {
	case m == mapRequestTrailers && c.requestTrailers == nil && c.requestBody != nil && c.end:
		c.requestTrailers = c.stream.request.addTrailers()
	case m == mapResponseTrailers && c.responseTrailers == nil && c.responseBody != nil && c.end:
		c.responseTrailers = c.stream.response.addTrailers()
	}
	return c.existingMap(m)
}

func (c *vmContext) existingMap(m mapType) *Headers {
	switch m {
	case mapRequestHeaders:
		return c.requestHeaders
	case mapRequestTrailers:
		return c.requestTrailers
	case mapResponseHeaders:
		return c.responseHeaders
	case mapResponseTrailers:
		return c.responseTrailers
	}
	return nil
}

// readableMap is the map as the module may read it now, or nil. In
// proxy_on_log the stream's maps can be read again.
func (c *vmContext) readableMap(m mapType) *Headers {
	if response := c.rootContext().response; m == mapCallHeaders || m == mapCallTrailers {
		switch {
		case response == nil:
			return nil
		case m == mapCallHeaders:
			return &response.headers
		}
		return response.trailers
	}
	if st := c.stream; c.logging && st != nil {
		switch m {
		case mapRequestHeaders:
			return &st.request.headers
		case mapRequestTrailers:
			return nil
		case mapResponseHeaders:
			return st.sentHeaders()
		case mapResponseTrailers:
			return st.response.trailers
		}
	}
	return c.existingMap(m)
}

// missing notes that a map was used that Envoy doesn't have now. Trailers and
// the maps of calls may rightly be absent.
func (c *vmContext) missing(m mapType) {
	if m != mapRequestHeaders && m != mapResponseHeaders {
		return
	}
	c.sim().fail(MapOutOfPhase, c.stream, c.vm.trace.lines(),
		"%v: it exists from its headers callback until that returns Continue, and until the stream is resumed where it paused", m)
}

func callGetPairs(a *callArgs) status {
	m := a.mapType(0)
	if m > mapMax {
		return statusBadArgument
	}
	h := a.ctx.readableMap(m)
	if h == nil {
		a.ctx.missing(m)
		return a.give(nil, 1, 2)
	}
	if len(*h) == 0 {
		return a.give(nil, 1, 2)
	}
	s := a.give(encodePairs(*h), 1, 2)
	a.out = " " + h.String()
	return s
}

// headers gives the map that a call with whole arguments is about; one that isn't there
// now is a failure of the test.
func (a *callArgs) headers(m mapType, find func(mapType) *Headers) *Headers {
	if a.bad {
		return nil
	}
	h := find(m)
	if h == nil {
		a.ctx.missing(m)
	}
	return h
}

// field is the name of a field of the map: a request's host is its :authority, under either name (header_map_impl.cc).
func (m mapType) field(name string) string {
	if m == mapRequestHeaders && strings.EqualFold(name, "host") {
		return ":authority"
	}
	return name
}

func callSetPairs(a *callArgs) status {
	m := a.mapType(0)
	fields := a.pairs(1)
	h := a.headers(m, a.ctx.mutableMap)
	if h == nil {
		return statusBadArgument
	}
	*h = nil
	for _, f := range fields {
		addField(h, m.field(f[0]), f[1])
	}
	return statusOK
}

// callGetValue: in proxy_on_log a map that never came has no field, elsewhere it is a bad argument.
func callGetValue(a *callArgs) status {
	m, name := a.mapType(0), a.str(1)
	if a.ctx.logging && !a.bad && a.ctx.readableMap(m) == nil {
		return statusNotFound
	}
	h := a.headers(m, a.ctx.readableMap)
	if h == nil {
		return statusBadArgument
	}
	value, ok := h.lookup(m.field(name))
	if !ok {
		return statusNotFound
	}
	return a.give([]byte(value), 3, 4)
}

// addField adds a field at the end, a pseudo-header at the end of these.
func addField(h *Headers, name, value string) {
	i := len(*h)
	if strings.HasPrefix(name, ":") {
		i = slices.IndexFunc(append(*h, [2]string{}), func(f [2]string) bool { return !strings.HasPrefix(f[0], ":") })
	}
	*h = slices.Insert(*h, i, [2]string{strings.ToLower(name), value})
}

// replaceField leaves one field of name, where addField puts it.
func replaceField(h *Headers, name, value string) {
	h.Del(name)
	addField(h, name, value)
}

func editMap(edit func(h *Headers, name, value string)) func(*callArgs) status {
	return func(a *callArgs) status {
		m, name, value := a.mapType(0), a.str(1), a.str(3)
		h := a.headers(m, a.ctx.mutableMap)
		if h == nil {
			return statusBadArgument
		}
		edit(h, m.field(name), value)
		return statusOK
	}
}

func callRemoveValue(a *callArgs) status {
	m, name := a.mapType(0), a.str(1)
	h := a.headers(m, a.ctx.mutableMap)
	if h == nil {
		return statusBadArgument
	}
	h.Del(m.field(name))
	return statusOK
}

func callMapSize(a *callArgs) status {
	m := a.mapType(0)
	h := a.ctx.mutableMap(m)
	if h == nil {
		return statusBadArgument
	}
	return a.giveUint32(uint32(h.byteSize()), 1)
}

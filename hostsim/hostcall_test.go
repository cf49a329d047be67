package hostsim

import (
	"encoding/binary"
	"strings"
	"testing"
)

// bench makes host calls inside a stream of a module that does nothing.
type bench struct {
	t    *testing.T
	sim  *Sim
	st   *Stream
	next uint32 // free memory
}

func newBench(t *testing.T) *bench {
	s := RunT(t, Options{Module: good().encode(), Clusters: nil})
	st := s.Start(1, Get("/x"))
	st.ctx = s.workers[0].streamContext(st)
	st.ctx.vm.current = st.ctx
	t.Cleanup(func() { st.ctx.vm.current = nil })
	return &bench{t, s, st, 4096}
}

// put writes b into the module's memory; the result is the call's two arguments.
func (b *bench) put(data string) (ptr, size uint64) {
	at := b.next
	b.next += uint32(len(data)) + 8
	if !b.st.ctx.vm.mod.Memory().Write(at, []byte(data)) {
		b.t.Fatal("out of memory")
	}
	return uint64(at), uint64(len(data))
}

func (b *bench) call(name string, args ...uint64) status {
	h := hostcallByName[name]
	if len(args) != len(h.params) {
		b.t.Fatalf("%s takes %d arguments", name, len(h.params))
	}
	a := &callArgs{vm: b.st.ctx.vm, ctx: b.st.ctx, stack: args}
	result := h.run(a)
	if a.bad {
		return statusInvalidMemory
	}
	return result
}

func (b *bench) want(what string, got, want status) {
	b.t.Helper()
	if got != want {
		b.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func (b *bench) uint32At(ptr uint64) uint32 {
	n, _ := b.st.ctx.vm.mod.Memory().ReadUint32Le(uint32(ptr))
	return n
}

func TestMetricsFollowTheirKinds(t *testing.T) {
	b := newBench(t)
	name, size := b.put("requests")
	id, _ := b.put("\x00\x00\x00\x00")
	define := func(kind uint64) uint64 {
		b.want("define", b.call("proxy_define_metric", kind, name, size, id), statusOK)
		return uint64(b.uint32At(id))
	}
	minus := ^uint64(0)
	c, g, h := define(0), define(1), define(2)
	b.want("a fourth kind", b.call("proxy_define_metric", 3, name, size, id), statusBadArgument)
	b.want("counter + 2", b.call("proxy_increment_metric", c, 2), statusOK)
	b.want("counter - 1", b.call("proxy_increment_metric", c, minus), statusBadArgument)
	b.want("counter + 0", b.call("proxy_increment_metric", c, 0), statusBadArgument)
	b.want("gauge + 5", b.call("proxy_increment_metric", g, 5), statusOK)
	b.want("gauge - 1", b.call("proxy_increment_metric", g, minus), statusOK)
	b.want("histogram + 1", b.call("proxy_increment_metric", h, 1), statusBadArgument)
	b.want("record in a histogram", b.call("proxy_record_metric", h, 7), statusOK)
	b.want("read a histogram", b.call("proxy_get_metric", h, id), statusBadArgument)
	b.want("an unknown counter", b.call("proxy_increment_metric", 4000, 1), statusNotFound)
	b.want("read the counter", b.call("proxy_get_metric", c, id), statusOK)
	if got := b.uint32At(id); got != 2 || b.sim.Counter("requests") != 2 || b.sim.Gauge("requests") != 4 || b.sim.Histogram("requests")[0] != 7 {
		t.Errorf("counter %d, gauge %d, histogram %v", got, b.sim.Gauge("requests"), b.sim.Histogram("requests"))
	}
}

func TestBuffersAreReplacedWholeOrAtTheirEnds(t *testing.T) {
	for _, c := range []struct {
		start, length uint64
		result        status
		body          string
	}{
		{0, 0, statusOK, "NEWhello"},
		{0, 5, statusOK, "NEW"},
		{0, 1 << 31, statusOK, "NEW"},
		{5, 0, statusOK, "helloNEW"},
		{1 << 31, 0, statusOK, "helloNEW"},
		{0, 2, statusBadArgument, "hello"},
		{2, 2, statusBadArgument, "hello"},
	} {
		b := newBench(t)
		body := []byte("hello")
		b.st.ctx.requestBody = &body
		data, size := b.put("NEW")
		if got := b.call("proxy_set_buffer_bytes", uint64(bufferRequestBody), c.start, c.length, data, size); got != c.result || string(body) != c.body {
			t.Errorf("start %d length %d: %v %q, want %v %q", c.start, c.length, got, body, c.result, c.body)
		}
	}
}

func TestSharedDataComparesOnlyWhatExists(t *testing.T) {
	b := newBench(t)
	key, keySize := b.put("key")
	value, size := b.put("value")
	out, _ := b.put(strings.Repeat("\x00", 12))
	b.want("a new key with a cas", b.call("proxy_set_shared_data", key, keySize, value, size, 77), statusOK)
	b.want("get", b.call("proxy_get_shared_data", key, keySize, out, out+4, out+8), statusOK)
	cas := uint64(b.uint32At(out + 8))
	b.want("another cas", b.call("proxy_set_shared_data", key, keySize, value, size, cas+1), statusCasMismatch)
	b.want("the right cas", b.call("proxy_set_shared_data", key, keySize, value, size, cas), statusOK)
	b.want("the same cas again", b.call("proxy_set_shared_data", key, keySize, value, size, cas), statusCasMismatch)
	b.want("without", b.call("proxy_set_shared_data", key, keySize, value, size, 0), statusOK)
}

func TestPairsBeyondTheBoundsAreAnEmptyMap(t *testing.T) {
	many := func(n int) Headers {
		var h Headers
		for range n {
			h = append(h, [2]string{"a", ""})
		}
		return h
	}
	short := encodePairs(many(2))
	binary.LittleEndian.PutUint32(short, 3)
	for name, c := range map[string]struct {
		in   []byte
		want int
	}{
		"1024 fields":     {encodePairs(many(1024)), 1024},
		"1025 fields":     {encodePairs(many(1025)), 0},
		"over a megabyte": {encodePairs(Headers{{"a", strings.Repeat("x", 1<<20)}}), 0},
		"a wrong count":   {short, 0},
		"bytes after it":  {append(encodePairs(many(1)), 0), 0},
		"no bytes":        {nil, 0},
	} {
		if got := len(decodePairs(c.in)); got != c.want {
			t.Errorf("%s: %d fields, want %d", name, got, c.want)
		}
	}
}

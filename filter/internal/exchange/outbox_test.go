package exchange

import (
	"fmt"
	"testing"

	"chatcache/redisbridge/wire"
)

// posted posts so many small stores, and gives what is said of each.
func (w *world) posted(stores int) []string {
	w.t.Helper()
	said := make([]string, stores)
	for i := range said {
		w.plugin.state.outbox.post(w.plugin, &parcel{
			path: wire.PathStore, frame: fmt.Append(nil, "store ", i), metrics: &w.plugin.metrics[0],
			done: func(acknowledged bool) { said[i] += fmt.Sprint(acknowledged) },
		})
	}
	return said
}

func (w *world) stores(c *call) (list []string) {
	w.t.Helper()
	for _, frame := range decoded(w, c, wire.DecodeStoresRequest).Stores {
		list = append(list, string(frame))
	}
	return list
}

// Where some stores are under way the next ones go together, once one of them is answered.
func TestStoresGather(t *testing.T) {
	w := newWorld(t)
	w.posted(maxAlone - 1)
	w.run()
	for range maxAlone - 1 {
		w.take(wire.PathStore)
	}
	said := w.posted(4)
	w.run()
	first := w.take(wire.PathStores)
	later := w.posted(wire.MaxStores + 1)
	w.run()
	w.none(wire.PathStores)
	w.wakes = 0
	first.ok(wire.StoresAnswer{Stored: []bool{true, false, true, true}}.Encode())
	if got, want := fmt.Sprint(said), "[true false true true]"; got != want {
		t.Errorf("said %s, want %s", got, want)
	}
	if w.wakes == 0 {
		t.Error("nobody sends the others")
	}
	w.run()
	second := w.take(wire.PathStores)
	if got := w.stores(second); len(got) != wire.MaxStores || got[0] != "store 0" || got[15] != "store 15" {
		t.Errorf("the next call has %q", got)
	}
	second.fails()
	w.run()
	w.take(wire.PathStore).ack()
	if got, want := fmt.Sprint(later), "[false false false false false false false false false false false false false false false false true]"; got != want {
		t.Errorf("said %s, want %s", got, want)
	}
	if metrics := &w.plugin.metrics[0]; w.counts[metrics.errors.Name] != 17 || w.counts[metrics.stores.Name] != 4 {
		t.Errorf("%d errors, %d stores; want 17 and 4", w.counts[metrics.errors.Name], w.counts[metrics.stores.Name])
	}
}

// What is large, and what isn't a store, goes alone, and doesn't wait for others.
func TestOthersDoNotGather(t *testing.T) {
	w := newWorld(t)
	metrics := &w.plugin.metrics[0]
	o := &w.plugin.state.outbox
	for range maxAlone + 1 {
		o.post(w.plugin, &parcel{path: wire.PathPiece, frame: []byte("piece"), metrics: metrics})
		o.post(w.plugin, &parcel{path: wire.PathStore, frame: make([]byte, wire.MaxStoredTogether/wire.MaxStores+1), metrics: metrics})
	}
	w.posted(2)
	w.run()
	for range maxAlone + 1 {
		w.take(wire.PathPiece)
		w.take(wire.PathStore)
	}
	for range 2 { // the small ones have waited for nothing else either
		w.take(wire.PathStore)
	}
	w.none(wire.PathStores)
	for range maxOutboxCalls {
		o.post(w.plugin, &parcel{path: wire.PathPiece, frame: []byte("piece"), metrics: metrics})
	}
	w.posted(1)
	w.run()
	w.take(wire.PathStore) // however many others there are
}

// Stores that wait hold nothing else up, and gather across it.
func TestStoresDoNotHoldOthersUp(t *testing.T) {
	w := newWorld(t)
	w.posted(maxAlone)
	w.run()
	for range maxAlone {
		w.take(wire.PathStore)
	}
	for range 3 {
		w.posted(1)
		w.plugin.state.outbox.post(w.plugin, &parcel{path: wire.PathRelease, frame: []byte("release"), metrics: &w.plugin.metrics[0]})
	}
	w.run()
	for range 3 {
		w.take(wire.PathRelease)
	}
	w.none(wire.PathStores)
	old := w.plugin
	w.plugin = w.configure(testPolicy)
	old.state.drop(old) // the first four are lost: others may go
	w.run()
	if got := w.plugin.state.outbox.stores; got != 3 {
		t.Errorf("%d calls with stores are counted, want 3", got)
	}
	for range 3 {
		w.take(wire.PathStore)
	}
}

// The answers that a plugin which ends would have heard are lost, and each parcel is told so once.
func TestStoresOfPluginThatEnds(t *testing.T) {
	w := newWorld(t)
	said := w.posted(maxAlone + 1)
	w.run()
	lost := w.take(wire.PathStores)
	old := w.plugin
	w.plugin = w.configure(testPolicy)
	old.state.drop(old)
	lost.ok(wire.StoresAnswer{Stored: []bool{true, true, true, true, true}}.Encode())
	if got, want := fmt.Sprint(said), "[false false false false false]"; got != want {
		t.Errorf("said %s, want %s", got, want)
	}
	if bytes := w.plugin.state.outbox.bytes; bytes != 0 {
		t.Errorf("%d bytes are still accounted for", bytes)
	}
}

// Whoever waits for a response that is stored isn't forgotten where the store can't be sent, or where too much is on its way already.
func TestStoreThatIsNotSent(t *testing.T) {
	for name, prevent := range map[string]func(w *world) (allow func()){
		"the bridge can't be called": func(w *world) func() { w.down = true; return func() { w.down = false } },
		"too much is on its way": func(w *world) func() {
			w.plugin.state.outbox.bytes = maxOutboxBytes
			return func() { w.plugin.state.outbox.bytes = 0 }
		},
	} {
		w := newWorld(t)
		leader, waiting := w.herd("/deep", 1)
		allow := prevent(w)
		leader.respond("200", "one")
		w.plugin.state.outbox.run(w.plugin)
		allow()
		w.settle()
		w.take(wire.PathLookup).granted()
		w.settle()
		w.forwarded(byItself, waiting...)
		if n := w.counts["chatcache.cache.deep.errors"]; n != 1 {
			t.Errorf("%s: %d errors are counted", name, n)
		}
		w.settle()
		w.take(wire.PathStore).ack()
		w.settle()
		w.nothingLeft()
		if bytes, sent := w.plugin.state.outbox.bytes, len(w.plugin.state.outbox.sent); bytes != 0 || sent != 0 {
			t.Errorf("%s: %d bytes in %d calls are left", name, bytes, sent)
		}
	}
}

package e2e

import (
	"slices"
	"testing"
	"time"

	"chatcache/test/mesh"
)

// together sends requests that miss at the same time, and wants none to fail; it gives the
// responses and how often the origin was asked.
func together(t *testing.T, m mesh.Mesh, n int, r mesh.Request) (responses []mesh.Response, asked int64) {
	t.Helper()
	before := m.Origin().Serial()
	responses = m.Together(slices.Repeat([]mesh.Request{r}, n)...)
	asked = m.Origin().Serial() - before
	for _, r := range responses {
		if r.Status != 200 || r.Body != responses[0].Body && !r.Stored() {
			t.Errorf("%v, want 200 and the same body for all", r)
		}
	}
	return responses, asked
}

// longWait lets a slow machine stall: a fetch that takes longer than half of max_wait may be repeated by another proxy,
// and a lookup that takes longer than the bridge's timeout passes by whoever fetches.
func longWait(document map[string]any) {
	document["collapse"] = map[string]any{"max_wait": "20s"}
	mesh.Unhurried(document)
}

// However many ask at the same time, over all workers of all proxies, the origin is asked
// once, and everybody gets its answer: from L1, and without it.
func TestConcurrentMissesAreOneFetch(t *testing.T) {
	searchWithoutL1 := func(document map[string]any) {
		document["caches"].(map[string]any)["search"].(map[string]any)["l1"] = false
	}
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, searchWithoutL1, longWait)}, func(t *testing.T, m mesh.Mesh) {
		m.Origin().Slow(2 * time.Second) // all have come by then, or half of them at least
		for _, read := range []read{readStats, readSearch, readModels, readFlags} {
			responses, asked := together(t, m, 100, read.as("ann"))
			stored, collapsed := 0, 0
			for _, r := range responses {
				if r.Stored() {
					stored++
				} else if r.Collapsed() {
					collapsed++
				}
			}
			if asked != 1 || stored != 1 || collapsed < len(responses)/2 {
				t.Errorf("%v: the origin was asked %d times; %d stored, %d collapsed", read, asked, stored, collapsed)
			}
		}
	})
}

// What can't be stored isn't waited for, but by those who came before that was known.
func TestUnstorableAnswersAreNotWaitedFor(t *testing.T) {
	mesh.Each(t, mesh.Options{}, func(t *testing.T, m mesh.Mesh) {
		m.Origin().Slow(200 * time.Millisecond)
		for range 2 { // the second time under the mark
			before, began := m.Origin().Serial(), time.Now()
			none := mesh.Request{Method: "GET", Path: "/api/chat/sessions/none", User: "ann"}
			for _, r := range m.Together(slices.Repeat([]mesh.Request{none}, 20)...) {
				if r.Status != 404 || r.Hit() || r.Collapsed() {
					t.Errorf("%v, want 404 from the origin", r)
				}
			}
			if asked := m.Origin().Serial() - before; asked != 20 {
				t.Errorf("the origin was asked %d times, want 20", asked)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		}
	})
}

// A write while others wait: whoever reads after it gets nothing older.
func TestAWriteDuringAFetch(t *testing.T) {
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, withoutL1, longWait)}, func(t *testing.T, m mesh.Mesh) {
		m.Origin().Slow(300 * time.Millisecond)
		together(t, m, 10, readStats.as("ann"))
		written := m.Do(0, createSession.make(m)).Serial()
		m.Settle()
		responses, asked := together(t, m, 50, readStats.as("ann"))
		if asked != 1 {
			t.Errorf("after the write the origin was asked %d times", asked)
		}
		for _, r := range responses {
			if r.Serial() < written {
				t.Errorf("%v, the write has serial %d", r, written)
			}
		}
	})
}

// Without the bridge nobody waits for anybody.
func TestConcurrentMissesWithoutTheBridge(t *testing.T) {
	mesh.Each(t, mesh.Options{}, func(t *testing.T, m mesh.Mesh) {
		for name, fault := range map[string]mesh.Fault{"down": mesh.Down, "hung": mesh.Hung, "garbage": mesh.Garbage} {
			m.Break(mesh.Bridge, fault)
			if _, asked := together(t, m, 40, readStats.as("ann")); asked != 40 {
				t.Errorf("%s: the origin was asked %d times, want 40", name, asked)
			}
			m.Break(mesh.Bridge, mesh.Healthy)
		}
	})
}

func TestCollapseTurnedOff(t *testing.T) {
	off := func(document map[string]any) { document["collapse"] = false }
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, withoutL1, off)}, func(t *testing.T, m mesh.Mesh) {
		m.Origin().Slow(3 * time.Second) // all have come before the first is answered
		if _, asked := together(t, m, 10, readStats.as("ann")); asked != 10 {
			t.Errorf("the origin was asked %d times, want 10", asked)
		}
	})
}

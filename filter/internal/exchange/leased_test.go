package exchange

import (
	"strings"
	"testing"
	"time"

	"chatcache/redisbridge/wire"
)

// answers answers a lookup with an entry, and says who may fetch it.
func (w *world) answers(m wire.StoreRequest, age time.Duration, state wire.LookupState, granted bool) wire.LookupRequest {
	w.t.Helper()
	c := w.take(wire.PathLookup)
	c.answer(wire.LookupAnswer{
		State: state, Granted: granted, Entry: m.Entry, Age: age.Milliseconds(), Remaining: m.TTL - age.Milliseconds(),
	})
	return c.lookup(w)
}

func (w *world) releases(fetch string) {
	w.t.Helper()
	w.run()
	c := w.take(wire.PathRelease)
	if m, err := wire.DecodeReleaseRequest(c.frame); err != nil || m.Fetch != fetch || m.Mark != 0 {
		w.t.Errorf("released %q with the mark %d (%v), want %q", m.Fetch, m.Mark, err, fetch)
	}
	c.ack()
}

// The bridge is told for how long what is stored is fresh, where it is kept for longer.
func TestEntrySaysHowLongItIsFresh(t *testing.T) {
	for says, want := range map[string]int64{
		"max-age=60": 60_000,
		"max-age=60, stale-while-revalidate=3600": 60_000,
		"max-age=0, stale-if-error=60":            0,
		"no-cache":                                0,
	} {
		w := newWorld(t)
		entry, err := wire.DecodeEntry(w.cached("one", maxAge(says), tagged).Entry)
		if err != nil || entry.Fresh != want {
			t.Errorf("%s: fresh for %d ms (%v), want %d", says, entry.Fresh, err, want)
		}
	}
	w := newWorld(t)
	if entry, _ := wire.DecodeEntry(w.cached("one", maxAge("max-age=60")).Entry); entry.Fresh != 0 {
		t.Errorf("fresh for %d ms, and of no use beyond", entry.Fresh)
	}
}

// Whoever has the lease of a stale response validates it, and its store ends the lease; others use it meanwhile where it allows that.
func TestOneValidation(t *testing.T) {
	w := newWorld(t)
	m := w.cached("one", maxAge("max-age=1, stale-while-revalidate=60"), tagged)
	first := w.page()
	asked := w.answers(m, 2*time.Second, wire.LookupHit, true)
	if first.resumed != 1 || first.request.Get("if-none-match") != `"a"` {
		t.Fatalf("resumed %d: %v", first.resumed, first.request)
	}
	other := newWorld(t)
	s := other.page()
	other.answers(m, 2*time.Second, wire.LookupLeased, false)
	s.wants("chatcache; hit; ttl=-1; detail=l2")
	other.settle()
	other.none(wire.PathRelease)
	other.nothingLeft()
	first.head("304", maxAge("max-age=60"))
	first.exchange.Done()
	if store := w.stored(); store.Fetch != asked.Fetch {
		t.Errorf("stored with the lease %q, want %q", store.Fetch, asked.Fetch)
	}
	w.settle()
	w.nothingLeft()
}

// Where the stale response can't be used meanwhile, others wait as for what is missing: for what is stored, or for
// collapse.max_wait, and then they validate.
func TestWaitForAValidation(t *testing.T) {
	w := newWorld(t)
	m := w.cached("one", maxAge("max-age=1"), tagged)
	waiting, more := w.page(), w.page()
	w.answers(m, 2*time.Second, wire.LookupLeased, false)
	w.run()
	if c := w.calls[len(w.calls)-1]; c.owner != "root" || c.lookup(w).Wait == 0 {
		t.Fatalf("%s asks %s", c.owner, c.path)
	}
	w.held(waiting, more)
	w.answers(m, 0, wire.LookupHit, false)
	w.settle()
	w.answered("chatcache; fwd=uri-miss; collapsed; ttl=1; detail=l2", "one", waiting, more)

	late := w.page()
	w.answers(m, 3*time.Second, wire.LookupLeased, false)
	w.run()
	w.now += 3 * time.Second
	w.settle()
	w.run()
	if late.resumed != 1 || late.request.Get("if-none-match") != `"a"` {
		t.Errorf("resumed %d: %v", late.resumed, late.request)
	}
	late.head("304")
	late.wants("chatcache; fwd=stale; collapsed=?0; fwd-status=304; stored")
	late.exchange.Done()
	w.answers(m, 3*time.Second, wire.LookupLeased, false) // to the round that nobody waits for any more
	w.settle()
	w.nothingLeft()
}

// A lease that was granted to a read which goes nowhere, or for another variant, goes back at once.
func TestLeaseOfAStaleResponseGoesBack(t *testing.T) {
	w := newWorld(t)
	w.plugin.state.obey(wire.Controls{All: wire.Control{Verify: wire.Whole}})
	m := w.cached("one", maxAge("max-age=10"), tagged)
	s := w.page()
	asked := w.answers(m, 0, wire.LookupHit, true)
	s.exchange.Done()
	w.releases(asked.Fetch)

	w = newWorld(t)
	s = w.language("en")
	w.take(wire.PathLookup).miss(1)
	s.respond("200", "in en", maxAge("max-age=1"), tagged, [2]string{"vary", "accept-language"})
	m = w.stored()
	w.stored()
	other := newWorld(t)
	s = other.language("de")
	asked = other.answers(m, 2*time.Second, wire.LookupHit, true)
	if s.resumed != 1 || s.request.Has("if-none-match") {
		t.Errorf("resumed %d: %v", s.resumed, s.request)
	}
	other.releases(asked.Fetch)
	other.settle()
	other.nothingLeft()
}

// A refresh goes on with the lease of the read that was answered stale: it is not given back meanwhile. Whoever else finds the
// response stale is told that it is leased.
func TestRefreshHasTheLease(t *testing.T) {
	for name, edit := range map[string]string{"with L1": `"shared": true}`, "without L1": `"shared": true, "l1": false}`} {
		t.Run(name, func(t *testing.T) {
			w, m := refreshing(t, `"ttl": "origin", "shared": true}`, `"ttl": "origin", `+edit)
			s, waits := w.page(), w.page()
			asked := w.answers(m, 2*time.Second, wire.LookupHit, true)
			s.wants("chatcache; hit; ttl=-1; detail=l2")
			fields, answered := w.asksAgain()
			if _, id, _ := strings.Cut(fields.Get(refreshField), " "); id != asked.Fetch {
				t.Fatalf("the lease is %q, the refresh has %q", asked.Fetch, fields.Get(refreshField))
			}
			if name == "without L1" {
				if again := w.answers(m, 2*time.Second, wire.LookupHit, true); again.Fetch != asked.Fetch {
					t.Errorf("looked up again as %q", again.Fetch)
				}
			}
			w.settle()
			if waits.status != 200 || waits.resumed != 0 {
				t.Errorf("who waited: reply %d, resumed %d", waits.status, waits.resumed)
			}
			w.none(wire.PathRelease)

			own := w.arrives(fields)
			looked := w.answers(m, 2*time.Second, wire.LookupHit, true)
			if looked.Fetch != asked.Fetch || looked.Lease != asked.Lease {
				t.Errorf("the refresh asks as %q for a lease of %d ms", looked.Fetch, looked.Lease)
			}
			client := w.page()
			if name == "without L1" {
				w.answers(m, 2*time.Second, wire.LookupLeased, false)
			}
			if client.status != 200 {
				t.Errorf("a client waits for the refresh")
			}
			own.head("304", maxAge("max-age=30"))
			own.exchange.Done()
			if store := w.stored(); store.Fetch != asked.Fetch {
				t.Errorf("stored with the lease %q", store.Fetch)
			}
			answered("200")
			w.settle()
			w.nothingLeft()
		})
	}
}

// A refresh that finds somebody else validating leaves it to them.
func TestRefreshThatComesTooLate(t *testing.T) {
	w, m := refreshing(t)
	w.page()
	w.answers(m, 2*time.Second, wire.LookupHit, true)
	fields, _ := w.asksAgain()
	own := w.arrives(fields)
	w.answers(m, 2*time.Second, wire.LookupLeased, false)
	if own.status != 200 || own.resumed != 0 {
		t.Errorf("reply %d, resumed %d", own.status, own.resumed)
	}
}

// Whoever has waited in vain for somebody else's validation still has what its own lookup has found.
func TestStaleIfErrorAfterWaiting(t *testing.T) {
	w := newWorld(t, `"deep":   {"match": ["GET /deep"], "ttl": "600s", "l1": false}`,
		`"deep":   {"match": ["GET /deep"], "ttl": "600s", "l1": false, "stale_if_error": "600s", "keep_stale": "1h"}`)
	w.lease()
	first := w.read("/deep", "ann")
	w.take(wire.PathLookup).miss(1)
	first.respond("200", "one", tagged)
	m := w.stored()
	w.now += 601 * time.Second
	w.feed(1)
	w.feed(1)
	s := w.read("/deep", "ann")
	w.answers(m, 601*time.Second, wire.LookupLeased, false)
	w.now += 2001 * time.Millisecond
	w.run()
	s.head("503", [2]string{"content-length", "0"})
	if s.status != 200 || string(s.reply) != "one" {
		t.Errorf("%d %q, %s", s.status, s.reply, s.cacheStatus())
	}
}

// While the configuration changes reads of the old plugin and of the new one may wait for the same fetch. Only the old one's cache
// may be answered from L1.
//
//  1. a read of the old plugin misses and fetches; another one waits
//  2. a write passes another proxy; this VM hasn't heard of it yet
//  3. the new plugin comes, whose cache has "l1": false, and a read of it, which waits, too
//  4. the fetch ends, and is in L1
func TestWaitsBesideAReadThatMayUseL1(t *testing.T) {
	w := newWorld(t)
	w.lease()
	leader, waiting := w.herd("/stats", 1)                                                           // 1
	w.plugin = w.configure(strings.Replace(testPolicy, `"stats":  {`, `"stats": {"l1": false, `, 1)) // 3
	strict := w.begin("/stats")
	leader.respond("200", "before the write") // 4
	w.settle()
	w.answered(collapsed+"l1", "before the write", waiting...)
	w.held(strict)
	w.take(wire.PathStore).ack()
	w.settle()
	w.take(wire.PathLookup).hit(w, "stats", "after the write")
	w.settle()
	w.answered(collapsed+"l2", "after the write", strict)
}

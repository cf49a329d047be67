package redisbridge

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
)

// others is what the user's lookup of another path asks for.
func (w *world) others(path, fetch string) wire.LookupRequest {
	m := w.fetchRequest(fetch)
	m.Key = wire.EntryKey("stats", w.scope.Policy, "alice", "GET", path, "d1")
	return m
}

// together looks up in one call, and says what each got.
func (w *world) together(list ...wire.LookupRequest) (got []string, m wire.LookupsAnswer) {
	w.t.Helper()
	status, body := call(w, "POST", wire.PathLookups, "", wire.LookupsRequest{Scope: w.scope, Lookups: list}.Encode())
	m, err := wire.DecodeLookupsAnswer([]byte(body), len(list))
	if status != http.StatusOK || err != nil {
		w.t.Fatalf("%d, %v", status, err)
	}
	for _, one := range m.Results {
		switch one.Outcome {
		case wire.LookupAnswered:
			got = append(got, fetchState(one.Answer))
		case wire.LookupFailed:
			got = append(got, "failed")
		case wire.LookupAlone:
			got = append(got, "alone")
		}
	}
	return got, m
}

func (w *world) wantTogether(when string, want []string, list ...wire.LookupRequest) wire.LookupsAnswer {
	w.t.Helper()
	got, m := w.together(list...)
	for i := range want {
		if got[i] != want[i] {
			w.t.Errorf("%s: lookup %d got %s, want %s", when, i+1, got[i], want[i])
		}
	}
	return m
}

// Lookups that come together get what each would have got by itself.
func TestLookupsTogether(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		a := w.wantFetch("f1", "granted", "at first")
		w.fillAs("f1", a.Ticket)
		m := w.wantTogether("a hit, and two that nobody has", []string{"hit", "granted", "granted"},
			w.fetchRequest("f2"), w.others("/a", "f3"), w.others("/b", "f5"))
		if hit := m.Results[0].Answer; hit.Ticket != a.Ticket || !bytes.Contains(hit.Entry, []byte("fetched by f1")) {
			t.Errorf("the hit has ticket %v, want %v, and %q", hit.Ticket, a.Ticket, hit.Entry)
		}
		bob := w.fetchRequest("f6")
		bob.Groups = wire.ReadGroups("stats", "bob")
		w.suspend("w1", 60_000, "p:stats:alice")
		w.wantTogether("a write is in flight", []string{"suspended", "granted"}, w.fetchRequest("f7"), bob)
	})
}

// One that can't be a lookup fails alone: the others are of other clients.
func TestOneOfTheLookupsIsNone(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		w.look()
		w.wantTogether("a fetch's id with a space", []string{"failed", "granted"}, w.others("/a", "a b"), w.others("/b", "f1"))
		other := w.others("/c", "f2")
		other.Key = "no key"
		w.wantTogether("no key of an entry", []string{"granted", "failed"}, w.others("/d", "f3"), other)
		for _, c := range w.Status(w.ctx).Policies[0].Caches {
			if c.Name != "stats" {
				t.Errorf("cache %q is counted", c.Name)
			}
		}
	})
}

// usersTogether has entries of four users found in one call, and then what writes have left of them: each user's writes
// concern that user's alone.
func (w *world) usersTogether() {
	w.t.Helper()
	users := []string{"ann", "bob", "cyd", "dan"}
	var list []wire.LookupRequest
	for _, user := range users {
		m := w.ofUser(user)
		m.Fetch, m.Lease = "f-"+user, 30_000
		a, err := w.Lookup(w.ctx, m)
		w.check(err)
		w.storeOf(user, a.Ticket)
		list = append(list, m)
	}
	w.wantUsers(users, w.wantTogether("stored", []string{"hit", "hit", "hit", "hit"}, list...))
	w.close("w-bob", true, "p:stats:bob")
	w.suspend("w-cyd", 60_000, "p:stats:cyd")
	w.wantUsers(users, w.wantTogether("after bob's write, and while cyd's is in flight", []string{"hit", "granted", "suspended", "hit"}, list...))
	w.close("w-cyd", false, "p:stats:cyd")
	w.wantUsers(users, w.wantTogether("cyd's has come to nothing", []string{"hit", "granted", "hit", "hit"}, list...))
}

// ofUser is a user's lookup.
func (w *world) ofUser(user string) wire.LookupRequest {
	return wire.LookupRequest{
		Scope: w.scope, Key: wire.EntryKey("stats", w.scope.Policy, user, "GET", "/", "d1"), Groups: wire.ReadGroups("stats", user),
	}
}

// storeOf stores what it is to find, as who has the fetch lease.
func (w *world) storeOf(user string, ticket wire.Ticket) {
	w.t.Helper()
	m := w.ofUser(user)
	e := wire.Entry{Head: wire.Head{Ticket: ticket, Definition: "def", Groups: m.Groups}, Payload: []byte("of " + user)}
	_, err := w.Store(w.ctx, wire.StoreRequest{Scope: w.scope, Key: m.Key, TTL: 600_000, Fetch: "f-" + user, Entry: e.Encode()})
	w.check(err)
}

// wantUsers wants each user's own entry in what was found.
func (w *world) wantUsers(users []string, m wire.LookupsAnswer) {
	w.t.Helper()
	for i, one := range m.Results {
		if entry := one.Answer.Entry; len(entry) > 0 && !bytes.HasSuffix(entry, []byte("of "+users[i])) {
			w.t.Errorf("%s is answered with %q", users[i], entry)
		}
	}
}

func TestUsersTogether(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) { w.usersTogether() })
}

// Of large entries Redis reads few at a time, and yet all are found.
func TestLargeUsersTogether(t *testing.T) {
	scripts := &pipelined{}
	onEachRedis(t, func(o *Options) { o.Hooks = []redis.Hook{scripts} }, func(t *testing.T, w *world) {
		var list []wire.LookupRequest
		for i := range wire.MaxLookups {
			m := w.ofUser(fmt.Sprint("user ", i))
			a, err := w.Lookup(w.ctx, m)
			w.check(err)
			e := wire.Entry{Head: wire.Head{Ticket: a.Ticket, Groups: m.Groups}, Payload: make([]byte, maxReadTogether/5)}
			_, err = w.Store(w.ctx, wire.StoreRequest{Scope: w.scope, Key: m.Key, TTL: 600_000, Entry: e.Encode()})
			w.check(err)
			list = append(list, m)
		}
		scripts.evals.Store(0)
		got, _ := w.together(list...)
		for i, state := range got {
			if want := map[bool]string{true: "hit", false: "alone"}[i == 0]; state != want {
				t.Errorf("lookup %d got %s, want %s", i+1, state, want)
			}
		}
		if n := scripts.evals.Load(); n != 2 {
			t.Errorf("%d scripts ran, want 2, of which one has read five entries", n)
		}
		var readings []*reading
		for _, m := range list {
			readings = append(readings, newReading(m))
		}
		w.readAll(w.ctx, w.policies.known("chat"), readings...)
		if n := slices.IndexFunc(readings, func(r *reading) bool { return r.again }); n != 5 {
			t.Errorf("%d large entries were read in a row, want 5: others wait for Redis meanwhile", n)
		}
	})
}

// pipelined counts the scripts of pipelines.
type pipelined struct{ countingHook }

func (h *pipelined) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			if cmd.Name() == "evalsha" {
				h.evals.Add(1)
			}
		}
		return next(ctx, cmds)
	}
}

// One of two for the same key that is to be fetched is granted the lease, whichever comes first.
func TestOneOfSeveralIsGranted(t *testing.T) {
	w := newMemoryWorld(t, nil)
	granted := 0
	got, _ := w.together(w.others("/a", "f1"), w.others("/a", "f2"), w.others("/a", "f3"))
	for _, state := range got {
		if state == "granted" {
			granted++
		} else if state != "leased" {
			t.Errorf("%s", state)
		}
	}
	if granted != 1 {
		t.Errorf("%v: %d granted, want 1", got, granted)
	}
}

// What is large doesn't come with others; whoever is to fetch it is told so without what is stale.
func TestLargeEntriesTogether(t *testing.T) {
	w := newMemoryWorld(t, nil)
	w.large(wire.MaxFoundTogether*2/3, 0)
	large := w.fetchRequest("f1")
	w.wantTogether("two that are large together", []string{"hit", "alone", "granted"}, large, large, w.others("/a", "f2"))
	w.large(wire.MaxFoundTogether, 1)
	w.pass(2)
	m := w.wantTogether("a large one that is stale", []string{"granted"}, large)
	if entry := m.Results[0].Answer.Entry; len(entry) > 0 {
		t.Errorf("%d bytes of it were sent", len(entry))
	}
}

func TestLookupsTogetherAreChecked(t *testing.T) {
	w := newMemoryWorld(t, nil)
	foreign := wire.LookupRequest{Scope: w.scope, Key: "session:1"}
	status, body := call(w, "POST", wire.PathLookups, "", wire.LookupsRequest{Scope: w.scope, Lookups: []wire.LookupRequest{foreign, foreign}}.Encode())
	if want := "bad request: key is not one of policy \"chat\", as wire.EntryKey builds them\n"; status != 400 || body != want {
		t.Errorf("%d %q, want 400 %q", status, body, want)
	}
	status, body = call(w, "POST", wire.PathLookups, "", wire.LookupsRequest{Scope: w.scope}.Encode())
	if want := "bad request: no lookups, want 1 to 16\n"; status != 400 || body != want {
		t.Errorf("%d %q, want 400 %q", status, body, want)
	}
	w.memory.SetError("LOADING")
	status, body = call(w, "POST", wire.PathLookups, "", wire.LookupsRequest{Scope: w.scope, Lookups: []wire.LookupRequest{w.fetchRequest("f1")}}.Encode())
	if status != http.StatusServiceUnavailable {
		t.Errorf("without Redis: %d %q", status, body)
	}
}

package redisbridge

import (
	"fmt"
	"strings"
	"testing"

	"chatcache/redisbridge/wire"
)

// storeFor puts an entry where a filter would put it, for a request of the identity.
func storeFor(t *testing.T, w *world, cache, path, partition string, ticket wire.Ticket) string {
	t.Helper()
	p := w.options.Policies[0]
	c := p.Cache(cache)
	request := inspected{method: "GET", scheme: "http", authority: "api.test", path: path}
	key := wire.EntryKey(cache, p.Name, partition, "GET", path, wire.KeyDigest(p.AppendKey(nil, c, request, partition, nil)))
	e := wire.Entry{Head: wire.Head{Ticket: ticket, Definition: c.Definition, Groups: wire.ReadGroups(cache, partition)}, Payload: []byte("the body of alice")}
	_, err := w.Store(w.ctx, wire.StoreRequest{Scope: w.scope, Key: key, TTL: 600_000, Entry: e.Encode()})
	w.check(err)
	return key
}

// What becomes of one entry is told step by step, by URL and by key alike, and by the group
// that is to blame; never its body, nor whose it is.
func TestInspect(t *testing.T) {
	onEachRedis(t, withPolicy(t), func(t *testing.T, w *world) {
		alice := &Identity{Claim: map[string]string{"sub": "alice"}}
		partition := partitionOf(w, alice)
		request := InspectRequest{URL: "http://api.test/api/chat/stats", Identity: alice}
		want := func(when, reason string, valid bool) Inspection {
			t.Helper()
			found, err := w.Inspect(w.ctx, request)
			w.check(err)
			if found.Valid != valid || !strings.HasPrefix(found.Reason, reason) {
				t.Errorf("%s: valid %t, %q; want %t, %q", when, found.Valid, found.Reason, valid, reason)
			}
			if text := fmt.Sprintf("%+v %+v", found, found.Entry); strings.Contains(text, "alice") {
				t.Errorf("%s: it tells whose it is, or the body: %s", when, text)
			}
			return found
		}
		w.groups = wire.ReadGroups("stats", partition)
		want("at first", "nothing is stored", false)
		key := storeFor(t, w, "stats", "/api/chat/stats", partition, w.look().Ticket)
		found := want("stored", "it is valid for ", true)
		if found.Key != key || found.Entry.TTLMS != 600_000 || found.Entry.Bytes == 0 || found.Cache != "stats" {
			t.Errorf("stored: %+v %+v", found, found.Entry)
		}
		if found.Identity == nil || strings.Join(found.Identity.Sources, " ") != "jwt_authn_claim sub" || found.Identity.Note != withoutIssuer {
			t.Errorf("identified as %+v", found.Identity)
		}
		byKey := must(w.Inspect(w.ctx, InspectRequest{Policy: "chat", Key: key}))
		if !byKey.Valid || byKey.Cache != "stats" {
			t.Errorf("by key: %+v", byKey)
		}
		w.suspend("w1", 30_000, wire.GroupPartition("stats", partition))
		want("suspended", "a write is in flight, or a new epoch in its quarantine: suspended are p:stats:"+partition, false)
		w.close("w1", true, wire.GroupPartition("stats", partition))
		want("raised", "raised after its ticket: p:stats:"+partition, false)
		storeFor(t, w, "stats", "/api/chat/stats", partition, w.look().Ticket)
		want("stored again", "it is valid for ", true)
		must(w.Purge(w.ctx, PurgeRequest{Cache: "stats"}))
		want("purged", "raised after its ticket: c:stats", false)
		request.Method = "HEAD" // is answered by what GET has stored
		if found := want("HEAD", "raised after its ticket: c:stats", false); found.Key != key {
			t.Errorf("HEAD has the key %s, want %s", found.Key, key)
		}
		request = InspectRequest{URL: "/api/chat/stats", Identity: alice}
		want("without a host", "scheme and authority are part of the key: give the URL that clients ask for", false)
		request = InspectRequest{URL: "http://api.test/api/chat/stats", Identity: &Identity{Claim: map[string]string{"sub": "bob"}}}
		want("somebody else", "nothing is stored", false)
		request.Identity = nil
		want("nobody", "the cache is private: say whose", false)
		request.URL = "/elsewhere"
		want("no rule", "no rule of the policy matches", false)
		request = InspectRequest{URL: "https://api.test/api/chat/messages", Method: "POST"}
		if found := want("a write", "the request is a write", false); found.Invalidation != "save message" || len(found.Groups) != 2 {
			t.Errorf("a write: %+v", found)
		}
		w.check(w.raw.FlushDB(w.ctx).Err())
		request = InspectRequest{Key: key}
		want("flushed", "nothing is stored", false)
	})
}

// An entry of a shared cache is found whoever asks, and one that another definition of its cache has stored isn't called valid.
func TestInspectSharedAndOutdated(t *testing.T) {
	w := newMemoryWorld(t, withPolicy(t))
	key := storeFor(t, w, "models", "/api/models", "", w.look().Ticket)
	request := InspectRequest{URL: "http://api.test/api/models", Identity: &Identity{Claim: map[string]string{"sub": "alice"}}}
	if found := must(w.Inspect(w.ctx, request)); !found.Valid || found.Key != key {
		t.Errorf("a shared one: %+v, want the key %s", found, key)
	}
	e := must(wire.DecodeEntry(must(w.raw.Get(w.ctx, key).Bytes())))
	e.Definition = "another"
	_, err := w.Store(w.ctx, wire.StoreRequest{Scope: w.scope, Key: key, TTL: 600_000, Entry: e.Encode()})
	w.check(err)
	if found := must(w.Inspect(w.ctx, request)); found.Valid || found.Reason != "it was stored by another definition of the cache" {
		t.Errorf("an outdated one: valid %t, %q", found.Valid, found.Reason)
	}
}

// The first generation of an epoch is 0, as real as any: what was stored before a raise of other groups is valid. One
// that Redis has lost isn't.
func TestInspectTheFirstGeneration(t *testing.T) {
	onEachRedis(t, withPolicy(t), func(t *testing.T, w *world) {
		w.groups = wire.ReadGroups("models", "")
		storeFor(t, w, "models", "/api/models", "", w.look().Ticket)
		must(w.Purge(w.ctx, PurgeRequest{Cache: "stats"}))
		w.look()
		request := InspectRequest{URL: "http://api.test/api/models"}
		if found := must(w.Inspect(w.ctx, request)); !found.Valid || !found.Groups[1].Kept || found.Groups[1].Generation != 0 {
			t.Errorf("after a raise of another group: %+v", found)
		}
		w.check(w.raw.Del(w.ctx, "{chatcache:chat}:gen:c:models").Err())
		if found := must(w.Inspect(w.ctx, request)); found.Valid || !strings.HasPrefix(found.Reason, "the generation of one") {
			t.Errorf("after its generation was lost: %+v", found)
		}
	})
}

// What operators have set is told, and to blame where it is.
func TestInspectTellsOfControls(t *testing.T) {
	w := newMemoryWorld(t, withPolicy(t))
	w.groups = wire.ReadGroups("models", "")
	storeFor(t, w, "models", "/api/models", "", w.look().Ticket)
	inspect := func() Inspection {
		return must(w.Inspect(w.ctx, InspectRequest{URL: "http://api.test/api/models"}))
	}
	w.set("stats", ControlSettings{Off: true})
	if found := inspect(); found.Controls != nil || !found.Valid {
		t.Errorf("another cache is off: %+v, controls %+v", found, found.Controls)
	}
	w.set("models", ControlSettings{Percent: 10})
	w.set("", ControlSettings{Observe: true})
	if found := inspect(); !found.Valid || found.Controls == nil || found.Controls.Percent != 10 || !found.Controls.Observe {
		t.Errorf("not for everybody: %+v, controls %+v", found, found.Controls)
	}
	for _, cache := range []string{"models", ""} {
		w.set(cache, ControlSettings{Off: true})
		if found := inspect(); found.Valid || !strings.HasPrefix(found.Reason, "the cache is off by controls, last changed 2026-") {
			t.Errorf("%q is off: %+v", cache, found)
		}
		w.set(cache, ControlSettings{}, "off")
	}
}

// Inspecting changes nothing: not even a new epoch begins.
func TestInspectOnlyReads(t *testing.T) {
	w := newMemoryWorld(t, withPolicy(t))
	must(w.Inspect(w.ctx, InspectRequest{URL: "/api/models"}))
	if keys := must(w.raw.Keys(w.ctx, "*").Result()); len(keys) != 0 {
		t.Errorf("it has written %q", keys)
	}
}

// What can't be read is an error, also where it comes behind a generation that isn't there.
func TestInspectWithUnreadableKeys(t *testing.T) {
	for _, key := range []string{"state", "controls"} {
		w := newMemoryWorld(t, withPolicy(t))
		w.check(w.raw.Set(w.ctx, "{chatcache:chat}:"+key, "not a hash", 0).Err())
		status, body := call(w, "POST", "/v1/inspect", "", []byte(`{"url": "http://api.test/api/models"}`))
		if status != 503 || !strings.HasPrefix(body, "redis: WRONGTYPE") {
			t.Errorf("%s: %d %s", key, status, body)
		}
	}
}

func TestInspectRefusals(t *testing.T) {
	w := newMemoryWorld(t, withPolicy(t))
	_, err := w.Inspect(w.ctx, InspectRequest{Key: "127.0.0.1:10000/api/models"})
	if got := fmt.Sprint(err); !strings.Contains(got, `found "127.0.0.1:10000/api/models", want a URL (http://HOST/PATH, https://HOST/PATH or /PATH) or a KEY`) {
		t.Errorf("an address without a scheme: %s", got)
	}
	for _, tt := range []struct {
		r    InspectRequest
		want error
	}{
		{InspectRequest{}, ErrRequest},
		{InspectRequest{Key: "k", URL: "/u"}, ErrRequest},
		{InspectRequest{Key: "session:1"}, ErrRequest},
		{InspectRequest{URL: "ftp://x/"}, ErrRequest},
		{InspectRequest{URL: "/", Policy: "other"}, ErrNotFound},
		{InspectRequest{URL: "/api/chat/stats", Identity: &Identity{}}, ErrRequest},
	} {
		_, err := w.Inspect(w.ctx, tt.r)
		wantError(t, err, tt.want)
	}
}

// The key that the bridge makes is the filter's: both make it of the same parts.
func TestInspectFindsTheFiltersKey(t *testing.T) {
	w := newMemoryWorld(t, withPolicy(t))
	p := w.options.Policies[0]
	request := inspected{method: "GET", authority: "api.test", path: "/api/models?b=2&a=1"}
	key := p.AppendKey(nil, p.Cache("models"), request, "", nil)
	want := wire.EntryKey("models", "chat", "", "GET", "/api/models", wire.KeyDigest(key))
	found := must(w.Inspect(w.ctx, InspectRequest{URL: "http://api.test/api/models?b=2&a=1"}))
	if found.Key != want {
		t.Errorf("key %s, want %s", found.Key, want)
	}
}

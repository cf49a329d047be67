package exchange

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"chatcache/redisbridge/wire"

	"github.com/google/go-cmp/cmp"
)

// kept is a world in which ann's stats are stored, in L1 too.
func kept(t *testing.T) *world {
	w := newWorld(t)
	w.lease()
	w.missed("ann").respond("200", "fresh")
	w.run()
	w.take(wire.PathStore).ack()
	return w
}

func (w *world) read(path, user string) *fakeStream {
	s := w.stream("GET", path, user)
	s.exchange.RequestHeaders(true)
	return s
}

// bypassed is a read of a user's stats that asks nobody.
func (w *world) bypassed(user, detail string) {
	w.t.Helper()
	s := w.read("/stats", user)
	w.none(wire.PathLookup)
	s.respond("200", "x")
	s.wants("chatcache; fwd=bypass; detail=" + detail)
	w.run()
	w.none(wire.PathStore)
}

// What is off is neither read nor stored, while writes go on to invalidate.
func TestOff(t *testing.T) {
	w := kept(t)
	w.read("/stats", "ann").wants("chatcache; hit; ttl=600; detail=l1")
	late := w.read("/stats", "bob")
	lookup := w.take(wire.PathLookup)
	w.control(wire.Control{Off: true})
	w.bypassed("ann", "off")
	lookup.miss(1) // was under way
	late.respond("200", "late")
	late.wants("chatcache; fwd=bypass; detail=off")
	w.stream("POST", "/messages", "ann").exchange.RequestHeaders(false)
	w.take(wire.PathSuspend)
}

// The answer that switches on has the raise, too: nothing comes back.
func TestOnAgain(t *testing.T) {
	w := kept(t)
	w.control(wire.Control{Off: true})
	w.feed(2, wire.Event{Sequence: 2, Kind: wire.EventRaise, Groups: []string{"c:stats"}})
	w.read("/stats", "ann")
	w.take(wire.PathLookup)
}

// Another TTL counts for what is stored from now on, and for what was before.
func TestTTL(t *testing.T) {
	w := kept(t)
	w.now += 61 * time.Second
	w.feed(1) // was sent long ago
	w.feed(1)
	w.read("/stats", "ann").wants("chatcache; hit; ttl=539; detail=l1")
	w.control(wire.Control{TTL: 60_000})
	s := w.read("/stats", "ann")
	w.take(wire.PathLookup).miss(1)
	s.respond("200", "new")
	w.run()
	store := w.take(wire.PathStore)
	if m, err := wire.DecodeStoreRequest(store.frame); err != nil || m.TTL != 60_000 {
		t.Errorf("stored for %d ms (%v), want 60000", m.TTL, err)
	}
	w.read("/stats", "ann").wants("chatcache; hit; ttl=60; detail=l1")
}

// A partition is within a share or not, whatever it reads, and stays within when the share grows.
func TestPercent(t *testing.T) {
	w := newWorld(t)
	w.lease()
	served := func(percent int) map[string]bool {
		w.control(wire.Control{Percent: percent})
		users := map[string]bool{}
		for i := range 40 {
			user := fmt.Sprint("user", i)
			for _, path := range []string{"/deep", "/deep?more"} {
				s := w.read(path, user)
				if len(w.calls) > 1 { // beside the poll
					w.take(wire.PathLookup).miss(1)
				}
				s.respond("200", "x")
				within := s.cacheStatus() == "chatcache; fwd=uri-miss; stored"
				if got := s.cacheStatus() == "chatcache; fwd=bypass; detail=percent"; got == within {
					t.Errorf("%s of %s: %s", path, user, s.cacheStatus())
				}
				if path != "/deep" && users[user] != within {
					t.Errorf("%s is served one path and not the other", user)
				}
				users[user] = within
				w.run()
				for strings.Contains(w.paths(), wire.PathStore) {
					w.take(wire.PathStore).ack()
				}
			}
		}
		return users
	}
	some, more := served(3000), served(6000)
	count := 0
	for user, within := range some {
		if within {
			count++
		}
		if within && !more[user] {
			t.Errorf("%s is within 30%% and not within 60%%", user)
		}
	}
	if count < 4 || count > 24 {
		t.Errorf("%d of 40 users are within 30%%", count)
	}
}

// Of a shared cache a response is within a share or not, whoever reads it.
func TestPercentOfASharedCache(t *testing.T) {
	w := newWorld(t)
	w.lease()
	w.control(wire.Control{Percent: 5000})
	within := 0
	for i := range 40 {
		of := map[bool]bool{}
		for _, user := range []string{"ann", "bob", ""} {
			s := w.read(fmt.Sprint("/models?", i), user)
			served := s.exchange.phase != flowing
			of[served] = true
			if served && user == "" {
				within++
			}
		}
		if len(of) != 1 {
			t.Errorf("model %d is served to some and not to others", i)
		}
	}
	if within < 8 || within > 32 {
		t.Errorf("%d of 40 responses are within 50%%", within)
	}
}

// Operators may set a longer TTL for a cache than the policy's.
func TestLongerTTL(t *testing.T) {
	w := newWorld(t)
	w.lease()
	w.plugin.state.obey(wire.Controls{Version: 1, Caches: []wire.CacheControl{{Cache: "stats", Control: wire.Control{TTL: 3600_000}}}})
	w.missed("ann").respond("200", "x")
	if m := w.stored(); m.TTL != 3600_000 {
		t.Errorf("stored for %d ms, want 3600000", m.TTL)
	}
}

// Who only observes doesn't let anybody wait for an answer that won't be used.
func TestObserveWaitsForNobody(t *testing.T) {
	w := newWorld(t)
	w.lease()
	w.control(wire.Control{Observe: true})
	w.read("/stats", "ann")
	w.read("/stats", "ann")
	w.take(wire.PathLookup).miss(1)
	w.take(wire.PathLookup).miss(1)
}

// joinOf reads the join that a lookup is sent as.
func (w *world) joinOf(c *call) wire.JoinRequest {
	w.t.Helper()
	return decoded(w, c, wire.DecodeJoinRequest)
}

func joined(c wire.Controls, state wire.LookupState) []byte {
	return wire.JoinAnswer{Controls: c, Lookup: wire.LookupAnswer{State: state, Ticket: wire.Ticket{Epoch: 9, Sequence: 1}}}.Encode()
}

// A VM that has heard of nothing yet says with its lookup what rules it knows, and obeys the controls
// that come with the answer.
func TestJoin(t *testing.T) {
	for _, tt := range []struct {
		control wire.Control
		state   wire.LookupState
		want    string
	}{
		{wire.Control{}, wire.LookupMiss, "fwd=uri-miss; stored"},
		{wire.Control{}, wire.LookupSuspended, "fwd=bypass; detail=write-in-flight"},
		{wire.Control{Off: true}, wire.LookupSuspended, "fwd=bypass; detail=off"},
		{wire.Control{Rollout: true}, wire.LookupSuspended, "fwd=bypass; detail=rollout"},
		{wire.Control{Percent: 1}, wire.LookupMiss, "fwd=bypass; detail=percent"},
	} {
		w := newWorld(t)
		w.showJoins = true
		s := w.read("/stats", "ann")
		c := w.take(wire.PathJoin)
		m := w.joinOf(c)
		if m.Follow.VM != "vm" || m.Follow.Knows.Version != w.plugin.Policy.Version() || m.Lookup.Key == "" || m.Lookup.Policy != "chat" {
			t.Errorf("join %+v", m)
		}
		if diff := cmp.Diff(w.rules(), m.Follow.Knows.Rules); diff != "" {
			t.Error(diff)
		}
		c.ok(joined(wire.Controls{Version: 1, Caches: []wire.CacheControl{{Cache: "stats", Control: tt.control}}}, tt.state))
		s.respond("200", "x")
		s.wants("chatcache; " + tt.want)
		w.read("/deep", "ann")
		w.take(wire.PathLookup) // the bridge knows the VM now
	}
}

// A join's answer that is overtaken by a poll's says nothing any more.
func TestLateJoin(t *testing.T) {
	w := newWorld(t)
	w.showJoins = true
	s := w.read("/stats", "ann")
	late := w.take(wire.PathJoin)
	w.run()
	w.now += time.Millisecond
	w.feed(1)
	w.control(wire.Control{Off: true})
	late.ok(joined(wire.Controls{}, wire.LookupMiss))
	s.respond("200", "x")
	s.wants("chatcache; fwd=bypass; detail=off")
}

// Likewise after a pause: the poll that was sent before it joined again brings newer controls.
func TestLateJoinAfterAPause(t *testing.T) {
	w := kept(t)
	w.showJoins = true
	w.take(wire.PathFollow).fails()
	w.now += 10 * time.Second
	w.run()
	w.now += 20 * time.Millisecond
	s := w.read("/stats", "ann")
	late := w.take(wire.PathJoin)
	w.now += 5 * time.Millisecond
	off := wire.Controls{Version: 2, Caches: []wire.CacheControl{{Cache: "stats", Control: wire.Control{Off: true}}}}
	w.take(wire.PathFollow).ok(wire.FollowAnswer{FeedAnswer: wire.FeedAnswer{Last: wire.Ticket{Epoch: 9, Sequence: 1}}, Controls: off}.Encode())
	late.ok(joined(wire.Controls{Version: 1}, wire.LookupMiss))
	s.respond("200", "x")
	s.wants("chatcache; fwd=bypass; detail=off")
	w.bypassed("ann", "off")
}

// A policy with other rules begins only when the bridge has answered to them: until then L1 isn't used,
// and lookups join. The rules of the one before go along while it goes on to take requests.
func TestPolicyWithOtherRules(t *testing.T) {
	w := kept(t)
	w.showJoins = true
	late := w.take(wire.PathFollow) // knows nothing of the change
	before := w.plugin
	w.plugin = w.configure(strings.Replace(testPolicy, `"invalidate": ["stats", "deep"]`, `"invalidate": ["stats"]`, 1))
	late.ok(followed(wire.FeedAnswer{Last: wire.Ticket{Epoch: 9, Sequence: 1}}))
	w.read("/stats", "ann")
	const both = "deep deep flags models off pages queries stats" // two of deep, which only the old policy has a rule for
	w.wantsRules(w.joinOf(w.take(wire.PathJoin)).Follow, both)
	w.run()
	w.feed(1)
	w.read("/stats", "ann").wants("chatcache; hit; ttl=600; detail=l1")

	before.Close()
	w.take(wire.PathFollow) // nobody hears its answer
	w.run()
	poll := w.take(wire.PathFollow) // a write by the old rules may have come since the poll before
	w.wantsRules(decoded(w, poll, wire.DecodeFollowRequest), both)
	poll.ok(followed(wire.FeedAnswer{Last: wire.Ticket{Epoch: 9, Sequence: 1}}))
	m := decoded(w, w.take(wire.PathFollow), wire.DecodeFollowRequest)
	if diff := cmp.Diff(w.rules(), m.Knows.Rules); diff != "" {
		t.Error(diff)
	}
	w.read("/stats", "ann").wants("chatcache; hit; ttl=600; detail=l1")
}

// A policy with other rules that came and went while no poll reached a bridge is told of all the same: what the cache has of
// before is raised then. A third one in between, or a join instead of the poll, changes nothing.
func TestPolicyThatWentUntold(t *testing.T) {
	for name, c := range map[string]struct {
		third string
		join  bool
		want  string
	}{
		"a poll":      {want: "deep deep flags models off pages queries stats"},
		"a join":      {join: true, want: "deep deep flags models off pages queries stats"},
		"a third one": {third: "pages", want: "deep deep flags models off pages pages queries stats"},
	} {
		t.Run(name, func(t *testing.T) {
			w := kept(t)
			w.showJoins = true
			w.take(wire.PathFollow).fails()
			other := func(cache string) {
				w.configure(strings.Replace(testPolicy, `"invalidate": ["stats", "deep"]`, `"invalidate": ["stats"`+cache+`]`, 1)).Close()
			}
			other("")
			if c.third != "" {
				other(`, "deep", "` + c.third + `"`)
			}
			if c.join {
				w.read("/stats", "ann")
				join := w.take(wire.PathJoin)
				w.wantsRules(w.joinOf(join).Follow, c.want)
				join.ok(joined(wire.Controls{}, wire.LookupMiss))
			}
			w.run()
			poll := w.take(wire.PathFollow)
			if !c.join {
				w.wantsRules(decoded(w, poll, wire.DecodeFollowRequest), c.want)
				poll.ok(followed(wire.FeedAnswer{Last: wire.Ticket{Epoch: 9, Sequence: 1}}))
				poll = w.take(wire.PathFollow)
			}
			if diff := cmp.Diff(w.rules(), decoded(w, poll, wire.DecodeFollowRequest).Knows.Rules); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// wantsRules wants a poll to list these caches, each as often as there are digests.
func (w *world) wantsRules(m wire.FollowRequest, want string) {
	w.t.Helper()
	var caches []string
	for _, r := range m.Knows.Rules {
		caches = append(caches, r.Cache)
	}
	if got := strings.Join(caches, " "); got != want {
		w.t.Errorf("rules of %s, want of %s", got, want)
	}
}

// rules are those of the policy, as the bridge is told them.
func (w *world) rules() (rules []wire.CacheRules) {
	for _, r := range w.plugin.Policy.Rules() {
		rules = append(rules, wire.CacheRules{Cache: r.Cache, Digest: w.plugin.rules[r.Cache]})
	}
	return rules
}

// With another secret a write invalidates other partitions: that is a change of all rules.
func TestPolicyWithAnotherSecret(t *testing.T) {
	w := kept(t)
	w.showJoins = true
	before := w.rules()
	w.secret = "another-secret-0123456789"
	w.plugin = w.configure(testPolicy)
	for i, r := range w.rules() {
		if r.Digest == before[i].Digest {
			t.Errorf("%s has the same digest with another secret", r.Cache)
		}
	}
	w.read("/stats", "ann")
	w.take(wire.PathJoin)
}

// A VM that hasn't been heard of for longer than its lease is not registered any more, and joins with its next lookup.
func TestJoinAfterAPause(t *testing.T) {
	w := kept(t)
	w.showJoins = true
	w.now += 10 * time.Minute
	w.read("/models", "")
	w.take(wire.PathJoin)
}

// A policy that says the same of writes takes over at once.
func TestPolicyWithTheSameRules(t *testing.T) {
	w := kept(t)
	w.showJoins = true
	w.plugin = w.configure(strings.Replace(testPolicy, `"ttl": "600s", "l1": false`, `"ttl": "60s", "l1": false`, 1))
	w.read("/stats", "ann").wants("chatcache; hit; ttl=600; detail=l1")
	w.none(wire.PathJoin)
}

// While a policy drains, whose every cache another one has under another name, the VM can still say what it knows.
func TestPolicyWithAllCachesRenamed(t *testing.T) {
	document := func(prefix string) string {
		var caches []string
		for i := range wire.MaxCaches {
			caches = append(caches, fmt.Sprintf(`"%s%d": {"match": ["GET /%s%d"], "ttl": "origin", "shared": true}`, prefix, i, prefix, i))
		}
		return `{"version": 1, "name": "chat", "bridge": {"cluster": "bridge"}, "caches": {` + strings.Join(caches, ", ") + `}}`
	}
	w := newWorld(t)
	w.states = NewStates("vm")
	w.plugin = w.configure(document("a"))
	w.plugin = w.configure(document("b"))
	w.plugin.state.follower.follow()
	w.run()
	if m := decoded(w, w.take(wire.PathFollow), wire.DecodeFollowRequest); len(m.Knows.Rules) != wire.MaxRules {
		t.Errorf("%d rules, want %d", len(m.Knows.Rules), wire.MaxRules)
	}
}

// What operators set stands for the cache's TTL, and only bounds those of single statuses, however long they are.
func TestTTLOfAStatus(t *testing.T) {
	for _, test := range []struct {
		own  string
		set  int64 // milliseconds, 0: nothing
		want int64
	}{{"599s", 3600_000, 599_000}, {"600s", 3600_000, 600_000}, {"600s", 60_000, 60_000}, {"700s", 0, 700_000}} {
		w := newWorld(t, `"models": {"match": ["GET /models"], "ttl": "600s"`, `"models": {"match": ["GET /models"], "ttl": "600s", "status_ttl": {"404": "`+test.own+`"}`)
		w.lease()
		w.plugin.state.obey(wire.Controls{Version: 1, Caches: []wire.CacheControl{{Cache: "models", Control: wire.Control{TTL: test.set}}}})
		s := w.read("/models", "")
		w.take(wire.PathLookup).miss(1)
		s.respond("404", "no")
		if m := w.stored(); m.TTL != test.want {
			t.Errorf("a 404 with %s of its own where the cache is set to %d ms is kept for %d ms, want %d", test.own, test.set, m.TTL, test.want)
		}
	}
}

package exchange

import (
	"time"

	"chatcache/redisbridge/wire"
)

// query is a lookup on its way to the bridge. Until the bridge has answered to what rules this
// VM's policy has, it is a join: the bridge registers the VM first.
//
//  1. a policy with a new rule reaches VM A; B still has the old policy
//  2. a read at A finds an entry of a cache that the rule concerns, and is answered
//  3. a write passes B, which doesn't know that it makes the entry stale
//  4. A registers: from now on the cache stands suspended
//
// With a join 4 comes before 2, which then finds a suspension. L1 isn't used until then, either. A VM that wasn't heard
// of for longer than its lease joins again: Redis has forgotten what it knows.
type query struct {
	path    string
	frame   []byte
	said    said  // where it joins
	until   int64 // when the lease ends that it joins for
	answers int   // how many polls had been answered then
}

// query makes the lookup of the read's key. With a flight it asks for its fetch lease,
// and waits at the bridge for somebody else's.
func (r *read) query(p *Plugin, f *flight, wait time.Duration) query {
	m := r.lookupRequest(f, wait)
	follower := &r.state.follower
	now := p.host.Now()
	if follower.stands(now) {
		return query{path: wire.PathLookup, frame: m.Encode()}
	}
	join := wire.JoinRequest{Follow: follower.request(p), Lookup: m}
	return query{path: wire.PathJoin, frame: join.Encode(), said: follower.knows.now, until: now + int64(p.Policy.L1.MaxStaleness), answers: follower.answers}
}

func (r *read) lookupRequest(f *flight, wait time.Duration) wire.LookupRequest {
	m := wire.LookupRequest{Scope: r.state.scope, Groups: r.groups}
	if f == nil {
		m.Key = r.keyInRedis()
	} else { // the read may have gone on meanwhile, and be of another variant
		m.Key = f.key
		m.Fetch, m.Lease, m.Wait = f.fetch, r.plugin.fetchLease().Milliseconds(), wait.Milliseconds()
	}
	return m
}

// decode reads the answer, and takes in what a join's says beside it.
func (q query) decode(s *State, body []byte) (wire.LookupAnswer, error) {
	if q.path == wire.PathLookup {
		return wire.DecodeLookupAnswer(body)
	}
	a, err := wire.DecodeJoinAnswer(body)
	if f := &s.follower; err == nil {
		f.knows.answered(q.said, s.plugins)
		f.registered = max(f.registered, q.until)
		if f.answers == q.answers { // otherwise a poll's was first
			s.obey(a.Controls)
		}
	}
	return a.Lookup, err
}

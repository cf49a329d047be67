package exchange

import (
	"strings"
	"time"

	"chatcache/filter/internal/httpcache"
	"chatcache/policy"
	"chatcache/redisbridge/wire"
)

// refreshField marks a request that validates what is stored for whoever was answered with it while it was stale. Its
// value is the digest of the key that is meant: a request that would be another's is refused, and never
// reaches the origin; and, behind a space, the id of the fetch lease that it goes on with. All it does for a client that sends
// it is to have its own response validated.
const refreshField = "x-chatcache-refresh"

// Bounds of what one VM refreshes. What is beyond them is validated by the request that finds it stale.
const (
	maxRefreshes     = 64 // under way
	maxRefreshed     = 1024
	refreshRemembers = 10 * time.Second // how long a refresh that has ended
)

// refreshes are the validations that nobody waits for (stale-while-revalidate, RFC 5861 section 3):
//
//  1. a lookup finds a response valid, which no write has made it unlike, but stale, and takes the fetch lease of it: the
//     read is answered with it at once, and a request for it sent through the proxy's own listener (loopback)
//  2. reads that come meanwhile are answered with it too, while it is valid
//  3. that request comes to any VM of the proxy as a marked read, which nothing stale answers unless somebody else has the lease
//     by now: it looks up with the id of 1, and asks the origin with the stored validators, like a read that finds a stale
//     response where there is no loopback (see validate.go). Its ticket is that of its own lookup: a write that comes after
//     that makes what it stores invalid, as ever
//  4. it has ended: the next read of the stale response looks up, and finds what 3 has stored
//
// Where 4 finds what 1 has found, the refresh was in vain, whatever the reason: for a while such reads validate
// by themselves. After an error of the origin the stale response goes on to answer, for a moment, instead.
type refreshes struct {
	state *State
	under map[string]bool // by key in Redis
	ended map[string]refreshed
}

// refreshed is a refresh that has ended.
type refreshed struct {
	began, until int64 // monotonic nanoseconds; it counts until then
	failed       bool  // by an error of the origin
}

// covers tells whether a stale response of the key may be used since it is being refreshed.
func (rs *refreshes) covers(key string, now int64) bool {
	e, ok := rs.ended[key]
	return rs.under[key] || ok && e.failed && now < e.until
}

// mayBegin tells whether a stale response of the key, stored at a moment, is to be refreshed.
func (rs *refreshes) mayBegin(key string, stored, now int64) bool {
	e, ok := rs.ended[key]
	return len(rs.under) < maxRefreshes && !(ok && now < e.until && stored < e.began)
}

// begin sends the request that refreshes the key; began is when the read came that asks for it.
func (rs *refreshes) begin(key string, fields httpcache.Fields, m *cacheMetrics, began int64) {
	rs.under[key] = true
	rs.state.loopback.ask(&ownRequest{fields: fields, ended: func(p *Plugin, status string) {
		delete(rs.under, key)
		if len(rs.ended) >= maxRefreshed {
			clear(rs.ended)
		}
		now := p.host.Now()
		e := refreshed{began: began, until: now + int64(refreshRemembers)}
		if len(status) == 3 && status[0] == '5' {
			e.failed, e.until = true, now+int64(markFault)
		}
		rs.ended[key] = e
		p.host.Add(&m.refreshes, 1)
		if status == "" || status == "421" || e.failed {
			p.host.Add(&m.refreshFailures, 1)
		}
	}})
}

// covered tells whether a stale response may be used since somebody validates it: not by the one that is to
// validate it, unless it isn't its turn any more.
func (r *read) covered(f found, now int64) bool {
	return f.leased || r.refreshOf == "" && r.beingFetched(now)
}

// refreshable tells whether a stale response that its lookup has found may be used, and be refreshed
// behind the read's back. The request that does that has the read's header section, and so no body, and
// comes from the proxy itself, without the client's certificate.
func (r *read) refreshable(f found, now int64) bool {
	return r.plugin.Policy.Loopback != "" && r.refreshOf == "" && f.tier == tierL2 && !r.waited && r.cache.Body == nil &&
		!r.ofConnection() && r.state.refreshes.mayBegin(r.keyInRedis(), f.stored, now)
}

// ofConnection tells whether the read's partition is made of what the proxy knows beside the header section, too.
func (r *read) ofConnection() bool {
	for i, source := range r.plugin.Policy.Identity {
		if source.Kind == policy.SourceProperty && r.partition.Sources.Has(i) {
			return true
		}
	}
	return false
}

// revalidate has the stale response validated that has just been the answer.
func (r *read) revalidate() {
	id := ""
	if f := r.flight; f != nil {
		id, f.handed = f.fetch, true
	} else {
		id = r.state.newID()
	}
	fields := againRequest(r.request, r.request.path, refreshField, wire.KeyDigest(r.base)+" "+id)
	r.state.refreshes.begin(r.keyInRedis(), fields, r.metrics, r.began)
}

// startRefresh starts a read that is to validate what is stored. One that the cache can't be asked for is refused.
func (r *read) startRefresh(end bool) Action {
	r.refreshOf, r.fetchID, _ = strings.Cut(r.request.fields.Get(refreshField), " ")
	if r.cache.Body != nil || r.refreshOf == "" || !wire.IsID(r.fetchID) { // anybody can send the field, and a bridge refuses such an id
		return r.misdirect()
	}
	if action := r.enter(end); r.bypass == "" {
		return action
	}
	return r.misdirect()
}

// misdirect refuses a request for a refresh or a prefetch that would be another's, or store nothing (RFC 9110 section 15.5.20).
func (r *read) misdirect() Action {
	r.endFetch(0)
	r.stream.Describe(r.cache.Name, resultMisdirected)
	r.reply(421, httpcache.Fields{{"content-type", "text/plain"}, {statusField, statusMisdirected()}},
		[]byte("chatcache: this request is to refresh a stored response, or to fetch the next one, and isn't of the same scheme, authority or identity\n"))
	return PauseAll
}

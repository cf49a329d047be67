package exchange

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"strconv"
	"strings"

	"chatcache/filter/internal/httpcache"
	"chatcache/policy"
	"chatcache/redisbridge/wire"
)

// shadow is a stored response that could have answered a read whose request was forwarded
// instead, to compare what the origin answers with it.
//
//  1. a read finds a stored response that may be used, and is forwarded
//  2. a write on another proxy begins, commits and ends
//  3. the origin answers the read with what the write has made, which isn't what was stored
//  4. the feed hasn't told this VM of the write yet
//
// So what differs is a mismatch only if the bridge, asked after the origin has answered, still
// gives the same stored response as valid: see recheck.
type shadow struct {
	status   string
	coding   string // its Content-Encoding
	body     []byte
	digest   uint64 // of the whole
	reserved int    // bytes of the state's budget
	mark     uint64 // when it was looked up
}

// withhold tells whether operators want the request forwarded that a stored response could answer:
// to see that it could, or to compare the two.
func (r *read) withhold(f found, response httpcache.Response) bool {
	control := r.control()
	if control.Observe {
		r.withheld = reasonObserve
	}
	if r.state.sample(control.Verify) && r.wantsAll() && r.keepShadow(f, response) {
		r.withheld = reasonVerify
	}
	return r.withheld != ""
}

// keepShadow keeps a stored response for comparison, if there is room.
func (r *read) keepShadow(f found, response httpcache.Response) bool {
	if len(r.keyInRedis()) > wire.MaxKey || !r.state.reserve(len(f.block)) {
		return false
	}
	r.shadow = &shadow{
		status: strconv.Itoa(int(response.Status)), coding: strings.Clone(response.Fields.Get("content-encoding")),
		body:   bytes.Clone(response.Body), // what L1 has found is a part of much more
		digest: maphash.Bytes(r.state.seed, f.block), reserved: len(f.block), mark: r.fence.mark,
	}
	return true
}

// release gives back what the stored response has of the budget. Without a copy of the origin's answer nothing is compared with it.
func (s *shadow) release(state *State) {
	state.release(s.reserved)
	s.reserved = 0
}

// sample takes a share of those that it is asked about, in basis points, in no order that
// the requests' could coincide with.
func (s *State) sample(share int) bool {
	s.samples++
	var number [8]byte
	binary.LittleEndian.PutUint64(number[:], s.samples)
	return share > 0 && maphash.Bytes(s.seed, number[:])%wire.Whole < uint64(share)
}

// forwarded takes the origin's answer to a request that a stored response could have answered.
func (r *read) forwarded(fields httpcache.Fields, end bool) {
	r.metrics.count(r.plugin.host, wire.CountWouldHits, &r.metrics.wouldHits)
	r.addStatus(statusBypass(r.withheld))
	r.stream.Describe(r.cache.Name, resultBypassed(r.withheld))
	if r.shadow != nil {
		r.verify(fields, end)
	}
}

// verify begins to compare: the origin's answer is copied as it streams through.
func (r *read) verify(fields httpcache.Fields, end bool) {
	plan, reason := httpcache.PlanCopy(fields, end, r.plugin.Policy.UpstreamHTTP2)
	size := min(max(plan.Length, 0), maxReserved)
	if reason != httpcache.Storable || plan.Length > r.cache.MaxResponse || !r.state.reserve(size) {
		r.shadow.release(r.state)
		return // nothing is copied: it ends uncompared
	}
	r.hold(&capture{
		received: r.plugin.host.Now(), plan: storePlan{Plan: plan}, fields: httpcache.Fields{
			{":status", fields.Get(":status")}, {"content-encoding", fields.Get("content-encoding")},
		},
		reserved: size, end: end,
	})
}

// verified ends the comparison, when the stream has ended.
func (r *read) verified() {
	c, s := r.capture, r.shadow
	r.shadow = nil // a recheck needs its digest only
	r.drop()
	s.release(r.state)
	details, _ := r.stream.Property("response", "code_details")
	if c == nil || c.plan.Complete(c.size, c.end, string(details)) != httpcache.Storable || r.state.moved(r.groups, s.mark) {
		r.metrics.uncompare(r.plugin.host)
		return
	}
	switch differs, comparable := s.compare(&r.cache.Verify, c); {
	case !comparable:
		r.metrics.uncompare(r.plugin.host)
	case differs == "":
		r.metrics.count(r.plugin.host, wire.CountMatches, &r.metrics.matches)
	default:
		r.state.rechecks.ask(&recheck{read: r, digest: s.digest, differs: differs})
	}
}

// compare says how the origin's answer differs from the stored one, "" if it doesn't; they aren't
// comparable where the origin has failed or refused to answer, or where a coding hides what differs.
func (s *shadow) compare(v *policy.Verify, c *capture) (differs string, comparable bool) {
	status := c.fields.Get(":status")
	switch {
	case strings.HasPrefix(status, "5"), status == "408", status == "429":
		return "", false
	case status != s.status:
		return "its status is " + status + " instead of " + s.status, true
	case bytes.Equal(c.body(), s.body):
		return "", true
	case s.coding != "" || c.fields.Get("content-encoding") != "":
		return "", false
	}
	return describeDifference(v.Compare(s.body, c.body())), true
}

// describeDifference says where two bodies differ; "" if they don't. There is nothing of a
// value in it.
func describeDifference(c policy.Comparison) string {
	switch {
	case c.Same:
		return ""
	case !c.JSON:
		return "its body differs, and one of both isn't JSON"
	}
	places := make([]string, len(c.Differences))
	for i, place := range c.Differences {
		if places[i] = place; place == "" {
			places[i] = "(the whole document)"
		}
	}
	text := "it differs at " + strings.Join(places, ", ")
	if c.More {
		text += " and elsewhere"
	}
	return text
}

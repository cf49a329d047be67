package exchange

import (
	"strings"
	"time"

	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"
)

// maxPreallocated bounds what a content-length makes us allocate at once.
const maxPreallocated = 1 << 20

// capture is a copy of a response that streams through.
type capture struct {
	active   bool
	plan     httpcache.Plan
	fields   httpcache.Fields
	body     []byte
	reserved int // bytes of the state's budget
	end      bool
}

// response decides whether the response is captured, and says so in its
// Cache-Status. "stored" is said before the body is seen, since header fields go
// first: a response that turns out incomplete is not stored all the same.
func (r *read) response(fields httpcache.Fields, end bool) {
	r.observe(wire.CountForwardedMicros)
	r.metrics.tally[wire.CountForwarded]++
	if r.flight != nil && r.flight.leader != r {
		r.leave() // the proxy answered a read that waits
	}
	if r.withheld != "" {
		r.forwarded(fields, end)
		return
	}
	if r.bypass != "" {
		r.metrics.count(r.plugin.host, wire.CountBypasses, r.metrics.bypass(r.bypass))
		r.addStatus(statusBypass(r.bypass))
		r.stream.Describe(r.cache.Name, resultBypassed(r.bypass))
		return
	}
	r.metrics.count(r.plugin.host, wire.CountMisses, r.metrics.miss)
	reason := r.begin(fields, end)
	if reason != httpcache.Storable {
		r.unstored(reason)
		r.endFetch(markAfter(fields, reason))
		r.addStatus(statusMiss(reason, r.waited))
		r.stream.Describe(r.cache.Name, resultUnstored(reason))
		return
	}
	r.addStatus(statusStored(r.waited))
	r.stream.Describe(r.cache.Name, resultStored)
	r.capture.end = end
}

func (r *read) begin(fields httpcache.Fields, end bool) httpcache.Reason {
	if r.ticket.Epoch == 0 {
		return r.unticketed()
	}
	plan, reason := httpcache.PlanStore(fields, end, r.storeRules(fields))
	if reason != httpcache.Storable {
		return reason
	}
	if len(plan.Vary) > 0 {
		return httpcache.ReasonVary
	}
	size := min(max(plan.Length, 0), maxPreallocated)
	if !r.state.reserve(size) {
		return reasonUnheld
	}
	r.capture = capture{
		active: true, plan: plan, fields: httpcache.StoredFields(fields, plan.Without),
		body: make([]byte, 0, size), reserved: size,
	}
	return httpcache.Storable
}

// unticketed says why a read has no ticket: the proxy answered before the bridge did, or it was let go
// before any lookup of its flight had an answer.
func (r *read) unticketed() httpcache.Reason {
	if r.waited {
		return reasonCollapseTimeout
	}
	return httpcache.ReasonNotOrigin
}

// How long reads don't wait for each other after a response that can't be stored: the next one
// will hardly be another. A fault of the origin may pass sooner.
const (
	markUnstorable = 5 * time.Second
	markFault      = time.Second
)

// markAfter is the mark that a response leaves, 0 for none.
func markAfter(fields httpcache.Fields, reason httpcache.Reason) time.Duration {
	switch {
	case reason == reasonUnheld, reason == httpcache.ReasonNotOrigin, reason == reasonCollapseTimeout:
		return 0 // it says nothing of the next one
	case strings.HasPrefix(fields.Get(":status"), "5"):
		return markFault
	}
	return markUnstorable
}

// endFetch ends the read's fetch, if it leads one, without a store.
func (r *read) endFetch(mark time.Duration) {
	if r.flight != nil && r.flight.leader == r {
		r.flight.release(mark)
	}
}

func (r *read) storeRules(fields httpcache.Fields) httpcache.StoreRules {
	rules := httpcache.StoreRules{
		Private:     r.cache.Private(),
		KeyHeaders:  keyHeaders(r.plugin.Policy, r.cache, r.partition),
		MaxBody:     r.cache.MaxResponse,
		AnyFraming:  r.plugin.Policy.UpstreamHTTP2,
		TTL:         int64(r.ttl() / time.Second),
		Stale:       httpcache.Stale{WhileRevalidate: httpcache.Absent, IfError: httpcache.Absent},
		UntilExpiry: -1,
		Received:    httpcache.Received{Now: r.plugin.host.Unix()},
	}
	if fields.Get(":status") != "200" {
		rules.TTL = 0
	}
	if r.partition.Expires > 0 {
		rules.UntilExpiry = max(0, r.partition.Expires-r.plugin.host.Unix())
	}
	return rules
}

func (r *read) chunk(n int, end bool) {
	c := &r.capture
	if !c.active {
		return
	}
	c.end = end
	if n == 0 {
		return
	}
	if len(c.body)+n > r.cache.MaxResponse {
		r.giveUp(httpcache.ReasonTooLarge)
		return
	}
	if !r.grow(n) {
		r.giveUp(reasonUnheld)
		return
	}
	chunk, err := r.stream.ResponseBody(n)
	if err != nil || len(chunk) != n {
		r.drop()
		r.endFetch(0)
		return
	}
	c.body = append(c.body, chunk...)
}

// grow reserves budget for n more bytes.
func (r *read) grow(n int) bool {
	c := &r.capture
	more := len(c.body) + n - c.reserved
	if more <= 0 {
		return true
	}
	if !r.state.reserve(more) {
		return false
	}
	c.reserved += more
	return true
}

// trailers can't be replayed by a local reply.
func (r *read) trailers() {
	if r.capture.active {
		r.giveUp(httpcache.ReasonTrailers)
	}
}

// giveUp ends the capture of a response that turned out not to be storable.
func (r *read) giveUp(reason httpcache.Reason) {
	if r.shadow == nil {
		r.unstored(reason)
	}
	r.drop()
	r.endFetch(markAfter(nil, reason))
}

// unstored counts a response that is not stored.
func (r *read) unstored(reason httpcache.Reason) { r.plugin.host.Add(r.metrics.unstored(reason), 1) }

// drop ends the capture without storing.
func (r *read) drop() {
	r.state.release(r.capture.reserved)
	r.capture = capture{}
}

func (r *read) abort() {
	r.drop()
	r.leave()
}

func (r *read) done() {
	defer r.leave() // unless its response is on its way to the bridge
	if r.shadow != nil {
		r.verified()
		return
	}
	if !r.capture.active {
		return
	}
	c := r.capture
	r.drop()
	details, _ := r.stream.Property("response", "code_details")
	if reason := c.plan.Complete(len(c.body), c.end, string(details)); reason != httpcache.Storable {
		r.unstored(reason)
		return
	}
	r.fill(c)
}

// fill stores a whole response: in L1 at once, in L2 through the outbox.
func (r *read) fill(c capture) {
	if r.state.journal.blocks(r.groups) {
		return
	}
	block := httpcache.Response{
		Status: c.plan.Status, InitialAge: c.plan.InitialAge, Freshness: c.plan.Freshness, Fields: c.fields, Body: c.body,
	}.Append(make([]byte, 0, len(c.body)+1024))
	now := r.plugin.host.Now()
	r.fillL1(r.fence, block, now, now+c.plan.Kept*int64(time.Second))
	ttl := c.plan.Kept * 1000
	entry := wire.Entry{
		Head: wire.Head{
			Ticket: r.ticket, Definition: r.cache.Definition, Stored: r.plugin.host.Unix(),
			TTL: ttl, Groups: r.groups,
		},
		Payload: block,
	}.Encode()
	m := wire.StoreRequest{Scope: r.plugin.scope, Key: r.redisKey, TTL: ttl, Entry: entry}
	s := &parcel{path: wire.PathStore, metrics: r.metrics}
	if f := r.flight; f != nil {
		m.Fetch, s.done = f.fetch, f.stored
		f.land()
		f.due = len(f.waiters) > 0 // L1 may answer them before the store is acknowledged
	}
	s.frame = m.Encode()
	r.state.outbox.post(r.plugin, s)
}

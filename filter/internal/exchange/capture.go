package exchange

import (
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
	r.observe()
	if r.bypass != "" {
		r.plugin.host.Add(r.metrics.bypass(r.bypass), 1)
		r.addStatus(statusBypass(r.bypass))
		return
	}
	r.plugin.host.Add(r.metrics.miss, 1)
	reason := r.begin(fields)
	if reason != httpcache.Storable {
		r.unstored(reason)
		r.addStatus(statusMiss(reason))
		return
	}
	r.addStatus(statusStored())
	r.capture.end = end
}

func (r *read) begin(fields httpcache.Fields) httpcache.Reason {
	if r.ticket.Epoch == 0 {
		return httpcache.ReasonNotOrigin // the proxy answered before the bridge did
	}
	plan, reason := httpcache.PlanStore(fields, r.storeRules())
	if reason != httpcache.Storable {
		return reason
	}
	size := min(max(plan.Length, 0), maxPreallocated)
	if !r.state.reserve(size) {
		return reasonUnheld
	}
	r.capture = capture{
		active: true, plan: plan, fields: httpcache.StoredFields(fields),
		body: make([]byte, 0, size), reserved: size,
	}
	return httpcache.Storable
}

func (r *read) storeRules() httpcache.StoreRules {
	rules := httpcache.StoreRules{
		Private:     r.cache.Private(),
		KeyHeaders:  keyHeaders(r.plugin.Policy, r.cache, r.partition),
		MaxBody:     r.cache.MaxResponse,
		AnyFraming:  r.plugin.Policy.UpstreamHTTP2,
		TTL:         int64(r.cache.TTL / time.Second),
		UntilExpiry: -1,
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
	r.unstored(reason)
	r.drop()
}

// unstored counts a response that is not stored.
func (r *read) unstored(reason httpcache.Reason) { r.plugin.host.Add(r.metrics.unstored(reason), 1) }

// drop ends the capture without storing.
func (r *read) drop() {
	r.state.release(r.capture.reserved)
	r.capture = capture{}
}

func (r *read) abort() { r.drop() }

func (r *read) done() {
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
		Status: 200, InitialAge: c.plan.InitialAge, Fields: c.fields, Body: c.body,
	}.Append(make([]byte, 0, len(c.body)+1024))
	now := r.plugin.host.Now()
	r.fillL1(block, now, now+c.plan.Lifetime*int64(time.Second))
	ttl := c.plan.Lifetime * 1000
	entry := wire.Entry{
		Head: wire.Head{
			Ticket: r.ticket, Definition: r.cache.Definition, Stored: r.plugin.host.Unix(),
			TTL: ttl, Groups: r.groups,
		},
		Payload: block,
	}.Encode()
	frame := wire.StoreRequest{Scope: r.plugin.scope, Key: r.redisKey, TTL: ttl, Entry: entry}.Encode()
	r.state.outbox.post(r.plugin, &store{frame: frame, metrics: r.metrics})
}

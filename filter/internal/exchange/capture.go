package exchange

import (
	"bytes"
	"container/list"
	"slices"
	"strconv"
	"strings"
	"time"

	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"
)

// maxReserved bounds what a content-length reserves of the state's budget before the body comes.
const maxReserved = 1 << 20

// smallChunks are gathered up to so many bytes, so that what a chunk costs beside its bytes
// doesn't count.
const smallChunks = 4 << 10

// capture is a copy of a response that streams through.
type capture struct {
	received int64 // when its header section came, monotonic nanoseconds
	plan     storePlan
	fields   httpcache.Fields
	chunks   [][]byte // of the body, as the proxy has handed them over
	reserved int      // bytes of the state's budget
	size     int      // bytes of the body so far
	upload   *upload  // has the body, where it is too large to be held as a whole; otherwise nil
	end      bool
	place    *list.Element // among the state's captures
}

// A capture is slow that is behind slowPace by more than slowCapture. While others need the room that it has it gives way: a client that takes
// nothing of what it has asked for would otherwise keep a worker from storing anybody's, by the streams of one connection. Age alone doesn't
// count: where all take long, and are more than there is room for, each would give way to the next just before its end, and none be stored.
const (
	slowCapture = 10 * time.Second
	slowPace    = 64 << 10 // bytes a second
)

func (c *capture) slow(now int64) bool {
	return now-c.received > int64(slowCapture)+int64(c.size)*int64(time.Second)/slowPace
}

// add takes more of the body. The chunk is the capture's from now on.
func (c *capture) add(chunk []byte) {
	if last := len(c.chunks) - 1; last >= 0 && len(c.chunks[last])+len(chunk) <= smallChunks {
		c.chunks[last] = append(c.chunks[last], chunk...)
		return
	}
	c.chunks = append(c.chunks, chunk)
}

// body is all that was added.
func (c *capture) body() []byte {
	if len(c.chunks) != 1 {
		c.chunks = [][]byte{slices.Concat(c.chunks...)}
	}
	return c.chunks[0]
}

// response decides whether the response is captured, and says so in its
// Cache-Status. "stored" is said before the body is seen, since header fields go
// first: a response that turns out incomplete is not stored all the same.
func (r *read) response(fields httpcache.Fields, end bool) Action {
	r.observe(wire.CountForwardedMicros)
	r.metrics.tally[wire.CountForwarded]++
	if r.flight != nil && r.flight.leader != r {
		r.leave() // the proxy answered a read that waits
	}
	if r.withheld != "" {
		r.forwarded(fields, end)
		return Continue
	}
	if r.bypass != "" {
		r.metrics.count(r.plugin.host, wire.CountBypasses, r.metrics.bypasses.of(r.bypass))
		r.addStatus(statusBypass(r.bypass))
		r.stream.Describe(r.cache.Name, resultBypassed(r.bypass))
		return Continue
	}
	r.metrics.count(r.plugin.host, wire.CountMisses, &r.metrics.miss)
	if r.settled(fields) {
		return Replaced
	}
	updated, outdated := r.compareHead(fields)
	superseded := r.supersedes(fields)
	if !superseded { // which counts once it is known whether the answer is stored in its place
		r.withdraw()
	}
	if updated {
		r.addStatus(statusStored(r.why, r.waited))
		r.stream.Describe(r.cache.Name, resultStored)
		return Continue
	}
	reason := r.begin(fields, end)
	if reason != httpcache.Storable {
		if !outdated {
			r.unstored(reason)
		}
		if superseded && !outdated && !ownFault(reason) {
			r.outdate(*r.stale)
		}
		r.withdraw()
		r.endFetch(markAfter(fields, reason))
		r.addStatus(statusMiss(r.why, reason, r.waited))
		r.stream.Describe(r.cache.Name, resultUnstored(reason))
		return Continue
	}
	r.addStatus(statusStored(r.why, r.waited))
	r.stream.Describe(r.cache.Name, resultStored)
	r.capture.end = end
	return Continue
}

func (r *read) begin(fields httpcache.Fields, end bool) httpcache.Reason {
	if r.ticket.Epoch == 0 {
		return r.unticketed()
	}
	if r.request.head {
		return reasonHead
	}
	if secondHand(fields) {
		return reasonSecondHand
	}
	now := r.plugin.host.Now()
	plan, reason := r.plan(fields, end, now)
	if reason != httpcache.Storable {
		return reason
	}
	size := min(max(plan.Length, 0), maxReserved)
	if plan.Length > r.plugin.Policy.StreamAbove {
		size = 0 // an upload takes it
	}
	if !r.room(size) {
		return reasonUnheld
	}
	r.hold(&capture{
		received: now, plan: plan, fields: httpcache.StoredFields(fields, plan.Without).Dated(r.plugin.host.Unix()), reserved: size,
	})
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
	case reason == reasonUnheld, reason == reasonUnsent, reason == httpcache.ReasonNotOrigin, reason == reasonCollapseTimeout:
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

// storePlan is how a response is to be stored.
type storePlan struct {
	httpcache.Plan
	groups []string // that it belongs to: the read's, and those that it names itself
}

// plan decides on a response whose header section came at now.
func (r *read) plan(fields httpcache.Fields, end bool, now int64) (storePlan, httpcache.Reason) {
	status, _ := strconv.ParseUint(fields.Get(":status"), 10, 32)
	plan, reason := httpcache.PlanStore(fields, end, r.storeRules(uint32(status), now))
	if reason != httpcache.Storable {
		return storePlan{Plan: plan}, reason
	}
	if len(plan.Vary) > maxVaryNames || slices.ContainsFunc(plan.Vary, func(name string) bool { return len(name) > maxVaryName }) {
		return storePlan{Plan: plan}, httpcache.ReasonVary
	}
	groups, ok := r.groupsOf(fields)
	if !ok || slices.ContainsFunc(plan.Without, r.plugin.namesGroups) {
		return storePlan{Plan: plan}, httpcache.ReasonGroups
	}
	return storePlan{plan.Jittered(r.cache.Jitter, r.keyInRedis(), now), groups}, httpcache.Storable
}

func (r *read) storeRules(status uint32, now int64) httpcache.StoreRules {
	ttl, ruled := r.ttlOf(status)
	rules := httpcache.StoreRules{
		Private:    r.cache.Private(),
		Authorized: r.request.fields.Has("authorization") || r.authenticated(),
		Ranged:     r.request.wants.ranges,
		KeyHeaders: keyHeaders(r.plugin.Policy, r.cache, r.partition),
		Targets:    r.plugin.Policy.Targets,
		MaxBody:    r.cache.MaxResponse,
		AnyFraming: r.plugin.Policy.UpstreamHTTP2,
		Origin:     !ruled,
		Explicit:   r.request.method == "POST",
		TTL:        seconds(ttl),
		Stale: httpcache.Stale{
			WhileRevalidate: window(r.cache.Stale.WhileRevalidate), IfError: window(r.cache.Stale.IfError), Keep: seconds(r.cache.Stale.Keep),
		},
		UntilExpiry: -1,
		Received:    httpcache.Received{Now: r.plugin.host.Unix(), Delay: seconds(time.Duration(now - r.asked))},
	}
	if r.partition.Expires > 0 {
		rules.UntilExpiry = max(0, r.partition.Expires-r.plugin.host.Unix())
	}
	return rules
}

// authenticated tells whether jwt_authn has verified a credential of the request, which it has taken away from it unless its provider
// says "forward".
func (r *read) authenticated() bool {
	return r.cache.Origin && r.cache.Shared && r.plugin.identity != nil && r.plugin.identity.Verified(r.request)
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// window is how long a policy lets stale responses be used.
func window(d time.Duration) httpcache.Seconds {
	if d < 0 {
		return httpcache.Absent
	}
	return httpcache.Seconds(seconds(d))
}

func (r *read) chunk(n int, end bool) {
	c := r.capture
	if c == nil {
		return
	}
	c.end = end
	if n == 0 {
		return
	}
	if c.size += n; c.size > r.cache.MaxResponse {
		r.giveUp(httpcache.ReasonTooLarge)
		return
	}
	if c.upload == nil && !r.grow() {
		r.giveUp(reasonUnheld)
		return
	}
	chunk, err := r.stream.ResponseBody(n)
	if err != nil || len(chunk) != n {
		r.drop()
		r.endFetch(0)
		return
	}
	if c.upload == nil && r.shadow == nil && max(c.plan.Length, c.size) > r.plugin.Policy.StreamAbove {
		r.upload(c)
	}
	if c.upload == nil {
		c.add(chunk)
	} else if !c.upload.add(r, chunk) {
		r.giveUp(reasonUnsent)
	}
}

// hold makes the capture the read's.
func (r *read) hold(c *capture) {
	r.capture, c.place = c, r.state.captures.PushBack(r)
}

// room reserves n bytes of the state's budget. Where they aren't left, others' captures that are slow give way, the oldest first: they end as
// if there had been no room for them.
func (r *read) room(n int) bool {
	for !r.state.reserve(n) {
		slow := r.state.slowCapture(r, r.plugin.host.Now())
		if slow == nil {
			return false
		}
		slow.giveUp(reasonUnheld)
	}
	return true
}

// grow reserves budget for as much of the body as has come.
func (r *read) grow() bool {
	c := r.capture
	more := c.size - c.reserved
	if more <= 0 {
		return true
	}
	if !r.room(more) {
		return false
	}
	c.reserved += more
	return true
}

// trailers can't be replayed by a local reply.
func (r *read) trailers() {
	if r.capture != nil {
		r.giveUp(httpcache.ReasonTrailers)
	}
}

// giveUp ends the capture of a response that turned out not to be storable.
func (r *read) giveUp(reason httpcache.Reason) {
	if r.shadow == nil {
		r.unstored(reason)
	} else {
		r.shadow.release(r.state)
	}
	r.drop()
	if r.stale != nil && !ownFault(reason) {
		r.outdate(*r.stale)
	}
	r.withdraw()
	r.endFetch(markAfter(nil, reason))
}

// unstored counts a response that is not stored.
func (r *read) unstored(reason httpcache.Reason) { r.plugin.host.Add(r.metrics.unstored.of(reason), 1) }

// drop ends the capture without storing.
func (r *read) drop() {
	if c := r.capture; c != nil {
		r.state.release(c.reserved)
		r.state.captures.Remove(c.place)
		if c.upload != nil && !c.upload.whole {
			c.upload.end(false)
		}
		r.capture = nil
	}
}

func (r *read) abort() {
	r.drop()
	r.withdraw()
	r.leave()
}

func (r *read) lost() { r.abort() }

func (r *read) done() {
	defer r.leave() // unless its response is on its way to the bridge
	r.landed()
	r.withdraw()
	if r.shadow != nil {
		r.verified()
		return
	}
	c := r.capture
	if c == nil {
		return
	}
	defer r.drop()
	details, _ := r.stream.Property("response", "code_details")
	if reason := c.plan.Complete(c.size, c.end, string(details)); reason != httpcache.Storable {
		r.unstored(reason)
		return
	}
	if c.upload != nil {
		r.commit(c)
		return
	}
	now := r.plugin.host.Now()
	c.plan.Aged(seconds(time.Duration(now-r.asked)) - seconds(time.Duration(c.received-r.asked))) // rounded down once
	if c.plan.Kept <= 0 {
		return
	}
	body, ofVariant := c.body(), !bytes.Equal(r.key, r.base)
	r.fill(c.plan, c.fields, body, now)
	if looked := r.keyInRedis(); len(c.plan.Vary) > 0 {
		if r.varies(c.plan.Vary); r.keyInRedis() != looked {
			r.fill(c.plan, c.fields, body, now) // where reads of the same variant look from now on
		}
	}
	if ofVariant && r.why == forwardedRequest {
		r.fillBase(c.plan, c.fields, body, now)
	}
	r.prefetchNext(body, now)
}

// fillBase replaces what is stored under the key without a variant, too, which VMs look under that don't know of the variants: where something
// that is fresh is replaced, what stands there would answer them on.
func (r *read) fillBase(plan storePlan, fields httpcache.Fields, body []byte, now int64) {
	if len(plan.Vary) > 0 && !bytes.Equal(r.key, r.base) {
		r.fillAside(r.base, plan, fields, body, now)
	}
}

// fillAside is fill under a key for which the read has fetched nothing: nobody's wait for its fetch ends with that.
func (r *read) fillAside(key []byte, plan storePlan, fields httpcache.Fields, body []byte, now int64) {
	own, redisKey, flight := r.key, r.redisKey, r.flight
	r.key, r.redisKey, r.flight = key, "", nil
	r.fill(plan, fields, body, now)
	r.key, r.redisKey, r.flight = own, redisKey, flight
}

// commit ends a whole response's upload. It is stored under one key only, the one that the read looked under: that of the response's
// variant, or the one without a variant. Whoever looks under the other one fetches it once more, so what was stored there before must
// not answer any longer: this VM forgets it, and where something fresh is replaced it is removed from Redis, too.
func (r *read) commit(c *capture) {
	var fetch string
	var done func(stored bool)
	if f := r.flight; f != nil {
		fetch, done = f.fetch, f.stored
		f.land()
	}
	if len(c.plan.Vary) > 0 {
		r.varies(c.plan.Vary)
		for _, key := range [...][]byte{r.base, r.key} {
			if bytes.Equal(key, c.upload.key) {
				continue
			}
			r.state.l1.Delete(key)
			if r.why == forwardedRequest {
				c.upload.replaces = append(c.upload.replaces, replaced{key, r.entryKey(key)})
			}
		}
	}
	c.upload.finish(fetch, done)
}

// freshFor is for how many milliseconds what is stored by a plan is fresh; 0 where it is of no use beyond them.
func freshFor(plan storePlan) int64 {
	fresh := max(plan.Lifetime-plan.InitialAge, 0)
	if fresh >= plan.Kept {
		return 0
	}
	return fresh * 1000
}

// fill stores a whole response: in L1 at once, in L2 through the outbox. L1 doesn't take one whose lookup was answered in another epoch than
// the feed is of, see keep: it may be what was found then, and the origin has confirmed it by a Last-Modified, which has seconds.
func (r *read) fill(plan storePlan, fields httpcache.Fields, body []byte, now int64) {
	if r.state.journal.blocks(plan.groups) {
		return
	}
	head := r.head(plan)
	m := wire.StoreRequest{Scope: r.state.scope, Key: r.keyInRedis(), TTL: head.TTL}
	s := &parcel{path: wire.PathStore, metrics: r.metrics}
	if f := r.flight; f != nil {
		m.Fetch, s.done = f.fetch, f.stored
		f.land()
		f.due = len(f.waiters) > 0 // L1 may answer them before the store is acknowledged
	}
	entry := wire.NewTail(m.Room(), head.HeadSize()+len(body)+storedHead)
	entry.Append(head.AppendHead)
	payload := entry.Len()
	entry.Append(r.stored(plan, fields, body).Append)
	fence := r.fence
	if len(plan.groups) > len(r.groups) {
		fence.slots = r.state.slotsOf(plan.groups)
	}
	if r.ticket.Epoch != r.state.follower.cursor.Epoch {
		fence.leased = false
	}
	r.fillL1(fence, entry.Bytes()[payload:], now, now+plan.Kept*int64(time.Second), now)
	s.frame = m.EncodeWith(entry)
	r.state.outbox.post(r.plugin, s)
}

// storedHead is about what a response takes beside its body, bytes.
const storedHead = 1024

// stored is a response as the cache keeps it.
func (r *read) stored(plan storePlan, fields httpcache.Fields, body []byte) httpcache.Response {
	response := httpcache.Response{
		Status: plan.Status, InitialAge: plan.InitialAge, Freshness: plan.Freshness, Fields: r.mark(fields), Body: body,
	}
	if response.Varies = len(plan.Vary) > 0; response.Varies {
		response.Variant = r.state.variants.digest(r.request.fields, plan.Vary)
	}
	return response
}

// head is that of its entry in L2.
func (r *read) head(plan storePlan) wire.Head {
	return wire.Head{
		Ticket: r.ticket, Definition: r.cache.Definition, Stored: r.plugin.host.Unix(),
		TTL: min(plan.Kept*1000, wire.MaxTTL), Fresh: freshFor(plan), Groups: plan.groups,
	}
}

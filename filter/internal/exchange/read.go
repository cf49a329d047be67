package exchange

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"

	"chatcache/filter/internal/httpcache"
	"chatcache/filter/internal/l1"
	"chatcache/policy"
	"chatcache/redisbridge/wire"
)

const maxKeyBytes = 16 << 10 // of the cache key in memory; the key in Redis is a digest of it

// read is a request of one of the policy's caches.
type read struct {
	*Exchange
	request *request
	cache   *policy.Cache
	metrics *cacheMetrics
	began   int64

	partition policy.Partition
	key       []byte
	redisKey  string
	groups    []string

	// bypass says why the cache was not asked; "" when it was, and missed.
	bypass httpcache.Reason
	// ticket is what the lookup saw. Without one nothing is stored.
	ticket wire.Ticket
	// fence is what L1 needs to know of the moment the lookup was sent.
	fence   fence
	permit  permit
	capture capture
}

// fence is the state of slots and lease when a lookup was sent.
type fence struct {
	slots  []l1.Slot
	mark   uint64
	leased bool
}

func newRead(e *Exchange, r *request, c *policy.Cache) *read {
	return &read{
		Exchange: e, request: r, cache: c,
		metrics: &e.plugin.metrics[c.Index], began: e.plugin.host.Now(),
	}
}

func (r *read) start(end bool) Action {
	if r.bypass = r.refusal(end); r.bypass != "" {
		return Continue
	}
	if r.cache.Private() {
		partition, ok := r.plugin.identify(r.request)
		if !ok {
			r.bypass = reasonNoIdentity
			return Continue
		}
		if partition.Expires > 0 && partition.Expires <= r.plugin.host.Unix() {
			r.bypass = reasonExpired
			return Continue
		}
		r.partition = partition
	}
	if r.cache.Body != nil {
		return r.pause(PauseForBody)
	}
	return r.find(nil)
}

// refusal says why the cache won't be asked, as far as the header section tells.
func (r *read) refusal(end bool) httpcache.Reason {
	if r.cache.TTL == 0 {
		return reasonOff
	}
	if reason := r.request.unanswerable(r.cache.Body != nil, end); reason != "" {
		return reason
	}
	if r.cache.Body == nil {
		return ""
	}
	if !r.plugin.Policy.Bodies {
		return reasonBodyUnseen
	}
	length, err := strconv.Atoi(r.request.fields.Get("content-length"))
	if err == nil && length > r.cache.Body.MaxBytes {
		return reasonBodyTooLarge
	}
	return ""
}

// body waits for the whole body of a body-keyed request.
func (r *read) body(n int, end bool) Action {
	if r.cache.Body == nil || r.key != nil {
		return PauseForBody // held for the bridge's answer, with all that comes
	}
	if n > r.cache.Body.MaxBytes {
		return r.letGo(reasonBodyTooLarge)
	}
	if !end && n > 0 {
		return PauseForBody
	}
	raw, err := r.stream.RequestBody(n)
	if err != nil || !end {
		return r.letGo(reasonBodyUnusable)
	}
	canonical, err := r.cache.Body.Canonical(nil, raw)
	if err != nil {
		return r.letGo(reasonBodyUnusable)
	}
	return r.find(canonical)
}

// letGo ends the pause from inside the callback that could have gone on holding.
func (r *read) letGo(reason httpcache.Reason) Action {
	r.bypass = reason
	r.phase = flowing
	return Continue
}

// find looks in L1, then asks the bridge.
func (r *read) find(body []byte) Action {
	r.key = r.plugin.Policy.AppendKey(nil, r.cache, r.request, r.partition.ID, body)
	if len(r.key) > maxKeyBytes {
		return r.letGo(reasonKeyTooLong)
	}
	r.groups = wire.ReadGroups(r.cache.Name, r.partition.ID)
	if r.state.journal.blocks(r.groups) {
		return r.letGo(reasonPending)
	}
	now := r.plugin.host.Now()
	r.fence = fence{
		slots:  r.state.slotsOf(r.groups),
		mark:   r.state.slots.Mark(),
		leased: r.usesL1() && r.state.follower.alive(now),
	}
	if r.fence.leased && r.answerFromL1(now) {
		return PauseAll
	}
	return r.lookup()
}

func (r *read) usesL1() bool { return r.plugin.Policy.L1.Enabled && r.cache.L1 }

func (r *read) answerFromL1(now int64) bool {
	item, ok := r.state.l1.Get(r.key, now)
	if !ok {
		return false
	}
	if item.Definition != r.cache.Definition || !r.state.slots.Unmoved(item.Mark, item.Slots) {
		r.state.l1.Delete(r.key)
		return false
	}
	age := (now - item.Stored) / int64(time.Second)
	if !r.answer(item.Block, age, (item.Expires-now)/int64(time.Second), "l1") {
		return false
	}
	r.plugin.host.Add(r.metrics.hitL1, 1)
	return true
}

// answer replies with a stored response that has rested for age seconds, unless
// it is too old by the present policy or unreadable.
func (r *read) answer(block []byte, age, ttl int64, tier string) bool {
	response, err := httpcache.DecodeResponse(block, 2)
	if err != nil {
		return false
	}
	age += response.InitialAge
	left := int64(r.cache.TTL/time.Second) - age
	if left <= 0 {
		return false
	}
	fields := append(response.Fields,
		[2]string{"age", strconv.FormatInt(age, 10)},
		[2]string{statusField, statusHit(min(ttl, left), tier)})
	r.reply(response.Status, fields, response.Body)
	r.observe()
	return true
}

func (r *read) observe() {
	elapsed := (r.plugin.host.Now() - r.began) / int64(time.Microsecond)
	r.plugin.host.Record(r.metrics.latency, uint64(elapsed))
}

func (r *read) lookup() Action {
	digest := sha256.Sum256(r.key)
	r.redisKey = wire.EntryKey(r.cache.Name, r.plugin.Policy.Name, r.partition.ID,
		r.request.method, r.request.plainPath(), base64.RawURLEncoding.EncodeToString(digest[:24]))
	if len(r.redisKey) > wire.MaxKey {
		return r.letGo(reasonKeyTooLong)
	}
	permit, ok := r.plugin.admit()
	if !ok {
		return r.letGo(reasonBreaker)
	}
	r.permit = permit
	frame := wire.LookupRequest{Scope: r.plugin.scope, Key: r.redisKey, Groups: r.groups}.Encode()
	if err := r.stream.Call(wire.PathLookup, frame, r.plugin.Policy.Bridge.Timeout, r.lookedUp); err != nil {
		r.plugin.host.Add(r.metrics.errors, 1)
		return r.letGo(reasonUnreachable)
	}
	return r.pause(PauseAll)
}

func (r *read) lookedUp(a Answer) {
	r.plugin.report(r.permit, a)
	if r.phase != paused {
		return
	}
	r.bypass = r.take(a)
	r.resume() // unless take has replied
}

// take handles the bridge's answer: it replies, or says why it didn't.
func (r *read) take(a Answer) httpcache.Reason {
	answer, err := wire.DecodeLookupAnswer(a.Body)
	if a.Status != "200" || err != nil {
		r.plugin.host.Add(r.metrics.errors, 1)
		return failure(a)
	}
	switch {
	case r.state.journal.blocks(r.groups):
		return reasonPending
	case answer.State == wire.LookupSuspended:
		return reasonWriteInFlight
	case answer.State == wire.LookupHit && r.answerFromL2(answer):
		return ""
	}
	r.ticket = answer.Ticket
	return ""
}

func (r *read) answerFromL2(answer wire.LookupAnswer) bool {
	entry, err := wire.DecodeEntry(answer.Entry)
	if err != nil || entry.Definition != r.cache.Definition {
		return false
	}
	if !r.answer(entry.Payload, answer.Age/1000, answer.Remaining/1000, "l2") {
		return false
	}
	r.plugin.host.Add(r.metrics.hitL2, 1)
	now := r.plugin.host.Now()
	r.fence.slots = r.state.slotsOf(entry.Groups)
	r.fillL1(entry.Payload, now-answer.Age*int64(time.Millisecond), now+answer.Remaining*int64(time.Millisecond))
	return true
}

// fillL1 takes a response into the VM's memory if its lookup was sent under a
// live lease and no slot of its groups has moved since.
func (r *read) fillL1(block []byte, stored, expires int64) {
	if !r.fence.leased || !r.state.slots.Unmoved(r.fence.mark, r.fence.slots) {
		return
	}
	r.state.l1.Put(r.key, l1.Item{
		Block: block, Definition: r.cache.Definition,
		Slots: r.fence.slots, Mark: r.fence.mark, Stored: stored, Expires: expires,
	})
}

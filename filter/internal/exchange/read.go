package exchange

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"

	"chatcache/filter/internal/httpcache"
	"chatcache/filter/internal/l1"
	"chatcache/policy"
	"chatcache/redisbridge/wire"
)

// read is a request of one of the policy's caches.
type read struct {
	*Exchange
	request *request
	cache   *policy.Cache
	metrics *cacheMetrics
	began   int64

	// Before anything is looked up.
	bodyHeld   bool // it is held until its body has come
	partition  policy.Partition
	base       []byte // the cache key; until place has run it is the state's scratch, like key
	key        []byte // the same, or that of the read's variant
	redisKey   string
	groups     []string
	limits     httpcache.Limits // what the request says of stored responses
	refreshOf  string           // the digest of the key whose stale response it is to validate; "" if it is a client's
	prefetchOf string           // the digest of the key that it is to prefetch; "" if it is a client's

	// While it looks up, or waits for the fetch of its key.
	fence   fence // what L1 needs to know of the moment the lookup was sent
	permit  permit
	gathers int64   // since when it waits to be sent with others, monotonic nanoseconds
	flight  *flight // the fetch that it leads or waits for; nil if none
	joined  uint64  // the number of its arrival among those who wait
	until   int64   // when it has waited long enough, monotonic nanoseconds
	alone   bool    // its lookup is under way as a call of its stream's
	waited  bool    // for somebody else's fetch
	late    bool    // it came after the lookup was sent that it goes on with

	// Once that has ended, and the origin is asked or it has been answered.
	bypass    httpcache.Reason // why the cache was not asked; "" when it was, and missed
	withheld  httpcache.Reason // why a stored response that could answer it doesn't; "" if none does
	ticket    wire.Ticket      // what the lookup saw; without one nothing is stored
	fetchID   string           // the id of the fetch lease that it goes on with
	why       string           // it was forwarded, as Cache-Status has it
	asked     int64            // when it was forwarded, monotonic nanoseconds
	stale     *storedResponse  // what the origin may confirm, nil if nothing
	validates bool             // the origin was asked whether that is the present response
	capture   *capture         // nil: nothing is captured
	shadow    *shadow          // to be compared with the origin's answer; nil if it isn't
}

// fence is the state of slots and lease when a lookup was sent.
type fence struct {
	slots  []l1.Slot
	mark   uint64
	leased bool
}

func newRead(e *Exchange, target request, c *policy.Cache) (*read, *request) {
	one := &struct { // one allocation for both, which is a size class smaller up to 632 bytes
		request
		read read
	}{target, read{Exchange: e, cache: c, metrics: &e.plugin.metrics[c.Index], began: e.plugin.host.Now(), why: forwardedMiss}}
	one.read.request = &one.request
	return &one.read, &one.request
}

func (r *read) start(end bool) Action {
	switch {
	case r.request.wants.refresh:
		return r.startRefresh(end)
	case r.prefetched():
		return r.startPrefetch(end)
	}
	return r.enter(end)
}

// enter asks the cache, or says why it isn't asked.
func (r *read) enter(end bool) Action {
	if r.request.wants.limits {
		r.limits = r.request.fields.Limits()
	}
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
		r.bodyHeld = true
		return r.pause(PauseForBody)
	}
	return r.find(nil)
}

// refusal says why the cache won't be asked, as far as the header section tells.
func (r *read) refusal(end bool) httpcache.Reason {
	if r.cache.TTL == 0 {
		return reasonOff
	}
	if reason := r.barred(); reason != "" {
		return reason
	}
	if reason := r.request.unanswerable(r.cache, r.limits, end); reason != "" {
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
	if r.limits.OnlyIfCached {
		r.refuse()
		return PauseAll
	}
	r.bypass = reason
	r.phase = flowing
	return Continue
}

// find looks in L1, then asks the bridge, or waits for whoever has asked already.
func (r *read) find(body []byte) Action {
	r.base = r.plugin.Policy.AppendKey(r.state.scratch.key[:0], r.cache, r.request, r.partition.ID, body)
	r.state.scratch.key = r.base
	if meant := r.meant(); meant != "" && meant != wire.KeyDigest(r.base) {
		return r.letGo(reasonMisdirected)
	}
	r.key = r.base
	r.choose()
	now := r.began
	if r.bodyHeld { // for its body
		now = r.plugin.host.Now()
	}
	reason := r.barred()
	if len(r.key) > policy.MaxKey {
		reason = reasonKeyTooLong
	}
	if reason != "" {
		r.place(now) // its key is told with its response
		return r.letGo(reason)
	}
	if !r.state.journal.idle() {
		if r.place(now); r.state.journal.blocks(r.groups) {
			return r.letGo(reasonPending)
		}
	}
	if f, ok := r.inL1(r.leased(now), now); ok && r.answer(f, now) {
		return r.answered()
	}
	r.place(now)
	if len(r.keyInRedis()) > wire.MaxKey {
		return r.letGo(reasonKeyTooLong)
	}
	if r.collapses() && r.state.flights.board(r, now) {
		return r.pause(PauseAll)
	}
	return r.lookup()
}

// meant is the digest of the key that a request of the proxy's own is for; "" if the read is a client's.
func (r *read) meant() string { return cmp.Or(r.refreshOf, r.prefetchOf) }

// place makes what everything but a hit in L1 needs: a key of the read's own, in place of the one in the
// state's scratch, its groups, and its fence. All that the callback has found until then stays true.
func (r *read) place(now int64) {
	if r.groups != nil {
		return
	}
	r.base = slices.Clip(bytes.Clone(r.base)) // so that each variant's key has memory of its own
	r.key = r.base
	r.choose()
	r.groups = r.partition.ReadGroups(r.cache.Name)
	if r.cache.ByURI() {
		r.groups = append(r.groups, groupURI(r.cache, r.request.authority, r.request.path))
	}
	r.fence = r.fenceAt(now)
}

// fenceAt is the fence of a lookup that is sent now.
func (r *read) fenceAt(now int64) fence {
	return fence{slots: r.state.slotsOf(r.groups), mark: r.state.slots.Mark(), leased: r.leased(now)}
}

// leased tells whether the VM's memory may be used for the read now.
func (r *read) leased(now int64) bool {
	return r.plugin.Policy.L1.Enabled && r.cache.L1 && r.state.follower.alive(now, r.plugin.Policy.L1.MaxStaleness)
}

// collapses tells whether the read waits for somebody else's fetch, and others for its own. One that
// wants something else than what is stored for all, or fetches it, doesn't; and where operators only
// observe nobody waits for what nobody is answered with.
func (r *read) collapses() bool {
	return r.plugin.Policy.Collapse.Enabled && r.cache.Collapse && !r.control().Observe &&
		!r.request.head && !r.request.wants.ranges && !r.limits.Set()
}

// wantsAll tells whether the answer to the read is a whole response, whatever the client has.
func (r *read) wantsAll() bool {
	return !r.request.head && !r.request.wants.ranges && !r.request.wants.conditions
}

// inL1 finds the response in the VM's memory, if that may be used.
func (r *read) inL1(leased bool, now int64) (found, bool) {
	if !leased {
		return found{}, false
	}
	item, ok := r.state.l1.Get(r.key, now)
	if !ok {
		return found{}, false
	}
	if string(item.Definition) != r.cache.Definition || !r.state.slots.Unmoved(item.Mark, item.Slots) {
		r.state.l1.Delete(r.key)
		return found{}, false
	}
	return found{block: item.Block, definition: r.cache.Definition, stored: item.Stored, expires: item.Expires, tier: tierL1}, true
}

// fillL1 takes a response into the VM's memory if its lookup was sent under a
// live lease and no slot of its groups has moved since.
func (r *read) fillL1(fence fence, block []byte, stored, expires, now int64) {
	if !fence.leased || !r.state.slots.Unmoved(fence.mark, fence.slots) {
		if old, ok := r.state.l1.Get(r.key, now); ok && old.Mark <= fence.mark && !bytes.Equal(old.Block, block) {
			r.state.l1.Delete(r.key) // what is older would answer again once the lease is renewed
		}
		return
	}
	r.state.l1.Put(r.key, l1.Item{
		Block: block, Definition: []byte(r.cache.Definition),
		Slots: fence.slots, Mark: fence.mark, Stored: stored, Expires: expires,
	}, now)
}

package exchange

import (
	"time"

	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"
)

// keyInRedis is the key of the read's entry there, made when it is first needed: a hit in L1
// doesn't.
func (r *read) keyInRedis() string {
	if r.redisKey == "" {
		r.redisKey = r.entryKey(r.key)
	}
	return r.redisKey
}

func (r *read) entryKey(key []byte) string {
	return wire.EntryKey(r.cache.Name, r.plugin.Policy.Name, r.partition.ID,
		r.request.method, r.request.plainPath(), wire.KeyDigest(key))
}

// lookup asks the bridge, for this read alone or as the leader of its flight.
func (r *read) lookup() Action {
	permit, ok := r.plugin.admit()
	if !ok {
		return r.unasked(reasonBreaker)
	}
	r.permit = permit
	if g := &r.state.gathering; g.takes(r.plugin) {
		r.gathers = r.plugin.host.Now()
		if g.add(r); len(g.waiting) == 1 && g.sent == nil {
			r.state.wake()
		}
		return r.pause(PauseAll)
	}
	q := r.query(r.plugin, r.flight, 0)
	if err := r.stream.Call(q.path, q.frame, r.plugin.Policy.Bridge.Timeout, func(a Answer) { r.lookedUp(q, a) }); err != nil {
		r.metrics.count(r.plugin.host, wire.CountErrors, &r.metrics.errors)
		return r.unasked(reasonUnreachable)
	}
	r.alone = true
	r.state.gathering.alone++
	return r.pause(PauseAll)
}

// unasked lets the read go, and all who wait for it, since the bridge can't be asked.
func (r *read) unasked(reason httpcache.Reason) Action {
	if r.flight != nil {
		r.flight.forward(reason)
	}
	return r.letGo(reason)
}

func (r *read) lookedUp(q query, a Answer) {
	r.landed()
	r.plugin.report(r.permit, a)
	if r.phase == paused {
		r.goOn(r.understand(q, a))
	}
}

// landed ends the read's own call: it is answered, or nobody listens any more.
func (r *read) landed() {
	if r.alone {
		r.alone = false
		r.state.gathering.alone--
	}
}

// goOn answers the read with what was found, or lets it go.
func (r *read) goOn(answer wire.LookupAnswer, reason httpcache.Reason) {
	now := r.plugin.host.Now()
	f, hit := r.inL2(answer, now)
	switch {
	case reason != "":
		r.bypass = reason
	case hit && r.answer(f, now):
		r.keep(r.fence, f, now)
	default:
		r.ticket = answer.Ticket
		if hit && !f.leased {
			r.offer(&f, now)
		}
	}
	if r.flight != nil && r.flight.lookedUp(answer, unused(f, hit), reason) {
		return // it waits for somebody else's fetch
	}
	r.forward(now) // unless it was answered
}

// unused is what a lookup has found, if it has found anything: the origin may confirm it.
func unused(f found, hit bool) *found {
	if !hit {
		return nil
	}
	return &f
}

// understand reads the bridge's answer to a lookup, and says why it can't be used.
func (r *read) understand(q query, a Answer) (answer wire.LookupAnswer, reason httpcache.Reason) {
	answer, err := q.decode(r.state, a.Body)
	return r.judged(answer, a, err)
}

// judged gives an answer if it can be used now; malformed is what was wrong with its frame.
func (r *read) judged(answer wire.LookupAnswer, a Answer, malformed error) (_ wire.LookupAnswer, reason httpcache.Reason) {
	if a.Status != "200" || malformed != nil {
		r.metrics.count(r.plugin.host, wire.CountErrors, &r.metrics.errors)
		return wire.LookupAnswer{}, failure(a)
	}
	if reason = r.barred(); reason != "" {
		return wire.LookupAnswer{}, reason
	}
	switch {
	case r.state.journal.blocks(r.groups):
		return wire.LookupAnswer{}, reasonPending
	case answer.State == wire.LookupSuspended:
		return wire.LookupAnswer{}, reasonWriteInFlight
	}
	return answer, ""
}

// overtaken tells whether a group that only the entry names is blocked in this VM, or has moved since the lookup was sent. Those of the
// request were looked after when the read began.
func (r *read) overtaken(groups []string) bool {
	return r.state.journal.blocks(groups) ||
		len(groups) > len(r.groups) && r.state.moved(groups, r.fence.mark)
}

// keep takes a response from L2 into L1, unless it is of another epoch than the feed that is to make it invalid there:
//
//  1. a primary is replaced; the VM polls at a bridge that has heard of that, forgets its L1, and hears of a write
//  2. its lookup goes to another bridge, which for a moment (--trust) goes by the old primary, and finds what was before the write
//  3. in L1 that would be valid until the write's groups are raised again
func (r *read) keep(fence fence, f found, now int64) {
	if f.epoch != r.state.follower.cursor.Epoch {
		return
	}
	fence.slots = r.state.slotsOf(f.groups)
	r.fillL1(fence, f.block, f.stored, f.expires, now)
}

// inL2 reads the entry of an answer that has one.
func (r *read) inL2(answer wire.LookupAnswer, now int64) (found, bool) {
	if len(answer.Entry) == 0 {
		return found{}, false
	}
	entry, err := wire.DecodeEntry(answer.Entry)
	if err != nil || r.overtaken(entry.Groups) {
		return found{}, false
	}
	return found{
		block: entry.Payload, definition: entry.Definition, groups: entry.Groups, tier: tierL2,
		epoch: answer.Ticket.Epoch, leased: answer.State == wire.LookupLeased,
		stored:  now - answer.Age*int64(time.Millisecond),
		expires: now + answer.Remaining*int64(time.Millisecond),
	}, true
}

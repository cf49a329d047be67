package exchange

import (
	"time"

	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"
)

func (r *read) entryKey() string {
	return wire.EntryKey(r.cache.Name, r.plugin.Policy.Name, r.partition.ID,
		r.request.method, r.request.plainPath(), wire.KeyDigest(r.key))
}

// lookup asks the bridge, for this read alone or as the leader of its flight.
func (r *read) lookup() Action {
	permit, ok := r.plugin.admit()
	if !ok {
		return r.unasked(reasonBreaker)
	}
	r.permit = permit
	frame := r.lookupFrame(0)
	if err := r.stream.Call(wire.PathLookup, frame, r.plugin.Policy.Bridge.Timeout, r.lookedUp); err != nil {
		r.metrics.count(r.plugin.host, wire.CountErrors, r.metrics.errors)
		return r.unasked(reasonUnreachable)
	}
	return r.pause(PauseAll)
}

// unasked lets the read go, and all who wait for it, since the bridge can't be asked.
func (r *read) unasked(reason httpcache.Reason) Action {
	if r.flight != nil {
		r.flight.forward(reason)
	}
	return r.letGo(reason)
}

// lookupFrame is the lookup of the read's key; with a flight it asks for the fetch lease,
// and waits at the bridge for somebody else's.
func (r *read) lookupFrame(wait time.Duration) []byte {
	m := wire.LookupRequest{Scope: r.plugin.scope, Key: r.redisKey, Groups: r.groups}
	if r.flight != nil {
		m.Fetch, m.Lease, m.Wait = r.flight.fetch, r.plugin.fetchLease().Milliseconds(), wait.Milliseconds()
	}
	return m.Encode()
}

func (r *read) lookedUp(a Answer) {
	r.plugin.report(r.permit, a)
	if r.phase != paused {
		return
	}
	now := r.plugin.host.Now()
	answer, reason := r.understand(a)
	f, hit := r.inL2(answer, now)
	switch {
	case reason != "":
		r.bypass = reason
	case hit && r.answer(f, now):
		r.keep(r.fence, f)
	default:
		r.ticket = answer.Ticket
	}
	if r.flight != nil && r.flight.lookedUp(answer, reason) {
		return // it waits for somebody else's fetch
	}
	r.resume() // unless it was answered
}

// understand reads the bridge's answer to a lookup, and says why it can't be used.
func (r *read) understand(a Answer) (answer wire.LookupAnswer, reason httpcache.Reason) {
	answer, err := wire.DecodeLookupAnswer(a.Body)
	switch {
	case a.Status != "200" || err != nil:
		r.metrics.count(r.plugin.host, wire.CountErrors, r.metrics.errors)
		return wire.LookupAnswer{}, failure(a)
	case r.state.journal.blocks(r.groups):
		return wire.LookupAnswer{}, reasonPending
	case answer.State == wire.LookupSuspended:
		return wire.LookupAnswer{}, reasonWriteInFlight
	}
	return answer, ""
}

// keep takes a response from L2 into L1.
func (r *read) keep(fence fence, f found) {
	fence.slots = r.state.slotsOf(f.groups)
	r.fillL1(fence, f.block, f.stored, f.expires)
}

// inL2 reads the entry of an answer that has one.
func (r *read) inL2(answer wire.LookupAnswer, now int64) (found, bool) {
	if answer.State != wire.LookupHit {
		return found{}, false
	}
	entry, err := wire.DecodeEntry(answer.Entry)
	if err != nil || r.state.journal.blocks(entry.Groups) { // also of a group that only the entry names
		return found{}, false
	}
	return found{
		block: entry.Payload, definition: entry.Definition, groups: entry.Groups, tier: tierL2,
		stored:  now - answer.Age*int64(time.Millisecond),
		expires: now + answer.Remaining*int64(time.Millisecond),
	}, true
}

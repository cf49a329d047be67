package exchange

import (
	"slices"
	"time"

	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"
)

// flight is one VM's fetch of one key, and the reads that wait for it.
//
//  1. A read that finds no flight of its key leads one: it asks the bridge, with the flight's id
//     for the fetch lease, and where that misses, the origin.
//  2. Reads of the key that come meanwhile wait: they are held and ask nobody. Where the leader's lookup has waited to be sent
//     with others, what it finds answers those who had come by then.
//  3. The leader is done: it was answered, its response is stored, or its stream is gone. The root
//     context makes a round (see round) for all who wait.
//  4. What the round finds answers them; or the first of them leads, with the same id, and the
//     others wait on.
//  5. Where waiting is of no use all are let go at once: the bridge can't be asked, a write is in
//     flight, the response can't be stored.
//
// What is stale is fetched like what is missing, so that one VM of all validates it. Whoever may use it meanwhile
// doesn't wait.
//
// What the leader got is never handed to anybody: each waiter gets what a lookup found that
// was sent after it came, or what L1 may be used for.
//
// A flight may stop serving reads that come later, who then begin another one, while it goes on for
// those who have it: a write has moved the fence that its leader looked up under, or the leader takes longer
// than its lease (a slow origin, or a client that reads slowly). Nobody waits for longer than
// collapse.max_wait.
type flight struct {
	state *State
	key   string // in Redis
	fetch string // the id of its fetch lease

	leader    *read       // nil: nobody looks up or fetches
	serving   int64       // until when the leader is waited for by reads that come, monotonic nanoseconds
	landing   bool        // the leader's store or release is on its way
	releasing bool        // it is a release: nobody is to wait for it
	waiters   []*read     // in order of arrival
	round     *round      // under way, nil if none
	due       bool        // a round is to begin
	watched   bool        // is in flights.watched
	hold      bool        // the round is to wait at the bridge for somebody else's fetch
	handed    bool        // the lease is a refresh's now
	ticket    wire.Ticket // of the last lookup
	fence     fence       // when that was sent
	stale     *found      // what it has found and couldn't be used; nil if nothing
	last      uint64      // the youngest of those who wait that came before it was sent
	asked     uint64      // likewise, of the leader's, if it has waited to be sent with others
}

// lookedUp takes what the leader's lookup has found; it tells whether the leader has to
// wait for somebody else's fetch.
func (f *flight) lookedUp(answer wire.LookupAnswer, stale *found, reason httpcache.Reason) (waits bool) {
	leader := f.leader
	f.saw(answer.Ticket, leader.fence, stale, f.asked)
	switch {
	case reason != "":
		f.forward(reason)
	case leader.phase == replied, leader.withheld != "", answer.Granted && leader.why == forwardedVariant:
		if stale != nil && f.asked > 0 && leader.canUse(*stale, leader.plugin.host.Now()) {
			f.answer(*stale, f.asked)
		}
		f.giveBack(answer)
	case answer.State == wire.LookupLeased:
		f.leader, f.hold = nil, true
		f.wait(leader, 0)
		leader.joined = 0 // it came before its own lookup
		f.next()
		return true
	case leads(answer):
		// It fetches.
	default:
		f.next() // a mark: nobody is to wait for this fetch
	}
	return false
}

// giveBack ends what the leader did, who needs no lease: one that was granted to it goes back, unless it is a refresh's.
func (f *flight) giveBack(answer wire.LookupAnswer) {
	if answer.Granted && !f.handed {
		f.release(0)
		return
	}
	f.next()
}

// saw keeps what a lookup has seen: a read that is let go without a lookup of its own
// may store with it, as it is older than whatever the origin will say. last is the youngest of those who wait
// that came before the lookup was sent.
func (f *flight) saw(ticket wire.Ticket, fence fence, stale *found, last uint64) {
	if ticket.Epoch != 0 {
		f.ticket, f.fence, f.last = ticket, fence, last
		f.keep(stale)
	}
}

// keep keeps what a lookup has found in place of what the one before has, as long as there is room for it.
func (f *flight) keep(stale *found) {
	before := f.stale
	f.stale = nil
	if stale != nil {
		if stale.separate(); f.state.reserveBlock(stale.block) {
			f.stale = stale
		}
	}
	if before != nil {
		f.state.releaseBlock(before.block)
	}
}

// toOrigin lets a read go with what the last lookup has seen.
func (f *flight) toOrigin() decision {
	return decision{stale: f.stale, ticket: f.ticket, fence: f.fence}
}

// leads tells whether a read that a lookup gave no answer is to fetch for others. An
// entry that couldn't be used although the bridge takes it for fresh, of another definition for example, has no
// lease: the VM's own reads wait all the same.
func leads(answer wire.LookupAnswer) bool { return answer.Granted || answer.State == wire.LookupHit }

// wait adds a read to those who wait, at a place in their order.
func (f *flight) wait(r *read, at int) {
	fs := &f.state.flights
	fs.arrivals++
	r.flight, r.waited, r.joined = f, true, fs.arrivals
	r.until = r.began + int64(r.plugin.Policy.Collapse.MaxWait)
	f.waiters = slices.Insert(f.waiters, at, r)
	fs.waiting++
	fs.watch(f)
}

// leave takes a read out of its flight: its stream is gone, or answered by the proxy.
func (r *read) leave() {
	f := r.flight
	if f == nil {
		return
	}
	if f.leader == r {
		f.release(0)
		return
	}
	f.remove(r)
}

func (f *flight) remove(r *read) {
	if i := slices.Index(f.waiters, r); i >= 0 {
		f.waiters = slices.Delete(f.waiters, i, i+1)
		f.state.flights.waiting--
	}
	r.flight = nil
	f.endIfEmpty()
}

// next ends what the leader did: a round follows, if anybody waits.
func (f *flight) next() {
	if f.leader != nil {
		f.leader.flight = nil
	}
	f.leader, f.landing = nil, false
	if f.endIfEmpty() {
		return
	}
	f.due = true
	f.state.wake()
}

// land ends the leader's part while its store or release is on its way, after which next is called.
func (f *flight) land() {
	f.keep(nil)
	f.leader.flight = nil
	f.leader, f.landing = nil, true
}

// release ends the leader's fetch without a store. With a mark nobody waits for the key's next
// fetches: those who do now go to the origin, too. Without one and with somebody waiting the
// lease stays: the round's lookup has the same id.
func (f *flight) release(mark time.Duration) {
	if mark == 0 && len(f.waiters) > 0 {
		f.next()
		return
	}
	r := f.leader
	f.letAllGo(f.toOrigin())
	f.land()
	f.releasing = true
	frame := wire.ReleaseRequest{Scope: r.state.scope, Key: f.key, Fetch: f.fetch, Mark: mark.Milliseconds()}.Encode()
	f.state.outbox.post(r.plugin, &parcel{path: wire.PathRelease, frame: frame, metrics: r.metrics, done: func(bool) { f.next() }})
}

// stored is called when the leader's store has come to an end. One that the bridge didn't take
// leaves the lease to whoever leads next, or to its end.
func (f *flight) stored(bool) { f.next() }

// endIfEmpty forgets the flight if nobody is in it.
func (f *flight) endIfEmpty() bool {
	if f.leader != nil || f.landing || f.round != nil || len(f.waiters) > 0 {
		return false
	}
	f.keep(nil)
	f.state.flights.forget(f)
	return true
}

// forward lets everybody go without an answer of the cache, because of the reason.
func (f *flight) forward(reason httpcache.Reason) {
	f.letAllGo(decision{bypass: reason})
	f.next()
}

// pass lets everybody go to the origin.
func (f *flight) pass() {
	f.letAllGo(f.toOrigin())
	f.next()
}

func (f *flight) letAllGo(d decision) {
	for _, r := range f.waiters {
		f.decide(r, d)
	}
	f.waiters = nil
}

// decide ends the waiting of a read, which is then to be taken out of waiters.
func (f *flight) decide(r *read, d decision) {
	d.read, d.late = r, r.joined > f.last
	r.flight = nil
	fs := &f.state.flights
	fs.waiting--
	if fs.decided = append(fs.decided, d); len(fs.decided) == 1 {
		f.state.wake()
	}
}

// expire lets those go who have waited long enough.
func (f *flight) expire(now int64) {
	f.waiters = slices.DeleteFunc(f.waiters, func(r *read) bool {
		if now < r.until {
			return false
		}
		r.plugin.host.Add(&r.metrics.collapseTimeouts, 1)
		f.decide(r, f.toOrigin())
		return true
	})
	f.endIfEmpty()
}

package exchange

import (
	"container/list"
	"hash/maphash"
	"slices"
	"strconv"
	"time"
	"unsafe"

	"chatcache/filter/internal/httpcache"
	"chatcache/filter/internal/l1"
	"chatcache/redisbridge/wire"
)

// rootTimeout bounds a call that no stream waits for.
const rootTimeout = time.Second

// maxCaptured bounds the bytes of all responses that are being captured for one
// policy in one VM at a time.
const maxCaptured = 64 << 20

// State is what all plugins and streams of one policy share in one VM: one L1,
// one follower of the feed, one journal. It outlives a configuration change:
// the new plugin takes it over.
type State struct {
	name string
	// plugins are those that live, the newest last. The newest one's root
	// context makes all calls that belong to no stream.
	plugins []*Plugin
	// scope has the longest terms of all that ever lived: what began by an older one's may be under way when that has gone.
	scope wire.Scope

	l1         *l1.Store
	slots      *l1.Slots
	follower   follower
	journal    journal
	writes     openWrites
	outbox     outbox
	flights    flights
	gathering  gathering
	variants   variants
	breaker    breaker
	tally      tally
	rechecks   rechecks
	loopback   loopback
	prefetches prefetches
	refreshes  refreshes
	unlogged   unlogged
	controls   wire.Controls
	scratch    scratch

	ids      uint64        // see newID
	captured int           // bytes of the budget that are taken, see reserve
	captures list.List     // of the reads whose responses are being captured, the oldest first
	kept     map[*byte]int // how many reads and flights keep a stored response, for when the origin confirms it, by its first byte
	samples  uint64        // stored responses that could have been withheld
	seed     maphash.Seed
}

// scratch is memory that one callback after the other uses: nothing keeps it.
type scratch struct {
	fields     httpcache.Fields // of a request, until a rule is found for it
	key, reply []byte
}

// States are the states of a VM by policy name.
type States struct {
	vm     string // random, the VM's id in the registry
	alone  int    // see Gather
	byName map[string]*State
}

// NewStates makes the registry of one VM; vm is its random id.
func NewStates(vm string) *States {
	return &States{vm: vm, alone: maxAlone, byName: make(map[string]*State)}
}

// Gather lets lookups gather where so many are under way already, instead of maxAlone: for tests that
// have few. It is called before a policy has a state.
func (s *States) Gather(alone int) { s.alone = alone }

// L1Bytes is what the L1s of all policies take.
func (s *States) L1Bytes() (bytes int) {
	for _, state := range s.byName {
		bytes += state.l1.Bytes()
	}
	return bytes
}

func (s *States) of(policy string) *State {
	if state, ok := s.byName[policy]; ok {
		return state
	}
	state := &State{name: policy, scope: wire.Scope{Policy: policy}, seed: maphash.MakeSeed(), l1: l1.NewStore(0), slots: l1.NewSlots(), kept: make(map[*byte]int)}
	state.follower = follower{state: state, vm: s.vm}
	state.variants = newVariants()
	state.journal = journal{state: state, blocked: make(map[string]int)}
	state.writes = openWrites{state: state, open: make(map[string]*openWrite)}
	state.outbox = outbox{state: state, most: s.alone, sent: underWay[*shipment]{}}
	state.rechecks = rechecks{state: state, sent: underWay[*recheck]{}}
	state.loopback = loopback{state: state, sent: underWay[*ownRequest]{}}
	state.prefetches = prefetches{state: state, seen: make(map[uint64]int64)}
	state.refreshes = refreshes{state: state, under: make(map[string]bool), ended: make(map[string]refreshed)}
	state.tally.counts = make(map[string]*counts)
	state.gathering = gathering{state: state, most: s.alone, again: underWay[*read]{}}
	state.flights = flights{state: state, current: make(map[string]*flight)}
	s.byName[policy] = state
	return state
}

// adopt makes p the plugin that speaks for the state.
func (s *State) adopt(p *Plugin) {
	if before := s.current(); before != nil {
		before.show(shown{})
	}
	s.plugins = append(s.plugins, p)
	s.scope.Horizon = max(s.scope.Horizon, p.Policy.MaxTTL().Milliseconds())
	s.scope.Quarantine = max(s.scope.Quarantine, p.Policy.Quarantine().Milliseconds())
	s.follower.knows.learn(s.plugins)
	s.l1.Resize(p.l1Bytes(), p.host.Now())
	s.follower.handOver()
}

// drop forgets a plugin that ends, and whose calls won't be answered any more; an
// older one may become the speaker again. Where none is left, ends of writes that
// could not be delivered in time stay undelivered: their suspensions, where Redis has
// them, end by their deadlines as raises.
func (s *State) drop(p *Plugin) {
	s.plugins = slices.DeleteFunc(s.plugins, func(other *Plugin) bool { return other == p })
	p.show(shown{})
	s.follower.knows.leave(s.plugins)
	s.follower.handOver()
	s.journal.takeBack(p)
	s.outbox.takeBack(p)
	s.flights.takeBack(p)
	s.gathering.takeBack(p)
	s.rechecks.takeBack(p)
	s.loopback.takeBack(p)
	if s.current() == nil {
		s.l1.Clear()
	}
	s.wake()
}

// current is the plugin that speaks for the state, nil when none lives.
func (s *State) current() *Plugin {
	if len(s.plugins) == 0 {
		return nil
	}
	return s.plugins[len(s.plugins)-1]
}

// run does what is due. It is called in the root context of the current plugin.
func (s *State) run(p *Plugin) {
	now := p.host.Now()
	if s.follower.following {
		p.host.StartTicks() // not in the main thread's VM, which never sees a stream
	}
	s.follower.run(p, now)
	s.journal.run(p, now)
	s.unlogged.run(p, now)
	s.writes.run(p, now)
	s.flights.run(p, now)
	s.gathering.run(p, now)
	s.outbox.run(p)
	s.rechecks.run(p)
	s.loopback.run(p)
	p.show(shown{s.follower.following, len(s.journal.entries), s.l1.Bytes(), s.l1.Len(), s.flights.waiting})
}

// wake asks for run soon.
func (s *State) wake() {
	if p := s.current(); p != nil {
		p.host.Wake()
	}
}

// moved tells whether groups were invalidated or suspended since the mark, as far as this VM knows.
func (s *State) moved(groups []string, mark uint64) bool {
	return s.journal.blocks(groups) || !s.slots.Unmoved(mark, s.slotsOf(groups))
}

// slotsOf gives the places of groups. GroupAll needs none: it moves everything.
func (s *State) slotsOf(groups []string) []l1.Slot {
	slots := make([]l1.Slot, 0, len(groups))
	for _, g := range groups {
		if g != groupAll {
			slots = append(slots, s.slots.Of(g))
		}
	}
	return slots
}

// move makes what L1 holds of the groups unusable.
func (s *State) move(groups []string) {
	if slices.Contains(groups, groupAll) {
		s.slots.MoveAll()
		return
	}
	s.slots.Move(s.slotsOf(groups)...)
}

// newID makes an id that no other VM makes: the VM's random id and a counter.
func (s *State) newID() string {
	s.ids++
	return s.follower.vm + "-" + strconv.FormatUint(s.ids, 36)
}

// reserve takes n bytes of the capture budget, if they are left.
func (s *State) reserve(n int) bool {
	if s.captured+n > maxCaptured {
		return false
	}
	s.captured += n
	return true
}

func (s *State) release(n int) { s.captured -= n }

// slowCapture gives the oldest read but one whose capture is slow; nil if there is none.
func (s *State) slowCapture(but *read, now int64) *read {
	for e := s.captures.Front(); e != nil; e = e.Next() {
		r := e.Value.(*read)
		if now-r.capture.received <= int64(slowCapture) {
			break // nor are those that came later
		}
		if r != but && r.capture.slow(now) {
			return r
		}
	}
	return nil
}

// reserveBlock takes a stored response's block into the budget, once for all who keep it; each must release it. It tells whether
// there was room.
func (s *State) reserveBlock(block []byte) bool {
	first := unsafe.SliceData(block)
	if s.kept[first] == 0 && !s.reserve(len(block)) {
		return false
	}
	s.kept[first]++
	return true
}

func (s *State) releaseBlock(block []byte) {
	first := unsafe.SliceData(block)
	if s.kept[first]--; s.kept[first] == 0 {
		delete(s.kept, first)
		s.release(len(block))
	}
}

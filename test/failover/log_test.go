package failover

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"chatcache/redisbridge"
	"chatcache/redisbridge/wire"
)

// Kinds of what clients see.
const (
	hit           = "hit"
	miss          = "miss"
	suspended     = "suspended"
	lookupError   = "lookup failed"
	writeAccepted = "write accepted"
	writeRefused  = "write refused"
	polled        = "poll"
	pollError     = "poll failed"
)

func what(state wire.LookupState) string {
	switch state {
	case wire.LookupHit:
		return hit
	case wire.LookupSuspended:
		return suspended
	}
	return miss
}

// seen is one call's end, as its client saw it.
type seen struct {
	what   string
	began  time.Time
	took   time.Duration
	epoch  uint64
	bridge *redisbridge.Bridge
	err    error
	stale  time.Duration // how long what was read had been replaced when the read began
}

func (s seen) String() string {
	if s.err != nil {
		return fmt.Sprintf("%s (%v)", s.what, s.err)
	}
	return s.what
}

// log is everything that clients saw, in order.
type log struct {
	mu   sync.Mutex
	list []seen
}

func (l *log) add(s seen) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, s)
}

func (l *log) all() []seen {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

func (l *log) tail(n int) []seen {
	all := l.all()
	return all[max(0, len(all)-n):]
}

// first gives what of a kind began first after a moment.
func (l *log) first(what string, after time.Time) (seen, bool) {
	for _, s := range l.all() {
		if s.what == what && s.began.After(after) {
			return s, true
		}
	}
	return seen{}, false
}

// count counts what of a kind began after a moment.
func (l *log) count(what string, after time.Time) int {
	n := 0
	for _, s := range l.all() {
		if s.what == what && s.began.After(after) {
			n++
		}
	}
	return n
}

// staleness is the longest that any read was behind, and how many were.
func (l *log) staleness() (longest time.Duration, n int) {
	for _, s := range l.all() {
		if s.stale > 0 {
			longest, n = max(longest, s.stale), n+1
		}
	}
	return longest, n
}

// overlap is how long after the first answer of a newer epoch a call began that
// was still answered by an older one.
func (l *log) overlap() (longest time.Duration) {
	began := make(map[uint64]time.Time) // when an epoch's first answer was there
	var order []uint64
	list := l.all()
	slices.SortStableFunc(list, func(a, b seen) int { return a.began.Add(a.took).Compare(b.began.Add(b.took)) })
	for _, s := range list {
		if s.err != nil || s.epoch == 0 {
			continue
		}
		if _, ok := began[s.epoch]; !ok {
			began[s.epoch] = s.began.Add(s.took)
			order = append(order, s.epoch)
			continue
		}
		for _, newer := range order[slices.Index(order, s.epoch)+1:] {
			longest = max(longest, s.began.Sub(began[newer]))
		}
	}
	return longest
}

// degraded tells how long after a fault each kind of a bridge's calls worked again, and
// how slow the calls were meanwhile.
func (l *log) degraded(t *testing.T, b *redisbridge.Bridge, fault time.Time) {
	t.Helper()
	var reads, writes, slowest time.Duration // until the last failure
	var failed, refused int
	for _, s := range l.all() {
		switch after := s.began.Add(s.took).Sub(fault); {
		case s.bridge != b || s.began.Before(fault):
		case s.what == lookupError:
			reads, slowest, failed = after, max(slowest, s.took), failed+1
		case s.what == writeRefused:
			writes, refused = after, refused+1
		}
	}
	hits := time.Duration(0)
	for _, s := range l.all() {
		if s.bridge == b && s.what == hit && s.began.Sub(fault) > reads {
			hits = s.began.Sub(fault)
			break
		}
	}
	t.Logf("%d lookups failed in %.1f s, the slowest took %v; %d writes were refused in %.1f s; hits after %.1f s",
		failed, reads.Seconds(), slowest.Round(time.Millisecond), refused, writes.Seconds(), hits.Seconds())
}

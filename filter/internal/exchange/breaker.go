package exchange

import "chatcache/policy"

// breaker stops this VM from waiting for a bridge that doesn't answer: after a number
// of failures in a row it is open, and only one request in each interval waits, to try.
// It counts what streams wait for: lookups and suspensions. What the root context
// sends (polls, ends of writes, stores) nobody waits for, and goes on.
//
// The term keeps answers apart that belong to an earlier time:
//
//  1. a hundred lookups are under way when the bridge hangs: all of term 1
//  2. five of them time out: the breaker opens, and term 2 begins
//  3. a sixth is answered after all: it is of term 1 and doesn't close the breaker;
//     nor do the other ninety-four, which time out, put off the next attempt
//  4. the interval is over: one lookup of term 2 waits, and puts off the next one.
//     Its answer closes the breaker; if its client leaves, no answer ever comes,
//     and the next attempt is due after one more interval
type breaker struct {
	failures int // in a row
	open     bool
	term     uint64
	retryAt  int64 // when open: the next attempt is due
}

// permit allows a request to wait for the bridge. Its outcome is to be reported, if
// there is one.
type permit struct{ term uint64 }

// admit tells whether a request may wait for the bridge now.
func (b *breaker) admit(rule policy.Breaker, now int64) (permit, bool) {
	if b.open {
		if now < b.retryAt {
			return permit{}, false
		}
		b.retryAt = now + int64(rule.Open)
	}
	return permit{b.term}, true
}

// report takes what came of a request that was admitted; it tells whether the
// breaker has opened now.
func (b *breaker) report(rule policy.Breaker, p permit, reached bool, now int64) (opened bool) {
	switch {
	case p.term != b.term:
	case reached:
		b.failures, b.open = 0, false
	case !b.open:
		b.failures++
		if rule.Failures > 0 && b.failures >= rule.Failures {
			b.open, b.retryAt = true, now+int64(rule.Open)
			b.term++
			return true
		}
	}
	return false
}

//go:build !wasip1

package sched

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"chatcache/redisbridge/wire"
)

// A policy with longer terms, by whose rules the writes invalidate less, goes on with the connections that its proxy drains:
//
//  1. VM A gets another policy, with shorter terms and more that writes invalidate
//  2. the bridges restart, and hear of what is there now
//  3. a write comes by the old policy, and is cut off; it may be committed for as long as that policy says. The drain ends, and the
//     old plugin
//  4. VM B stores a response of the cache that only the new rules invalidate; then the origin commits
//
// The cache is used again only once that term is over.
func TestTermsOfAPolicyThatGoes(t *testing.T) {
	const now, once = `"invalidate": ["stats"], "deadline": "400ms", "settle": "1s"`, `"invalidate": ["rooms"], "deadline": "400ms", "settle": "6s"`
	before := parse(strings.Replace(documentOf(plan{l1: true}), now, once, 1))
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, newFake())
		defer b.end()
		w := b.newWorld(plan{l1: true, committing: 1})
		w.random = nil
		after := w.policy
		w.policy = before
		w.take(step{kind: dies, n: 0})
		w.policy = after

		const start, write, first, second = 0, 1, 2, 3
		w.take(step{kind: readBegins, who: start, n: 0})
		w.bridgesWork(1000)
		a := w.vms[0]
		a.enter(func() { a.configure(after) })
		w.take(step{kind: bridgeRestarts, n: 0})
		w.take(step{kind: bridgeRestarts, n: 1})
		w.take(step{kind: readBegins, who: first, n: 1})
		w.bridgesWork(9000)
		both := a.roots
		a.roots = both[:1]
		w.begin(write, a, &rule{name: "save", method: "POST", deadline: 6000, settle: 6000}, nil, 0)
		a.roots = both
		w.calls[slices.IndexFunc(w.calls, func(c *call) bool { return c.path == wire.PathSuspend })].arrive(w.bridges[1])
		w.bridgesWork(50)
		w.take(step{kind: responseEnds, who: write, x: int16(cutOff)})
		w.take(step{kind: pluginEnds, n: 0, x: 0})
		w.bridgesWork(4000)

		w.take(step{kind: readBegins, who: second, n: 1})
		w.bridgesWork(100)
		w.take(step{kind: originReads, who: second})
		w.take(step{kind: originEnds, who: second})
		w.bridgesWork(100)
		w.take(step{kind: commits, who: write})
		w.finish()
		if w.broken != "" {
			t.Error(w.broken)
			t.Logf("%v", w)
		}
	})
}

// bridgesWork lets so many ms pass in which all calls are answered, and nothing else happens.
func (w *world) bridgesWork(millis int64) {
	for end := w.now() + millis; ; w.take(step{kind: timePasses, n: 10}) {
		for found := true; found; {
			found = false
			var next step
			w.candidates(func(s step, _ int) {
				if work := s.kind == arrives || s.kind == executed || s.kind == answered; work && !found {
					next, found = s, true
				}
			})
			if found {
				w.take(next)
			}
		}
		if w.now() >= end {
			return
		}
	}
}

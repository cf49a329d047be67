// Package linear records what random clients see through many proxies while everything
// fails, and lets porcupine (https://github.com/anishathalye/porcupine) judge it.
//
// # What the register is
//
// The origin is the register: one number for each cache and user ([Register]). A write takes
// effect when the origin commits it, and the test's [Origin] tells when that was. So a write
// is a point in time, not an interval, and what is checked is stronger than linearizability
// of what clients see: an answer must be what the origin itself held at some moment between
// the read's call and its return, even while a write is in flight, and even where the
// writer never hears what became of it.
//
// # What is claimed
//
//   - With "l1": false and "unreachable": "refuse", exactly that, without exception.
//   - With "unreachable": "forward", a write that isn't known to have been suspended (marked
//     invalidation-pending, or its client never heard) is exempt until its groups are raised next: by its
//     journal's delivery, or by anything else. Until then an answer may be
//     older, but nothing older than the last write that isn't exempt. If its VM died, that
//     is until the next write. An observer of the feed tells when the raise was. When everything works
//     again and the journals are empty, no such write is left, and every register is read at
//     every proxy once more.
//   - With L1, an answer may have been true up to max_staleness before the read was sent.
//   - A write that takes effect later than its rule's deadline or settle after it was sent
//     is exempt in the same way: a fault may have kept its suspension from being renewed.
//
// A write that is exempt is modelled by two operations: the commit lets its value be
// answered, and from a second point on nothing older may be. Without exempt writes the model is a
// plain register. (Moving the return of such a write would not do: the proxy that made it already
// answers with the new value while others answer with the old one.)
//
// # Running it
//
//	go test ./test/linear                                what fits into a minute or two
//	CHATCACHE_SEEDS=500 go test -run Simulated …         more random runs in virtual time
//	CHATCACHE_LINEAR=10m go test -timeout 1h -run Real … each mode on real proxies for so long
//	CHATCACHE_SEED=1234 go test -run Real …              the same requests and faults again
//	CHATCACHE_LONG=1 go test -run Mutants …              broken products, which must be caught
//
// Where a history isn't as claimed, the test prints the seed, the stale reads, and where the
// history and porcupine's picture of it are.
package linear

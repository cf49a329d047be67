// Package exchange decides what happens to one request and its response: it is
// the filter without the proxy.
//
// A [Plugin] is a configured policy, a [State] what all plugins and streams of
// one policy share in a Wasm VM (L1, feed, journal), an [Exchange] one stream.
// They reach the proxy only through [Host] and [Stream], so that they run in
// plain Go tests too.
//
// The package has no goroutine, no lock and no clock of its own: in a Wasm VM Go
// runs only during callbacks, and only one runs at a time.
//
// # What is not guaranteed
//
//   - The bridge is unreachable while a write arrives: by default the write is forwarded and marked
//     detail=invalidation-pending; its VM neither uses nor fills those groups until the bridge has heard
//     of it. Other proxies may serve the old response until then, and up to the TTL if the VM dies first.
//     "unreachable": "refuse" answers 503 instead.
//   - Writes retried behind the proxy: a commit by an attempt that a hop behind gave up, after the answer
//     to its next attempt, may stay hidden up to the TTL.
//   - Two filters on one path with the same policy: the second waits for what the first one fetches, up to
//     half of collapse.max_wait. What it answers from memory the first one doesn't store.
//   - Origins that settle after they have answered (credits, search indexes): "also_after": "2s" on a rule
//     invalidates once more, that long after the write's end. Until then a response may be stored that
//     lacks the write.
//   - An origin that does anonymous writes though the policy says that it refuses them ("origin_refuses_anonymous"): such a write is noticed
//     only by a 2xx or 101. After a redirect, an error or no answer, what it has made stale may be used up to the TTL.
//   - A commit after settle: when a write's outcome is unknown (timeout, reset, 408, 502, 503, 504, client
//     gone), its groups stay suspended for the rule's settle (10 s by default). A commit later than that
//     may stay hidden up to the TTL. These times are by Redis' clock: where it is stepped forward, and not
//     slewed, they end early.
//   - A commit within settle, of a write that was cut off after its response had named groups (Cache-Group-Invalidation): a response that
//     names one of them (Cache-Groups), and whose request has none of them, may come into L1 before the commit and be
//     answered from there until settle has passed. L2 answers nobody with it.
//   - A failover of Redis: with one primary, nothing is lost. A failover begins a new epoch, which forgets
//     everything stored; suspensions that the old primary acknowledged and lost are covered by the
//     quarantine with which an epoch begins: for the longest write deadline and --trust all reads go to
//     the origin. Beside the new primary the old one may be believed for --trust (2 s), see package
//     redisbridge and envoy/redis; memories of workers follow within max_staleness of that.
//   - Vary: *, or on a credential that isn't the identity, or on more than 8 fields beyond the key: such a
//     response isn't stored. A VM that doesn't know yet that a key has variants asks the origin once more
//     for each, and so does the next read of one above stream_above.
//   - One fetch of what is never fresh: a response with no-cache or max-age=0 is validated by each VM for
//     itself, and so is one that is stale only because operators have shortened its TTL.
//   - A body without a length: an HTTP/1 response that ends with its connection is never stored: it can't
//     be told from one that was cut. Nor is a response with trailers.
//   - Clients of HTTP/3, in the tests on the real Envoy: it tells filters of a stream's end too late
//     there, so the end of the response stands for it, which this package's own tests show.
//   - A second fetch, now and then: concurrent misses of one key wait for one fetch, but the origin is
//     asked again when a response takes longer than half of collapse.max_wait, when a worker or its client
//     dies while it fetches, when Redis loses the fetch lease, and for each request once a response
//     couldn't be stored (for 5 s, after a 5xx for 1 s).
//
// # Files
//
// The proxy, a policy in it, and a stream, which is a read or a write:
//
//	host                  what the proxy has to give: Host and Stream
//	plugin, state         a configured policy; what all of one policy have in a VM, and in which order it does what is due
//	exchange, request     a stream's callbacks, and its phases; what its request says
//	unlogged              the end of a stream that the proxy doesn't tell of
//
// A read, in the order in which it goes through them:
//
//	read                  whether the cache is asked, the key, and the look into L1
//	variants              the keys of responses that depend on more of the request (Vary)
//	query, lookup         the question to the bridge, and what its answer means
//	gathering             several of them in one call
//	found                 whether and how a stored response is the answer
//	validate              what is stale, and the origin confirms it or fails
//	capture, groups       the origin's response is copied and stored; the groups that it names
//	upload                one too large to be held
//	flight, flights       reads of one key that wait for one of them, or for another VM
//	round                 the lookup for all who wait
//	refresh, prefetch     reads that the proxy sends to itself
//	loopback              how it does
//
// A write:
//
//	write                 suspended, forwarded, ended
//	openwrites            renewed while it lasts
//	outcome               what became of it
//	raise                 what its response names
//	journal               its end, until the bridge has acknowledged it
//
// What the root context does beside, with calls that no stream waits for:
//
//	follower, knows       the feed, and the lease to use L1; what the bridge is told of the VM's rules
//	outbox, underway      stores and releases; whose the calls are that are under way
//	breaker               a bridge that doesn't answer is not waited for
//
// What operators see and set:
//
//	controls              off, percent, ttl and the like
//	shadow, recheck       what would have been a hit is compared with the origin's answer
//	status, accesslog     Cache-Status; what access logs have
//	metrics, tally        the proxy's metrics; what the bridge is told to count
package exchange

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

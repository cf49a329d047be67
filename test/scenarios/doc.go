// Package scenarios holds the chat policy's own scenarios, one behaviour a
// file, in the format of package chatcache/hostsim/scenario; those in rfc9111 are about what HTTP says of
// caching, with a policy of their own.
//
// Its test runs every file four times: over HTTP/1.1 and HTTP/2, each on the
// simulator (with the bridge in process, on miniredis, in virtual time) and on
// a real Envoy with a real bridge and Valkey. What the file expects must hold
// on both, and what could be observed must be the same on both: status, header
// fields (but date, age, request ids and service times), body, how the response
// ended, the requests that reached the origin in their order, and the filter's
// counters. What follows a file's "virtual time only" runs on the simulator alone.
//
// What Envoy does to a module in general (each host call, pauses, holds, panics,
// every way in which a response ends) is compared in chatcache/hostsim/parity, in
// cases of its own with a module made for them; FACTS.md there lists them. There
// are 128 files here.
//
// The same files run from the command line against a bridge that is running:
//
//	build/redisbridge serve --memory --insecure --bootstrap --policy envoy/chat.policy.json &
//	build/hostsim test --wasm build/chatcache.wasm --config envoy/chat.policy.json \
//	  --env CHATCACHE_PARTITION_SECRET=sample-partition-secret --allow-on-headers-stop-iteration --normalize-path \
//	  --cluster redis-bridge=http://127.0.0.1:8470 --counters filter/counters.txt test/scenarios
package scenarios

// Package policy reads the policy: one JSON document that says which responses of an API are
// cached, for whom, for how long, and which requests invalidate them. The filter compiles it
// in, so it needs little beyond strings: no net/http, encoding/json or regexp.
//
// [Parse] reports every problem at once. [Policy.Match] finds a request's rule,
// [Identifier.Identify] its partition, [Policy.AppendKey] its cache key and
// [Invalidation.Groups] what a write invalidates.
//
// # The document
//
// A policy is strict JSON (RFC 8259) of at most 1 MiB: duplicate and unknown fields are
// problems. Durations are strings with a unit ("50ms", "600s", "1h30m"), of whole
// milliseconds; sizes are strings ("4096", "64KiB", "32MiB"). A name or a value has at most
// 256 bytes, a list of names at most 64 elements.
//
//	{
//	  "version": 1,
//	  "name": "chat-api",
//	  "identity": [{"jwt_authn_claim": "sub"}, {"header": "authorization"}],
//	  "bridge": {"cluster": "redis-bridge"},
//	  "caches": {
//	    "sessions": {"match": ["GET /chat/sessions", "GET /chat/sessions/{session}"], "ttl": "300s"},
//	    "models":   {"match": ["GET /models"], "ttl": "1h", "shared": true}
//	  },
//	  "invalidations": [
//	    {"name": "update session", "match": ["PUT /chat/sessions/{session}"], "invalidate": ["sessions"]}
//	  ]
//	}
//
// # Fields of policy
//
//   - version: the number 1. Must be there.
//   - name: a-z, 0-9 and -, not beginning with -, at most 64 bytes. Must be there. It sets the policy's
//     keys in Redis apart; policies of one name share their responses, and those of different names don't hear of each other's writes.
//   - identity: a list of at most 16 sources. All that have a value make the identity together.
//     Needed by every cache that isn't shared.
//   - bridge: an object. Must be there.
//   - l1: an object, true for its defaults, or false to keep nothing in the proxies' own memory. Default: an object with its defaults.
//   - collapse: an object, true for its defaults, or false to let every miss ask the origin. Default: an object with its defaults.
//   - partition_secret: at least 16 bytes; keys the digest that partitions are. Better supplied through the
//     environment (CHATCACHE_PARTITION_SECRET), as the document may be logged: a warning.
//   - host: an object: what the policy's author asserts about Envoy.
//   - max_response: size of the largest body that is stored, 1B to 7MiB. Default "1MiB".
//   - stream_above: size of the largest body that a worker holds as a whole until it is stored, 0B to 7MiB. A larger one goes to the bridge in
//     pieces while it streams through; so the worker that fetched it doesn't keep it in its own memory at once, and prefetches nothing
//     that it names. Default "1MiB".
//   - targeted_cache_control: names of at most 8 response headers that are read in place of Cache-Control and Expires (RFC 9213), the
//     first of them that a response has. Default ["CDN-Cache-Control"].
//   - group_headers: names of at most 8 response headers that name the groups of a response as Cache-Groups does: "Surrogate-Key" and "xkey",
//     separated by spaces or commas, "Cache-Tag", by commas. With other names what was stored before is a miss. Default: none.
//   - cache_status_key: true adds the parameter key to Cache-Status (RFC 9211 section 2.7), by which it can be told which requests share
//     a stored response: a digest keyed by the partition secret, from which nobody reads what the key is made of. Needs identity. Default false.
//   - unchanged_on: statuses with which the origin says that nothing was written, of 500, 501, 505, 506, 507, 508 and 510: [500]. For
//     unsafe requests without a rule, and for the rules that don't say otherwise; see "Origins that roll back". Default: none.
//   - origin_refuses_anonymous: true where the origin refuses every unsafe request that has none of the credentials that identity names: such a
//     request suspends nothing. For the same requests as unchanged_on; see "Writes without an identity". Needs identity. Default false.
//   - caches: an object with 1 to 256 caches by name (a-z, 0-9, - and _, at most 64 bytes). Must be there.
//   - invalidations: a list of at most 1000 rules. Default: none.
//
// # Fields of bridge
//
//   - cluster: the Envoy cluster that leads to the bridge, by HTTP/2: polls of the feed and lookups that wait would each
//     hold a connection of HTTP/1. Must be there.
//   - authority: the :authority of calls to it. Default: the cluster's name; of Istio's outbound|PORT|SUBSET|HOST, the host.
//   - timeout: how long a request may wait for it, 1ms to 5s. Default "50ms".
//   - token: what the bridge lets the filter in by. Better supplied through the environment
//     (CHATCACHE_BRIDGE_TOKEN): a warning.
//   - breaker: an object, true for its defaults, or false to wait for the bridge at every request however often it failed. Default: an object with
//     its defaults.
//
// # Fields of breaker
//
// It is each VM's own. While it is open, reads are forwarded at once, and writes as "unreachable" says, without waiting.
//
//   - failures: how many lookups or suspensions have to fail in a row, by timeout or with a 5xx, until it opens, 1 to 1000. Default 5.
//   - open: how long it stays open before one request waits for the bridge again, 100ms to 60s. Default "1s".
//
// # Fields of l1
//
//   - max_bytes: memory for responses in each VM, 4KiB to 512MiB. Default "32MiB".
//   - max_staleness: how long a VM trusts its L1 after it last heard from the bridge, 300ms to 60s. Default "3s".
//
// # Fields of collapse
//
// Reads that miss one key at the same time, or find it stale, wait for one fetch of it, in all proxies together. What may be
// used stale (stale_while_revalidate) answers meanwhile.
//
//   - max_wait: how long a read waits for somebody else's fetch before it asks the origin by itself, 100ms to 30s. Default
//     "2s". A fetch keeps other proxies' workers from fetching for half of it: take more than twice the
//     time of the slowest answer that is worth waiting for.
//
// # Fields of host
//
//   - allow_on_headers_stop_iteration: true where Envoy's Wasm plugin configuration sets the flag of that name.
//     Only then do request bodies reach the filter; body-keyed caches bypass elsewhere. Default false.
//   - upstream_http2: true where the origin is reached by HTTP/2 only: a response without content-length is then known to
//     be complete at its end. Default false.
//   - loopback_cluster: an Envoy cluster whose endpoint is this proxy's own listener, which is where requests go that prefetch
//     or, with stale_while_revalidate, refresh: so routes, rewrites and authorization apply to them. Without one nothing is prefetched
//     (a warning where a cache wants it), and what is stale is refreshed by the request that finds it.
//
// # Fields of identity
//
// Each source is an object with one of header, cookie, jwt_authn_claim, jwt_claim and property. The partition is
// a keyed digest of the source's kind and name, a verified claim's issuer (and payload, where sources name several), and the value; no source can
// pose as another. An empty value is none. Several credentials of one user are several
// partitions.
//
// What is stored for an identity goes to whoever sends the same, and nobody checks it on a hit: have among the sources what proves to the origin who asks. With X-User-Id
// alone, beside which an API wants X-Auth-Token, everybody reaches everybody's (a warning); with both, a write by one of a user's devices reaches what the others have stored.
// So it is with a credential that the origin has revoked: until it expires, what is stored answers whoever still has it. Give logging out a rule that
// invalidates all private caches. Logging in wants none: it has no identity, and would invalidate whole caches.
//
// Where a request has several credentials, only the origin knows which of them it goes by. So all of them make the partition
// together: somebody who makes a client send a cookie that isn't the client's own, or who has the key of the app that it uses, still doesn't
// reach what was stored for the client's token. A write invalidates, in the caches of its rule, whatever was read with any of its credentials, with or without
// others beside it: name no source that many users share, like an app's key, unless the answers are theirs in common. So it is with several values of one
// source, as of cookies that a browser has for several paths. Who has more than four of them, or more than 32 credentials together, has no identity.
//
// Where a verified claim has a value, a token in a later source doesn't count if it names the same issuer and has the same value in that claim, and in every other one
// of the policy's that was verified: so all tokens of
// one subject are one identity, with [{"jwt_authn_claim": "sub"}, {"header": "authorization"}]. Earlier sources and all other credentials count
// beside the claim, above all cookies: jwt_authn also takes tokens from the query (access_token, unless its provider says where), so a link of somebody else's can bring one.
//
//   - header: the name of a request header. In Authorization and Proxy-Authorization the scheme Bearer, Basic or Token before a credential is dropped, in any case.
//     All values of a repeated header enter.
//   - cookie: the name of a cookie. All values of a repeated cookie enter, an empty one beside others too.
//   - jwt_authn_claim: the name of a claim that Envoy's jwt_authn filter verified, with the token's issuer. Prefer texts: Envoy has numbers as doubles, in which those from
//     2^53 on aren't told apart, and some from 2^45 on have the eight bytes of a text (alice_0C is 4608488691559521). Such a number, and a text of eight bytes that could be one, names
//     nobody: like a token without the claim it counts only beside other credentials.
//   - payload: for jwt_authn_claim: the provider's payload_in_metadata. Default "jwt_payload".
//   - jwt_claim: the name of a claim of a token that nobody verified. The whole token is then the identity; the claim
//     only has to be there: a credential without it names nobody, and counts only beside others. Its token is in header, by default authorization.
//   - unverified: for jwt_claim: must be true, to show that this is meant.
//   - property: an Envoy property, as a list: ["connection", "uri_san_peer_certificate"]. A number in metadata is as in a claim.
//
// Where a header or cookie is a JSON Web Token, behind whatever scheme, no response is used after its exp. One whose exp nobody can read here counts as
// expired, so that its requests bypass: a token of more than 16 KiB, or whose payload isn't strict JSON.
//
// # Fields of cache
//
//   - match: a list of patterns: GET, or POST and QUERY where body is set. Must be there.
//   - ttl: how long a response is fresh, 0s to 720h. "0s" turns the cache off, for reading and for storing. "origin" leaves it
//     to the response, as RFC 9111 has it (see Freshness below). Must be there.
//   - max_ttl: with "ttl": "origin": how long a response is fresh at most, 1s to 720h. Default "24h".
//   - status_ttl: an object with TTLs of single statuses: {"404": "10s"}. Other statuses than 200 are stored only if they are
//     listed, or with "ttl": "origin"; 206, 304 and 416 never are. Default: none.
//   - ttl_jitter: by how much of it a TTL is shortened at most, "0%" to "50%", differently for each response, so that what was
//     stored together doesn't expire together. Default "0%".
//   - keep_stale: how long a response with an ETag or Last-Modified is kept beyond its freshness, to be validated at the origin instead of
//     fetched anew, 0s to 720h. Default "0s", with "ttl": "origin" "10m".
//   - stale_while_revalidate: how long beyond its freshness a response answers while it is validated (RFC 5861), 0s to 720h. With
//     host.loopback_cluster it answers at once and is validated behind the client's back, see Refreshes below; without, the request that
//     finds it validates, and it answers others meanwhile.
//     Default: as the response says with "ttl": "origin", up to max_ttl; otherwise "0s".
//   - stale_if_error: how long beyond its freshness a response answers in place of a 500, 502, 503 or 504, no answer at all included. Default: as
//     stale_while_revalidate.
//   - shared: true where the answers are the same for everybody. Default false: they belong to the
//     request's partition, and a request without identity bypasses. From a shared cache everybody is answered who asks, also whom the origin
//     would refuse: nobody looks at credentials there. Where they count, authenticate before the filter. A path by which many APIs
//     mean whoever asks (/me, or /users/me by /users/{user}), and a TTL of 401, 403, 407 or 429, is a warning there.
//   - l1: false keeps the cache's responses out of the proxies' own memory. Default true.
//   - collapse: false lets each of the cache's misses ask the origin. Default true.
//   - authority: "ignore" where the answers are the same for every host and scheme. Default "key".
//   - ignore_query: names of query parameters that change nothing in the answer. Never a credential: a warning.
//   - headers: names of request headers that change the answer; all their values are part of the key. What responses name in Vary needn't be
//     listed. What the origin goes by without a word of it has to, often Accept, or Origin where it is echoed; and so has
//     what this proxy's routes choose a cluster by, a canary's header. Never a credential: those belong into identity (a warning).
//   - body: an object: the request's JSON body is part of the key.
//   - max_response: as in the policy, whose value it can only lower.
//   - prefetch: an object: where the next page of a list is, to be fetched when one is read. Default: nothing is.
//   - verify: an object: what answers may differ in where hits are compared with the origin's answers.
//
// # Fields of body
//
// A request has to have one Content-Type, application/json, in no other charset than UTF-8; any other request bypasses. Its body is compared as JSON, and an
// origin may take a body of another type, or of none, for something else or for nothing: that answer must not go to those who say the same in JSON.
//
// The order of an object's members is taken to mean nothing (RFC 8259 section 4). Where an origin goes by it, as MongoDB does in a sort document, requests that
// differ in nothing else would get one answer: keep them out of body-keyed caches, or send a list. Numbers are compared as they are written: 1.0 isn't 1.
//
// A POST of such a cache is taken for a read, whatever its body says: one that stands for a write is answered from the cache the second time, and never
// invalidates anything. Where reads and writes have one path, as GraphQL's queries and mutations, there is no cache for it; give queries a path of their own, or QUERY.
// All POSTs below a path, and those of /graphql, are a warning.
//
// A QUERY is a safe request whose body says what it asks for (draft-ietf-httpbis-safe-method-w-body): its preconditions and ranges
// are answered as those of a GET are, where those of a POST bypass, and what is stale is validated.
//
//   - ignore: members that change nothing in the answer, its form included (a stream or not), dots between levels: "meta.ts". Lists aren't entered. An object stays, even
//     if nothing is left in it: {"meta": {"ts": 1}} is the same as {"meta": {}}, and not as {}.
//   - max_bytes: size of the largest body that is read, 1B to 1MiB, below Envoy's buffer limit; a larger one bypasses.
//     Default "64KiB".
//
// # Fields of verify
//
// While a cache is verified (redisbridge controls), a sample of the requests that could be answered from it is forwarded
// instead, the client gets the origin's answer, and that one is compared with the stored one. The proxy's log has the places that differ,
// as patterns that ignore would take, and never a value. Names of members that look like identifiers (more than 32
// bytes, more than two digits, anything but letters, digits, "_" and "-") are "*" there. A person's name as a member's
// name can't be told from a field's.
//
//   - ignore: JSON pointers (RFC 6901) to what may differ; "*" stands for any member and any element:
//     "/meta/ts", "/items/*/views". Answers that aren't JSON are compared byte by byte.
//
// # Fields of prefetch
//
// When a page of a list is read, the one after it is fetched, with the header fields of the request that read it, as far as the filter
// sees them, and stored by the filter like any other; x-chatcache-prefetch marks such a request, which then
// prefetches nothing itself. Each VM has at most 4 under way and begins at most 10 a second; the same page is not fetched
// again for 10 seconds, and not at all while L1 has it. Such requests come from the proxy's own address, without the client's
// certificate; where a filter before this one takes credentials away from requests, they lack these, too. One that would fill another key
// than the reader's, by its identity or its scheme, is refused with 421 and doesn't reach the origin.
//
//   - parameter: the query parameter that names the page. Must be there.
//   - first: the number of the page that a request without it asks for, 0 to 1000000. Default 1.
//   - step: from one page's number to the next one's, 1 to 10000. Default 1.
//   - next: a JSON pointer to the next page's name in a page, a text or a number, where the parameter isn't a number
//     to count on: "/next_cursor".
//   - more: a JSON pointer to what says that there is a next page: "/has_more", or a list that is empty at the end.
//     There is none where it is missing, false, null, 0, or an empty text, list or object. Default: next, one of which must be there.
//
// # Refreshes
//
// What is stale within stale_while_revalidate is refreshed by a request with the header fields of the one that was answered with
// it, as far as the filter sees them, through host.loopback_cluster; x-chatcache-refresh marks it. It is one read like any other: what a write has made
// invalid isn't used stale meanwhile, nor is what it brings if a write comes after its lookup. While it is under way, 15 seconds at most, and
// for a second after a 5xx, the stale response answers. A refresh that would belong to another partition, or that has no identity, is refused with 421 and
// doesn't reach the origin; it may be where a filter before this one takes credentials away, or where the listener takes the request for one of another
// scheme (a cluster without TLS, and use_remote_address: for what clients ask by https, the cluster has to speak TLS). After one that has changed nothing, requests validate
// by themselves for 10 seconds. Reads with a body, and those whose identity is a property of the connection, always do. Each VM has
// at most 64 refreshes under way.
//
// # Fields of invalidation
//
//   - name: what the requests do; different in each rule. Must be there.
//   - match: a list of patterns with unsafe methods (RFC 9110 section 9.2.1). Must be there.
//   - invalidate: 1 to 32 names of caches. Must be there. A cache is invalidated in the writer's partition; as a whole where it
//     is shared, where the write has no identity, or where caches times credentials are 64 or more. One that has what a GET of a rule's own path gets, and isn't named, is a warning.
//   - scope: "all" invalidates the caches for everybody: where one user's write changes what is stored for others, as a room's messages are for all
//     of its members. Default "partition"; left out for private caches where the path has such a place (rooms, channels, teams, orgs …) it is a warning.
//   - deadline: how long a write's suspension lasts without renewal, 100ms to 60s. Default "15s". A shorter one than settle counts as settle.
//   - settle: how long it lasts once the write's outcome is unknown, 1s to 60s. Default "10s".
//   - also_after: for origins whose data settle only after they have answered (credits, search indexes): invalidates once more, that
//     long after the suspension's end, 100ms to 60s. Until then a response may be stored that lacks the
//     write. Default: not.
//   - unreachable: "refuse" answers 503 to the write while the bridge is unreachable. Default "forward".
//   - raise_on_4xx: true invalidates also after a definite 4xx, for origins that write and then refuse. Default false.
//   - unchanged_on: as in the policy, in place of what that says; [] for none. Default: as in the policy, but none with raise_on_4xx.
//   - origin_refuses_anonymous: as in the policy, in place of what that says; false for what anybody may write, a guest book. Default: as in the policy.
//
// An exception to RFC 9111 section 4.4, which asks for invalidation after a response that is no error: a 5xx isn't taken to mean
// that nothing was written, since an origin may commit and fail then. 500, 501, 505 and above invalidate as a 200 does; with 502, 503, 504 and
// 408, and without any answer, the groups stay suspended for settle and are invalidated then. Only after a definite 4xx is nothing
// invalidated: refuse whom nobody knows with 401. A redirect to a login page counts as the answer to a write that was done, which without an identity
// invalidates whole caches, unless the policy says that the origin refuses the write.
//
// A write is a request. What clients write through a WebSocket, which they open once, is none, though it passes the proxy; nor is a GET that writes, nor a job that goes on for
// longer than also_after. Where these change what is stored, the application calls the bridge's /v1/invalidate, or there is no cache for it.
//
// # Writes without an identity
//
// A write's groups are suspended from its header section until its response's end, and reads of them go to the origin meanwhile. A write without an
// identity suspends whole caches, for everybody. So somebody unknown can keep a cache from answering: by sending a write's body byte by byte, though it is
// answered with 401 in the end, or by breaking writes off, whose outcome is unknown then. Where anybody can reach writes, do one of these:
//
//   - Authenticate before the filter: what jwt_authn or ext_authz refuses there never comes to it.
//   - Say that the origin refuses such writes: "origin_refuses_anonymous": true. See below.
//
// And let Envoy bound how long a write takes: by the HTTP connection manager's request_timeout until all of the request is there, which has no bound by default, and by
// the route's timeout from then on.
//
// With "origin_refuses_anonymous": true a write in which no source of identity finds anything suspends nothing, and "unreachable": "refuse" lets it pass. However it ends, a
// redirect to a sign-in page included, it invalidates nothing but groups that its response names, with one exception: after 2xx or 101 the origin has done it all the same, and the whole caches are invalidated before
// that answer goes on. What has to be true of the origin:
//
//   - It goes by nothing but the credentials that identity names, an app's key included. The filter has to see them: what a filter behind it finds out comes too late.
//   - It does no write without one of these. If it does one all the same, only a 2xx or 101 tells (the metric chatcache_anonymous_done): a form's 303 is missed, and so
//     is a write that is broken off.
//   - It doesn't refuse with a 200, as gRPC and GraphQL do: each would invalidate the whole caches.
//
// A write with credentials that make no identity, because they are too many or name nobody for certain, suspends what is stored with each of them, of the first 32 at most. Made-up
// credentials count, too: such a write suspends what would be stored with them, and shared caches. Where several rules apply to a request, each says it for its own
// caches. Where a request has a rule only by some of the ways in which origins read it, what its URI names is suspended unless the policy itself says it, too.
//
// # Origins that roll back
//
// Where an origin answers 500 only after it has rolled everything back, "unchanged_on": [500] says so: a 500 of it then invalidates nothing
// either. It must hold for whatever answers in its place, too: a proxy behind this one that turns its 502 into a 500, or
// that tries a write a second time, makes it wrong, and reads then get what the write has made stale, up to their TTL. After this proxy's own second
// attempt, and where this proxy answers itself, the status says nothing, whatever the policy says.
//
// # Freshness
//
// What is said in more than one place counts in this order:
//
//  1. "ttl": "0s": the cache is off
//  2. no-store in the request: it is forwarded, and nothing is stored
//  3. no-store and private in the response; private may be stored in a partition. Set-Cookie counts as
//     no-store, unless no-cache="set-cookie" or private="set-cookie" says that the rest may be stored
//  4. the rule: status_ttl, then ttl
//  5. with "ttl": "origin": s-maxage, max-age, Expires, in this order
//  6. a tenth of the time since Last-Modified, at most a day, for statuses that allow it
//
// With "ttl": "origin" the filter is a shared cache by RFC 9111 (partitions may store what is private). A verified claim of the policy's identity stands for
// Authorization (section 3.5), which jwt_authn takes away from requests unless its provider says "forward". No other source does: in a shared cache, what is
// answered to X-Auth-Token or a cookie with max-age alone is everybody's, as in any shared cache. With a TTL of its own a rule
// differs from it so:
//
//   - max-age, s-maxage and Expires of the response don't count, nor do its Date and stale-…, and Authorization doesn't keep a
//     response out of a shared cache (RFC 9111 sections 3.5, 4.2): the rule says how long, and for whom.
//   - Only 200 and the statuses of status_ttl are stored.
//   - A response with no-cache isn't stored without keep_stale; with it, it is validated each time.
//   - A request with no-cache is forwarded, and what the origin answers isn't stored. Its max-age, min-fresh, max-stale and only-if-cached count.
//   - An unsafe request invalidates what the rules say, and not what its URI names.
//
// With "ttl": "origin" an unsafe request, with or without a rule, also invalidates what is stored for its URI, and for
// those of the same origin in its response's Location and Content-Location (section 4.4). It is suspended as
// any write. This costs a generation in Redis for each URI.
//
// A hit has the header fields of the response that was stored, what the origin counts for each request included: X-RateLimit-Remaining and the like are those of then, and an
// id of the request is the first one's.
//
// # Groups
//
// A response may name groups that it belongs to: Cache-Groups (RFC 9875) and the fields of group_headers. They are those of its
// authority, as groups have it: in any case, with or without the port 80 or 443 and the root's dot; of a cache with "authority": "ignore" those of the policy,
// which a write by any authority reaches. The response to a write with a rule names groups in Cache-Group-Invalidation; in a policy with a cache of "ttl": "origin", the
// response to any unsafe request does. They are invalidated in all caches and partitions before that response
// goes on to the client, and once more when it has ended, unless it has no content, since the origin may go on with the write until then: where its
// outcome is unknown, after settle. A response with groups that can't be read, or with more than 60 (of requests with several credentials: less one
// for each), isn't stored.
//
// With group_headers every rule concerns every cache, since its writes may name groups of any: while proxies are at work that have different rules, none is
// used. Where origins only send Cache-Groups, a cache waits for the rules that name it: after a change of others it may have to be purged.
//
// # Patterns
//
// Patterns are those of Go's net/http.ServeMux, the method being mandatory: "METHOD [HOST]/PATH", with {name} for
// one segment, {name...} or a trailing slash for all that follow, {$} for a trailing slash alone. GET
// matches HEAD too. The most specific pattern wins, one with a host before those without; two that match a
// request while neither is more specific are a problem. Hosts are compared without case and port, paths with case. A
// policy has at most 2000 patterns of at most 1024 bytes and 64 segments, a trailing slash being one.
//
// Envoy passes paths on as they were sent, and origins read them differently. A path with "//", dot segments, backslashes,
// ";", malformed escapes or encoded separators, %3F and %23 among them, therefore matches no cache: it would lose a hit at most, where
// an answer for another resource could be stored for everybody. Such a write is read both as ServeMux reads
// it and as leniently as any origin may (escapes decoded up to three times, backslashes as slashes,
// ";…" dropped, and with or without what is behind %3F or %23), and what any reading invalidates is invalidated. For writes, a
// trailing slash also makes no difference where no pattern says otherwise.
//
// Many origins also route without regard to case (Unicode's, too) or a trailing slash, or take what follows a dot for a format: to them /users/ME and /users/me.json
// are /users/me. With patterns for that and for /users/{id} such a path matches no cache, and a write is one by both; without {id} it is
// one by the only rule there is. Give what is one user's a pattern of its own wherever a shared cache has wildcards, be it in a cache with "ttl": "0s".
//
// # Keys
//
// A cache key is made of the policy's name, the cache's, the method, the scheme, the authority with its port,
// the path, the query, the selected headers, the partition and the body. The path stands as it was sent: some origins route it before they decode
// it, and answer 404 to /%61pi, or a page for people, which must not be the answer to /api. So does the authority: to Go's ServeMux API.example is
// another host than api.example, and others redirect from it. The query's escapes are normalized (RFC 3986
// section 6.2.2: upper-case digits, unreserved characters decoded). A credential in a path (/bot123:TOKEN/me) stands in Redis' keys
// as it was sent: have no cache for such paths. Query parameters are sorted by name, and
// those of one name, or of one name up to "[", keep their order: which of them counts is the origin's choice.
// X-Forwarded-Proto, which many origins take for the scheme, is part of the key, too, unless it stands once and is exactly that; unsafe requests by either scheme
// invalidate what is stored by both.
// So are the fields by which origins take a request for another one, and which a client may send: X-Forwarded-Host, -Scheme, -Protocol, -SSL and -Port, Front-End-Https, X-Host, X-Original-Host, X-Scheme, X-Url-Scheme,
// and Forwarded but for its for and by, each unless it stands once and has exactly what the request has, and of host and scheme nothing with "authority": "ignore"; X-Forwarded-Prefix,
// X-Script-Name, SCRIPT_NAME, X-Original-URL and X-Rewrite-URL always, and all of them with "_" for "-", which are the same to origins that have fields as CGI has them. For the fields of headers, identity
// and Vary that isn't looked for: where the origin is such a one, set Envoy's headers_with_underscores_action. A read with X-HTTP-Method-Override, X-HTTP-Method or X-Method-Override bypasses; where the field's method has a rule of an
// invalidation, an unsafe request with it is a write by that rule beside its own method's. A safe one isn't, or whoever may read
// could invalidate: where an origin heeds the field in a GET, too, take it away. A method in a query or a form (_method) isn't seen: write such a path's rule for POST.
// "+" and "%20" differ. A query with ";" is left whole, nothing of it ignored, since some origins separate parameters there; so is one with more than 1000 parameters.
// A body is reduced to its canonical form; one that JSON readers could disagree on bypasses.
//
// # Files
//
// For whoever changes this package:
//
//	policy, version, definition    what a policy is; the digests of it, and of one cache
//	language                       every field, with its bounds
//	decode, parse                  JSON to fields with their places; fields to a policy
//	parse_identity, parse_rules    its identity; its caches
//	parse_freshness                how long they are fresh
//	parse_invalidations            its invalidations
//	problem, suggest, units        what is wrong with a document, and what may be meant; sizes and durations
//	warnings, likely               what is allowed and probably not meant; what names and paths likely mean
//	pattern, relation, matcher     one pattern; which of two is more specific; the rule of a request
//	meeting                        which of many match requests that a given one matches
//	reads                          what no pattern of a read can match
//	path, escape, query            how paths and queries are read
//	request, key, steering         what a request has; the cache key; fields by which origins take a request for another one
//	body, canonical, ignore        JSON bodies in keys
//	source, credential, identity   where identities are; what is found there; partitions
//	rules, unsafe, override        what a write invalidates, as digests; writes without a rule; methods that fields name
//	prefetch                       the next page
//	verify, differences            how an answer differs from the stored one
package policy

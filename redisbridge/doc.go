// Package redisbridge is the bridge between the filters and Redis: it looks up
// and stores entries, keeps suspensions and generations, answers the feed's
// polls, and lets administrators purge. Package wire has the frames.
//
// # What decides validity
//
// For a policy P all of it shares one hash tag, so that on a Redis Cluster a
// raise and its event are one script on one node:
//
//	{chatcache:P}:state       HASH, no expiry
//	    epoch                 64 random bits, hex
//	    seq                   the sequence
//	    server                run_id and replication id of the process that holds it
//	    next                  no deadline is earlier than this (ms by Redis' TIME); 0: none
//	    open                  how many suspensions are open
//	    raises                how many raises the epoch has seen, those of passed deadlines too
//	    s:<id>                one of them: its deadline, its groups, and how many ms after
//	                          its end they are raised once more, spaces between
//	    g:<group>             how many of them are open on the group
//	    due                   when raises are due that "also_after" asks for, in order
//	    d:<time>              the groups that are due then
//	    standing              groups that stand suspended without a deadline: their caches are off, or
//	    differ                are among those that these rules differ for
//	{chatcache:P}:gen:<group> STRING "<generation> <epoch>"; lives for the longest TTL and a minute
//	{chatcache:P}:feed        STREAM <seq>-0: k = r (raise), s (suspension) or c (controls), g = groups, t = ms
//	{chatcache:P}:vms         ZSET of VMs by the end of their lease (ms)
//	{chatcache:P}:applied     HASH of VMs: "<sequence> <epoch> <ms> <policy's version>", the cursor of
//	                          the last poll and since when
//	{chatcache:P}:rules       HASH "<cache>=<digest>,…", the rules of a policy that VMs have at
//	                          work, or had: until when they count (ms); the last ones stay
//	{chatcache:P}:controls    HASH "<cache> <setting>", and "version"; no expiry, and a new epoch keeps it
//	{chatcache:P}:counts      HASH "<cache> <counter>": what all VMs together have counted, see
//	                          [wire.Counter], since it was last empty
//	{chatcache:P}:reported    HASH of VMs: the number of the last report, so that one that is
//	                          repeated is counted once
//	{chatcache:P}:waiting     STRING, there while an administrator waits for receipts
//	{chatcache:P}:closed:<id> tombstone of a closed suspension, 60 s
//	{chatcache:P}:wake        Pub/Sub: "<epoch> <sequence>" at every event, "sooner" where a
//	                          deadline is moved forward, "applied" at a poll with a
//	                          new cursor while somebody waits for receipts
//	{chatcache:P}:confirmed   when a primary's replicas were last asked whether they follow it
//	{chatcache:P}:filled      Pub/Sub: the key of an entry whose fetch has ended
//	{chatcache:}:wake         Pub/Sub, of no policy: a bridge publishes there after 3 s in which it has heard nothing. What it
//	                          doesn't hear then either shows that its subscription is dead, and is begun anew
//
// Entries stand elsewhere, under the names of [wire.EntryKey], with their own
// TTL, each with its fetch lease beside it, on the same node:
//
//	<key>                     STRING the entry
//	upload:<id>:<key>         STRING what has come of an entry that is sent in pieces, with a life of 30 s after each
//	lease:<key>               STRING "<fetch id> <epoch> <sequence>", or "pass", the hit-for-miss mark
//
// An entry is valid if its ticket's epoch is the current one, no group that
// was asked for or that it names is suspended, and each one's generation is at
// most the ticket's sequence.
//
// Every operation on validity is one Lua script (directory script) that begins with the same
// prelude: it begins a new epoch if the state is missing or was written by
// another process than the one that runs it, and turns deadlines that have
// passed, and raises that have become due, into raises. Only then it gives a
// ticket. So a Redis that was flushed, restarted or failed over is noticed at the
// first call of anybody.
//
//   - A new epoch starts with everything suspended, for the longest write
//     deadline, because suspensions may have been lost; longer where the state before it
//     can be read and has something to raise later than that. Filters say that deadline with
//     each call, or the policy's document does; until then it is the longest that any policy
//     may have, two minutes. [Options.Bootstrap] spares the very first quarantine. A primary without any replica changes its
//     replication id when one is attached: that begins a new epoch, too.
//   - What is due once more is in the state, too: every script of every bridge
//     sees to it, and a held poll waits no longer than until then. Its times are
//     rounded up to a 64th of the delay: that bounds their number. The
//     groups due at one time are bounded, too: more become everything.
//   - A generation may be lost (expired, evicted): it is then set to the current
//     sequence, which costs hits and can't bring back anything.
//   - A generation names its epoch: after a restart with persistence old
//     generations still stand there, greater than any new number.
//   - A fetch lease decides who asks the origin, never what is valid: lost, evicted
//     or granted twice it costs a request.
//   - Out of memory, lookups and stores are refused and everything else works on.
//
// # Controls
//
// What operators set (see [ControlsRequest]) stands in a key of its own. One script
// sets it, and takes a number for an event that wakes every held poll; each answer of the
// feed has the controls whole, as they stood at its number. So a VM that has missed
// events, or never heard any, is right with one answer, and whoever has applied the number
// has applied the controls: receipts work as for a raise.
//
// What is off stands suspended, too, by the same script: lookups at every bridge meet that at
// once, whatever the VM that asks has heard. Switched on again it is raised first, so
// that nothing stored before comes back. The rest is obeyed by the VMs alone.
//
// A failover keeps the controls: with [Options.Replicas] they are acknowledged only once
// the replicas have them. What Redis loses all the same, a flush for example, every bridge
// puts back that has read it since it started, before it sets anything else.
//
// # Policies that differ
//
// Each poll says what rules the VM's policy has for each cache, as digests. While VMs have
// different ones for a cache, or had so lately that a write by them may be open, it stands suspended: nobody
// uses or stores its responses. That ends with a raise, see script/standing.lua. So does a time without any VM,
// where the next one has other rules than the last one had. A VM's first lookups register it
// before they look (PathJoin). A worker without any request so far, and one that the
// bridges haven't heard of for the length of its lease and of the longest write deadline, isn't waited for.
//
// # Failover
//
// A primary that was cut off goes on to answer while another is elected. Its word
// counts for [Options.Trust] at most after [Options.Replicas] replicas were last
// seen to follow it: they have acknowledged a write that was sent at that moment.
// Beyond that lookups, suspensions, closes and polls fail, although they were made.
// So where another primary is elected later than that after the old one was heard
// last (Sentinel's down-after-milliseconds, a Cluster's cluster-node-timeout), nobody
// believes the old one any more; where one is elected on purpose, a bridge may
// for that long serve what others have raised at the new one. min-replicas-to-write
// lets the old one itself refuse, once it counts too few replicas. Under Sentinels both have to be
// at least half of the replicas, rounded down: fewer may be cut off together with the old
// primary, and go on to follow it. /readyz says so.
//
// What the old primary acknowledged and no replica heard of is lost. The new one
// begins an epoch, and so forgets everything stored, and what was suspended is
// covered by the quarantine, which is longer by the same bound. Directory
// envoy/redis has settings for Sentinels and for a Cluster.
//
// # When Redis doesn't answer
//
// After [Options.BreakerFailures] calls in a row without an answer (timeouts, broken
// connections; an error is an answer) the circuit breaker opens: lookups and stores
// fail at once, with a 503 that says why, and after [Options.BreakerWait] one lookup
// at a time is tried. Suspensions, closes, raises and the feed's reads are always
// tried; the first of them that succeeds closes the breaker.
//
// # What Redis has to do
//
// Of what a lookup costs Redis most is what its scripts do before they look at any group or entry. Lookups of one call, and those
// that come while four reads of their policy are under way, share these, up to sixteen (not on a cluster, where a
// node that hangs would hold up the others').
//
// # Memory
//
// Entries on their way to filters are bounded together ([Options.MaxUnderway]); a large one that a
// round of lookups has found counts once, and isn't copied for each of them. A lookup beyond
// gets a 503, so its request goes to the origin; one that is to fetch, or waits for who does, is told so without
// the entry. What filters send, a frame of up to 9 MiB each, isn't bounded together.
//
// A poll that is held over HTTP/1.1 takes a third of what one over HTTP/2 does (envoy/OPERATING.md has figures):
// its connection is taken from net/http meanwhile.
//
// Redis 7 or Valkey is required, with maxmemory-policy noeviction or volatile-*
// (/readyz checks it); Redis' user needs EVAL, EVALSHA, SCRIPT LOAD, INFO, PING, WAIT, PUBLISH and
// PSUBSCRIBE besides the commands of the scripts: envoy/OPERATING.md has all of them as an ACL.
//
// # Calls over HTTP
//
//	POST /v1/lookup …      the filters' frames, see package wire
//	POST /v1/purge         [PurgeRequest] as JSON, gives [RaiseAnswer]
//	POST /v1/invalidate    [InvalidateRequest] as JSON, gives [RaiseAnswer]
//	POST /v1/inspect       [InspectRequest] as JSON, gives [Inspection]
//	POST /v1/controls      [ControlsRequest] as JSON, gives [ControlsAnswer]; GET with ?policy= the same
//	GET  /v1/receipts      ?policy=&epoch=&sequence=&raisedAt=&wait=, as [RaiseAnswer] gives them: [Receipts] as JSON
//	GET  /v1/status        [Status] as JSON, for viewers too
//	GET  /healthz          200 while the process runs
//	GET  /readyz           200 while calls can succeed, otherwise 503 and why
//	GET  /metrics          Prometheus
//	GET  /                 a page for people, see package page
//
// The filters' calls need the filters' token and those of the second group the
// administrators', or a viewers' where that is said, as "authorization: Bearer TOKEN". The
// last four are open: they tell names of policies and caches, and numbers; the page tells
// nothing without a token. An answer other than 200 is one line of text.
//
// A call of administrators for a policy that no document, proxy or key of Redis names gets a 404 where
// the bridge knows others; purge and controls take "newPolicy": true for one that is meant to be new.
//
// Tokens may be in files ([Options.TokenFile], [ParseTokens]), which are read again when they
// change. Administrators' calls are limited to [Options.AdminRate], and viewers' by themselves to
// as much, beyond which they get a 429, and logged ("audit"): the call, the name of the token that was shown, the address,
// the status, what it was about, and beside a token that Envoy shows for clients that it
// has authenticated, their certificate; never a token or an identity. Reads are
// logged once a minute for each caller.
//
// A call may carry a traceparent (W3C Trace Context), as the filters hand on that of a
// request: lines about the call then have its trace id.
//
// # Files
//
// What begins and ends, and what is shared by all calls:
//
//	bridge, policies            options, the bridge; what it remembers of each policy
//	connect                     the connection to Redis out of the environment
//	serve, joined               the servers; an answer of HTTP/2 in one write
//	parking                     connections of HTTP/1.1 while their polls are held
//	http                        every call, who may make it, frames and JSON
//	error, failurelog, trace    the statuses of errors; the log of what went wrong
//	guard                       panics in goroutines that calls begin
//	clock                       time, for tests to hold
//
// What filters call:
//
//	lookup, lease               an entry, its validity, and the right to fetch it
//	reading, lookupreads        what lookups read of Redis, and how those read together that come together
//	lookups, stores             several of them in one call
//	held, rounds                lookups that wait; one read for all who ask the same
//	join                        a lookup of a VM that isn't registered yet
//	underway                    the bound of the entries that are being sent
//	write, upload               stores, suspensions and their ends; entries in pieces
//	feed, feedread, pollreads   polls; one read for several of them
//	registry, report            who polls, and with what rules; what VMs have counted
//
// What decides, see above:
//
//	validity, script            the scripts' arguments and answers; the scripts
//	wake                        what happened wakes held polls and lookups, at other bridges too
//	trust                       whether a primary's word counts
//	breaker                     whether Redis is asked at all
//
// What operators call and see:
//
//	admin, identity             purge and invalidate; whose partition is meant
//	controls, controlstate      what is set; what Redis has lost of it is put back
//	inspect                     what would become of a request
//	receipts                    which VMs have applied a raise
//	token, keyring              who may: a token file; all of them, looked at together
//	audit                       how often, and the log of it
//	status, health              /v1/status; /readyz
//	counters, metrics           what the bridge counts; /metrics
//	version                     what it was built as
package redisbridge

// Package sched runs the real exchange and the real bridge natively under a seeded
// scheduler and checks the consistency guarantee after every step. It has tests only.
//
// A world is two VMs (exchange.States, Plugin and Exchange with a host of their own),
// one or two bridges (redisbridge.Bridge behind its HTTP handler) and one Redis
// (package redisfake, which is compared with real servers command by command). It
// lives in a testing/synctest bubble: time is virtual, and all goroutines of the
// bridges stand still while the scheduler chooses the next step:
//
//	client   a read or a write begins; a client leaves
//	bridge   a call arrives; its answer arrives, or is lost; the bridge restarts
//	Redis    a command is executed, or fails before or after; one that its bridge has
//	         given up is executed late; the feed is trimmed, a generation or an
//	         entry is lost, all is lost, the server restarts
//	operator sets something of the cache (off, percent, ttl, observe, verify), or unsets it
//	origin   a read is answered (304 where it names the present version), or fails; a write is
//	         committed, its response ends (changed, rejected, cut off, 503, answered after a retry);
//	         where that names what is invalidated, or has the policy's word that it wouldn't be, its header section and the rest come apart
//	proxy    a request that it sends to itself, to refresh what is stale, arrives in either VM
//	VM       dies, another one starts; the configuration changes; a plugin without streams ends
//	time     passes, with every timeout, tick and hold that ends meanwhile
//
// The mixed schedules, apart from the others, have more of it at a time: reads of other kinds and languages, clients of HTTP/3 of whose ends the proxy
// doesn't tell, local replies to what is held, writes by two rules, by nobody, and to the URI of what is stored. In the unruled schedules, apart from
// these, some of the policies that the configuration changes to have no rule for what is read.
//
// What is required after each step stands in oracle_test.go: it is the requirement of
// package model, which knows nothing of what the code does. What is required of operators'
// controls stands in control_test.go.
//
// A step has a name that doesn't depend on the steps before it, so a schedule that
// breaks a guarantee is shrunk by leaving steps out, and printed as a numbered
// interleaving. A seed gives the same schedule again, but for one thing: which of two
// polls that one wake has woken reads the feed for both.
package sched

package parity_test

import (
	"time"

	"chatcache/hostsim"
)

// propertyCases read and set properties.
var propertyCases = []parityCase{
	{name: "properties of a request", http1: true, url: "/a/b?c=d", script: []string{quiet, "1", onRequest, requestProperties}, until: "end"},
	{name: "properties of a request over HTTP/2", http2: true, url: "/a/b?c=d", script: []string{quiet, "1", onRequest, requestProperties}, until: "end"},
	{name: "properties of a response", script: []string{quiet, "1", onResponse, "prop response.code; prop upstream.request_attempt_count; prop response.code_details; prop response.headers.content-type; prop xds.cluster_name; prop request.path; prop request.protocol; prop response.flags", onDone, "prop response.code; prop response.code_details; prop upstream.request_attempt_count; prop response.size; prop request.path; log end"}, until: "end"},
	{name: "the size of a request without a length", verb: "POST", body: "one ", pieces: []piece{{after: "request-body size=4", text: "two"}}, script: []string{onRequest, "prop request.size", onBodyEnd, "prop request.size", onDone, "prop request.size; log end"}, until: "end"},
	{name: "own properties", url: "/own", script: []string{quiet, "1", onRequest, "setprop mine 7; prop mine; setprop mine 8", onDone, "prop mine"}, until: "prop mine = \"8\"", state: true},
	{name: "own properties of a local reply", url: "/own-of-a-reply", script: []string{onRequest, "setprop mine 7; reply 200 hello; pause"}, state: true},
	{name: "no own property", url: "/none", state: true},
}

const requestProperties = "prop request.path; prop request.url_path; prop request.query; prop request.host; prop request.method; prop request.scheme; prop request.protocol; prop request.headers.x-route; prop plugin_name; prop plugin_root_id; prop plugin_vm_id; prop cluster_name; prop nothing; prop request.nothing; prop response.code; setprop a.b 1; prop a; prop a.b; prop request.size; log end"

// proxyCases are about what streams have in common.
var proxyCases = []parityCase{
	{name: "a shared queue", on: "queue", script: []string{onDone, "enqueue hello"}, until: "call"},
	{name: "shared data", fresh: true, before: []parityCase{{script: []string{onRequest, "shared key one"}}}, script: []string{onRequest, "shared key two; shared other one"}},
	{name: "metrics", script: []string{onRequest, "count parity_a; count parity_b; gauge parity_g 5", onDone, "count parity_b; gauge parity_g -2; log counted"}, until: "counted"},
	{name: "metrics of two streams", before: []parityCase{{script: []string{onRequest, "count parity_a"}}}, script: []string{onRequest, "count parity_a; gauge parity_g 1"}},
	{name: "foreign functions", script: []string{onRequest, "foreign nothing x; zip hello"}},
}

// deathCases let the VM die. What it leaves behind concerns the streams after
// it, so each has a proxy of its own.
var deathCases = []parityCase{
	{name: "panic with FAIL_CLOSED", on: "closed", fresh: true, expect: hostsim.VMDied, script: dies, until: "-"},
	{name: "after a panic with FAIL_CLOSED", on: "closed", fresh: true, expect: hostsim.VMDied, before: []parityCase{{on: "closed", script: dies}}, until: "-"},
	{name: "panic with FAIL_OPEN", on: "open", fresh: true, expect: hostsim.VMDied, script: dies, until: "-"},
	{name: "after a panic with FAIL_OPEN", on: "open", fresh: true, expect: hostsim.VMDied, before: []parityCase{{on: "open", script: dies}}, until: "-"},

	{name: "a VM older than its back-off is replaced at once", on: "reload", fresh: true, expect: hostsim.VMDied, wait: pastShortBackoff,
		before: []parityCase{{on: "reload", script: []string{onRequest, "grow 1; kept; shared key one"}}, {on: "reload", script: dies, wait: pastShortBackoff}},
		script: []string{onRequest, "kept; shared key two"}},
	{name: "in the back-off streams are answered 503", http1: true, on: "reload-slowly", fresh: true, expect: hostsim.VMDied, until: "-",
		before: []parityCase{{on: "reload-slowly", script: dies, wait: pastBackoff}, {on: "reload-slowly", script: dies}}},
	{name: "after the back-off there is a new VM", http1: true, on: "reload-slowly", fresh: true, expect: hostsim.VMDied, wait: pastBackoff, script: []string{onRequest, "kept"},
		before: []parityCase{{on: "reload-slowly", script: dies, wait: pastBackoff}, {on: "reload-slowly", script: dies}, {on: "reload-slowly"}}},

	{name: "a paused stream hangs when its VM dies", on: "reload", fresh: true, expect: hostsim.VMDied, script: dies, until: "-",
		beside: []parityCase{{on: "reload", script: []string{onRequest, "pause"}, hangs: "request-headers"}}},
	{name: "a held response hangs when its VM dies", on: "reload", fresh: true, expect: hostsim.VMDied, script: dies, until: "-",
		beside: []parityCase{{on: "reload", script: []string{onResponse, "pause"}, begun: "response-headers", hangs: "response-headers"}}},
	{name: "a stream that waits for its upstream is answered 503 when its VM dies", on: "reload", fresh: true, expect: hostsim.VMDied, script: dies, until: "-",
		beside: []parityCase{{on: "reload", upstream: "opened"}}},
	{name: "a stream in its body is cut when its VM dies", on: "reload", fresh: true, expect: hostsim.VMDied, script: dies, until: "-",
		beside: []parityCase{{on: "reload", upstream: "drip", begun: "response-body"}}},
	{name: "with FAIL_OPEN a stream that waits for its upstream is answered 503, too", on: "open", fresh: true, expect: hostsim.VMDied, script: dies, until: "-",
		beside: []parityCase{{on: "open", upstream: "opened"}}},
	{name: "an upload is answered 503 when its VM dies", on: "reload", fresh: true, expect: hostsim.VMDied, script: dies, until: "-",
		beside: []parityCase{{on: "reload", verb: "POST", body: "one ", pieces: []piece{{after: "request-body", text: "two"}}, begun: "request-body", upstream: "count"}}},

	{name: "panic in the response", on: "reload", fresh: true, expect: hostsim.VMDied, script: []string{onResponse, "panic"}, until: "-"},
	{name: "panic in the response's body", on: "reload", fresh: true, expect: hostsim.VMDied, upstream: "big", script: []string{onEnd, "panic"}, until: "-"},
	{name: "panic in a call's callback", on: "reload", fresh: true, expect: hostsim.VMDied, script: []string{onRequest, lookup, onCall, "panic"}, hangs: "call answered", until: "-"},
	{name: "panic at the end", on: "reload", fresh: true, expect: hostsim.VMDied, script: []string{onDone, "panic"}, until: "-"},
	{name: "exit does nothing", on: "closed", fresh: true, script: []string{onRequest, "exit; log alive"}},
	{name: "more memory than a VM may have", on: "closed", fresh: true, expect: hostsim.VMDied, script: []string{onRequest, "grow 1100"}, until: "-"},
}

var dies = []string{onRequest, "panic"}

// pastShortBackoff is longer than the back-off of reload, and pastBackoff longer than the back-off of reload-slowly at its longest,
// which is half as long again as it is configured.
const (
	pastShortBackoff = 50 * time.Millisecond
	pastBackoff      = 3200 * time.Millisecond
)

package parity_test

import (
	"strings"

	"chatcache/hostsim"
)

const (
	onRequest  = "x-on-request-headers"
	onBody     = "x-on-request-body"
	onResponse = "x-on-response-headers"
	onData     = "x-on-response-body"
	onEnd      = "x-on-response-end"
	onCall     = "x-on-call"
	onDone     = "x-on-done"
	quiet      = "x-on-quiet"
)

var post = strings.Repeat("p", 5)

// cases are the facts about Envoy on which filters rest.
var cases = []parityCase{
	// Plain streams.
	{name: "GET"},
	{name: "GET over HTTP/2", http2: true},
	{name: "POST", verb: "POST", body: post},
	{name: "POST over HTTP/2", verb: "POST", body: post, http2: true},
	{name: "HEAD", verb: "HEAD"},
	{name: "response headers", upstream: "headers", script: []string{onDone, "prop response.code_details"}, until: "prop response.code_details"},
	{name: "204", upstream: "204"},
	{name: "304", upstream: "304"},
	{name: "404", upstream: "404"},
	{name: "an empty 200", upstream: "empty"},
	{name: "an empty 200 over HTTP/2", upstream: "empty", http2: true},
	{name: "chunked", upstream: "big", script: []string{quiet, "1", onEnd, "log end"}, until: "end"},
	{name: "SSE", upstream: "sse"},
	{name: "what the module sees of a request", script: []string{onRequest, "header request :path; header request :authority; header request :method; header request :scheme; header request x-forwarded-proto"}},
	{name: "what the upstream sees of a request", upstream: "request", script: []string{quiet, "1"}, until: "-"},
	{name: "what the module sees of a response", upstream: "headers", script: []string{onResponse, "header response server; header response set-cookie; header response x-empty; header response content-length"}},
	{name: "chunked is visible", upstream: "big", script: []string{quiet, "1", onResponse, "header response transfer-encoding"}, until: "header"},
	{name: "close is visible", upstream: "close", script: []string{quiet, "1", onResponse, "header response connection; header response transfer-encoding; log end"}, until: "end"},
	{name: "changed headers", script: []string{onRequest, "set request x-upstream headers", onResponse, "set response x-more yes"}},
	{name: "a changed body", upstream: "big", script: []string{quiet, "1", onData, "setbody response answer", onEnd, "log end"}, until: "end"},

	{name: "Expect: 100-continue", verb: "POST", body: post, script: []string{"expect", "100-continue", onRequest, "header request expect"}},
	{name: "HTTP/1.0", http10: true, script: []string{onDone, "prop response.code_details"}},
	{name: "request trailers", verb: "POST", body: post, trailers: hostsim.Headers{{"x-sum", "5"}}, script: []string{quiet, "1", onBody, "log body"}, until: "body"},
	{name: "request trailers over HTTP/2", http2: true, verb: "POST", body: post, trailers: hostsim.Headers{{"x-sum", "5"}}},
	{name: "direct response", url: "/direct", script: []string{onEnd, "log end", onDone, "prop response.code_details"}, until: "prop"},
	{name: "a shared queue", on: "queue", script: []string{onDone, "enqueue hello"}, until: "queue"},

	// Pauses.
	{name: "pause and resume", script: []string{onRequest, "call backend /other 200; pause", onCall, "resume-request"}},
	{name: "pause and resume with a body", verb: "POST", body: post, script: []string{onRequest, "call backend /other 200; pause", onCall, "resume-request", quiet, "1", onBody, "body request; log body-seen"}},
	{name: "with the flag, StopAllIterationAndWatermark holds the body", on: "allow", verb: "POST", body: post, script: []string{onRequest, "call backend /other 200; stopall", onCall, "resume-request"}},
	{name: "with the flag, a body is buffered and seen whole", on: "allow", verb: "POST", body: post, script: []string{onRequest, "pause", onBody, "body request; buffer; call backend /other 200", onCall, "reply 200 hit"}},
	{name: "too large a body to buffer", on: "allow", verb: "POST", body: strings.Repeat("x", 100_000), script: []string{quiet, "1", onRequest, "pause", onBody, "buffer", onDone, "prop response.code_details"}, until: "prop"},
	{name: "a held response", script: []string{onResponse, "call backend /ack 200; pause", onCall, "set response x-late yes; resume-response"}},
	{name: "a held response without a body", upstream: "204", script: []string{onResponse, "call backend /ack 200; pause", onCall, "resume-response"}},
	{name: "a held response over HTTP/2", http2: true, script: []string{onResponse, "call backend /ack 200; pause", onCall, "resume-response"}},
	{name: "a held HEAD", verb: "HEAD", script: []string{onResponse, "call backend /ack 200; pause", onCall, "resume-response"}},
	{name: "a buffered response", script: []string{onData, "body response; buffer", onEnd, "body response; setbody response changed"}},
	{name: "resume in the callback that pauses is lost", script: []string{onRequest, "resume-request"}, expect: hostsim.ResumeWithoutPause},

	// Local replies.
	{name: "reply in headers", script: []string{onRequest, "reply 203 hello; pause", onDone, "prop response.code_details; prop response.code"}},
	{name: "reply in headers and continue", script: []string{onRequest, "reply 203 hello"}},
	{name: "reply over HTTP/2", http2: true, script: []string{onRequest, "reply 203 hello; pause"}},
	{name: "reply without a body", script: []string{onRequest, "reply 200; pause"}},
	{name: "reply 204", script: []string{onRequest, "reply 204; pause"}},
	{name: "reply 304", script: []string{onRequest, "reply 304; pause"}},
	{name: "reply to HEAD", verb: "HEAD", script: []string{onRequest, "reply 200 hello; pause"}},
	{name: "reply to POST", verb: "POST", body: post, script: []string{onRequest, "reply 200 hello; pause"}},
	{name: "reply in a call's callback", script: []string{onRequest, "call backend /other 200; pause", onCall, "reply 200 hello"}},
	{name: "reply in request body", verb: "POST", body: post, on: "allow", script: []string{onRequest, "pause", onBody, "reply 200 hello; pause"}},
	{name: "reply in response headers", script: []string{onResponse, "reply 200 hello; pause"}},
	{name: "reply while the response is held", script: []string{onResponse, "call backend /ack 200; pause", onCall, "reply 201 instead"}},
	{name: "reply that the module changes on its way", script: []string{onRequest, "reply 200 hello; pause", onResponse, "set response x-mine yes"}},
	{name: "two replies", script: []string{onRequest, "reply 200 a; reply 201 b; pause"}, expect: hostsim.SecondReply},

	// Calls.
	{name: "a call to an unknown cluster", script: []string{onRequest, "call nobody / 100"}},
	{name: "a call to a cluster without hosts", script: []string{onRequest, "call nohosts / 100"}},
	{name: "a call that is refused", script: []string{onRequest, "call refused / 100; pause", onCall, "resume-request"}},
	{name: "a call that times out", script: []string{onRequest, "call backend /?upstream=hang 50; pause", onCall, "resume-request"}},
	{name: "a call that is cut before headers", script: []string{onRequest, "call backend /?upstream=no-answer 200; pause", onCall, "resume-request"}},
	{name: "a call that is cut in its body", script: []string{onRequest, "call backend /?upstream=cut 200; pause", onCall, "resume-request"}},

	// Upstreams that fail.
	{name: "an unknown cluster", route: "nobody", script: []string{onDone, "prop response.code_details"}, until: "prop response.code_details"},
	{name: "a cluster without hosts", route: "nohosts", script: []string{onDone, "prop response.code_details"}, until: "prop response.code_details"},
	{name: "a refusing cluster", route: "refused", script: []string{onDone, "prop response.code_details"}, until: "prop"},
	{name: "no answer", upstream: "no-answer", script: []string{onDone, "prop response.code_details"}, until: "prop response.code_details"},
	{name: "route timeout", upstream: "hang", script: []string{onDone, "prop response.code_details"}, until: "prop response.code_details"},
	{name: "route timeout in the body", upstream: "hang-body", script: []string{onDone, "prop response.code_details"}, until: "prop"},
	{name: "short content-length", upstream: "truncated", script: []string{quiet, "1", onEnd, "log end", onDone, "prop response.code_details"}, until: "prop"},
	{name: "cut", upstream: "cut", script: []string{onDone, "prop response.code_details"}, until: "prop"},
	{name: "chunked and cut", upstream: "cut-chunked", script: []string{quiet, "1", onEnd, "log end", onDone, "prop response.code_details"}, until: "prop"},
	{name: "close-delimited", upstream: "close", script: []string{quiet, "1", onEnd, "log end", onDone, "prop response.code_details"}, until: "prop"},
	{name: "close-delimited and cut", upstream: "close-and-cut", script: []string{quiet, "1", onEnd, "log end", onDone, "prop response.code_details"}, until: "prop"},
	{name: "reset while the response is held", upstream: "cut", script: []string{onResponse, "pause", onDone, "prop response.code_details"}, until: "prop"},

	// Streams that wake others.
	{name: "a reply to another stream from a call's callback", script: []string{onRequest, "call backend /other 200; pause", onCall, "release reply; reply 201 mine"},
		first: &parityCase{script: []string{onRequest, "hold; pause"}}},
	{name: "a resume of another stream from a call's callback", script: []string{onRequest, "call backend /other 200; pause", onCall, "release resume; reply 201 mine"},
		first: &parityCase{script: []string{onRequest, "hold; pause", quiet, "1"}}, settle: true},
	{name: "a reply to another stream from done", script: []string{onDone, "release reply"},
		first: &parityCase{script: []string{onRequest, "hold; pause"}}, settle: true},

	// Clients that leave.
	{name: "leave while the request is paused", script: []string{onRequest, "call backend /?upstream=slow 300; pause", onCall, "log too-late", onDone, "prop response.code_details"}, leave: "request-headers", until: "prop"},
	{name: "leave while the upstream thinks", upstream: "hang", script: []string{onDone, "prop response.code_details"}, leave: "request-headers", until: "prop"},
	{name: "leave in the body", upstream: "hang-body", script: []string{onDone, "prop response.code_details"}, leave: "response-body", until: "prop"},
	{name: "leave while the response is held", script: []string{onResponse, "call backend /?upstream=slow 300; pause", onCall, "log too-late", onDone, "prop response.code_details"}, leave: "response-headers", until: "prop"},
	{name: "leave over HTTP/2", http2: true, upstream: "hang-body", script: []string{onDone, "prop response.code_details"}, leave: "response-body", until: "prop"},

	// Bodies larger than the buffer.
	{name: "a large reply", script: []string{quiet, "1", onRequest, "replybig 10000000; pause"}, until: "-"},
	{name: "a large response", upstream: "huge", script: []string{quiet, "1", onEnd, "log end"}, until: "end"},
	{name: "too large a response to buffer", on: "allow", upstream: "huge", script: []string{quiet, "1", onData, "buffer", onDone, "prop response.code_details"}, until: "prop"},
	{name: "a response held beyond the buffer", on: "allow", upstream: "huge", script: []string{quiet, "1", onResponse, "call backend /ack 200; stopall", onCall, "resume-response", onEnd, "log end"}, until: "end"},
	{name: "a request held beyond the buffer", on: "allow", verb: "POST", body: strings.Repeat("x", 100_000), upstream: "count", script: []string{quiet, "1", onRequest, "call backend /other 200; stopall", onCall, "resume-request", onEnd, "log end"}, until: "end"},

	// HTTP/2 behind the proxy.
	{name: "echo from HTTP/2", route: "backend2", script: []string{onResponse, "header response transfer-encoding; header response content-length"}},
	{name: "POST to HTTP/2", route: "backend2", verb: "POST", body: post},
	{name: "HTTP/2 on both sides", route: "backend2", http2: true},
	{name: "HEAD from HTTP/2", route: "backend2", verb: "HEAD"},
	{name: "204 from HTTP/2", route: "backend2", upstream: "204"},
	{name: "SSE from HTTP/2", route: "backend2", upstream: "sse"},
	{name: "big from HTTP/2", route: "backend2", upstream: "big", script: []string{quiet, "1", onEnd, "log end"}, until: "end"},
	{name: "a held response from HTTP/2", route: "backend2", script: []string{onResponse, "call backend /ack 200; pause", onCall, "resume-response"}},
	{name: "cut by HTTP/2", route: "backend2", upstream: "cut", script: []string{onDone, "prop response.code_details"}, until: "prop"},
	{name: "no answer from HTTP/2", route: "backend2", upstream: "no-answer", script: []string{onDone, "prop response.code_details"}, until: "prop"},
	{name: "trailers", upstream: "trailers"},
	{name: "trailers to HTTP/2", upstream: "trailers", http2: true},
	{name: "trailers through HTTP/2", route: "backend2", upstream: "trailers", http2: true},

	// Retries.
	{name: "a retry that fails, too", on: "retry", upstream: "503", script: []string{onResponse, "prop upstream.request_attempt_count"}},
	{name: "a retry after a reset", on: "retry", upstream: "no-answer", script: []string{onResponse, "prop upstream.request_attempt_count", onDone, "prop response.code_details"}, until: "prop response"},
	{name: "no retry needed", on: "retry", verb: "POST", body: post},

	// Properties.
	{name: "properties of a request", url: "/a/b?c=d", script: []string{quiet, "1", onRequest,
		"prop request.path; prop request.url_path; prop request.query; prop request.host; prop request.method; prop request.scheme; prop request.protocol; prop request.headers.x-route; prop plugin_name; prop plugin_root_id; prop plugin_vm_id; prop cluster_name; prop nothing; prop request.nothing; prop response.code; setprop a.b 1; prop a; prop a.b; prop request.size; log end"}, until: "end"},
	{name: "properties of a response", script: []string{quiet, "1", onResponse, "prop response.code; prop upstream.request_attempt_count; prop response.code_details; prop response.headers.content-type; prop xds.cluster_name; prop request.path; prop request.protocol; prop response.flags", onDone, "prop response.code; prop response.code_details; prop upstream.request_attempt_count; prop response.size; prop request.path; log end"}, until: "end"},
	{name: "own properties", script: []string{quiet, "1", onRequest, "setprop mine 7; prop mine; setprop mine 8", onDone, "prop mine"}, until: "prop mine = \"8\""},

	// Death of the VM; last on each listener, for nothing works there afterwards.
	{name: "panic with FAIL_CLOSED", on: "closed", script: []string{onRequest, "panic"}, until: "request-headers", expect: hostsim.VMDied},
	{name: "after a panic with FAIL_CLOSED", on: "closed", until: "-", afterPanic: true, expect: hostsim.VMDied},
	{name: "panic with FAIL_OPEN", on: "open", script: []string{onRequest, "panic"}, until: "request-headers", expect: hostsim.VMDied},
	{name: "after a panic with FAIL_OPEN", on: "open", until: "-", afterPanic: true, expect: hostsim.VMDied},
}

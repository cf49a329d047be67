package parity_test

import (
	"strings"

	"chatcache/hostsim"
)

// pauseCases stop a request, in each of the ways that there are.
var pauseCases = []parityCase{
	{name: "pause and resume", script: []string{onRequest, lookup, onCall, "resume-request"}},
	{name: "pause and resume with a body", verb: "POST", body: post, script: []string{onRequest, lookup, onCall, "resume-request", onBody, "body request; log body-seen"}},
	{name: "a pause lets no body through", verb: "POST", body: post, script: []string{onRequest, "pause", onBody, "log never"}, hangs: "request-headers", until: "done"},
	{name: "StopAllIterationAndWatermark holds the body", verb: "POST", body: post, script: []string{onRequest, "call backend /other 5000; stopall", onCall, "resume-request"}},
	{name: "StopAllIterationAndBuffer holds the body", verb: "POST", body: post, script: []string{onRequest, "call backend /other 5000; action 3", onCall, "resume-request"}},
	{name: "a result that is no action stops everything", verb: "POST", body: post, script: []string{onRequest, "call backend /other 5000; action 9", onCall, "resume-request"}},
	{name: "the action between is a continue", script: []string{onRequest, "action 2"}},
	{name: "too large a body for StopAllIterationAndBuffer", on: "small", verb: "POST", body: strings.Repeat("x", 100_000), script: []string{quiet, "1", onRequest, "action 3", onDone, "prop response.code_details; prop response.flags"}, until: "prop response.flags"},

	{name: "with the flag, a plain pause holds a request without a body", on: "allow", script: []string{onRequest, lookup, onCall, "resume-request"}},
	{name: "with the flag, a plain pause lets the body take the headers along", on: "allow", verb: "POST", body: post, settle: true,
		upstream: "both", // it answers when the call has come, too
		script:   []string{onRequest, "call backend /?upstream=hang 5000; pause", onCall, "log too-late"}},
	{name: "with the flag, StopAllIterationAndWatermark holds the body", on: "allow", verb: "POST", body: post, script: []string{onRequest, "call backend /other 5000; stopall", onCall, "resume-request"}},
	{name: "with the flag, a body is buffered and seen whole", on: "allow", verb: "POST", body: post, script: []string{onRequest, "pause", onBody, "buffer", onBodyEnd, "body request; call backend /other 5000; buffer", onCall, "reply 200 hit"}},
	{name: "with the flag, a body is shown again with each piece", on: "allow", verb: "POST", body: "one ", script: []string{onRequest, "pause", onBody, "body request; buffer", onBodyEnd, "body request; buffer; log end"},
		pieces: []piece{{after: "body", text: "two "}, {after: "body", text: "three"}}, hangs: "end", until: "done"},
	{name: "with the flag, a hit on a body of 300 KB reaches no origin", on: "allow-large", verb: "POST", body: strings.Repeat("x", 300_000), script: []string{quiet, "1", onRequest, "pause", onBody, "buffer", onBodyEnd, "fits 299999; fits 300000; reply 200 hit; pause"}, until: "fits 300000"},

	{name: "a pause in the body", settle: true, verb: "POST", body: post, script: []string{onBody, "buffer", onBodyEnd, "buffer; call backend /other 5000", onCall, "resume-request"}},
	{name: "a body held by watermark comes in pieces", on: "allow", verb: "POST", body: "one ", script: []string{onRequest, "pause", onBody, "body request; action 2", onBodyEnd, "body request; action 2; log end"},
		pieces: []piece{{after: "body", text: "two "}, {after: "body", text: "three"}}, hangs: "end", until: "done"},
	{name: "a body that is dropped", on: "allow", verb: "POST", body: post, upstream: "count", script: []string{onRequest, "set request content-length 0; pause", onBody, "action 3", onBodyEnd, "action 3; call backend /other 5000", onCall, "resume-request"}},
	{name: "a pause in the trailers", settle: true, http2: true, verb: "POST", body: post, trailers: hostsim.Headers{{"x-sum", "5"}}, script: []string{onTrailers, lookup, onCall, "resume-request"}},
	{name: "a pause in the response's body", upstream: "big", script: []string{quiet, "1", onData, "pause", onEnd, "call backend /other 5000; pause", onCall, "resume-response"}, until: "call"},
	{name: "a response body that is dropped", upstream: "big", script: []string{quiet, "1", onData, "action 3", onEnd, "call backend /other 5000; action 3", onCall, "resume-response"}, until: "call"},
	{name: "an end that is dropped", upstream: "big", script: []string{quiet, "1", onEnd, "call backend /other 5000; action 3", onCall, "resume-response"}, until: "call"},
	{name: "a pause in the response's trailers", route: "backend2", upstream: "trailers", script: []string{"x-on-response-trailers", lookup, onCall, "resume-response"}},

	{name: "a resume in the callback that continues sends the request twice", upstream: "both", script: []string{onRequest, "resume-request"}, expect: hostsim.ResumeWithoutPause},
	{name: "resume of a request that went on", script: []string{onRequest, "call backend /other 5000", onCall, "resume-request"}, upstream: "opened", opens: "call answered", settle: true, expect: hostsim.ResumeWithoutPause},
	{name: "closed", script: []string{onRequest, "close; pause", onDone, "prop response.code_details; prop response.flags"}, until: "prop response.flags"},
	{name: "closed while it is paused", script: []string{onRequest, lookup, onCall, "close", onDone, "prop response.code_details; prop response.flags"}, until: "prop response.flags"},
	{name: "closed in the response", script: []string{onResponse, "close; pause", onDone, "prop response.code_details; prop response.flags"}, until: "prop response.flags"},
}

// besideCases are streams beside each other on one worker.
var besideCases = []parityCase{
	{name: "a reply to another stream from a call's callback", script: []string{onRequest, lookup, onCall, "release reply; reply 201 mine"},
		beside: []parityCase{{script: []string{onRequest, "hold; pause"}}}},
	{name: "a resume of another stream from a call's callback", script: []string{onRequest, lookup, onCall, "release resume; reply 201 mine"},
		beside: []parityCase{{script: []string{onRequest, "hold; pause"}}}, settle: true},
	{name: "a reply to another stream from done", script: []string{onDone, "release reply"},
		beside: []parityCase{{script: []string{onRequest, "hold; pause"}}}, settle: true},
	{name: "three streams woken by a fourth", script: []string{onDone, "release reply"}, settle: true,
		beside: []parityCase{{script: []string{onRequest, "hold; pause"}}, {script: []string{onRequest, "hold; pause"}}, {verb: "POST", body: post, script: []string{onRequest, "hold; pause"}}}},
	{name: "a reply to another stream stops the body in whose callback it is made", upstream: "big", script: []string{onEnd, "release reply"}, hangs: "release", settle: true,
		beside: []parityCase{{script: []string{onRequest, "hold; pause"}}}},
	{name: "a context that is gone leaves the one before in place", script: []string{onRequest, "release reply; pause"},
		before: []parityCase{{script: []string{onRequest, "hold; pause"}, leave: "request-headers"}}},
	{name: "an open upload beside other streams", verb: "POST", body: "mine", settle: true,
		beside: []parityCase{{verb: "POST", body: "one ", pieces: []piece{{after: "request-body size=4", text: "two"}}, begun: "request-body"}}},
	{name: "a slow stream beside a quick one", settle: true,
		beside: []parityCase{{upstream: "slow"}, {upstream: "sse"}}},
}

package parity_test

import (
	"slices"
	"strings"

	"chatcache/hostsim"
)

// The headers in which a case tells the module what to do in a callback.
const (
	onRequest  = "x-on-request-headers"
	onBody     = "x-on-request-body"
	onBodyEnd  = "x-on-request-end"
	onTrailers = "x-on-request-trailers"
	onResponse = "x-on-response-headers"
	onData     = "x-on-response-body"
	onEnd      = "x-on-response-end"
	onCall     = "x-on-call"
	onDone     = "x-on-done"
	quiet      = "x-on-quiet" // it doesn't log each callback
)

var (
	post    = strings.Repeat("p", 5)
	details = []string{onDone, "prop response.code_details; prop response.flags"}
	// ends tells whether the module saw the end of the response, and why it ended.
	ends = []string{quiet, "1", onEnd, "log end", onDone, "prop response.code_details; prop response.flags"}
	// lookup pauses a request until a call is answered.
	lookup = "call backend /other 5000; pause"
	// hold pauses a response until a call is answered.
	hold = "call backend /ack 5000; pause"
)

func allCases() []parityCase {
	return slices.Concat(streamCases, headerCases, hostcallCases, pauseCases, holdCases, bodyCases, replyCases, callCases,
		endCases, leaveCases, besideCases, propertyCases, proxyCases, deathCases)
}

// streamCases are streams that nothing touches.
var streamCases = []parityCase{
	{name: "GET"},
	{name: "POST", verb: "POST", body: post},
	{name: "HEAD", verb: "HEAD"},
	{name: "204", upstream: "204"},
	{name: "304", upstream: "304"},
	{name: "404", upstream: "404"},
	{name: "an empty 200", upstream: "empty"},
	{name: "chunked", upstream: "big", script: []string{quiet, "1", onEnd, "log end"}, until: "end"},
	{name: "SSE", upstream: "sse"},
	{name: "a large response", upstream: "huge", script: []string{quiet, "1", onEnd, "log end"}, until: "end"},
	{name: "direct response", url: "/direct", script: []string{onEnd, "log end", onDone, "prop response.code_details; prop response.flags"}, until: "prop response.flags"},
	{name: "HTTP/1.0", http10: true, script: details, until: "prop"},
	{name: "an upgrade", raw: true, script: append([]string{"connection", "keep-alive, UPGRADE", "upgrade", "websocket"}, details...), until: "prop"},
	{name: "an upgrade by a POST", raw: true, verb: "POST", body: post, script: append([]string{"connection", "upgrade", "upgrade", "websocket"}, details...), until: "prop"},
	{name: "an upgrade of an empty name", raw: true, script: []string{"connection", "upgrade", "upgrade", "", onDone, "prop response.code_details"}, until: "prop"},
	{name: "an upgrade in two lines", raw: true, script: append([]string{"connection", "x-a", "connection", "upgrade", "upgrade", "a", "upgrade", "b"}, details...), until: "prop"},
	{name: "an upgrade to h2c", raw: true, script: []string{"connection", "Upgrade, HTTP2-Settings", "upgrade", "h2c", "http2-settings", "AAMAAABkAARAAAAAAAIAAAAA", onRequest, "header request upgrade; header request connection; header request http2-settings"}},
	{name: "upgrade without connection: upgrade", raw: true, script: []string{"upgrade", "websocket", onRequest, "header request upgrade"}},
	{name: "connection: upgrade without upgrade", raw: true, script: []string{"connection", "upgrade", onRequest, "header request connection"}},
	{name: "Expect: 100-continue", verb: "POST", body: post, script: []string{"expect", "100-continue", onRequest, "header request expect"}},
	{name: "request trailers over HTTP/1", http1: true, verb: "POST", body: post, trailers: hostsim.Headers{{"x-sum", "5"}}, script: []string{quiet, "1", onBody, "log body"}, until: "body"},
	{name: "request trailers over HTTP/2", http2: true, verb: "POST", body: post, trailers: hostsim.Headers{{"x-sum", "5"}}},
	{name: "a body in pieces", verb: "POST", body: "one ", pieces: []piece{{after: "request-body size=4", text: "two "}, {after: "request-body size=4", text: "three"}}},
	{name: "a body in pieces, read while it comes", verb: "POST", body: "one ", upstream: "upload", pieces: []piece{{after: "request-body size=4", text: "two", reached: 2}}},

	{name: "echo from HTTP/2", route: "backend2", script: []string{onResponse, "header response transfer-encoding; header response content-length"}},
	{name: "POST to HTTP/2", route: "backend2", verb: "POST", body: post},
	{name: "HEAD from HTTP/2", route: "backend2", verb: "HEAD"},
	{name: "204 from HTTP/2", route: "backend2", upstream: "204"},
	{name: "SSE from HTTP/2", route: "backend2", upstream: "sse"},
	{name: "big from HTTP/2", route: "backend2", upstream: "big", script: []string{quiet, "1", onEnd, "log end"}, until: "end"},
	{name: "trailers over HTTP/1", upstream: "trailers"},
	{name: "trailers through HTTP/2", route: "backend2", upstream: "trailers"},

	{name: "a retry that fails, too", on: "retry", upstream: "503", script: []string{onResponse, "prop upstream.request_attempt_count", onDone, "prop response.flags"}, until: "prop response.flags"},
	{name: "a retry after a reset", on: "retry", upstream: "no-answer", script: []string{onResponse, "prop upstream.request_attempt_count", onDone, "prop response.code_details; prop response.flags"}, until: "prop response.flags"},
	{name: "a retry that succeeds", on: "retry", upstream: "second-time", script: []string{onResponse, "prop upstream.request_attempt_count", onDone, "prop upstream.request_attempt_count; prop response.flags"}, until: "prop response.flags"},
	{name: "no retry needed", on: "retry", verb: "POST", body: post},
}

// headerCases are about what each side sees of the header fields.
var headerCases = []parityCase{
	{name: "response headers", upstream: "headers", script: details, until: "prop response.flags"},
	{name: "response headers in their order", raw: true, upstream: "headers"},
	{name: "what the module sees of a request", script: []string{onRequest, "header request :path; header request :authority; header request :method; header request :scheme; header request x-forwarded-proto"}},
	{name: "what the upstream sees of a request", upstream: "request", script: []string{quiet, "1"}, until: "-"},
	{name: "what the module sees of a response", upstream: "headers", script: []string{onResponse, "header response server; header response set-cookie; header response x-empty; header response content-length"}},
	{name: "a repeated field", upstream: "headers", script: []string{quiet, "1", onResponse, "header response set-cookie; values response set-cookie; values response content-type"}, until: "value content-type"},
	{name: "chunked is visible", upstream: "big", script: []string{quiet, "1", onResponse, "header response transfer-encoding"}, until: "header"},
	{name: "close is visible", upstream: "close", script: []string{quiet, "1", onResponse, "header response connection; header response transfer-encoding; log end"}, until: "end"},
	{name: "changed headers", script: []string{onRequest, "set request x-upstream headers", onResponse, "set response x-more yes"}},
	{name: "headers beside the body", script: []string{onData, "header response content-length; header request :path", onEnd, "header response content-length"}, expect: hostsim.MapOutOfPhase},
	{name: "a request's host is its :authority", upstream: "request", script: []string{quiet, "1", onRequest, "header request Host; set request host other; header request :authority; log end"}, until: "end"},
	{name: "te: trailers", script: []string{"te", "trailers", onRequest, "header request te"}},
	{name: "te with more than trailers", raw: true, script: []string{"te", "gzip, trailers", "keep-alive", "5", "proxy-connection", "x", onRequest, "header request te; header request keep-alive; header request proxy-connection"}},
	{name: "te without trailers", raw: true, script: []string{"te", "gzip", onRequest, "header request te"}},
	{name: "the scheme that a proxy in front tells", script: []string{"x-forwarded-proto", "HTTPS", onRequest, "header request x-forwarded-proto; header request :scheme"}},
	{name: "no scheme that a proxy in front could tell", script: []string{"x-forwarded-proto", "ftp", onRequest, "header request x-forwarded-proto; header request :scheme"}},
	{name: "the client that a proxy in front tells", script: []string{"x-forwarded-for", "1.2.3.4, 10.0.0.1", onRequest, "header request x-forwarded-for; prop source.address; prop source.port"}},
	{name: "a scheme that a client tells where none is in front", on: "edge", script: []string{"x-forwarded-proto", "https", onRequest, "header request x-forwarded-proto; header request :scheme"}},
	{name: "fields that steer the router aren't taken from clients", upstream: "request", script: []string{quiet, "1", "x-envoy-retry-on", "5xx", "x-envoy-max-retries", "3", "x-envoy-upstream-rq-timeout-ms", "7000", "x-envoy-internal", "true", "x-envoy-decorator-operation", "a",
		"x-envoy-upstream-stream-duration-ms", "7", "x-forwarded-client-cert", "Subject=a",
		onRequest, "header request x-envoy-retry-on; header request x-envoy-internal; header request x-envoy-decorator-operation; header request x-envoy-upstream-stream-duration-ms; header request x-forwarded-client-cert; log end"}, until: "end"},
	{name: "headers at the end", script: []string{onDone, "header request :path; header response content-length; header response x-none"}, until: "header"},
}

// holdCases pause a response.
var holdCases = []parityCase{
	{name: "a held response", script: []string{onResponse, hold, onCall, "header response content-length; set response x-late yes; resume-response"}},
	{name: "a held response without a body", upstream: "204", script: []string{onResponse, hold, onCall, "resume-response"}},
	{name: "a held HEAD", verb: "HEAD", script: []string{onResponse, hold, onCall, "resume-response"}},
	{name: "a held chunked response", upstream: "big", script: []string{quiet, "1", onResponse, hold, onCall, "resume-response", onEnd, "log end"}, until: "end"},
	{name: "a held SSE", upstream: "sse", script: []string{quiet, "1", onResponse, hold, onCall, "resume-response", onEnd, "log end"}, until: "end"},
	{name: "a held response of 10 MB", upstream: "10MB", script: []string{quiet, "1", onResponse, "call backend /ack 5000; pause", onCall, "resume-response", onEnd, "log end"}, until: "end"},
	{name: "a held response from HTTP/2", route: "backend2", script: []string{onResponse, hold, onCall, "resume-response"}},
	{name: "a held response with trailers", route: "backend2", upstream: "trailers", script: []string{onResponse, hold, onCall, "resume-response"}},
	{name: "a held response of 10 MB from HTTP/2", route: "backend2", upstream: "10MB", script: []string{quiet, "1", onResponse, "call backend /ack 5000; pause", onCall, "resume-response", onEnd, "log end"}, until: "end"},
	{name: "a buffered response", script: []string{onData, "body response; buffer", onEnd, "body response; setbody response changed"}},
	{name: "a response held beyond the buffer", on: "allow", upstream: "huge", script: []string{quiet, "1", onResponse, "call backend /ack 5000; stopall", onCall, "resume-response", onEnd, "log end"}, until: "end"},
	{name: "too large a response to buffer", on: "allow", upstream: "huge", script: []string{quiet, "1", onData, "buffer", onDone, "prop response.code_details; prop response.flags"}, until: "prop response.flags"},
	{name: "too large a response to buffer before its headers are sent", on: "allow", upstream: "huge", script: []string{quiet, "1", onResponse, "pause", onData, "buffer", onDone, "prop response.code_details; prop response.flags"}, until: "prop response.flags"},
	{name: "reset while the response is held", upstream: "cut", script: []string{onResponse, "pause", onDone, "prop response.code_details; prop response.flags"}, until: "prop response.flags"},
	{name: "reset by HTTP/2 while the response is held", route: "backend2", upstream: "cut", script: []string{onResponse, "pause", onDone, "prop response.code_details; prop response.flags"}, until: "prop response.flags"},
	{name: "route timeout while the response is held", on: "impatient", upstream: "hang-body", script: []string{onResponse, "pause", onDone, "prop response.code_details; prop response.flags"}, until: "prop response.flags"},
}

// bodyCases change bodies, or add to them.
var bodyCases = []parityCase{
	{name: "trailers added to a response", script: []string{onEnd, "trailer response x-sum 7"}},
	{name: "trailers added to a response from HTTP/2", route: "backend2", script: []string{onEnd, "trailer response x-sum 7"}},
	{name: "trailers added to a paused response", upstream: "big", script: []string{quiet, "1", onEnd, "trailer response x-sum 7; call backend /other 5000; pause", onCall, "resume-response"}, until: "call"},
	{name: "trailers added to a response that was held", script: []string{onResponse, hold, onCall, "resume-response", onEnd, "trailer response x-sum 7"}},
	{name: "trailers added before the end", upstream: "sse", script: []string{onData, "trailer response x-sum 7", onEnd, "log end"}},
	{name: "trailers added to a reply", script: []string{onRequest, "reply 200 hello; pause", onEnd, "trailer response x-sum 7"}},
	{name: "trailers added to a request", route: "backend2", verb: "POST", body: post, upstream: "trailer", script: []string{onRequest, "set request trailer x-sum", onBodyEnd, "trailer request x-sum 7"}},
	{name: "trailers added to a request to HTTP/1", verb: "POST", body: post, script: []string{onBodyEnd, "trailer request x-sum 7"}},
	{name: "a request's own trailers reach HTTP/2", http2: true, route: "backend2", verb: "POST", body: post, upstream: "trailer", trailers: hostsim.Headers{{"x-sum", "5"}}},
	{name: "a buffered body changed in a call's callback", settle: true, verb: "POST", body: post, script: []string{onRequest, "remove request content-length", onBody, "buffer", onBodyEnd, "buffer; call backend /other 5000", onCall, "body request; setbody request changed; resume-request"}},
	{name: "a buffered body changed after its stream was told to go on", settle: true, verb: "POST", body: post, script: []string{onRequest, "remove request content-length", onBody, "buffer", onBodyEnd, "buffer; call backend /other 5000", onCall, "resume-request; body request; setbody request changed; body request"}},
	{name: "data after a buffered body has gone on", settle: true, verb: "POST", body: "one ", upstream: "count", script: []string{onBody, "once buffer; once call backend /other 5000; body request", onCall, "resume-request", onBodyEnd, "body request; set-buffer 0 0 0 x"}, pieces: []piece{{after: "call answered", text: "two ", reached: 2}}},
	{name: "data after a buffered response has gone on", upstream: "drip", opens: "call answered", script: []string{onData, "once buffer; once call backend /other 5000; body response", onCall, "resume-response", onEnd, "body response; set-buffer 1 0 0 x"}},
	{name: "a changed body", upstream: "big", script: []string{quiet, "1", onData, "setbody response answer", onEnd, "log end"}, until: "end"},
	{name: "too large a body to buffer", on: "allow", verb: "POST", body: strings.Repeat("x", 100_000), script: []string{quiet, "1", onRequest, "pause", onBody, "buffer", onDone, "prop response.code_details; prop response.flags"}, until: "prop response.flags"},
	{name: "a request held beyond the buffer", on: "allow", verb: "POST", body: strings.Repeat("x", 100_000), upstream: "count", script: []string{quiet, "1", onRequest, "call backend /other 5000; stopall", onCall, "resume-request", onEnd, "log end"}, until: "end"},
}

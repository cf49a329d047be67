package parity_test

// endCases are the ways in which a response ends.
var endCases = []parityCase{
	{name: "content-length", script: ends, until: "prop response.flags"},
	{name: "chunked to its end", upstream: "big", script: ends, until: "prop response.flags"},
	{name: "no body", upstream: "204", script: ends, until: "prop response.flags"},
	{name: "trailers", route: "backend2", upstream: "trailers", script: ends, until: "prop response.flags"},
	{name: "short content-length", upstream: "truncated", script: ends, until: "prop response.flags"},
	{name: "cut", upstream: "cut", script: ends, until: "prop response.flags"},
	{name: "chunked and cut", upstream: "cut-chunked", script: ends, until: "prop response.flags"},
	{name: "overlong content-length", upstream: "overlong", script: ends, until: "prop response.flags"},
	{name: "close-delimited", upstream: "close", script: ends, until: "prop response.flags"},
	{name: "close-delimited and cut", upstream: "close-and-cut", script: ends, until: "prop response.flags"},
	{name: "cut by HTTP/2", route: "backend2", upstream: "cut", script: ends, until: "prop response.flags"},
	{name: "chunked and cut by HTTP/2", route: "backend2", upstream: "cut-chunked", script: ends, until: "prop response.flags"},
	{name: "short content-length by HTTP/2", route: "backend2", upstream: "truncated", script: ends, until: "prop response.flags"},
	{name: "no answer", upstream: "no-answer", script: ends, until: "prop response.flags"},
	{name: "no answer from HTTP/2", route: "backend2", upstream: "no-answer", script: ends, until: "prop response.flags"},
	{name: "route timeout", on: "impatient", upstream: "hang", script: ends, until: "prop response.flags"},
	{name: "route timeout in the body", on: "impatient", upstream: "hang-body", script: ends, until: "prop response.flags"},
	{name: "route timeout in the body from HTTP/2", on: "impatient", route: "backend2", upstream: "hang-body", script: ends, until: "prop response.flags"},
	{name: "an unknown cluster", route: "nobody", script: ends, until: "prop response.flags"},
	{name: "a cluster without hosts", route: "nohosts", script: ends, until: "prop response.flags"},
	{name: "a cluster beyond its circuit breaker", route: "full", script: ends, until: "prop response.flags"},
	{name: "a refusing cluster", route: "refused", script: ends, until: "prop response.flags"},
	{name: "the direct response's end", url: "/direct", script: ends, until: "prop response.flags"},
}

// leaveCases are clients that leave.
var leaveCases = []parityCase{
	{name: "leave while the request is paused", script: []string{onRequest, "call backend /?upstream=hang 5000; pause", onCall, "log too-late", onDone, "prop response.code_details; prop response.flags"}, leave: "request-headers", reached: 1, until: "prop response.flags"},
	{name: "leave while the upstream thinks", upstream: "hang", script: details, leave: "request-headers", reached: 1, until: "prop response.flags"},
	{name: "fields of a response that never came", upstream: "hang", script: []string{onDone, "header response content-length; header request :path"}, leave: "request-headers", reached: 1, until: "header :path"},
	{name: "leave in the body", upstream: "hang-body", script: details, leave: "response-body", until: "prop response.flags"},
	{name: "leave while the response is held", script: []string{onResponse, "call backend /?upstream=hang 5000; pause", onCall, "log too-late", onDone, "prop response.code_details; prop response.flags"}, leave: "response-headers", reached: 2, until: "prop response.flags"},
	{name: "leave in an upload", verb: "POST", body: "one ", pieces: []piece{}, upstream: "count", script: details, leave: "request-body", reached: 1, until: "prop response.flags"},
}

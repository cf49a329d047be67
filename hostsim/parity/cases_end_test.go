package parity_test

// endCases are the ways in which a response ends.
var endCases = []parityCase{
	{name: "content-length", script: ends, until: "prop"},
	{name: "chunked to its end", upstream: "big", script: ends, until: "prop"},
	{name: "no body", upstream: "204", script: ends, until: "prop"},
	{name: "trailers", route: "backend2", upstream: "trailers", script: ends, until: "prop"},
	{name: "short content-length", upstream: "truncated", script: ends, until: "prop"},
	{name: "cut", upstream: "cut", script: ends, until: "prop"},
	{name: "chunked and cut", upstream: "cut-chunked", script: ends, until: "prop"},
	{name: "overlong content-length", upstream: "overlong", script: ends, until: "prop"},
	{name: "close-delimited", upstream: "close", script: ends, until: "prop"},
	{name: "close-delimited and cut", upstream: "close-and-cut", script: ends, until: "prop"},
	{name: "cut by HTTP/2", route: "backend2", upstream: "cut", script: ends, until: "prop"},
	{name: "chunked and cut by HTTP/2", route: "backend2", upstream: "cut-chunked", script: ends, until: "prop"},
	{name: "short content-length by HTTP/2", route: "backend2", upstream: "truncated", script: ends, until: "prop"},
	{name: "no answer", upstream: "no-answer", script: ends, until: "prop response.code_details"},
	{name: "no answer from HTTP/2", route: "backend2", upstream: "no-answer", script: ends, until: "prop"},
	{name: "route timeout", upstream: "hang", script: ends, until: "prop response.code_details"},
	{name: "route timeout in the body", upstream: "hang-body", script: ends, until: "prop"},
	{name: "route timeout in the body from HTTP/2", route: "backend2", upstream: "hang-body", script: ends, until: "prop"},
	{name: "an unknown cluster", route: "nobody", script: ends, until: "prop response.code_details"},
	{name: "a cluster without hosts", route: "nohosts", script: ends, until: "prop response.code_details"},
	{name: "a cluster beyond its circuit breaker", route: "full", script: ends, until: "prop response.code_details"},
	{name: "a refusing cluster", route: "refused", script: ends, until: "prop"},
	{name: "the direct response's end", url: "/direct", script: ends, until: "prop"},
}

// leaveCases are clients that leave.
var leaveCases = []parityCase{
	{name: "leave while the request is paused", script: []string{onRequest, "call backend /?upstream=slow 300; pause", onCall, "log too-late", onDone, "prop response.code_details"}, leave: "request-headers", until: "prop"},
	{name: "leave while the upstream thinks", upstream: "hang", script: details, leave: "request-headers", until: "prop"},
	{name: "leave in the body", upstream: "hang-body", script: details, leave: "response-body", until: "prop"},
	{name: "leave while the response is held", script: []string{onResponse, "call backend /?upstream=slow 300; pause", onCall, "log too-late", onDone, "prop response.code_details"}, leave: "response-headers", until: "prop"},
	{name: "leave in an upload", verb: "POST", body: "one ", pieces: []piece{}, upstream: "count", script: details, leave: "request-body", until: "prop"},
}

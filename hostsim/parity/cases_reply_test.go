package parity_test

import "chatcache/hostsim"

// replyCases answer a stream locally.
var replyCases = []parityCase{
	{name: "reply in headers", script: []string{onRequest, "reply 203 hello; pause", onDone, "prop response.code_details; prop response.code"}, until: "prop response.code ="},
	{name: "reply in headers and continue", script: []string{onRequest, "reply 203 hello"}},
	{name: "reply without a body", script: []string{onRequest, "reply 200; pause"}},
	{name: "reply without a body loses its type and length", script: []string{onRequest, "reply 200 - content-type=text/html content-length=7; pause"}},
	{name: "reply 204", script: []string{onRequest, "reply 204; pause"}},
	{name: "reply 304", script: []string{onRequest, "reply 304; pause"}},
	{name: "reply to HEAD", verb: "HEAD", script: []string{onRequest, "reply 200 hello; pause"}},
	{name: "reply to POST", verb: "POST", body: post, script: []string{onRequest, "reply 200 hello; pause"}},
	{name: "reply in a call's callback", script: []string{onRequest, lookup, onCall, "reply 200 hello"}},
	{name: "reply in request body", verb: "POST", body: post, on: "allow", script: []string{onRequest, "pause", onBody, "reply 200 hello; pause"}},
	{name: "reply in request trailers", http2: true, on: "allow", verb: "POST", body: post, trailers: hostsim.Headers{{"x-sum", "5"}}, script: []string{onRequest, "pause", onBody, "buffer", onTrailers, "reply 200 hello; pause"}, until: "done"},
	{name: "reply in response headers", script: []string{onResponse, "reply 200 hello; pause"}},
	{name: "reply in response headers of a timeout", on: "impatient", upstream: "hang", script: []string{onResponse, "reply 200 hello; pause"}},
	{name: "reply in response headers of a 304", upstream: "304", script: []string{onResponse, "reply 200 hello Etag=x; pause"}},
	{name: "reply in response headers of a refused connection", route: "refused", script: []string{onResponse, "reply 200 hello; pause"}},
	{name: "reply in response headers to HEAD", verb: "HEAD", script: []string{onResponse, "reply 200 hello; pause"}},
	{name: "reply while the response is held", script: []string{onResponse, hold, onCall, "reply 201 instead"}},
	{name: "reply in the response's body", script: []string{onData, "reply 201 instead", onDone, "prop response.code_details; prop response.flags"}, until: "prop response.flags", expect: hostsim.SecondReply},
	{name: "reply that the module changes on its way", script: []string{onRequest, "reply 200 hello; pause", onResponse, "set response x-mine yes"}},
	{name: "reply that the module pauses on its way", script: []string{onRequest, "reply 200 hello; pause", onResponse, hold, onCall, "resume-response"}},
	{name: "two replies", script: []string{onRequest, "reply 200 a; reply 201 b; pause"}, expect: hostsim.SecondReply},
	{name: "a large reply", script: []string{quiet, "1", onRequest, "replybig 10000000; pause"}, until: "-"},
	{name: "the fields of a reply", raw: true, script: []string{onRequest, "reply 200 hello " +
		`X-First=1 Set-Cookie=a=1 set-cookie=b=2 Date=` + underscored(ownDate) + ` Age=7 ETag="x" Vary=Accept X-Empty=- Server=mine Content-Length=99 Cache-Control=max-age=5 Content-Type=text/html; pause`}},
	{name: "the module sees what Envoy made of a reply", script: []string{quiet, "1", onRequest, "reply 200 hello Server=mine Content-Length=99; pause",
		onResponse, "header response server; header response content-length; header response content-type; header response x-reply; log end"}, until: "end"},
	{name: "reply with a gRPC status", script: []string{onRequest, "replygrpc 7 no; pause"}},
	{name: "reply to gRPC", script: []string{"content-type", "application/grpc", onRequest, "replygrpc 7 no; pause"}},
	{name: "reply to gRPC without a status", script: []string{"content-type", "application/grpc+proto", onRequest, "reply 503 no_such:; pause"}},
	{name: "the router's reply to gRPC", route: "nohosts", script: []string{"content-type", "application/grpc", onDone, "prop response.code_details; prop response.flags"}, until: "prop response.flags"},
	{name: "reply to something like gRPC", script: []string{"content-type", "application/grpc-web", onRequest, "replygrpc 7 no; pause"}},
}

func underscored(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] == ' ' {
			b[i] = '_'
		}
	}
	return string(b)
}

// callCases call clusters.
var callCases = []parityCase{
	{name: "a call to an unknown cluster", script: []string{onRequest, "call nobody / 5000"}},
	{name: "a call to a cluster without hosts", script: []string{onRequest, "call nohosts / 5000"}},
	{name: "a call beyond the circuit breaker", script: []string{onRequest, "call full / 5000"}},
	{name: "a call without :method", script: []string{onRequest, "badcall backend :method"}},
	{name: "a call without :path", script: []string{onRequest, "badcall backend :path"}},
	{name: "a call without :authority", script: []string{onRequest, "badcall backend :authority"}},
	{name: "a call that is refused", script: []string{onRequest, "call refused / 5000; pause", onCall, "resume-request"}},
	{name: "a call that times out", script: []string{onRequest, "call backend /?upstream=hang 2000; pause", onCall, "resume-request"}},
	{name: "a call that is cut before headers", script: []string{onRequest, "call backend /?upstream=no-answer 5000; pause", onCall, "resume-request"}},
	{name: "a call that is cut in its body", script: []string{onRequest, "call backend /?upstream=cut 5000; pause", onCall, "resume-request"}},
	{name: "a call that times out in its body", script: []string{onRequest, "call backend /?upstream=hang-body 2000; pause", onCall, "status; resume-request"}},
	{name: "a call over HTTP/2 that times out in its body", script: []string{onRequest, "call backend2 /?upstream=hang-body 2000; pause", onCall, "status; resume-request"}},
	{name: "a call's answer is whole", script: []string{onRequest, "call backend /?upstream=sse 5000; pause", onCall, "resume-request"}},
	{name: "a call over HTTP/2", script: []string{onRequest, "call backend2 /?upstream=sse 5000; pause", onCall, "resume-request"}},
	{name: "a call over HTTP/2 that is cut in its body", script: []string{onRequest, "call backend2 /?upstream=cut 5000; pause", onCall, "resume-request"}},
	{name: "a call isn't routed, and not retried", on: "retry", script: []string{onRequest, "call backend /?upstream=503 5000; pause", onCall, "resume-request"}},
	{name: "a call sent again in its callback", script: []string{onRequest, "recall backend /other 5000 3; pause", onCall, "resume-request"}},
	{name: "two calls of one stream", script: []string{onRequest, "call backend /other 5000; call backend /third 5000; pause", onCall, "log answered; last log both"}, hangs: "both", settle: true, until: "done"},
	{name: "a call outlives its stream, its callback doesn't", script: []string{quiet, "1", onRequest, "call backend /?upstream=slow&left 5000; reply 200 ok; pause", onCall, "log too-late"}, until: "-"},
	{name: "a call of the root context", on: "queue", script: []string{onDone, "enqueue hello"}, until: "call"},
}

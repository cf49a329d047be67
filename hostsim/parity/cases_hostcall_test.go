package parity_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"sync"

	"chatcache/hostsim"
)

// hostcallCases make host calls with each of their arguments, where others leave it at one.
var hostcallCases = []parityCase{
	{name: "request fields added, replaced and removed", upstream: "request", script: []string{quiet, "1", "x-gone", "1", "x-kept", "1",
		onRequest, "add request x-new a; add request X-New b; add request x-kept 2; set request x-set c; remove request x-gone; remove request x-never; values request x-new; values request x-kept; log end"}, until: "end"},
	{name: "response fields added, replaced and removed", upstream: "headers", script: []string{quiet, "1",
		onResponse, "add response x-new a; add response X-New b; add response set-cookie c=3; set response age 8; remove response x-empty; values response x-new; values response set-cookie; log end"}, until: "end"},
	{name: "the order of changed response fields", raw: true, upstream: "headers", script: []string{quiet, "1", onResponse, "set response age 8; add response x-new a; set response content-type text/html; set response set-cookie c=3; set response x-other b; set response x-new b"}, until: "-"},
	{name: "the order of changed request fields", raw: true, script: []string{quiet, "1",
		onRequest, "fields request; set request :path /y; add request :foo x; set request :method PUT; set request x-route backend; fields request; set-all request a=b :method=GET :path=/z x-forwarded-proto=http x-route=backend x-upstream=echo :authority=q :scheme=http; fields request",
		onResponse, "fields response; set response :status 201; fields response; log end"}, until: "end"},
	{name: "the order of fields from HTTP/2", raw: true, route: "backend2", upstream: "headers", script: []string{quiet, "1", onResponse, "fields response"}, until: "fields"},
	{name: "all request fields replaced", script: []string{quiet, "1",
		onRequest, "set-all request :method=GET :path=/new :authority=other :scheme=http x-forwarded-proto=http x-route=backend x-upstream=request x-new=1; header request :path; header request :authority; log end"}, until: "end"},
	{name: "all response fields replaced", upstream: "headers", script: []string{quiet, "1", onResponse, "set-all response :status=201 x-new=1 content-length=4; header response :status; log end"}, until: "end"},
	{name: "the response's status removed", script: []string{onResponse, "remove response :status", onDone, "prop response.code_details; prop response.flags; header response :status"}, until: "header"},
	{name: "the request's method removed", script: []string{onRequest, "remove request :method", onDone, "prop response.code_details; prop response.flags; prop upstream.request_attempt_count"}, until: "prop upstream"},
	{name: "the request's path removed", script: []string{onRequest, "remove request :path", onDone, "prop response.code_details; prop response.flags"}, until: "prop response.flags"},
	{name: "the response's status changed", script: []string{onResponse, "set response :status 418", onDone, "prop response.code; header response :status"}, until: "header"},
	{name: "the size of header maps", script: []string{quiet, "1", onRequest, "set-all request :method=GET :path=/x :authority=a :scheme=http x-forwarded-proto=http x-route=backend x-upstream=echo; map-size 0; map-size 1; map-size 2; map-size 6; map-size 9",
		onResponse, "set-all response :status=200 a=b content-length=7; map-size 2; map-size 3; log end"}, until: "end"},

	{name: "response trailers read and changed", route: "backend2", upstream: "trailers", script: []string{quiet, "1",
		"x-on-response-trailers", "trailers response; trailer response x-more 5; set-trailer response x-sum 6; trailers response; log end", onDone, "trailers response; log end"}, until: "end"},
	{name: "response trailers removed", route: "backend2", upstream: "trailers", script: []string{quiet, "1", "x-on-response-trailers", "remove-trailer response x-sum; trailers response; log end"}, until: "end"},
	{name: "request trailers read and changed", http2: true, route: "backend2", upstream: "trailer", verb: "POST", body: post, trailers: hostsim.Headers{{"x-sum", "5"}},
		script: []string{quiet, "1", onTrailers, "trailers request; set-trailer request x-sum 6; trailers request; log end"}, until: "end"},
	{name: "trailers before they come", route: "backend2", upstream: "trailers", script: []string{quiet, "1", onResponse, "trailers response; trailers request; trailer response x-early 1", onData, "trailers response; log end"}, until: "end"},

	{name: "a request without x-forwarded-proto has no route", script: []string{onRequest, "remove request x-forwarded-proto", onDone, "prop response.code_details; prop response.flags"}, until: "prop response.flags"},
	{name: "a route chosen by the module", script: []string{onRequest, "set request x-route nohosts", onDone, "prop response.code_details"}, until: "prop"},
	{name: "a route chosen by the module after a call", script: []string{onRequest, lookup, onCall, "set request x-route nohosts; resume-request", onDone, "prop response.code_details"}, until: "prop"},
	{name: "a route chosen and cleared by the module", script: []string{onRequest, "set request x-route nohosts; foreign clear_route_cache -", onDone, "prop response.code_details"}, until: "prop"},
	{name: "a path rewritten to the direct response", script: []string{onRequest, "set request :path /direct"}},

	{name: "buffers and their sizes", verb: "POST", body: post, script: []string{quiet, "1", onRequest, "buffer-status 0; buffer-status 1; buffer-status 4; buffer-status 6; buffer-status 7; buffer-status 8; buffer-status 9; get-buffer 0 0 9; get-buffer 4 0 9; get-buffer 6 0 100; get-buffer 7 0 100; get-buffer 9 0 1",
		onBodyEnd, "log end"}, until: "end"},
	{name: "buffers of TCP and gRPC are empty", script: []string{onRequest, "buffer-status 2; buffer-status 3; buffer-status 5; get-buffer 2 0 1; get-buffer 5 0 1; set-buffer 2 0 0 x; set-buffer 5 0 0 x"}},
	{name: "parts of a body", on: "allow", verb: "POST", body: "hello", script: []string{quiet, "1", onRequest, "pause", onBody, "buffer",
		onBodyEnd, "buffer-status 0; get-buffer 0 1 2; get-buffer 0 3 100; get-buffer 0 5 1; get-buffer 0 9 1; get-buffer 0 0 -1; get-buffer 0 1 -1; log end"}, until: "end"},
	{name: "a body with more before it", on: "allow", verb: "POST", body: "hello", script: []string{quiet, "1", onRequest, "remove request content-length; pause", onBody, "buffer", onBodyEnd, "set-buffer 0 0 0 new"}, until: "set-buffer"},
	{name: "a body with more behind it", on: "allow", verb: "POST", body: "hello", script: []string{quiet, "1", onRequest, "remove request content-length; pause", onBody, "buffer", onBodyEnd, "set-buffer 0 5 0 new"}, until: "set-buffer"},
	{name: "a body replaced beyond its end", on: "allow", verb: "POST", body: "hello", script: []string{quiet, "1", onRequest, "remove request content-length; pause", onBody, "buffer", onBodyEnd, "set-buffer 0 0 99 new; set-buffer 0 99 0 more"}, until: "set-buffer"},
	{name: "a body replaced in parts", on: "allow", verb: "POST", body: "hello", script: []string{quiet, "1", onRequest, "remove request content-length; pause", onBody, "buffer", onBodyEnd, "set-buffer 0 0 2 new; set-buffer 0 2 2 new; set-buffer 0 2 99 new; set-buffer 9 0 0 x; set-buffer 6 0 0 x; set-buffer 7 0 0 x"}, until: "set-buffer"},
	{name: "a response body with more around it", upstream: "big", script: []string{quiet, "1", onData, "buffer", onEnd, "set-buffer 1 0 0 new; set-buffer 1 3003 0 more"}, until: "set-buffer"},

	{name: "a call with a body", script: []string{onRequest, "post backend /other 5000 text; pause", onCall, "resume-request"}},
	{name: "a call with a body over HTTP/2", script: []string{onRequest, "post backend2 /other 5000 text; pause", onCall, "resume-request"}},
	{name: "the fields of a call and of its answer", script: []string{onRequest, "post backend /?upstream=request 5000 text; pause", onCall, "fields call; resume-request"}},
	{name: "the fields of a call and of its answer over HTTP/2", script: []string{onRequest, "call backend2 /?upstream=request 5000; pause", onCall, "fields call; resume-request"}},
	{name: "the fields of a refused call's answer", script: []string{onRequest, "call refused / 5000; pause", onCall, "fields call; resume-request"}},
	{name: "a call with trailers", script: []string{onRequest, "post backend2 /?upstream=trailer 5000 text 7; pause", onCall, "resume-request"}},
	{name: "a call with trailers alone", script: []string{onRequest, "post backend2 /?upstream=trailer 5000 - 7; pause", onCall, "resume-request"}},
	{name: "a call with trailers over HTTP/1", script: []string{onRequest, "post backend /?upstream=trailer 5000 text 7; pause", onCall, "resume-request"}},
	{name: "a call's answer has trailers", script: []string{onRequest, "call backend2 /?upstream=trailers 5000; pause", onCall, "resume-request"}},
	{name: "a call's answer over HTTP/1 has no trailers", script: []string{onRequest, "call backend /?upstream=trailers 5000; pause", onCall, "resume-request"}},
	{name: "a call's answer as maps and buffers", script: []string{quiet, "1", onRequest, "call backend /?upstream=empty 5000; pause", onCall, "map-size 7; buffer-status 4; get-buffer 4 0 9; status; resume-request; log end"}, until: "end"},
	{name: "a call that is cut leaves a status, others don't", fresh: true, http1: true,
		before: []parityCase{{script: []string{onRequest, "status; call backend /?upstream=cut 5000; pause", onCall, "status; map-size 6; buffer-status 4; get-buffer 4 0 9; resume-request"}}},
		script: []string{onRequest, "status; call refused /x 5000; pause", onCall, "status; resume-request"}},

	{name: "streams of other kinds go on, or don't", script: []string{onRequest, "continue 2; continue 3; continue 4"}},
	{name: "queues that aren't there", script: []string{onRequest, "dequeue; enqueue x; resolve nobody q"}},
	{name: "a queue taken empty", on: "queue", script: []string{onDone, "enqueue one; dequeue; dequeue; log end"}, until: "end"},
	{name: "shared data with another cas", fresh: true, script: []string{onRequest, "cas key one 7; cas key two 7; cas key three 0; shared key four; cas key five 0; log end"}},
	{name: "metrics of each kind", http1: true, script: []string{quiet, "1",
		onRequest, "define 0 parity_raw_c; increment 2; increment 0; increment -1; record-raw 5; metric; define 0 parity_raw_c; increment 1; metric; define 1 parity_raw_g; increment 5; increment -7; record-raw 4; metric; define 2 parity_raw_h; increment 1; record-raw 4; metric; define 3 parity_raw_x; log end"}, until: "end"},
	{name: "foreign functions of Envoy, and what they aren't made for", script: []string{onRequest, "foreign uncompress x; foreign declare_property x; foreign clear_route_cache x; foreign set_envoy_filter_state x; foreign sign x; foreign verify_signature x; foreign64 sign CgA=; foreign64 verify_signature CgA=; foreign64 declare_property CgFh"}},
	{name: "signatures", script: []string{quiet, "1", onRequest, signatures() + "log end"}, until: "end"},
	{name: "filter state of Envoy's", script: []string{onRequest, "state nobody.knows value; state envoy.string value; state envoy.hashable_string v; state envoy.tcp_proxy.cluster value; state envoy.network.upstream_server_name value; state envoy.network.ip 1.2.3.4; state envoy.network.ip value; " +
		"state envoy.network.application_protocols a; state envoy.network.upstream_subject_alt_names a; state envoy.upstream.dynamic_host a; state envoy.upstream.dynamic_port 1; state envoy.tcp_proxy.disable_tunneling true; state envoy.tcp_proxy.per_connection_idle_timeout_ms 1; " +
		"state envoy.filters.listener.original_dst.local_ip 1.2.3.4:5; state envoy.filters.listener.original_dst.remote_ip 1.2.3.4:5; state envoy.network.transport_socket.original_dst_address 1.2.3.4:5; state envoy.ratelimit.hits_addend 1; state envoy.network.network_namespace a"}},
	{name: "filter state of Envoy's that it can't make", script: []string{onRequest, "state envoy.network.ip 1.2.3.4:5; state envoy.upstream.dynamic_port x; state envoy.upstream.dynamic_port 70000; state envoy.tcp_proxy.disable_tunneling x; state envoy.tcp_proxy.per_connection_idle_timeout_ms x; state envoy.upstream.dynamic_host x:y; " +
		"state envoy.filters.listener.original_dst.local_ip 1.2.3.4; state envoy.filters.listener.original_dst.local_ip x; state envoy.filters.listener.original_dst.remote_ip x; state envoy.network.transport_socket.original_dst_address x; state envoy.network.transport_socket.original_dst_address 1.2.3.4; state envoy.ratelimit.hits_addend x; state envoy.ratelimit.hits_addend -1"}},

	{name: "paths of properties", url: "/a?b=c", script: []string{quiet, "1", onRequest, "property request|path|; property request|path; property request|headers|x-route|; property plugin_name|; property |; property ||; property request||path; property; " +
		"setprop mine 7; property mine|; property mine|x; property filter_state|wasm.mine; state envoy.string v; property filter_state|envoy.string|; log end"}, until: "end"},
	{name: "objects of properties have no value of their own", script: []string{onRequest, "property request; property response; property connection; property source; property destination; property upstream; property xds; property filter_state"}},
	{name: "an empty own property", script: []string{onRequest, "setprop mine; property mine; setprop mine 5; setprop mine; property mine"}},
	{name: "properties that there are", script: []string{quiet, "1", onRequest, there, onResponse, there, onDone, there + "; log end"}, until: "end"},
	{name: "properties that there are of a refused request", route: "refused", script: []string{quiet, "1", onRequest, there, onResponse, there, onDone, there + "; log end"}, until: "end"},
	{name: "properties that there are of a request without a cluster", route: "nobody", script: []string{quiet, "1", onRequest, there, onResponse, there, onDone, there + "; log end"}, until: "end"},
	{name: "properties before the upstream is asked", script: []string{quiet, "1", onRequest, moreProperties}, until: "end"},
	{name: "properties in the response", script: []string{quiet, "1", onResponse, moreProperties}, until: "end"},
	{name: "properties at the end", script: []string{quiet, "1", onDone, moreProperties}, until: "end"},
	{name: "properties of a response with trailers", http2: true, route: "backend2", upstream: "trailers", script: []string{quiet, "1", "x-on-response-trailers", "prop response.trailers.x-sum; prop response.size; prop response.total_size", onDone, "prop response.trailers.x-sum; prop response.grpc_status; prop response.size; prop response.total_size; log end"}, until: "end"},
	{name: "properties of a request with a body", http2: true, verb: "POST", body: post, script: []string{quiet, "1", "content-length", "5", onRequest, "prop request.size; prop response.total_size", onBodyEnd, "prop request.size; prop request.total_size", onDone, "prop request.size; prop response.total_size; log end"}, until: "end"},
	{name: "properties of a refused request", route: "refused", script: []string{onResponse, "prop upstream.request_attempt_count; prop response.grpc_status", onDone, "prop xds.cluster_name; prop response.grpc_status; prop upstream.request_attempt_count; log end"}, until: "end"},
	{name: "properties of a request without a cluster", route: "nobody", script: []string{onRequest, "prop xds.cluster_name", onDone, "prop xds.cluster_name; prop response.grpc_status; prop upstream.request_attempt_count; log end"}, until: "end"},
	{name: "properties of a reply to gRPC", script: []string{"content-type", "application/grpc", onRequest, "replygrpc 7 no; pause", onDone, "prop response.grpc_status; prop response.code; log end"}, until: "end"},
}

// there tells which properties exist whose values depend on time, place or configuration.
const there = "has request.duration; has request.time; has request.id; has response.backend_latency; has upstream.local_address; has upstream.cx_pool_ready_duration; has upstream.port; has upstream_filter_state; " +
	"has connection.id; has connection_id; has connection.transport_failure_reason; has connection.sha256_peer_certificate_digest; has source.port; has destination.port; " +
	"has xds.filter_chain_name; has xds.virtual_host_name; has xds.virtual_host_metadata; has xds.upstream_host_metadata; has xds.upstream_host_locality_metadata; has xds.cluster_metadata; has xds.listener_metadata; has xds.route_metadata"

const moreProperties = "prop cluster_name; prop route_name; prop listener_direction; prop xds.cluster_name; prop xds.route_name; prop xds.listener_direction; prop xds.node.id; prop node.id; prop node.cluster; " +
	"prop connection.mtls; prop connection.requested_server_name; prop connection.tls_version; prop connection.subject_peer_certificate; prop connection.termination_details; " +
	"prop request.referer; prop request.useragent; prop request.protocol; prop request.scheme; prop request.total_size; prop response.flags; prop response.size; prop response.grpc_status; " +
	"prop upstream.transport_failure_reason; prop upstream.request_attempt_count; prop upstream.tls_version; prop upstream.locality; " +
	"prop route_metadata.filter_metadata.none; prop xds.route_metadata.filter_metadata.none; prop cluster_metadata.filter_metadata.none; prop listener_metadata.filter_metadata.none; prop upstream_host_metadata.filter_metadata.none; prop metadata.filter_metadata.none; prop filter_state.none; prop log_level; prop plugin_name; log end"

// signatures are commands that sign, and verify right and wrong signatures, with one key.
var signatures = sync.OnceValue(func() string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	private, _ := x509.MarshalPKCS8PrivateKey(key)
	public, _ := x509.MarshalPKIXPublicKey(key.Public())
	asPEM := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	sum := sha256.Sum256([]byte("text"))
	signature, _ := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	commands := ""
	for _, c := range []struct {
		function string
		fields   map[uint64][]byte
	}{
		{"sign", map[uint64][]byte{1: []byte("sha256"), 2: private, 3: []byte("text")}},
		{"sign", map[uint64][]byte{1: []byte("SHA512"), 3: []byte("text"), 4: asPEM("PRIVATE KEY", private)}},
		{"sign", map[uint64][]byte{1: []byte("sha999"), 2: private, 3: []byte("text")}},
		{"sign", map[uint64][]byte{1: []byte("sha256"), 2: public, 3: []byte("text")}},
		{"sign", map[uint64][]byte{1: []byte("sha256"), 2: private, 3: []byte("text"), 4: asPEM("PRIVATE KEY", private)}},
		{"verify_signature", map[uint64][]byte{1: []byte("sha256"), 2: public, 3: signature, 4: []byte("text")}},
		{"verify_signature", map[uint64][]byte{1: []byte("sha256"), 3: signature, 4: []byte("text"), 5: asPEM("PUBLIC KEY", public)}},
		{"verify_signature", map[uint64][]byte{1: []byte("sha256"), 2: public, 3: signature, 4: []byte("another text")}},
		{"verify_signature", map[uint64][]byte{1: []byte("sha1"), 2: public, 3: signature, 4: []byte("text")}},
		{"verify_signature", map[uint64][]byte{1: []byte("sha999"), 2: public, 3: signature, 4: []byte("text")}},
		{"verify_signature", map[uint64][]byte{1: []byte("sha256"), 2: private, 3: signature, 4: []byte("text")}},
		{"verify_signature", map[uint64][]byte{1: []byte("sha256"), 3: signature, 5: []byte("no PEM")}},
		{"sign", map[uint64][]byte{1: []byte("sha256"), 2: []byte("no key"), 3: []byte("text")}},
		{"sign", map[uint64][]byte{1: []byte("sha256"), 3: []byte("text"), 4: []byte("no PEM")}},
		{"sign", map[uint64][]byte{1: []byte("sha999"), 2: []byte("no key"), 3: []byte("text")}},
	} {
		var message []byte
		for field := uint64(1); field <= 5; field++ {
			if value, ok := c.fields[field]; ok {
				message = binary.AppendUvarint(message, field<<3|2)
				message = append(binary.AppendUvarint(message, uint64(len(value))), value...)
			}
		}
		commands += fmt.Sprintf("foreign64 %s %s; ", c.function, base64.StdEncoding.EncodeToString(message))
	}
	return commands
})

package e2e

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"chatcache/test/stack"

	"github.com/google/go-cmp/cmp"
)

// oddity is a request, and an origin that answers it as origins may.
type oddity struct {
	name   string
	method string // GET if empty
	fields [][2]string
	body   string
	// trailer follows the body.
	trailer http.Header
	// withheld starts the request's line that a miss keeps from the origin: what is fetched is for others, too.
	withheld string
	answer   func(w http.ResponseWriter, r *http.Request)
}

// oddities are what a proxy in between may get wrong.
var oddities = []oddity{
	{name: "processing", answer: func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusProcessing)
		io.WriteString(w, "late")
	}},
	{name: "early hints", answer: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Link", "</other.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints) // Envoy passes one interim response on
		w.Header().Del("Link")
		io.WriteString(w, "late")
	}},
	{name: "fields", fields: [][2]string{{"X-Asked", "1"}, {"X-Asked", ""}, {"X-Asked", "2"}, {"Cookie", "a=1"}, {"Range", "bytes=0-1"}},
		answer: func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h["Set-Cookie"] = []string{"a=1", "b=2"}
			h["X-Repeated"] = []string{"1", "", "2"}
			h.Set("Content-Encoding", "gzip")
			h.Set("Etag", `W/"a"`)
			h.Set("Age", "7")
			h.Set("Cache-Control", "no-store")
			io.WriteString(w, "not really gzip")
		}},
	{name: "download", answer: func(w http.ResponseWriter, _ *http.Request) { w.Write(large) }},
	{name: "compressed", fields: [][2]string{{"Accept-Encoding", "gzip"}}, answer: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Vary", "Accept-Encoding")
		packed := gzip.NewWriter(w)
		packed.Write(large[:1<<20])
		packed.Close()
	}},
	{name: "events", answer: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
		}
	}},
	{name: "upload", method: "POST", body: strings.Repeat("x", 10<<20), answer: answerOK},
	{name: "upload to a read", body: strings.Repeat("x", 300<<10), answer: answerOK},
	{name: "expect", method: "POST", fields: [][2]string{{"Expect", "100-continue"}}, body: "expected", answer: answerOK},
	{name: "expect of a read", fields: [][2]string{{"Expect", "100-continue"}}, body: "expected", answer: answerOK},
	{name: "expectation refused", method: "PUT", fields: [][2]string{{"Expect", "100-continue"}}, body: "refused", answer: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close") // the body may come or not
		w.WriteHeader(http.StatusExpectationFailed)
	}},
	{name: "request trailers", method: "POST", body: "b", trailer: http.Header{"X-Digest": {"abc"}}, answer: answerOK},
	{name: "response trailers", fields: [][2]string{{"Te", "trailers"}}, answer: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Digest")
		io.WriteString(w, "body")
		w.Header().Set("X-Digest", "abc")
		w.Header().Set(http.TrailerPrefix+"X-Unannounced", "def")
	}},
	{name: "HEAD", method: "HEAD", answer: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "12345") }},
	{name: "OPTIONS", method: "OPTIONS", answer: answerOK},
	{name: "DELETE", method: "DELETE", answer: answerStatus(204)},
	{name: "custom method", method: "PURGE", answer: answerOK},
	{name: "not modified", fields: [][2]string{{"If-None-Match", `"a"`}}, withheld: "if-none-match", answer: answerStatus(304)},
	{name: "part", fields: [][2]string{{"Range", "bytes=0-1"}}, answer: func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Unix(1_700_000_000, 0), bytes.NewReader(large[:10]))
	}},
	{name: "redirect", answer: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }},
	{name: "unavailable", answer: answerStatus(503)},
	{name: "scripted", answer: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Script", "body") // see scripts
		io.WriteString(w, "to be said louder")
	}},
	{name: "broken off", answer: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "only")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}},
}

var large = bytes.Repeat([]byte("0123456789abcdef"), 640<<10)

func answerOK(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "done") }

func answerStatus(status int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(status)
	}
}

func oddityNamed(name string) (found oddity, ok bool) {
	i := slices.IndexFunc(oddities, func(o oddity) bool { return o.name == name })
	if i < 0 {
		return oddity{}, false
	}
	return oddities[i], true
}

// recorder answers an oddity's requests and tells what came.
type recorder struct{ came chan string }

func (o recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	is, ok := oddityNamed(r.Header.Get("X-Oddity"))
	if !ok {
		http.Error(w, fmt.Sprintf("there is no oddity %q", r.Header.Get("X-Oddity")), http.StatusNotImplemented)
		return
	}
	body, err := []byte(nil), error(nil)
	if is.name != "expectation refused" {
		body, err = io.ReadAll(r.Body)
	}
	o.came <- strings.Join(append([]string{fmt.Sprint(r.Proto, " ", r.Method, " ", r.Host, r.URL, " length ", r.ContentLength, " ", r.TransferEncoding, " ", err)},
		described(r.Header, r.Trailer, body)...), "\n")
	is.answer(w, r)
}

// described lists a message's fields by name, its body's digest and its trailers.
func described(fields, trailers http.Header, body []byte) (lines []string) {
	for name, values := range fields {
		switch name = strings.ToLower(name); name {
		case "date", "x-envoy-upstream-service-time", "x-request-id":
		default:
			lines = append(lines, fmt.Sprintf("%s: %q", name, values))
		}
	}
	for name, values := range trailers {
		lines = append(lines, fmt.Sprintf("trailer %s: %q", strings.ToLower(name), values))
	}
	slices.Sort(lines)
	return append(lines, fmt.Sprintf("body of %d bytes, %x", len(body), sha256.Sum256(body)))
}

// ways are how a request passes the filter without an answer of the cache.
var ways = []struct {
	name, prefix string
	reads        bool // a rule matches the oddities that are reads
	control      string
}{
	{"no rule", "/other/", false, ""},
	{"passed by", "/cached/", true, "no-store"},
	{"missed", "/cached/", true, ""},
	{"missed where the origin decides", "/origin/", true, ""},
}

const passThroughPolicy = `{"version": 1, "name": "pass", "bridge": {"cluster": "redis-bridge", "timeout": "1s"},
	"caches": {
		"cached": {"match": ["GET /cached/{path...}"], "ttl": "60s", "shared": true},
		"origin": {"match": ["GET /origin/{path...}"], "ttl": "origin", "shared": true}
	}}`

// besideAPlainOne runs two Envoys, the first with the filter. What reaches them by HTTP/1.1 goes on by HTTP/1.1, and by
// HTTP/2 what reaches them so; both show trailers, and keep the case of fields.
func besideAPlainOne(t *testing.T, o stack.Options) *stack.Stack {
	o.Policy, o.Envoys = []byte(passThroughPolicy), 2
	oneOptions := map[string]any{"enable_trailers": true, "allow_custom_methods": true, "header_key_format": map[string]any{"stateful_formatter": map[string]any{
		"name":         "preserve_case",
		"typed_config": map[string]any{"@type": "type.googleapis.com/envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig"},
	}}}
	more := o.Manager
	o.Manager = func(envoy int, manager map[string]any) {
		manager["http_protocol_options"] = oneOptions
		if envoy == 1 {
			filters := manager["http_filters"].([]any)
			manager["http_filters"] = filters[len(filters)-1:] // the router alone
		}
		if more != nil {
			more(envoy, manager)
		}
	}
	upstreamOne := map[string]any{"enable_trailers": true, "header_key_format": oneOptions["header_key_format"]}
	if o.Upstream == nil {
		o.Upstream = upstreamBy("use_downstream_protocol_config", map[string]any{"http_protocol_options": upstreamOne, "http2_protocol_options": map[string]any{"allow_connect": true}})
	}
	return patientStack(t, o)
}

// upstreamBy says by which version of HTTP the origin is reached.
func upstreamBy(choice string, options map[string]any) func(cluster map[string]any) {
	return func(cluster map[string]any) {
		cluster["typed_extension_protocol_options"] = map[string]any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": map[string]any{
			"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", choice: options,
		}}
	}
}

// byOne reaches the origin by HTTP/1.1, whatever the client speaks.
var byOne = upstreamBy("explicit_http_config", map[string]any{"http_protocol_options": map[string]any{"enable_trailers": true}})

// TestPassThrough: what isn't answered from the cache reaches the origin and the client as through an Envoy without the
// filter, by HTTP/1.1 and by HTTP/2: on a path that no rule matches, where a rule matches and the request passes the
// cache by, and at a miss, whose response is copied as it streams through. There is a cache-status beside, and
// nothing else.
func TestPassThrough(t *testing.T) {
	origin := recorder{make(chan string, 1)}
	mux := http.NewServeMux()
	mux.Handle("/", origin)
	mux.HandleFunc("POST /chat.Chat/{call}", grpcEcho)
	mux.HandleFunc("POST /origin/{call}", grpcEcho)
	s := besideAPlainOne(t, stack.Options{Origin: mux})
	t.Run("gRPC", func(t *testing.T) { sameCalls(t, s) })
	for _, version := range []int{1, 2} {
		client := clientOf(version)
		t.Run(fmt.Sprintf("HTTP %d/interim responses of a hit", version), func(t *testing.T) {
			interimOnlyOnce(t, client, fmt.Sprint(s.Envoys[0].URL(), "/cached/interim/", version), origin)
		})
		samePassing(t, s, origin, version)
	}
}

// samePassing lets the oddities pass both Envoys in all ways, from a client that speaks that version of HTTP.
func samePassing(t *testing.T, s *stack.Stack, origin recorder, version int) {
	client := clientOf(version)
	for _, is := range oddities {
		t.Run(fmt.Sprintf("HTTP %d/%s", version, is.name), func(t *testing.T) {
			for n, way := range ways {
				path := fmt.Sprintf("%s%d/%d", way.prefix, version, n) + strings.ReplaceAll(is.name, " ", "-")
				plain := passed(t, client, s.Envoys[1].URL()+path, is, way.control) + "\n--\n" + reached(t, origin.came)
				if strings.Contains(plain, "cache-status") {
					t.Fatalf("the filter is there:\n%s", plain)
				}
				got := passed(t, client, s.Envoys[0].URL()+path, is, way.control) + "\n--\n" + reached(t, origin.came)
				lines := strings.Split(got, "\n")
				kept := slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "cache-status") })
				isRead := is.method == "" || is.method == "HEAD"
				if ruled := strings.Contains(got, "cache-status"); ruled != (way.reads && isRead || way.prefix == "/origin/" && is.method != "OPTIONS") {
					t.Errorf("%s: a rule matches: %v", way.name, ruled)
				}
				if is.withheld != "" && way.reads && way.control == "" {
					plain = strings.Join(slices.DeleteFunc(strings.Split(plain, "\n"), func(line string) bool { return strings.HasPrefix(line, is.withheld) }), "\n")
				}
				if diff := cmp.Diff(plain, strings.Join(kept, "\n")); diff != "" {
					t.Errorf("%s: without the filter (-), with it (+):\n%s", way.name, strings.ReplaceAll(diff, s.Envoys[0].URL(), ""))
				}
			}
		})
	}
}

// interimOnlyOnce: interim responses go on to whoever has waited for them, and aren't stored.
func interimOnlyOnce(t *testing.T, client http.RoundTripper, url string, origin recorder) {
	t.Helper()
	for i, interim := range []string{"interim 102 map[]\n", "interim 103 map[Link:[</style.css>; rel=preload]]\n"} {
		url := fmt.Sprint(url, "/", i)
		first := passed(t, client, url, oddities[i], "")
		reached(t, origin.came)
		if !strings.HasPrefix(first, interim) {
			t.Errorf("a miss without %q:\n%s", interim, first)
		}
		again := passed(t, client, url, oddities[i], "") // of the VM's own memory, or of the store for which it has waited
		if strings.Contains(again, "interim ") || strings.Contains(again, "preload") || !strings.Contains(again, "; detail=l") {
			t.Errorf("no hit, or one with what an interim response had:\n%s", again)
		}
	}
}

// clientOf speaks only that version of HTTP.
func clientOf(version int) http.RoundTripper {
	client := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true, ExpectContinueTimeout: 10 * time.Second}
	client.Protocols.SetHTTP1(version == 1)
	client.Protocols.SetUnencryptedHTTP2(version == 2)
	return client
}

// passed describes what a client gets: interim responses, status, fields in their order of name, the body's digest, trailers.
func passed(t *testing.T, client http.RoundTripper, url string, is oddity, control string) string {
	t.Helper()
	var seen []string
	trace := &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			seen = append(seen, fmt.Sprint("interim ", code, " ", header))
			return nil
		},
		Got100Continue: func() { seen = append(seen, "continue") },
	}
	body := io.Reader(http.NoBody)
	if is.body != "" {
		body = strings.NewReader(is.body)
	}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), is.method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "pass.test"
	request.Header.Set("X-Oddity", is.name)
	request.Header.Set("Accept-Encoding", "identity")
	for _, f := range is.fields {
		request.Header[f[0]] = append(request.Header[f[0]], f[1])
	}
	if control != "" {
		request.Header.Set("Cache-Control", control)
	}
	if is.trailer != nil {
		request.Trailer, request.ContentLength = is.trailer, -1
	}
	response, err := client.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if is.name == "expectation refused" {
		response.Header.Del("Connection") // Envoy closes it where the answer comes before the whole body has
	}
	seen = append(seen, fmt.Sprint("status ", response.Status, " length ", response.ContentLength, " ", response.TransferEncoding, " whole ", !errors.Is(err, io.ErrUnexpectedEOF) && err == nil))
	return strings.Join(append(seen, described(response.Header, response.Trailer, got)...), "\n")
}

package scenario_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"chatcache/hostsim"
	"chatcache/hostsim/scenario"
)

func TestSyntaxErrorsAreAllToldWithTheirLines(t *testing.T) {
	_, err := scenario.Parse("f.scenario", strings.Join([]string{
		"  expect status 200",
		"get /x",
		"GET x",
		"GET /x",
		"  expect statu 200",
		"  expect header etag",
		"  expect body ~ (",
		"  colour red",
		"origin GET / 99",
		"origin GET / 200 ok",
		"  fault fire",
		"  size -1",
		"advance soon",
		"cluster a down",
		"call bridge",
		"user alice",
		"  header a: b",
		"GET /x",
		"  header a b: c",
		"  expect cache-status",
		"  expect cache-status hit, stored",
		"  expect cache-status !",
		"  expect no header",
		"  expect no header Cache Status",
		"  expect header a b: c",
		"  expect header a: ~ b",
		"  expect header : c",
		"origin GET / 200",
		"  header a b: c",
		"advance -5s",
		"advance",
		"origin GET /x?a=1 200",
		"origin GET x 200",
		"origin get /x 200",
		"origin GET /x 200",
		"  delay -1s",
		"call bridge get /x",
		"call bridge GET x",
		"call bridge GET /%zz",
		"GET /x",
		"  worker",
		"  worker 0",
		"  http2 no",
		"  metadata {",
		"  expect status",
		"  expect origin -1",
		"  expect counter n",
		"  header ab",
		"  size 16777217",
		"  size x",
		"origin GET /",
		"origin GET / 600",
		"origin GET / x",
		"origin GET / 200",
		"  colour red",
	}, "\n"))
	want := `scenario: f.scenario:1: an indented line needs a step above it
scenario: f.scenario:2: found "get", want a METHOD in capitals, user, origin, advance, cluster, call or "virtual time only"
scenario: f.scenario:3: found path "x", want one that begins with /
scenario: f.scenario:5: found "statu", want status, header, no header, body, cache-status, origin, counter or cut
scenario: f.scenario:6: found "etag", want: header NAME: VALUE, or header NAME ~ REGEXP
scenario: f.scenario:7: error parsing regexp: missing closing ): ` + "`(`" + `
scenario: f.scenario:8: found "colour", want header, body, size, worker, http2, metadata or expect
scenario: f.scenario:9: found status "99", want 200 to 599
scenario: f.scenario:11: found fault "fire", want truncated, cut, close-delimited, no-answer or hang
scenario: f.scenario:12: found size "-1", want 0 to 16777216 bytes
scenario: f.scenario:13: found duration "soon", want one like 90s or 1h30m
scenario: f.scenario:14: found state "down", want up, refusing, no-hosts or hanging
scenario: f.scenario:15: found "bridge", want: call CLUSTER METHOD PATH [BODY]
scenario: f.scenario:17: nothing can stand under "user alice"
scenario: f.scenario:19: found "a b", want a header field's name: letters, digits and -
scenario: f.scenario:20: found "cache-status" alone, want: cache-status PARAM…, or no header cache-status
scenario: f.scenario:21: found "hit,", want a parameter like hit, fwd=uri-miss or !stored
scenario: f.scenario:22: found "!", want a parameter like hit, fwd=uri-miss or !stored
scenario: f.scenario:23: found "no header", want: no header NAME
scenario: f.scenario:24: found "Cache Status", want a header field's name: letters, digits and -
scenario: f.scenario:25: found "a b", want a header field's name: letters, digits and -
scenario: f.scenario:27: found "", want a header field's name: letters, digits and -
scenario: f.scenario:29: found "a b", want a header field's name: letters, digits and -
scenario: f.scenario:30: found duration "-5s", want one like 90s or 1h30m
scenario: f.scenario:31: found duration "", want one like 90s or 1h30m
scenario: f.scenario:32: found path "/x?a=1", want one that begins with /, without a query, or *
scenario: f.scenario:33: found path "x", want one that begins with /, without a query, or *
scenario: f.scenario:34: found method "get", want one in capitals, or *
scenario: f.scenario:36: found duration "-1s", want one like 90s or 1h30m
scenario: f.scenario:37: found method "get", want one in capitals
scenario: f.scenario:38: found path "x", want one that begins with / and could be of a URL
scenario: f.scenario:39: found path "/%zz", want one that begins with / and could be of a URL
scenario: f.scenario:41: found worker "", want a number from 1
scenario: f.scenario:42: found worker "0", want a number from 1
scenario: f.scenario:43: found "http2 no", want http2 alone
scenario: f.scenario:44: found metadata "{", want a JSON object by filter name: unexpected end of JSON input
scenario: f.scenario:45: found "status", want: status N
scenario: f.scenario:46: found "origin -1", want: origin N
scenario: f.scenario:47: found "counter n", want: counter n N
scenario: f.scenario:48: found "ab", want NAME: VALUE
scenario: f.scenario:49: found size "16777217", want 0 to 16777216 bytes
scenario: f.scenario:50: found size "x", want 0 to 16777216 bytes
scenario: f.scenario:51: found "GET /", want: origin METHOD PATH STATUS [BODY]
scenario: f.scenario:52: found status "600", want 200 to 599
scenario: f.scenario:53: found status "x", want 200 to 599
scenario: f.scenario:55: found "colour", want header, size, delay or fault`
	if !errors.Is(err, scenario.ErrSyntax) || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("GET /x\n  expect status 200\n")
	f.Add("origin * * 200 {}\n  fault hang\n  delay 1s\ncall a POST /p {}\n  expect header a ~ b\n\tbody x # y")
	f.Fuzz(func(t *testing.T, text string) { scenario.Parse("f", text) })
}

// fixed answers every request alike.
type fixed struct{ resp hostsim.Response }

func (f fixed) Do(int, *hostsim.Request) (*hostsim.Response, []string) { return &f.resp, nil }
func (f fixed) Call(string, *hostsim.Request) (*hostsim.Response, error) {
	return nil, errors.New("nobody there")
}
func (fixed) Advance(time.Duration)           {}
func (fixed) SetCluster(string, string) error { return errors.New("no such cluster") }
func (fixed) Counters() map[string]uint64     { return map[string]uint64{"n": 3, "requests.late": 0} }

func TestExpectationsThatDontHold(t *testing.T) {
	s, err := scenario.Parse("f", strings.Join([]string{
		"GET /x",
		"  expect status 404",
		"  expect header etag: b",
		"  expect header etag ~ ^b",
		"  expect no header etag",
		"  expect body other",
		"  expect cache-status !hit",
		"  expect cache-status ttl=8",
		"  expect cache-status stored",
		"  expect origin 1",
		"  expect counter n 2",
		"  expect counter requests.late 0",
		"  expect counter cache.stats.stores 0",
		"  expect counter cache.statz.stores 0",
		"  expect counter request.late 0",
		"  expect counter cache.stats.hits 0",
		"  expect counter other 0",
		"  expect cut",
		"  expect header vary:",
		"  expect header vary ~ header",
		"call nobody GET /",
		"cluster nobody refusing",
		"GET /x",
		"  expect counter requests.lat 0",
	}, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	s.Counters = scenario.Counters("# later\ncache.*.stores\n\n cache.*.l1.hits\ncache.*.l2.hits\n", `{"ttl": 1, "caches": {"stats" : {}, "models":{"a":[]}}}`)
	target := fixed{hostsim.Response{Status: 200, Complete: true, Body: []byte("body"),
		Headers: hostsim.Headers{{"etag", "a"}, {"cache-status", "x; hit; ttl=7"}}}}
	var got []string
	for _, m := range scenario.Run(s, target, &scenario.Origin{}) {
		got = append(got, fmt.Sprintf("%d: want %s, got %s", m.Line, m.Want, m.Got))
	}
	want := []string{
		"2: want status 404, got 200", "3: want header etag: b, got a", "4: want header etag ~ ^b, got a",
		"5: want no header etag, got a", "6: want body other, got body", "7: want cache-status !hit, got x; hit; ttl=7",
		"8: want cache-status ttl=8, got x; hit; ttl=7", "9: want cache-status stored, got x; hit; ttl=7",
		"10: want origin 1, got 0", "11: want counter n 2, got 3",
		`14: want counter cache.statz.stores 0, got no counter "cache.statz.stores": did you mean cache.stats.stores?`,
		`15: want counter request.late 0, got no counter "request.late": did you mean requests.late?`,
		`16: want counter cache.stats.hits 0, got no counter "cache.stats.hits": did you mean cache.stats.l1.hits or cache.stats.l2.hits?`,
		`17: want counter other 0, got no counter "other": the module hasn't defined it, and no list of those that it may define later has it (hostsim test --counters)`,
		"19: want header vary:, got no header vary",
		"20: want header vary ~ header, got no header vary", "1: want a response that is cut, got a complete one",
		"21: want an answer, got nobody there", "22: want a cluster that the module can call, got no such cluster",
		`24: want counter requests.lat 0, got no counter "requests.lat": did you mean requests.late?`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestCounters(t *testing.T) {
	const list = "# of * too\nplain\n\n cache.*.hits \nplain\n"
	for config, want := range map[string]string{
		"":                                    "plain",
		`{"a": {}, "b": 1, "c-d" : {}}`:       "cache.a.hits cache.c-d.hits plain",
		`{"plain": {"e": {"hits": [1, {}]}}}`: "cache.e.hits cache.plain.hits plain",
	} {
		if got := strings.Join(scenario.Counters(list, config), " "); got != want {
			t.Errorf("%s: %s, want %s", config, got, want)
		}
	}
}

// Of very many names that are like a misspelt one, three are told.
func TestFewCountersAreSuggested(t *testing.T) {
	s, err := scenario.Parse("f", "GET /x\n  expect counter cache.x.hits 0")
	if err != nil {
		t.Fatal(err)
	}
	s.Counters = scenario.Counters("cache.*.hits", `{"a": {}, "b": {}, "c": {}, "d": {}}`)
	found := scenario.Run(s, fixed{hostsim.Response{Status: 200, Complete: true}}, &scenario.Origin{})
	if len(found) != 1 || !strings.HasSuffix(found[0].Got, "did you mean cache.a.hits or cache.b.hits or cache.c.hits?") {
		t.Errorf("%v", found)
	}
}

func TestNothingHoldsOfACacheStatusThatIsntThere(t *testing.T) {
	s, err := scenario.Parse("f", "GET /x\n  expect cache-status !stored\n  expect cache-status !hit !fwd\n  expect cache-status hit")
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]string{
		"-": "no header cache-status", "": "", "first; hit,": "first; hit,", // "-": no field at all
	} {
		resp := hostsim.Response{Status: 200, Complete: true}
		if value != "-" {
			resp.Headers.Add("cache-status", value)
		}
		found := scenario.Run(s, fixed{resp}, &scenario.Origin{})
		if len(found) != 3 {
			t.Errorf("%q: %d expectations aren't met, want all 3", value, len(found))
		}
		for _, m := range found {
			if m.Got != want {
				t.Errorf("%q: %s: got %q, want %q", value, m.Want, m.Got, want)
			}
		}
	}
}

// sent remembers who asked whom.
type sent struct {
	fixed
	got *[]string
}

func (s sent) Do(w int, r *hostsim.Request) (*hostsim.Response, []string) {
	*s.got = append(*s.got, r.Authority+" "+r.Headers.Get("authorization"))
	return s.fixed.Do(w, r)
}

func TestTargetsThatRememberSeeOtherUsersAndAuthorities(t *testing.T) {
	s, err := scenario.Parse("f", "user ada\nGET /x\nuser -\nGET /x\nvirtual time only\nGET /y\nadvance 1h")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	target := sent{fixed{hostsim.Response{Status: 200, Complete: true}}, &got}
	head, rest := s.Real()
	scenario.Run(head, target, &scenario.Origin{})
	scenario.Run(head.Isolated("7"), target, &scenario.Origin{})
	want := []string{" Bearer ada", " ", "7.example.com Bearer ada-7", "7.example.com "}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || rest != 2 {
		t.Errorf("%d steps left out, got\n%s", rest, strings.Join(got, "\n"))
	}
}

// straight hands requests to the origin, without any proxy.
type straight struct {
	fixed
	origin *scenario.Origin
}

func (s straight) Do(worker int, r *hostsim.Request) (*hostsim.Response, []string) {
	rec := httptest.NewRecorder()
	s.origin.ServeHTTP(rec, httptest.NewRequest(r.Method, r.Path, strings.NewReader(string(r.Body))))
	resp := &hostsim.Response{Status: rec.Code, Body: rec.Body.Bytes(), Complete: true}
	for name, values := range rec.Header() {
		for _, v := range values {
			resp.Headers.Add(strings.ToLower(name), v)
		}
	}
	resp.Headers.Add("x-worker", fmt.Sprint(worker))
	resp.Headers.Add("x-sent", r.Headers.Get("x-sent")+" "+string(r.Body))
	return resp, []string{"straight"}
}

// The origin answers as the steps say, the last that fits first, and otherwise with what it was asked.
func TestOrigin(t *testing.T) {
	s, err := scenario.Parse("f", strings.Join([]string{
		"# a comment",
		"GET /x?a=1 # another",
		"  expect status 200",
		"  expect body GET /x?a=1",
		"  expect header content-type: text/plain",
		"  expect origin 1",
		"  expect header x-worker: 1",
		"PUT   /x",
		"	worker 3",
		"	header x-sent:  1 ",
		"	body   some   text",
		"  expect header x-worker: 3",
		"  expect header x-sent: 1 some   text",
		"  expect body PUT /x",
		"PUT /x",
		"  size 3",
		"  header x-sent: 2",
		"  expect header x-sent:  2 xxx",
		"origin * * 503 busy",
		"origin GET * 404",
		"origin * /y 200 why  not",
		"  header content-type: text/html",
		"  header x-a: 1",
		"  delay 2s",
		"origin POST /y 599",
		"  size 4",
		"origin GET /cached 200",
		"  header cache-status: a; stored; fwd=miss, b; hit; ttl=7",
		"origin GET /hangs 200",
		"  fault hang",
		"DELETE /x",
		"  expect status 503",
		"  expect body busy",
		"GET /x",
		"  expect status 404",
		"  expect body",
		"GET /y?q",
		"  expect status 200",
		"  expect body why  not",
		"  expect header content-type: text/html",
		"  expect header x-a: 1",
		"POST /y",
		"  expect status 599",
		"  expect body xxxx",
		"GET /cached",
		"  expect cache-status hit ttl ttl=7 !stored !fwd !fwd=miss",
		"GET /hangs",
		"  expect origin 1",
	}, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	var waited []string
	origin := &scenario.Origin{Wait: func(r *http.Request, d time.Duration) { waited = append(waited, fmt.Sprint(r.URL.Path, " ", d)) }}
	for _, m := range scenario.Run(s, straight{origin: origin}, origin) {
		t.Error(m)
	}
	if got := strings.Join(waited, ", "); got != "/y 2s, /hangs 1h0m0s" {
		t.Errorf("waited: %s", got)
	}
	if got := strings.Join(origin.Requests(), ", "); got != "GET /x?a=1, PUT /x, PUT /x, DELETE /x, GET /x, GET /y?q, POST /y, GET /cached, GET /hangs" {
		t.Errorf("asked: %s", got)
	}
	m := scenario.Mismatch{File: "f", Line: 2, Step: "GET /x", Want: "a", Got: "b", Trace: []string{"c", "d"}}
	if got, want := m.String(), "f:2: GET /x\n  want  a\n  got   b\n  trace\n    c\n    d"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

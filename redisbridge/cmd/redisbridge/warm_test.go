package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const replayFile = `# reads
{"path": "/stats?a=b", "header": {"Authorization": "Bearer ann"}}
{"method": "GET", "path": "/models", "authority": "api.example.com"}
{"method": "POST", "path": "/sessions"}

GET /api/chat/stats 200 120 "agent" stats stored
DELETE /api/chat/sessions/1 204
192.0.2.1 - - [28/Nov/2026:20:00:00 +0000] "GET /page?x=%20y HTTP/1.1" 200 7 "-" "curl/8"
GET https://other.example/a
`

func TestReplayFile(t *testing.T) {
	reads, leftOut, err := parseReplay(strings.NewReader(replayFile), 1)
	if err != nil {
		t.Fatal(err)
	}
	want := []replay{
		{line: 2, target: "/stats?a=b", header: map[string]string{"Authorization": "Bearer ann"}},
		{line: 3, target: "/models", authority: "api.example.com"},
		{line: 6, target: "/api/chat/stats"},
		{line: 8, target: "/page?x=%20y"},
		{line: 9, target: "/a", authority: "other.example"},
	}
	if diff := cmp.Diff(want, reads, cmp.AllowUnexported(replay{})); diff != "" || leftOut != 2 {
		t.Errorf("%d left out\n%s", leftOut, diff)
	}
	if rest, _, err := parseReplay(strings.NewReader(replayFile), 8); err != nil || len(rest) != 2 {
		t.Errorf("from line 8: %v, %v", rest, err)
	}
}

// What clients have sent that is no request, or none of a path, is left out of an access log; a path may begin with two slashes.
func TestOddLinesOfAnAccessLog(t *testing.T) {
	reads, leftOut, err := parseReplay(strings.NewReader(`1.2.3.4 - - [x] "GET /ok HTTP/1.1" 200 1 "-" "curl/8"
1.2.3.4 - - [x] "\x16\x03\x01" 400 157 "-" "-"
1.2.3.4 - - [x] "GET /%%32%65 HTTP/1.1" 400 157 "-" "-"
1.2.3.4 - - [x] "M-SEARCH * HTTP/1.1" 400 0 "-" "GET /evil HTTP/1.1"
1.2.3.4 - - [x] "GET //admin/x?y=1 HTTP/1.1" 404 0 "-" "-"
`), 1)
	want := []replay{{line: 1, target: "/ok"}, {line: 5, target: "//admin/x?y=1"}}
	if diff := cmp.Diff(want, reads, cmp.AllowUnexported(replay{})); diff != "" || leftOut != 3 || err != nil {
		t.Errorf("%d left out, %v\n%s", leftOut, err, diff)
	}
}

// A file that doesn't end, a pipe or a terminal, keeps nobody who interrupts.
func TestInterruptedWhileReading(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(name, os.O_RDWR, 0) // who writes is there, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	var stderr strings.Builder
	code := run(ctx, []string{"warm", name}, func(string) string { return "" }, io.Discard, &stderr)
	if want := "redisbridge: interrupted before " + name + " was read; nothing was sent\n"; code != exitNo || stderr.String() != want {
		t.Errorf("exit code %d, %s", code, stderr.String())
	}
}

// Every bad line is told of, with its place and what is wanted, and nothing is sent.
func TestBadReplayFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "reads")
	text := `GET stats
{"path": "/a", "headers": {}}
{"path": 7}
{}
{"path": "/a"} {"path": "/b"}
what is this
GET /%zz
{"path": "http://[::1"}
{"path": "/a", "header": {"Host": "x"}}
{"path": "/a"}}
`
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	code := run(t.Context(), []string{"warm", name}, func(string) string { return "" }, io.Discard, &stderr)
	want := `redisbridge: ` + name + `: not a file of reads:
line 1: found "stats", want a path that begins with /
line 2: json: unknown field "headers"
line 3: json: cannot unmarshal number into Go struct field .path of type string
line 4: "path" is missing
line 5: it goes on behind its JSON value
line 6: want {"path": …}, GET /path, or an access log's "GET /path HTTP/1.1"
line 7: "/%zz" is no path: invalid URL escape
line 8: "http://[::1" is no path: missing ']' in host
line 9: "header" has "host": name it by "authority"
line 10: it goes on behind its JSON value
`
	if code != exitUsage || stderr.String() != want {
		t.Errorf("exit code %d\n%s", code, cmp.Diff(want, stderr.String()))
	}
	if _, _, err := parseReplay(strings.NewReader("GET /a\nGET /"+strings.Repeat("a", maxReplayLine)), 1); !errors.Is(err, errReplay) || !strings.Contains(err.Error(), "line 2: ") {
		t.Errorf("a long line: %v", err)
	}
}

// A token that a log has kept isn't shown, wherever in a bad line it stands; what is wrong is.
func TestBadLinesKeepTheirSecrets(t *testing.T) {
	for line, want := range map[string]string{
		"GET stats?access_token=s3cret":                                  `found "stats?…", want a path that begins with /`,
		"GET access_token=s3cret":                                        `found "access_token=…", want a path that begins with /`,
		"GET /a%zz?access_token=s3cret":                                  `"/a%zz?…" is no path: invalid URL escape`,
		`{"path": "/a\u0001?access_token=s3cret"}`:                       `"/a\x01?…" is no path: net/url: invalid control character in URL`,
		"GET https://api.example/a#access_token=s3cret%zz":               `"https://api.example/a#…" is no path: invalid URL escape`,
		"GET https://ada:s3cret@api.example/%zz":                         `"…@api.example/%zz" is no path: invalid URL escape`,
		"GET https://ada:s3cret/x@api.example/":                          `"…@api.example/" is no path: invalid port`,
		"GET https://ada:s3c?ret@api.example/":                           `"…" is no path: invalid port`,
		"GET stats?access_token=s@s3cret":                                `found "…", want a path that begins with /`,
		"GET /a%zz?access_token=s@s3cret":                                `"/a%zz?…" is no path: invalid URL escape`,
		"GET ada:s3cret@api.example/":                                    `found "…@api.example/", want a path that begins with /`,
		`{"path": "/a", "access_token": "s3cret"}`:                       `json: unknown field "access_token"`,
		`{"path": "/a", "header": {"authorization": "Bearer s3cret}}`:    `unexpected EOF`,
		`{"path": "/a", "header": {"authorization": ["Bearer s3cret"]}}`: `json: cannot unmarshal array into Go struct field .header of type string`,
		`1.2.3.4 "GET  /a?access_token=s3cret HTTP/1.1"`:                 `want {"path": …}, GET /path, or an access log's "GET /path HTTP/1.1"`,
	} {
		_, _, err := parseReplay(strings.NewReader("GET /ok\n"+line), 1)
		if want = errReplay.Error() + ":\nline 2: " + want; err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", line, err, want)
		}
	}
}

// proxy answers what a test says, and keeps what it was asked.
type proxy struct {
	takes  time.Duration
	answer func(r *http.Request) (status int, cacheStatus string, err error)

	mu         sync.Mutex
	asked      []*http.Request
	at         []time.Time
	busy, most int
}

func (p *proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.asked, p.at = append(p.asked, r), append(p.at, time.Now())
	p.busy++
	p.most = max(p.most, p.busy)
	p.mu.Unlock()
	time.Sleep(p.takes)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy--
	status, cacheStatus, err := p.answer(r)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	if cacheStatus != "" {
		header.Set("Cache-Status", cacheStatus)
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader("{}")), Request: r}, nil
}

func stored(*http.Request) (int, string, error) { return 200, "chatcache; fwd=uri-miss; stored", nil }

func pages(n int) (reads []replay) {
	for i := range n {
		reads = append(reads, replay{line: i + 1, target: "/page"})
	}
	return reads
}

// warmed runs a warming in virtual time.
func warmed(t *testing.T, p *proxy, reads []replay, edit func(f *warmFlags, cancel func())) (s warmSummary, out string) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f := warmFlags{proxy: "http://proxy", rate: 10, concurrency: 4, timeout: 10 * time.Second, maxErrors: 3, fields: http.Header{}}
		if edit != nil {
			edit(&f, cancel)
		}
		var text strings.Builder
		s = newWarming(f, &text, p).run(ctx, reads)
		out = text.String()
	})
	return s, out
}

// Requests go out at the rate, never more at a time than allowed, and progress is shown.
func TestWarmingKeepsItsPace(t *testing.T) {
	p := &proxy{takes: 50 * time.Millisecond, answer: stored}
	s, out := warmed(t, p, pages(41), nil)
	if s.Sent != 41 || s.Stored != 41 || s.Seconds != 4.05 || p.most != 1 {
		t.Errorf("%+v, %d at a time", s, p.most)
	}
	if want := "after 2s: 20 of 41 sent, 0 hits, 20 stored, 0 errors\nafter 4s: 40 of 41 sent, 0 hits, 40 stored, 0 errors\n"; out != want {
		t.Errorf("progress\n%s", out)
	}
	for i, at := range p.at[1:] {
		if gap := at.Sub(p.at[i]); gap < 99*time.Millisecond {
			t.Errorf("request %d came %v after the one before", i+1, gap)
		}
	}
	slow := &proxy{takes: time.Second, answer: stored}
	if s, _ := warmed(t, slow, pages(8), nil); slow.most != 4 || s.Sent != 8 {
		t.Errorf("%d at a time, %+v", slow.most, s)
	}
}

func TestWarmingSendsWhatTheFileSays(t *testing.T) {
	p := &proxy{answer: stored}
	reads := []replay{{line: 1, target: "/a?b=c%20d"}, {line: 2, target: "/b", authority: "api", header: map[string]string{"authorization": "Bearer ben"}}}
	warmed(t, p, reads, func(f *warmFlags, _ func()) {
		f.authority = "default"
		if err := f.addFields("Authorization: Bearer ann"); err != nil {
			t.Fatal(err)
		}
	})
	for i, want := range []string{"http://proxy/a?b=c%20d default Bearer ann", "http://proxy/b api Bearer ben"} {
		if r := p.asked[i]; r.URL.String()+" "+r.Host+" "+r.Header.Get("Authorization") != want {
			t.Errorf("sent %s to %s as %s", r.URL, r.Host, r.Header.Get("Authorization"))
		}
	}
}

func TestWarmingStops(t *testing.T) {
	t.Run("after errors", func(t *testing.T) {
		s, out := warmed(t, &proxy{answer: func(r *http.Request) (int, string, error) { return 503, "", nil }}, pages(20), nil)
		if s.Errors != 3 || s.Sent != 3 || s.Stopped != "3 errors" || s.NextLine != 4 {
			t.Errorf("%+v", s)
		}
		if want := "line 1: GET /page: answered 503\nline 2: GET /page: answered 503\nline 3: GET /page: answered 503\n"; out != want {
			t.Errorf("printed\n%s", out)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		p := &proxy{takes: time.Second}
		s, _ := warmed(t, p, pages(20), func(_ *warmFlags, cancel func()) {
			time.AfterFunc(150*time.Millisecond, cancel)
			p.answer = stored
		})
		if s.Sent != 2 || s.Stored != 2 || s.Stopped != "interrupted" || s.NextLine != 3 {
			t.Errorf("%+v: what was under way wasn't waited for", s)
		}
	})
	t.Run("interrupted while there is no room", func(t *testing.T) {
		s, _ := warmed(t, &proxy{takes: time.Second, answer: stored}, pages(20), func(f *warmFlags, cancel func()) {
			f.concurrency = 1
			time.AfterFunc(150*time.Millisecond, cancel)
		})
		if s.Sent != 1 || s.Stopped != "interrupted" || s.NextLine != 2 {
			t.Errorf("%+v: more was sent", s)
		}
	})
	t.Run("not at all", func(t *testing.T) {
		refused := errors.New("connection refused")
		s, out := warmed(t, &proxy{answer: func(*http.Request) (int, string, error) { return 0, "", refused }}, pages(5),
			func(f *warmFlags, _ func()) { f.maxErrors = 0 })
		if s.Errors != 5 || s.Stopped != "" || !strings.HasPrefix(out, "line 1: GET /page: connection refused\n") {
			t.Errorf("%+v\n%s", s, out)
		}
	})
}

func TestWarmSummary(t *testing.T) {
	s := warmSummary{Reads: 9, Sent: 8, Seconds: 1.25, LeftOut: 2, Unstored: map[string]int{}, Bypassed: map[string]int{}, Errors: 1, Stopped: "interrupted", NextLine: 12}
	for _, field := range [][]string{
		{"chatcache; fwd=uri-miss; stored"}, {"other; hit, chatcache; hit; ttl=5; detail=l1"}, {"other; hit", "chatcache; fwd=uri-miss; collapsed; ttl=5; detail=l2"},
		{"chatcache; fwd=uri-miss; detail=vary"}, {"chatcache; fwd=bypass; detail=no-identity"}, {"other; stored"}, nil,
	} {
		s.count(field)
	}
	var out strings.Builder
	s.print(&out)
	want := `sent        8  of 9, in 1.2 s
stored      1  
hits        1  
collapsed   1  stored by another request meanwhile
not stored  1  vary
bypassed    1  no-identity
unmatched   2  no cache of the proxy's policy has them
left out    2  lines with other methods than GET
errors      1  
stopped: interrupted; go on with --from 12
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestWarmFlags(t *testing.T) {
	for args, want := range map[string]string{
		"--proxy ftp://p f": `invalid value "ftp://p" for flag -proxy: "ftp://p": want http://host:port, host:port or unix:/path`,
		"--proxy unix:/s f": `invalid value "unix:/s" for flag -proxy: want http://host:port or host:port`,
		"--rate 0 f":        "--rate must be more than 0, and 1000000 at most",
		"--concurrency 0 f": "--concurrency must be from 1 to 1000",
		"--timeout 0s f":    "--timeout must be more than 0",
		"--from 0 f":        "--from counts lines from 1",
		"--max-errors -1 f": "--max-errors must not be negative",
		"-H x f":            `invalid value "x" for flag -H: write each field as "name: value"`,
		"":                  "found 0 arguments, want a FILE",
	} {
		var stderr strings.Builder
		code := run(t.Context(), append([]string{"warm"}, strings.Fields(args)...), func(string) string { return "" }, io.Discard, &stderr)
		if first, _, _ := strings.Cut(stderr.String(), "\n"); code != exitUsage || first != "redisbridge: "+want {
			t.Errorf("%s: exit code %d, %q", args, code, first)
		}
	}
}

func FuzzReplayFile(f *testing.F) {
	f.Add(replayFile)
	f.Fuzz(func(t *testing.T, text string) {
		reads, _, err := parseReplay(strings.NewReader(text), 1)
		if err != nil && (!errors.Is(err, errReplay) || reads != nil) {
			t.Errorf("%v, %v", reads, err)
		}
		for _, r := range reads {
			if r.line < 1 || !strings.HasPrefix(r.target, "/") {
				t.Errorf("%+v", r)
			}
		}
	})
}

package redisbridge

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chatcache/redisbridge/wire"
)

// administer makes one call as somebody with header fields.
func administer(h http.Handler, method, path, body string, fields ...string) int {
	r := httptest.NewRequest(method, path, strings.NewReader(body)) // from 192.0.2.1
	for i := 0; i+1 < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// logTo is a logger whose lines have no time.
func logTo(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// The audit log tells who did what, from where, and what became of it; never a
// credential, and of who is meant only that somebody is.
func TestAuditGolden(t *testing.T) {
	file := filepath.Join(t.TempDir(), "admins")
	replace(t, file, "alice a1-credential\nenvoy e1-credential\n")
	clock := &handClock{now: time.Unix(1_790_000_000, 0)}
	var out bytes.Buffer
	w := newMemoryWorld(t, func(o *Options) {
		withPolicy(t)(o)
		o.Insecure, o.Token, o.AdminTokenFile, o.Clock = false, "f1-credential", file, clock
		o.Log = logTo(&out, slog.LevelInfo)
	})
	const alice, envoy = "Bearer a1-credential", "Bearer e1-credential"
	administer(w, "POST", "/v1/purge", `{"cache":"stats","partition":"4f"}`, "Authorization", alice, "Traceparent", traceparent)
	administer(w, "POST", "/v1/purge", `{"all":true}`, "Authorization", envoy,
		"X-Forwarded-Client-Cert", `Subject="CN=bob"`, "X-Forwarded-For", "198.51.100.7", "Traceparent", "00-nonsense")
	administer(w, "POST", "/v1/invalidate", `{"rule":"save message","identity":{"cookie":{"session":"alice-credential"}}}`, "Authorization", alice)
	administer(w, "POST", "/v1/purge", `{"cache":"none"}`, "Authorization", alice)
	administer(w, "POST", "/v1/controls", `{"cache":"stats","set":{"off":true,"percent":5},"unset":["ttl"]}`, "Authorization", alice)
	administer(w, "POST", "/v1/purge", `{"all":true}`, "Authorization", "Bearer wrong-credential", "X-Forwarded-Client-Cert", `Subject="CN=forged"`)
	administer(w, "POST", "/v1/purge", `{"all":true}`)
	for range 100 { // a page that polls is one line a minute
		administer(w, "GET", "/v1/status", "", "Authorization", alice)
	}
	clock.now = clock.now.Add(readAuditPeriod)
	administer(w, "GET", "/v1/status", "", "Authorization", alice)
	var lines []string
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, "msg=audit") {
			lines = append(lines, line)
		}
	}
	golden(t, "audit.txt", strings.Join(lines, ""))
	if strings.Contains(out.String(), "credential") || strings.Contains(out.String(), "nonsense") || strings.Contains(out.String(), "forged") {
		t.Errorf("the log has what callers showed:\n%s", out.String())
	}
}

// However many strangers knock, the log grows by a line a second, which counts them.
func TestAuditOfStrangersIsBounded(t *testing.T) {
	clock := &handClock{now: time.Unix(1_790_000_000, 0)}
	var out bytes.Buffer
	w := newMemoryWorld(t, func(o *Options) {
		withTokens(o)
		o.Clock, o.Log = clock, logTo(&out, slog.LevelInfo)
	})
	for range 1000 {
		administer(w, "GET", "/v1/status", "", "Authorization", "Bearer wrong")
	}
	if n := strings.Count(out.String(), "msg=audit"); n != 10 {
		t.Errorf("%d lines, want 10", n)
	}
	clock.now = clock.now.Add(time.Second)
	administer(w, "GET", "/v1/status", "", "Authorization", "Bearer wrong")
	if !strings.Contains(out.String(), "omitted=990") {
		t.Errorf("the last line doesn't count the others:\n%s", out.String())
	}
}

// However many addresses readers come from, what is remembered of them is bounded, and each is logged when it comes first.
func TestAuditOfReadersIsBounded(t *testing.T) {
	a := newAudit(slog.New(slog.DiscardHandler), -1)
	r := httptest.NewRequest("GET", "/v1/status", nil)
	now := time.Unix(1_790_000_000, 0)
	for i := range 10 * maxReaders {
		if _, ok := a.due(r, "somebody", fmt.Sprint("address ", i), http.StatusOK, now); !ok {
			t.Fatalf("the read from address %d isn't logged", i)
		}
	}
	if n := len(a.reads); n > maxReaders {
		t.Errorf("%d readers are remembered, want %d at most", n, maxReaders)
	}
}

// Administrators are limited; neither strangers nor viewers use up what administrators may do, and
// filters aren't concerned.
func TestAdminRate(t *testing.T) {
	clock := &handClock{now: time.Unix(1_790_000_000, 0)}
	w := newMemoryWorld(t, func(o *Options) {
		withTokens(o)
		o.ViewerToken, o.Clock, o.AdminRate = viewerToken, clock, 2
	})
	const bearer = "Bearer " + adminToken
	for range 100 {
		administer(w, "GET", "/v1/status", "", "Authorization", "Bearer wrong")
	}
	looks := 0
	for range 100 {
		if administer(w, "GET", "/v1/controls?policy=chat", "", "Authorization", "Bearer "+viewerToken) == http.StatusOK {
			looks++
		}
	}
	if looks != 20 {
		t.Errorf("%d calls of a viewer at once, want 20", looks)
	}
	count := func() (passed int) {
		for range 30 {
			switch status := administer(w, "POST", "/v1/purge", `{"policy":"chat","all":true}`, "Authorization", bearer); status {
			case http.StatusOK:
				passed++
			case http.StatusTooManyRequests:
			default:
				t.Errorf("status %d", status)
			}
		}
		return passed
	}
	if got := count(); got != 20 {
		t.Errorf("%d calls at once, want 20", got)
	}
	clock.now = clock.now.Add(time.Second)
	if got := count(); got != 2 {
		t.Errorf("%d calls in the next second, want 2", got)
	}
	lookup := wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups}.Encode()
	if status, text := call(w, "POST", wire.PathLookup, filterToken, lookup); status != 200 {
		t.Errorf("a lookup while administrators are too fast: %d %s", status, text)
	}
}

// The trace of a request is in the bridge's lines about its calls, if it is one.
func TestTraceInLogs(t *testing.T) {
	var out bytes.Buffer
	w := newMemoryWorld(t, func(o *Options) { o.Log, o.Clock = logTo(&out, slog.LevelDebug), newStepClock() })
	lookup := string(wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups}.Encode())
	administer(w, "POST", wire.PathLookup, lookup, "Traceparent", traceparent)
	administer(w, "POST", wire.PathLookup, lookup, "Traceparent", "line\nbreak")
	w.silence()
	administer(w, "POST", wire.PathLookup, lookup, "Traceparent", traceparent)
	var got []string
	for line := range strings.Lines(out.String()) {
		if !strings.Contains(line, "msg=call") && !strings.Contains(line, `msg="call failed"`) {
			continue
		}
		if strings.Contains(line, "0af7651916cd43dd8448eb211c80319c") {
			got = append(got, "traced")
		} else {
			got = append(got, "untraced")
		}
	}
	if want := "traced untraced traced traced"; strings.Join(got, " ") != want {
		t.Errorf("lines are %s, want %s:\n%s", got, want, out.String())
	}
}

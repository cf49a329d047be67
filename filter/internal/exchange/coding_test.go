package exchange

import (
	"testing"

	"chatcache/redisbridge/wire"
)

// coded asks for the page as a client that reads the codings; a miss is answered with a body of the coding.
func (w *world) coded(accepts, coding string, answer ...[2]string) *fakeStream {
	w.t.Helper()
	s := w.page([2]string{"accept-encoding", accepts})
	if s.status != 0 {
		w.t.Fatalf("%q is answered %q", accepts, s.reply)
	}
	w.take(wire.PathLookup).miss(1)
	if coding != "" {
		answer = append(answer, [2]string{"content-encoding", coding})
	}
	s.respond("200", "page "+coding, append(answer, maxAge("max-age=60"))...)
	s.wants("chatcache; fwd=uri-miss; stored")
	return s
}

// Each coding of a response is stored with its own entity tag, and a tag answers 304 only to who would get that coding.
func TestTagOfEachCoding(t *testing.T) {
	vary := [2]string{"vary", "accept-encoding"}
	w := newWorld(t)
	w.lease()
	w.coded("gzip", "gzip", vary, [2]string{"etag", `"a-gzip"`})
	w.coded("", "", vary, [2]string{"etag", `"a"`})
	for _, test := range []struct {
		accepts, has string
		status       uint32
		body, tag    string
	}{
		{"x-gzip", "", 200, "page gzip", `"a-gzip"`},
		{"gzip", `"a-gzip"`, 304, "", `"a-gzip"`},
		{"gzip;q=1.0", `"a"`, 200, "page gzip", `"a-gzip"`},
		{"identity", `"a"`, 304, "", `"a"`},
		{"", `"a-gzip"`, 200, "page ", `"a"`},
	} {
		s := w.page([2]string{"accept-encoding", test.accepts}, [2]string{"if-none-match", test.has})
		if s.status != test.status || string(s.reply) != test.body || s.replyField().Get("etag") != test.tag {
			t.Errorf("accepts %q, has %s: %d %q with the tag %s", test.accepts, test.has, s.status, s.reply, s.replyField().Get("etag"))
		}
	}
}

// A coding without Vary isn't for everybody; and where codings share a tag, which only what stands between origin and cache
// can have done, no part of one is given to whoever may have another.
func TestCodingThatSaysNothing(t *testing.T) {
	w := newWorld(t)
	w.lease()
	w.coded("gzip", "gzip", tagged)
	w.coded("br", "br", tagged)
	w.coded("", "", tagged)
	for accepts, body := range map[string]string{"gzip": "page gzip", "br": "page br", "": "page "} {
		s := w.page([2]string{"accept-encoding", accepts}, [2]string{"range", "bytes=2-3"}, [2]string{"if-range", `"a"`})
		if want := map[bool]uint32{true: 206, false: 200}[accepts == ""]; s.status != want || want == 200 && string(s.reply) != body {
			t.Errorf("%q: %d %q", accepts, s.status, s.reply)
		}
	}
}

// Where an origin gives all codings the same strong tag, which RFC 9110 section 8.8.3.3 forbids, the tag answers 304 only to
// who selects a coding that has it still, and never stands for what isn't stored; what the origin confirms is the coding that was asked for.
func TestTagThatCodingsShare(t *testing.T) {
	vary := [2]string{"vary", "accept-encoding"}
	w := newWorld(t)
	w.lease()
	w.coded("gzip", "gzip", vary, tagged)
	w.coded("", "", vary, tagged)
	asks := func(accepts, has string) *fakeStream {
		return w.page([2]string{"accept-encoding", accepts}, [2]string{"if-none-match", has})
	}
	for _, accepts := range []string{"gzip", ""} {
		if s := asks(accepts, `"a"`); s.status != 304 || s.replyField().Get("vary") != "accept-encoding" {
			t.Errorf("%q: %d with Vary %q", accepts, s.status, s.replyField().Get("vary"))
		}
	}
	if s := asks("br", `"a"`); s.status != 0 {
		t.Errorf("a coding that isn't stored: %d", s.status)
	} else {
		w.take(wire.PathLookup).ok(wire.LookupAnswer{State: wire.LookupMiss, Granted: true, Ticket: wire.Ticket{Epoch: 9, Sequence: 1}}.Encode())
		if s.request.Has("if-none-match") {
			t.Error("the origin was asked to confirm another coding than the one that is fetched")
		}
		s.respond("200", "page br", vary, tagged, [2]string{"content-encoding", "br"}, maxAge("max-age=60"))
	}
	// The identity has changed, and the codings haven't been asked for since.
	s := w.page([2]string{"accept-encoding", ""}, maxAge("no-cache"))
	w.take(wire.PathLookup).miss(2)
	s.respond("200", "page of today", vary, [2]string{"etag", `"b"`}, maxAge("max-age=60"))
	for _, test := range []struct {
		accepts, has string
		status       uint32
		body         string
	}{{"", `"a"`, 200, "page of today"}, {"", `"b"`, 304, ""}, {"gzip", `"b"`, 200, "page gzip"}, {"br", `"a"`, 304, ""}} {
		if s := asks(test.accepts, test.has); s.status != test.status || string(s.reply) != test.body {
			t.Errorf("%q, has %s: %d %q", test.accepts, test.has, s.status, s.reply)
		}
	}
}

package redisbridge

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"chatcache/redisbridge/wire"
)

// slowReader is the connection of a client that reads nothing until it is let.
type slowReader struct {
	*httptest.ResponseRecorder
	writing chan int // the length of each write, when it begins
	read    chan struct{}
}

func (s slowReader) Write(b []byte) (int, error) {
	s.writing <- len(b)
	<-s.read
	return s.ResponseRecorder.Write(b)
}

// large stores an entry of so many bytes under the world's key. It is fresh for so many milliseconds; 0: as long as it is kept.
func (w *world) large(size int, fresh int64) {
	w.t.Helper()
	e := wire.Entry{Head: wire.Head{Ticket: w.look().Ticket, Groups: w.groups, Fresh: fresh}, Payload: bytes.Repeat([]byte("x"), size)}
	_, err := w.Store(w.ctx, wire.StoreRequest{Scope: w.scope, Key: w.key, TTL: 600_000, Entry: e.Encode()})
	w.check(err)
}

// While clients read slowly what was found for them, lookups that would need more memory than there is get
// a 503, and small ones an answer; it ends with the reading.
func TestEntriesUnderwayAreBounded(t *testing.T) {
	const size = 1 << 20
	w := newMemoryWorld(t, func(o *Options) { o.MaxUnderway = size + size/2 })
	w.large(size, 0)
	lookup := wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups}.Encode()
	slow := slowReader{httptest.NewRecorder(), make(chan int), make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.ServeHTTP(slow, httptest.NewRequest("POST", wire.PathLookup, bytes.NewReader(lookup)))
	}()
	if n := <-slow.writing; n > 100 {
		t.Errorf("the first write has %d bytes: the entry was copied", n)
	}
	if status, text := call(w, "POST", wire.PathLookup, "", lookup); status != http.StatusServiceUnavailable {
		t.Errorf("a second large answer: %d, %d bytes", status, len(text))
	}
	w.groups, w.key = wire.ReadGroups("stats", "bob"), wire.EntryKey("stats", "chat", "bob", "GET", "/", "d")
	w.fill(w.look().Ticket)
	if status, _ := call(w, "POST", wire.PathLookup, "", wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups}.Encode()); status != 200 {
		t.Errorf("a small answer: %d", status)
	}
	slow.read <- struct{}{}
	<-slow.writing
	slow.read <- struct{}{}
	<-done
	a, err := wire.DecodeLookupAnswer(slow.Body.Bytes())
	if err != nil || a.State != wire.LookupHit || len(a.Entry) < size {
		t.Errorf("the slow client has state %d, %d bytes, %v", a.State, len(a.Entry), err)
	}
	if status, _ := call(w, "POST", wire.PathLookup, "", lookup); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}

// A join's answer is bounded, too; and whoever has been granted the fetch is told so also where there is no room for
// the stale entry.
func TestRegistrationAndLeaseWithoutRoom(t *testing.T) {
	const size = 1 << 20
	w := newMemoryWorld(t, func(o *Options) { o.MaxUnderway = size / 2 })
	w.large(size, 0)
	lookup := wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups}
	join := wire.JoinRequest{Follow: wire.FollowRequest{FeedRequest: wire.FeedRequest{Scope: w.scope, VM: "vm", Lease: 3000}}, Lookup: lookup}
	if status, text := call(w, "POST", wire.PathJoin, "", join.Encode()); status != http.StatusServiceUnavailable {
		t.Errorf("a join: %d, %d bytes", status, len(text))
	}
	w.large(size, 1)
	w.pass(1000)
	lookup.Fetch, lookup.Lease = "f1", 5000
	status, text := call(w, "POST", wire.PathLookup, "", lookup.Encode())
	a, err := wire.DecodeLookupAnswer([]byte(text))
	if status != 200 || err != nil || !a.Granted || len(a.Entry) > 0 {
		t.Errorf("whoever is to fetch: %d, granted %v, %d bytes, %v", status, a.Granted, len(a.Entry), err)
	}
	if bytes, refused := w.underway.status(); bytes != 0 || refused != 2 {
		t.Errorf("%d bytes under way, %d refused, want none and 2", bytes, refused)
	}
}

// Where there is no room for what one of several lookups has found, it alone fails: the others have found nothing, and one of them is to fetch.
func TestLookupsTogetherWithoutRoom(t *testing.T) {
	const size = 1 << 17
	w := newMemoryWorld(t, func(o *Options) { o.MaxUnderway = size / 2 })
	w.large(size, 0)
	hit := wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups}
	w.wantTogether("a hit, and one that nobody has", []string{"failed", "granted"}, hit, w.others("/a", "f1"))
	if status, text := call(w, "POST", wire.PathLookups, "", wire.LookupsRequest{Scope: w.scope, Lookups: []wire.LookupRequest{hit}}.Encode()); status != http.StatusServiceUnavailable {
		t.Errorf("a hit alone: %d, %d bytes", status, len(text))
	}
	w.large(size, 1)
	w.pass(1000)
	stale := w.fetchRequest("f2")
	if _, m := w.together(hit, stale); m.Results[0].Outcome != wire.LookupFailed || !m.Results[1].Answer.Granted || len(m.Results[1].Answer.Entry) > 0 {
		t.Errorf("a stale one, and whoever is to fetch it: %+v", m.Results)
	}
	w.underway.bytes = w.underway.most // somebody reads slowly
	w.wantTogether("nothing is found", []string{"granted"}, w.others("/b", "f3"))
	if _, refused := w.underway.status(); refused != 3 {
		t.Errorf("%d refused, want 3", refused)
	}
}

// One entry that many wait for is there once.
func TestUnderway(t *testing.T) {
	u := underway{most: 10}
	a, b := make([]byte, 8), make([]byte, 3)
	for range 64 {
		if err := u.enter(a); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.enter(b); !errors.Is(err, ErrTooMany) {
		t.Errorf("error %v, want ErrTooMany", err)
	}
	for range 63 {
		u.leave(a)
	}
	if err := u.enter(b); !errors.Is(err, ErrTooMany) {
		t.Errorf("somebody still reads: error %v", err)
	}
	u.leave(a)
	if err := errors.Join(u.enter(b), u.enter(nil)); err != nil {
		t.Error(err)
	}
	u.leave(b)
	u.leave(nil)
	if u.bytes != 0 || len(u.sent) != 0 {
		t.Errorf("%d bytes of %d entries are left", u.bytes, len(u.sent))
	}
}

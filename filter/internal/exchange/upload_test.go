package exchange

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"
)

// streaming is the test policy with caches that hold no more than a few bytes of a response.
var streaming = strings.Replace(testPolicy, `"max_response": "4KiB"`, `"max_response": "7MiB", "stream_above": "8B"`, 1)

func newStreamingWorld(t *testing.T) *world {
	w := newWorld(t)
	old := w.plugin
	w.plugin = w.configure(streaming)
	old.Close()
	w.lease()
	return w
}

// pieces is what has been sent of an upload.
type pieces struct {
	key, id string
	bytes   []byte
}

// piece takes the next piece, and gives its call.
func (p *pieces) piece(w *world) *call {
	w.t.Helper()
	w.settle()
	c := w.take(wire.PathPiece)
	w.none(wire.PathPiece)
	m := decoded(w, c, wire.DecodePieceRequest)
	if m.Scope != w.plugin.state.scope {
		w.t.Errorf("a piece of %v, want one of %v", m.Scope, w.plugin.state.scope)
	}
	if m.Offset != int64(len(p.bytes)) || p.id != "" && (m.Upload != p.id || m.Key != p.key) {
		w.t.Fatalf("a piece at %d of upload %s of %s, want one at %d of %s of %s", m.Offset, m.Upload, m.Key, len(p.bytes), p.id, p.key)
	}
	p.key, p.id, p.bytes = m.Key, m.Upload, append(p.bytes, m.Bytes...)
	return c
}

// commits wants a commit of all pieces, and gives it with its call.
func (p *pieces) commits(w *world) (wire.CommitRequest, *call) {
	w.t.Helper()
	w.settle()
	c := w.take(wire.PathCommit)
	m := decoded(w, c, wire.DecodeCommitRequest)
	if m.Scope != w.plugin.state.scope {
		w.t.Errorf("a commit of %v, want one of %v", m.Scope, w.plugin.state.scope)
	}
	if m.Size != int64(len(p.bytes)) || m.Upload != p.id || m.Key != p.key {
		w.t.Errorf("commit of %d bytes of upload %s of %s, want %d of %s of %s", m.Size, m.Upload, m.Key, len(p.bytes), p.id, p.key)
	}
	return m, c
}

// uploaded takes the one piece of a response, and gives its key and the call that commits it.
func (w *world) uploaded() (key string, commit *call) {
	w.t.Helper()
	var p pieces
	p.piece(w).ack()
	_, commit = p.commits(w)
	return p.key, commit
}

// entry is what the pieces make up.
func (p *pieces) entry(t *testing.T) (wire.Entry, httpcache.Response) {
	t.Helper()
	e, err := wire.DecodeEntry(p.bytes)
	if err != nil {
		t.Fatal(err)
	}
	r, err := httpcache.DecodeResponse(e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	r.ReadFields(0)
	return e, r
}

func (w *world) nothingUploads() {
	w.t.Helper()
	w.settle()
	w.none(wire.PathPiece)
	w.none(wire.PathCommit)
	w.none(wire.PathStore)
	w.nothingLeft()
	if left := w.plugin.state.outbox.bytes; left != 0 {
		w.t.Errorf("%d bytes are still counted in the outbox", left)
	}
}

// A large response is sent piece by piece, one at a time, while it streams through, and no more of it is held than
// comes while a piece is under way.
func TestUpload(t *testing.T) {
	for _, length := range []bool{true, false} {
		w := newStreamingWorld(t)
		s := w.missed("ann")
		chunk := strings.Repeat("0123456789abcdef", 16<<10) // 256 KiB
		framing := [2]string{"transfer-encoding", "chunked"}
		if length {
			framing = [2]string{"content-length", "1310720"}
		}
		s.head("200", framing, [2]string{"content-type", "text/plain"})
		s.wants(missStored)
		var p pieces
		for range 2 {
			s.send(chunk, false)
		}
		w.now += 1500 * time.Millisecond
		first := p.piece(w)
		if held := w.plugin.state.captured; held > 2*len(chunk)+1024 {
			t.Errorf("%d bytes held after the first piece", held)
		}
		s.send(chunk, false)
		s.send(chunk, false)
		w.settle()
		w.none(wire.PathPiece) // the first one is under way
		first.ack()
		second := p.piece(w)
		s.send(chunk, true)
		s.exchange.Done()
		w.settle()
		w.none(wire.PathPiece)
		second.ack()
		p.piece(w).ack()
		m, commit := p.commits(w)
		w.none(wire.PathStore)
		e, r := p.entry(t)
		if string(r.Body) != strings.Repeat(chunk, 5) || r.Status != 200 || r.Fields.Get("content-type") != "text/plain" {
			t.Errorf("an entry of status %d with %d bytes, %v", r.Status, len(r.Body), r.Fields)
		}
		if e.TTL != 600_000 || m.TTL != 598_500 || e.Ticket.Sequence != 1 {
			t.Errorf("head %+v, committed for %d ms, want 600000 and what is left after 1500", e.Head, m.TTL)
		}
		commit.ack()
		w.nothingUploads()
		if stores := w.counts[w.plugin.metrics[w.plugin.Policy.Cache("stats").Index].stores.Name]; stores != 1 {
			t.Errorf("%d stores counted", stores)
		}
	}
}

// Two uploads of one key, of different VMs' or after each other, have ids of their own: otherwise the pieces of both would make up one entry.
func TestUploadsOfOneKey(t *testing.T) {
	w := newStreamingWorld(t)
	var both [2]pieces
	for i := range both {
		s := w.missed("ann")
		s.respond("200", fmt.Sprint("a body that is uploaded ", i))
		both[i].piece(w)
	}
	if a, b := both[0], both[1]; a.key != b.key || a.id == b.id {
		t.Errorf("of %s with id %q, and of %s with id %q", a.key, a.id, b.key, b.id)
	}
}

// An upload that has hardly begun takes hardly any memory, however long its response says that it will be: what the
// budget counts is what is there.
func TestUploadTakesWhatHasCome(t *testing.T) {
	const uploads = 100
	w := newStreamingWorld(t)
	var streams []*fakeStream
	for i := range uploads {
		s := w.missed(fmt.Sprint("user-", i))
		s.head("200", [2]string{"content-length", "7000000"})
		streams = append(streams, s)
	}
	chunk := strings.Repeat("x", 1024)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, s := range streams {
		s.send(chunk, false)
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / uploads; each > 16<<10 {
		t.Errorf("%d bytes for an upload of which 1 KiB has come", each)
	}
	for range 3 * pieceBytes / len(chunk) {
		streams[0].send(chunk, false)
	}
	if held, reserved := streams[0].exchange.flow.(*read).capture.upload.unsent.Len(), w.plugin.state.captured; reserved < held {
		t.Errorf("%d bytes wait to be sent, %d are counted", held, reserved)
	}
}

// What isn't whole is never committed.
func TestUploadThatIsCut(t *testing.T) {
	for name, cut := range map[string]func(w *world, s *fakeStream){
		"shorter than it said": func(w *world, s *fakeStream) { s.send("0123456789", true); s.exchange.Done() },
		"without its end":      func(w *world, s *fakeStream) { s.send("0123456789", false); s.exchange.Done() },
		"by a panic":           func(w *world, s *fakeStream) { s.exchange.Abandon(); s.exchange.Done() },
		"too large": func(w *world, s *fakeStream) {
			s.send(strings.Repeat("0", 7<<20), false)
			s.send("0", true)
			s.exchange.Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newStreamingWorld(t)
			s := w.missed("ann")
			s.head("200", [2]string{"content-length", "2000000"})
			s.send(strings.Repeat("0", 600_000), false)
			var p pieces
			piece := p.piece(w)
			cut(w, s)
			piece.ack()
			w.nothingUploads()
		})
	}
}

// A piece that is lost ends the upload: what would be missing is never committed. Whoever waits
// for the response goes on without it.
func TestUploadWhosePieceIsLost(t *testing.T) {
	for name, late := range map[string]bool{"meanwhile": false, "after the end": true} {
		t.Run(name, func(t *testing.T) {
			w := newStreamingWorld(t)
			s, waiting := w.herd("/stats", 2)
			s.head("200", [2]string{"content-length", "600020"})
			s.send(strings.Repeat("0", 600_000), false)
			var p pieces
			piece := p.piece(w)
			if !late {
				piece.fails()
			}
			s.send("0123456789", false)
			s.send("0123456789", true)
			s.exchange.Done()
			if late {
				piece.fails()
			}
			w.settle()
			w.take(wire.PathLookup).granted() // the next one leads
			w.settle()
			w.forwarded(byItself, waiting[0])
			p = pieces{}
			w.settle()
			for _, c := range w.calls {
				if c.path == wire.PathCommit {
					t.Error("a commit of what isn't whole")
				}
			}
		})
	}
}

// Those who wait for a fetch are answered once it is committed.
func TestWaitersOfAnUpload(t *testing.T) {
	w := newStreamingWorld(t)
	s, waiting := w.herd("/stats", 2)
	s.respond("200", "a body that is uploaded")
	var p pieces
	p.piece(w).ack()
	m, commit := p.commits(w)
	if m.Fetch == "" {
		t.Error("committed without its fetch: the lease would outlive it")
	}
	w.held(waiting...)
	commit.ack()
	w.settle()
	w.take(wire.PathLookup).hit(w, "stats", "a body that is uploaded")
	w.settle()
	w.answered(collapsed+"l2", "a body that is uploaded", waiting...)
	w.nothingUploads()
}

// An upload has one key: the one that its read looked under. What depends on Vary is stored there first, and by
// the next read of the same variant under the variant's own.
func TestUploadsOfAVariant(t *testing.T) {
	w := newStreamingWorld(t)
	var keys []string
	for range 3 {
		s := w.language("en")
		looked := w.take(wire.PathLookup)
		keys = append(keys, looked.lookup(w).Key)
		looked.miss(1)
		s.respond("200", "in English, at length", maxAge("max-age=60"), [2]string{"vary", "Accept-Language"})
		s.wants(missStored)
		var p pieces
		p.piece(w).ack()
		_, commit := p.commits(w)
		commit.ack()
		if _, r := p.entry(t); p.key != keys[len(keys)-1] || !r.Varies {
			t.Errorf("stored under %s, looked up under %s; varies: %t", p.key, keys[len(keys)-1], r.Varies)
		}
	}
	if keys[0] == keys[1] || keys[1] != keys[2] {
		t.Errorf("looked up under %q, want the variant's own key from the second one on", keys)
	}
}

// An upload whose groups this VM still owes a write's end isn't committed.
func TestUploadBesideAPendingWrite(t *testing.T) {
	w := newStreamingWorld(t)
	s := w.missed("ann")
	s.head("200", [2]string{"content-length", "20"})
	s.send("0123456789", false)
	write, _, open := w.write("POST")
	open.fails()
	write.respond("201", "")
	s.send("0123456789", true)
	s.exchange.Done()
	var p pieces
	p.piece(w).ack()
	w.settle()
	w.none(wire.PathCommit)
}

// The plugin that began an upload may end before it: the piece's answer is lost with it.
func TestUploadOfAPluginThatEnds(t *testing.T) {
	w := newStreamingWorld(t)
	s := w.missed("ann")
	s.respond("200", "a body that is uploaded")
	var p pieces
	piece := p.piece(w)
	old := w.plugin
	w.plugin = w.configure(streaming)
	old.Close()
	piece.ack()
	w.nothingUploads()
}

// What uploads hold while the bridge is slower than the origin comes out of the budget of all captures. Beyond it
// they end.
func TestUploadToASlowBridge(t *testing.T) {
	w := newStreamingWorld(t)
	const others = maxCaptured - 2_000_000
	w.plugin.state.captured = others
	s := w.missed("ann")
	s.head("200", [2]string{"content-length", "7000000"})
	var p pieces
	s.send(strings.Repeat("0", 600_000), false)
	p.piece(w)
	most := 0
	for range 9 {
		s.send(strings.Repeat("0", 600_000), false)
		most = max(most, w.plugin.state.captured)
	}
	if most > maxCaptured || w.plugin.state.captured != others {
		t.Errorf("held %d bytes, at most %d are allowed; %d are left", most, maxCaptured, w.plugin.state.captured-others)
	}
	s.send(strings.Repeat("0", 1_000_000), true)
	s.exchange.Done()
	if n := w.counts[w.plugin.metrics[w.plugin.Policy.Cache("stats").Index].unstored.of(reasonUnsent).Name]; n != 1 {
		t.Errorf("%d uploads counted as failed, want 1", n)
	}
}

// Once an upload is committed the VM's own memory doesn't go on with what was stored before.
func TestUploadReplacesWhatL1Has(t *testing.T) {
	w := newStreamingWorld(t)
	w.cached("one", maxAge("max-age=60"))
	w.page().wants("chatcache; hit; ttl=60; detail=l1")
	s := w.page(maxAge("no-cache"))
	w.take(wire.PathLookup).miss(1)
	s.respond("200", "a longer one, which is uploaded", maxAge("max-age=60"))
	var p pieces
	p.piece(w).ack()
	_, c := p.commits(w)
	c.ack()
	w.settle()
	if s := w.page(); s.status != 0 {
		t.Errorf("%s: %q", s.cacheStatus(), s.reply)
	}
}

// An upload has room made for it like what is held as a whole: a bridge that is slower than the origin makes it take more as it goes on.
func TestSlowCapturesGiveWayToUploads(t *testing.T) {
	w := newWorld(t, `"max_response": "4KiB"`, `"max_response": "7MiB", "stream_above": "1MiB"`)
	for i := range maxCaptured / maxReserved {
		w.missed(fmt.Sprint("slow-", i)).head("200", [2]string{"content-length", fmt.Sprint(maxReserved)})
	}
	w.now += slowCapture + time.Millisecond
	s := w.missed("ann")
	s.head("200", [2]string{"content-length", fmt.Sprint(3 * maxReserved)})
	for range 3 {
		s.send(strings.Repeat("x", maxReserved), false)
	}
	s.send("", true)
	s.exchange.Done()
	var p pieces
	p.piece(w).ack()
	p.piece(w).ack()
	p.commits(w)
	if n := w.counts["chatcache.cache.stats.reason.capture-limit.unstored"]; n != 4 {
		t.Errorf("%d have given way, want as many as there had to be room for", n)
	}
}

package redisbridge

import (
	"testing"
	"time"

	"chatcache/redisbridge/wire"
)

// uploading is an entry on its way in pieces.
type uploading struct {
	*world
	id    string
	size  int64
	began time.Time
}

func (w *world) upload(id string, ticket wire.Ticket) *uploading {
	w.t.Helper()
	u := &uploading{world: w, id: id, began: time.Now()}
	head := wire.Head{Ticket: ticket, Definition: "def", TTL: 600_000, Groups: w.groups}
	w.check(u.piece(0, string(wire.Entry{Head: head}.Encode())+"one "))
	return u
}

func (u *uploading) piece(offset int64, text string) error {
	_, err := u.Piece(u.ctx, wire.PieceRequest{Scope: u.scope, Key: u.key, Upload: u.id, Offset: offset, Bytes: []byte(text)})
	if err == nil {
		u.size = offset + int64(len(text))
	}
	return err
}

func (u *uploading) commit(size int64, fetch string) error {
	_, err := u.Commit(u.ctx, wire.CommitRequest{Scope: u.scope, Key: u.key, Upload: u.id, Size: size, TTL: 500_000, Fetch: fetch})
	return err
}

func TestUpload(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		a := w.wantFetch("f1", "granted", "at first")
		u := w.upload("u1", a.Ticket)
		w.check(u.piece(u.size, "two "))
		w.check(u.piece(u.size-4, "two ")) // whose answer was lost
		w.want(wire.LookupMiss, "before the commit")
		wantError(t, u.piece(u.size+1, "after a gap"), ErrUpload)
		wantError(t, u.piece(u.size-3, "over what is there"), ErrUpload)
		wantError(t, u.commit(u.size+1, "f1"), ErrUpload)
		w.wantFetch("f2", "leased", "after a commit that failed")
		w.check(u.piece(u.size, "three"))
		life := w.raw.PTTL(w.ctx, wire.UploadKey(w.key, "u1")).Val()
		if most := wire.UploadLife * time.Millisecond; life <= 0 || life > most {
			t.Errorf("an upload is kept for %v, want at most %v", life, most)
		}
		w.check(u.commit(u.size, "f1"))
		hit := w.wantFetch("f2", "hit", "after the commit")
		entry, err := wire.DecodeEntry(hit.Entry)
		w.check(err)
		if string(entry.Payload) != "one two three" {
			t.Errorf("stored %q", entry.Payload)
		}
		// The head says for how long it was to be kept when it came, the commit what is left.
		if low, high := int64(100_000), 100_000+time.Since(u.began).Milliseconds()+1; hit.Age < low || hit.Age > high {
			t.Errorf("age %d ms, want %d to %d", hit.Age, low, high)
		}
		if left := w.leaseText(); left != "" {
			t.Errorf("the commit left the lease %q", left)
		}
		wantError(t, u.commit(u.size, "f1"), ErrUpload) // it was stored before
		w.want(wire.LookupHit, "after a commit that was repeated")
	})
}

func TestUploadInvalidatedMeanwhile(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		a := w.want(wire.LookupMiss, "at first")
		u := w.upload("u1", a.Ticket)
		w.purge("")
		w.check(u.commit(u.size, ""))
		w.want(wire.LookupMiss, "after a purge that came between")
	})
}

// What is uploaded under one key can't become the entry of another, nor another upload's.
func TestUploadsApart(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		a := w.want(wire.LookupMiss, "at first")
		u := w.upload("u1", a.Ticket)
		other := *u
		other.id = "u2"
		wantError(t, other.commit(u.size, ""), ErrUpload)
		w.check(other.piece(0, string(wire.Entry{Head: wire.Head{Ticket: a.Ticket, TTL: 1000, Groups: w.groups}}.Encode())))
		w.check(u.piece(u.size, "two"))
		w.check(u.commit(u.size, ""))
		w.want(wire.LookupHit, "after the commit")
	})
}

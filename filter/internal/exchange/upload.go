package exchange

import (
	"time"

	"chatcache/redisbridge/wire"
)

// pieceBytes is how much of an upload is sent at a time, at least.
const pieceBytes = 512 << 10

// upload is a response that is too large to be held as a whole, on its way into L2 while it streams through:
//
//  1. The first piece begins with the entry's head, which has the ticket of the read's lookup like any
//     entry's, and with the response's fields.
//  2. One piece is under way at a time, for calls may overtake each other. What the origin sends
//     meanwhile makes up the next one: little, unless the origin is faster than the bridge. The client
//     isn't kept waiting for the bridge; the budget of all captures bounds what is held.
//  3. The stream ends, and the response was whole: the rest is sent, and then the commit, by
//     which it becomes the entry and its fetch ends, in one step.
//  4. Or it was cut, or a piece got lost: nothing is committed, and Redis forgets the pieces.
//
// An invalidation that comes in between has a greater number than the ticket: what is committed is no hit.
type upload struct {
	state    *State
	plugin   *Plugin
	metrics  *cacheMetrics
	commit   wire.CommitRequest // Size: how much has been sent; TTL: from its beginning on
	groups   []string
	key      []byte // in L1, which goes on with what was stored before
	ticket   wire.Ticket
	replaces []replaced // what is removed once it is stored
	began    int64      // monotonic nanoseconds
	unsent   *wire.Tail // what has come and isn't sent yet
	sent     *wire.Tail // what was sent last; of use only while it is flying
	reserved int        // bytes of the state's budget
	flying   bool       // a piece is under way
	whole    bool       // nothing more will come
	over     bool       // it is committed, or never will be
	done     func(stored bool)
}

// replaced is a key under which something older than the upload may be stored.
type replaced struct {
	key   []byte
	entry string // the key in Redis
}

// upload begins one, with what has been captured.
func (r *read) upload(c *capture) {
	u := &upload{
		state: r.state, plugin: r.plugin, metrics: r.metrics, groups: c.plan.groups, key: r.key,
		began: c.received, reserved: c.reserved,
	}
	head := r.head(c.plan)
	u.ticket = head.Ticket
	u.commit = wire.CommitRequest{Scope: r.state.scope, Key: r.keyInRedis(), Upload: r.state.newID(), TTL: head.TTL}
	room := u.piece().Room()
	u.unsent, u.sent = wire.NewTail(room, 0), wire.NewTail(room, 0)
	u.unsent.Append(head.AppendHead)
	u.unsent.Append(r.stored(c.plan, c.fields, c.body()).Append)
	c.chunks, c.reserved, c.upload = nil, 0, u
}

// piece is the message that takes what is unsent along.
func (u *upload) piece() wire.PieceRequest {
	return wire.PieceRequest{Scope: u.commit.Scope, Key: u.commit.Key, Upload: u.commit.Upload, Offset: u.commit.Size}
}

// add takes more of the body of the read's response. It tells whether the upload may still become an entry.
func (u *upload) add(r *read, chunk []byte) bool {
	if u.over {
		return false
	}
	u.unsent.AppendBytes(chunk)
	if more := u.unsent.Len() + u.sent.Len() - u.reserved; more > 0 {
		if !r.room(more) {
			u.end(false)
			return false
		}
		u.reserved += more
	}
	u.send()
	return true
}

// finish sends the rest and the commit. done is told what came of it; it may be nil.
func (u *upload) finish(fetch string, done func(stored bool)) {
	u.commit.Fetch, u.done, u.whole = fetch, done, true
	if u.over {
		u.end(false)
		return
	}
	u.send()
}

// send sends the next piece, or the commit, once nothing is under way.
func (u *upload) send() {
	switch {
	case u.over || u.flying:
	case u.whole && u.unsent.Len() == 0:
		u.sendCommit()
	case u.whole || u.unsent.Len() >= pieceBytes:
		frame := u.piece().EncodeWith(u.unsent)
		u.commit.Size += int64(u.unsent.Len())
		u.sent.Reset()
		u.unsent, u.sent, u.flying = u.sent, u.unsent, true
		u.state.outbox.post(u.plugin, &parcel{path: wire.PathPiece, frame: frame, metrics: u.metrics, done: u.landed})
	}
}

func (u *upload) landed(acknowledged bool) {
	u.flying = false
	if !acknowledged {
		u.end(false)
		return
	}
	u.send()
}

func (u *upload) sendCommit() {
	u.commit.TTL -= (u.plugin.host.Now() - u.began) / int64(time.Millisecond)
	if u.commit.TTL <= 0 || u.state.journal.blocks(u.groups) {
		u.end(false)
		return
	}
	u.state.outbox.post(u.plugin, &parcel{path: wire.PathCommit, frame: u.commit.Encode(), metrics: u.metrics, done: u.end})
}

// end gives back what the upload holds. It may be called again: by whoever notices first that it has failed,
// and by finish then.
func (u *upload) end(stored bool) {
	u.over = true
	u.state.release(u.reserved)
	u.unsent, u.sent, u.reserved = nil, nil, 0
	if stored {
		u.state.l1.Delete(u.key)
		for _, old := range u.replaces {
			u.remove(old)
		}
	}
	if done := u.done; done != nil {
		u.done = nil
		done(stored)
	}
}

// remove removes what is stored under another key. The bridge has no call for that, so an entry that ends after a millisecond
// takes its place. It answers nobody, as it has no cache's definition.
func (u *upload) remove(old replaced) {
	u.state.l1.Delete(old.key)
	m := wire.StoreRequest{Scope: u.commit.Scope, Key: old.entry, TTL: 1}
	head := wire.Head{Ticket: u.ticket, Stored: u.plugin.host.Unix(), Groups: u.groups}
	entry := wire.NewTail(m.Room(), head.HeadSize())
	entry.Append(head.AppendHead)
	u.state.outbox.post(u.plugin, &parcel{path: wire.PathStore, frame: m.EncodeWith(entry), metrics: u.metrics})
}

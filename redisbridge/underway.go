package redisbridge

import (
	"fmt"
	"net/http"
	"sync"

	"chatcache/redisbridge/wire"
)

// sentWhole is how large an entry may be, bytes, for its answer to be written at once: a copy costs less
// than a second write, by which the filters' proxy is woken once more.
const sentWhole = 64 << 10

// underway bounds the bytes of entries that are being sent. An entry that several lookups have found in
// one read is there once, and counts once.
type underway struct {
	most int64

	mu    sync.Mutex
	bytes int64
	sent  map[*byte]int // by whom each is
}

// enter takes an entry in, which must leave. The error matches ErrTooMany.
func (u *underway) enter(entry []byte) error {
	if len(entry) == 0 {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	first := &entry[0]
	if u.sent[first] == 0 {
		if u.bytes+int64(len(entry)) > u.most {
			return fmt.Errorf("%w bytes of entries on their way to filters: %d, at most %d", ErrTooMany, u.bytes+int64(len(entry)), u.most)
		}
		u.bytes += int64(len(entry))
	}
	if u.sent == nil {
		u.sent = make(map[*byte]int)
	}
	u.sent[first]++
	return nil
}

func (u *underway) leave(entry []byte) {
	if len(entry) == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	first := &entry[0]
	if u.sent[first]--; u.sent[first] == 0 {
		delete(u.sent, first)
		u.bytes -= int64(len(entry))
	}
}

// sendFound answers a lookup. What waits for slow readers is bounded: beyond, the answer is a 503, and the
// filter asks the origin.
func (b *Bridge) sendFound(w http.ResponseWriter, answer wire.LookupAnswer) error {
	if err := b.underway.enter(answer.Entry); err != nil {
		return err
	}
	defer b.underway.leave(answer.Entry)
	if len(answer.Entry) <= sentWhole {
		return sendFrame(w, answer)
	}
	w.Header().Set("Content-Type", wire.ContentType)
	if _, err := w.Write(answer.Beginning()); err != nil {
		return err
	}
	_, err := w.Write(answer.Entry)
	return err
}

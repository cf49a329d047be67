package redisbridge

import (
	"errors"
	"fmt"
	"net/http"
	"sync"

	"chatcache/redisbridge/wire"
)

// sentWhole is how large an entry may be, bytes, for its answer to be written at once: a copy costs less
// than a second write, by which the filters' proxy is woken once more.
const sentWhole = 64 << 10

// underway bounds the bytes of entries that are being sent. A large entry that several lookups have found in
// one read is there once, and counts once.
type underway struct {
	most int64

	mu      sync.Mutex
	bytes   int64
	sent    map[*byte]int // how many answers have each on its way, by its first byte
	refused int64
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
			u.refused++
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

// status tells how many bytes are being sent, and how many entries weren't for the bound's sake.
func (u *underway) status() (bytes, refused int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.bytes, u.refused
}

// sendFound answers a lookup. What waits for slow readers is bounded: beyond, the answer is a 503, and the
// filter asks the origin.
func (b *Bridge) sendFound(w http.ResponseWriter, answer wire.LookupAnswer) error {
	if len(answer.Entry) <= sentWhole {
		return b.sendCopy(w, &answer, &answer)
	}
	if err := b.underway.enter(answer.Entry); err != nil {
		return sendWithout(w, &answer, &answer, err)
	}
	defer b.underway.leave(answer.Entry)
	return writeFrame(w, answer.Beginning(), answer.Entry)
}

// sendJoined answers a join likewise; the VM is registered whatever becomes of its lookup's answer.
func (b *Bridge) sendJoined(w http.ResponseWriter, answer wire.JoinAnswer) error {
	return b.sendCopy(w, &answer, &answer.Lookup)
}

// sendCopy sends an answer as a whole, with what it has found: a copy of its own, which counts by itself.
func (b *Bridge) sendCopy(w http.ResponseWriter, answer encoder, found *wire.LookupAnswer) error {
	if len(found.Entry) == 0 {
		return sendFrame(w, answer)
	}
	err := b.sendCounted(w, answer.Encode())
	if errors.Is(err, ErrTooMany) {
		return sendWithout(w, answer, found, err)
	}
	return err
}

// sendCounted sends a frame that counts among what is being sent. The error matches ErrTooMany where nothing was
// sent for the bound's sake.
func (b *Bridge) sendCounted(w http.ResponseWriter, frame []byte) error {
	if err := b.underway.enter(frame); err != nil {
		return err
	}
	defer b.underway.leave(frame)
	return writeFrame(w, frame)
}

// sendWithout answers where there is no room for the entry. Whoever has been granted the right to fetch, or waits
// for who has, is told so without it: a lease that nobody knows of would keep everybody waiting.
func sendWithout(w http.ResponseWriter, answer encoder, found *wire.LookupAnswer, full error) error {
	if !goesWithout(found) {
		return full
	}
	found.Entry = nil
	return sendFrame(w, answer)
}

// goesWithout tells whether an answer says something without its entry.
func goesWithout(found *wire.LookupAnswer) bool {
	return found.Granted || found.State == wire.LookupLeased
}

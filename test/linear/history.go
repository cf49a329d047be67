package linear

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"chatcache/redisbridge/wire"
)

// Register is what the origin keeps of one user for one cache: a number that each write
// replaces by a greater one. User is empty for a shared cache.
type Register struct{ Cache, User string }

func (r Register) String() string { return strings.TrimSuffix(r.Cache+" of "+r.User, " of ") }

// Read is one answered read. Call and Return are moments of the history's clock.
type Read struct {
	Client       int
	Register     Register
	Value        int64
	Call, Return int64
	Answer       string // its Cache-Status
}

// Write is one write, whatever became of it.
type Write struct {
	ID, Client   int
	Call, Return int64  // Return is 0 where the client never heard
	Answer       string // its Cache-Status; empty where the client never heard
	// What the origin did: at Commit, 0 if never, it set Registers to Value.
	Commit    int64
	Value     int64
	Registers []Register
	// Lost says that the VM died before it can have told the bridge of the write's end.
	Lost bool
}

// Poll is one look at the feed between Begin and End: where it stood, and what was raised
// since the poll before.
type Poll struct {
	Begin, End int64
	Last       wire.Ticket
	Raises     []wire.Event
}

// History is what happened, as the clients, the origin and an observer of the feed have
// seen it. Its methods may be called from any goroutine.
type History struct {
	clock func() time.Duration

	mu     sync.Mutex
	last   int64
	serial int64
	ids    int
	reads  []Read
	writes map[int]*Write
	polls  []Poll
	// settled is when everything had worked again for long enough, 0 if never.
	settled int64
}

// NewHistory begins a history; clock tells the time since some beginning.
func NewHistory(clock func() time.Duration) *History {
	return &History{clock: clock, writes: map[int]*Write{}}
}

// Now is the present moment in nanoseconds. No two calls give the same one, so what
// happened after another thing never looks simultaneous.
func (h *History) Now() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now()
}

func (h *History) now() int64 {
	h.last = max(h.last+1, int64(h.clock()))
	return h.last
}

// at is the moment for something that has happened by then: not before anything that is
// recorded already, and of no other's.
func (h *History) at(moment int64) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = max(h.last+1, moment)
	return h.last
}

// AddRead records a read.
func (h *History) AddRead(r Read) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads = append(h.reads, r)
}

// BeginWrite records that a client sends a write, and gives its id.
func (h *History) BeginWrite(client int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ids++
	h.writes[h.ids] = &Write{ID: h.ids, Client: client, Call: h.now()}
	return h.ids
}

// EndWrite records that its client has the whole response.
func (h *History) EndWrite(id int, answer string, at int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writes[id].Return, h.writes[id].Answer = at, answer
}

// Lose records that the proxies of these writes died before they were answered.
func (h *History) Lose(ids ...int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		h.writes[id].Lost = true
	}
}

// Commit lets a write take effect at the origin: store is called with its value while
// nothing else is recorded.
func (h *History) Commit(id int, registers []Register, store func(value int64)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.serial++
	w := h.writes[id]
	w.Commit, w.Value, w.Registers = h.now(), h.serial, registers
	store(h.serial)
}

// AddPoll records a look at the feed. Polls must be added in their order, and follow one cursor.
func (h *History) AddPoll(p Poll) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.polls = append(h.polls, p)
}

// Settle records that everything works again, and that no live VM owes the bridge the end of
// a write: from now on exempt writes count, but for those whose VM died.
func (h *History) Settle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.settled = h.now()
}

// Hits counts the reads that the cache answered.
func (h *History) Hits() (hits, reads int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.reads {
		if strings.HasPrefix(r.Answer, "chatcache; hit") {
			hits++
		}
	}
	return hits, len(h.reads)
}

// Writes gives all writes in the order in which they were sent.
func (h *History) Writes() []Write {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []Write
	for _, id := range slices.Sorted(maps.Keys(h.writes)) {
		all = append(all, *h.writes[id])
	}
	return all
}

// Save writes the history to a file, one JSON value a line: reads, writes, polls.
func (h *History) Save(path string) error {
	writes := h.Writes()
	h.mu.Lock()
	defer h.mu.Unlock()
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b := bufio.NewWriter(f)
	encode := json.NewEncoder(b)
	for _, r := range h.reads {
		err = encode.Encode(map[string]any{"read": r})
	}
	for _, w := range writes {
		err = encode.Encode(map[string]any{"write": w})
	}
	for _, p := range h.polls {
		err = encode.Encode(map[string]any{"poll": p})
	}
	if err == nil {
		err = b.Flush() // a bufio.Writer keeps its first error
	}
	return err
}

package failover

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"chatcache/redisbridge"
	"chatcache/redisbridge/wire"
	"chatcache/test/stack"
)

const (
	documents = 12               // each of a partition of its own, so that a cluster spreads them
	deadline  = 1500             // of a write's suspension, ms; the quarantine is as long and the trust bound
	trust     = 2 * time.Second  // as --trust is by default
	ttl       = 10 * time.Minute // of an entry
)

var scope = wire.Scope{Policy: "chat", Horizon: ttl.Milliseconds(), Quarantine: deadline}

// world is an origin, and what its clients have seen.
type world struct {
	t       *testing.T
	ctx     context.Context
	bridges []*redisbridge.Bridge
	began   time.Time

	documents [documents]document
	log       log
	clients   sync.WaitGroup
	stop      atomic.Bool
	writeIDs  atomic.Int64
	unclosed  atomic.Int64
	lost      bool // one side of a split is given up with the writes that it can't close
}

// document is what the origin serves: a version, and when each was committed.
type document struct {
	mu      sync.Mutex
	commits []time.Time // of versions 1, 2, …
}

func (d *document) version() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.commits)
}

// commit does a write that began at a moment, unless its suspension may have passed: what comes later
// may be missed, and a machine that stands still for a second makes it late.
func (d *document) commit(began time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.Sub(began) < deadline*time.Millisecond {
		d.commits = append(d.commits, now)
	}
}

// committed gives when a version was.
func (d *document) committed(version int) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.commits[version-1]
}

// patient lets a bridge wait longer than a busy machine takes: where nothing is to time out.
func patient(o *redisbridge.Options) {
	o.Timeout, o.StoreTimeout, o.AdminTimeout, o.Trust = 10*time.Second, 10*time.Second, 10*time.Second, 20*time.Second
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, ctx: context.Background(), began: time.Now()}
	t.Cleanup(w.end)
	return w
}

// bridge makes one on the Redis that the environment names.
func (w *world) bridge(env map[string]string, change func(*redisbridge.Options)) *redisbridge.Bridge {
	w.t.Helper()
	where, warnings, err := redisbridge.RedisFromEnv(func(name string) string { return env[name] })
	if err != nil || len(warnings) > 0 {
		w.t.Fatal(err, warnings)
	}
	o := redisbridge.Options{
		Redis: where, Insecure: true, Bootstrap: len(w.bridges) == 0,
		Replicas: 1, Trust: trust, Timeout: 100 * time.Millisecond,
	}
	if change != nil {
		change(&o)
	}
	b, err := redisbridge.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { b.Close() })
	w.bridges = append(w.bridges, b)
	return b
}

// load starts clients of every bridge: readers, a writer and a VM that follows the feed.
func (w *world) load(bridges ...*redisbridge.Bridge) {
	for i, b := range bridges {
		for range 2 {
			w.client(func() { w.read(b, rand.IntN(documents)) })
		}
		w.client(func() { w.write(b, rand.IntN(documents)) })
		w.follow(b, fmt.Sprint("vm-", i))
	}
}

// readers starts clients that only read.
func (w *world) readers(b *redisbridge.Bridge, n int) {
	for range n {
		w.client(func() { w.read(b, rand.IntN(documents)) })
	}
}

func (w *world) client(act func()) {
	w.clients.Go(func() {
		for !w.stop.Load() {
			act()
			time.Sleep(time.Duration(1+rand.IntN(4)) * time.Millisecond)
		}
	})
}

// end stops the clients; every write must be closed by then.
func (w *world) end() {
	w.stop.Store(true)
	w.clients.Wait()
	if n := w.unclosed.Load(); n > 0 && !w.lost {
		w.t.Errorf("%d writes could not be closed", n)
	}
}

func partition(doc int) string { return fmt.Sprint("user-", doc) }

func groups(doc int) []string { return wire.ReadGroups("stats", partition(doc)) }

func key(doc int) string {
	return wire.EntryKey("stats", scope.Policy, partition(doc), "GET", "/api/chat/stats", "d1")
}

// read does what a filter does, and checks what it gets.
func (w *world) read(b *redisbridge.Bridge, doc int) {
	d := &w.documents[doc]
	began, least := time.Now(), d.version()
	a, err := b.Lookup(w.ctx, wire.LookupRequest{Scope: scope, Key: key(doc), Groups: groups(doc)})
	s := seen{what: lookupError, began: began, took: time.Since(began), epoch: a.Ticket.Epoch, bridge: b, err: err}
	if err == nil {
		s.what = what(a.State)
	}
	switch {
	case err != nil || a.State == wire.LookupSuspended:
		// The origin answers, and nothing is stored.
	case a.State == wire.LookupHit:
		e, err := wire.DecodeEntry(a.Entry)
		version, numberErr := strconv.Atoi(string(e.Payload))
		if err != nil || numberErr != nil {
			w.t.Errorf("entry %q: %v, %v", a.Entry, err, numberErr)
		} else if version < least {
			s.stale = began.Sub(d.committed(version + 1))
		}
	case a.State == wire.LookupMiss:
		entry := wire.Entry{Head: wire.Head{Ticket: a.Ticket, Groups: groups(doc)}, Payload: []byte(strconv.Itoa(d.version()))}
		_, _ = b.Store(w.ctx, wire.StoreRequest{Scope: scope, Key: key(doc), TTL: ttl.Milliseconds(), Entry: entry.Encode()})
	}
	w.log.add(s)
}

// write does what a filter does with "unreachable": "refuse".
func (w *world) write(b *redisbridge.Bridge, doc int) {
	id := fmt.Sprint("w", w.writeIDs.Add(1))
	began := time.Now()
	a, err := b.Suspend(w.ctx, wire.SuspendRequest{Scope: scope, ID: id, Groups: groups(doc)[2:], Deadline: deadline})
	s := seen{what: writeAccepted, began: began, took: time.Since(began), epoch: a.Ticket.Epoch, bridge: b, err: err}
	if err != nil {
		s.what = writeRefused
	}
	w.log.add(s)
	if err == nil {
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		w.documents[doc].commit(began)
	}
	w.close(b, id, doc, err == nil)
}

// close ends a write, repeated in the background until it is acknowledged.
func (w *world) close(b *redisbridge.Bridge, id string, doc int, raise bool) {
	m := wire.CloseRequest{Scope: scope, ID: id, Groups: groups(doc)[2:], Raise: raise}
	if _, err := b.CloseSuspension(w.ctx, m); err == nil {
		return
	}
	w.unclosed.Add(1)
	w.clients.Go(func() {
		for limit := time.Now().Add(time.Minute); time.Now().Before(limit); time.Sleep(50 * time.Millisecond) {
			if w.lost && w.stop.Load() {
				return
			}
			if _, err := b.CloseSuspension(w.ctx, m); err == nil {
				w.unclosed.Add(-1)
				return
			}
		}
	})
}

// follow polls the feed as a VM.
func (w *world) follow(b *redisbridge.Bridge, vm string) {
	var cursor wire.Ticket
	w.client(func() {
		began := time.Now()
		a, err := b.Feed(w.ctx, wire.FeedRequest{Scope: scope, VM: vm, Cursor: cursor, Hold: 300, Lease: 3000})
		s := seen{what: polled, began: began, took: time.Since(began), epoch: a.Last.Epoch, bridge: b, err: err}
		if err != nil {
			s.what = pollError
		}
		w.log.add(s)
		if err == nil {
			cursor = a.Last
		}
	})
}

// eventually looks until ok, for at most a minute.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	stack.WaitT(w.t, what, func(context.Context) error {
		if !ok() {
			return fmt.Errorf("seen last: %v", w.log.tail(10))
		}
		return nil
	})
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestMain(m *testing.M) {
	logging.Disable() // go-redis logs what its errors say already
	os.Exit(m.Run())
}

package redisbridge

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"chatcache/redisbridge/wire"
	"chatcache/test/stack"
)

// world is a bridge on a Redis that nobody else uses. The same tests run on
// miniredis, whose clock the test moves, and on a real server.
type world struct {
	*Bridge
	t       *testing.T
	ctx     context.Context
	raw     redis.UniversalClient // what the tests do behind the bridge's back
	options Options
	server  *stack.ScratchValkey // nil on miniredis
	memory  *miniredis.Miniredis // nil on a real server
	now     time.Time            // miniredis' clock
	lease   int64                // ms, of the VMs that poll
	scope   wire.Scope
	key     string
	groups  []string
}

const quarantine = 80 // ms

// patience bounds what must happen by itself, however busy the machine is.
const patience = 30 * time.Second

// onEachRedis runs a test on both kinds of server. The bridge has the permission
// to bootstrap unless change takes it away.
func onEachRedis(t *testing.T, change func(*Options), test func(t *testing.T, w *world)) {
	t.Run("miniredis", func(t *testing.T) { test(t, newMemoryWorld(t, change)) })
	t.Run("valkey", func(t *testing.T) { test(t, newRealWorld(t, change)) })
}

func newMemoryWorld(t *testing.T, change func(*Options)) *world {
	t.Helper()
	m := miniredis.RunT(t)
	w := &world{t: t, memory: m, now: time.Unix(1_790_000_000, 0)}
	m.SetTime(w.now)
	m.ClockTTL(true)
	w.options = Options{Redis: redis.UniversalOptions{Addrs: []string{m.Addr()}}, Miniredis: true}
	w.start(change)
	return w
}

// onDisk lets a server keep every write, so that a restart finds it again.
var onDisk = []string{"--appendonly", "yes", "--appendfsync", "always"}

// newRealWorld is a bridge on a real server, which may do there what operators are told to allow, and nothing else.
func newRealWorld(t *testing.T, change func(*Options)) *world {
	t.Helper()
	rules := documentedACL(t)
	w := &world{t: t, server: stack.ScratchValkeyT(t, append(append(slices.Clone(onDisk), "--user"), rules...)...)}
	w.options = Options{Redis: redis.UniversalOptions{Addrs: []string{w.server.Socket}, Username: rules[0], Password: "PASSWORD"}}
	w.start(change)
	return w
}

// documentedACL is the user that envoy/OPERATING.md gives the bridge, for any policy.
func documentedACL(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../envoy/OPERATING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\nACL SETUSER ")
	rules, _, found := strings.Cut(rest, "\n```")
	any := strings.NewReplacer("~{chatcache:chat-api}:*", "~{chatcache:*", "~*:chat-api:{*", "~*:{*").Replace(rules)
	if !found || any == rules {
		t.Fatal("OPERATING.md has no ACL of the bridge for the policy chat-api")
	}
	return strings.Fields(any)
}

func (w *world) start(change func(*Options)) {
	w.t.Helper()
	w.ctx, w.lease = w.t.Context(), 3000
	w.options.Insecure, w.options.Bootstrap = true, true
	w.options.Timeout, w.options.StoreTimeout, w.options.AdminTimeout = patience, patience, patience
	w.options.Redis.DialTimeout, w.options.Redis.ReadTimeout, w.options.Redis.WriteTimeout = patience, patience, patience
	if change != nil {
		change(&w.options)
	}
	w.Bridge = newBridge(w.t, w.options)
	raw := w.options.Redis
	raw.Username, raw.Password = "", "" // the test's own calls may do everything
	w.raw = redis.NewUniversalClient(&raw)
	w.t.Cleanup(func() { w.raw.Close() })
	// It loads the scripts when it has heard of the last of its subscriptions, each of which wakes whoever waits.
	eventually(w.t, "the bridge has subscribed, and loaded the scripts", w.loaded)
	w.of("chat")
}

// loaded tells whether Redis has every script.
func (w *world) loaded() bool {
	var digests []string
	for _, s := range w.scripts.all() {
		digests = append(digests, s.Hash())
	}
	there, err := w.raw.ScriptExists(w.ctx, digests...).Result()
	return err == nil && len(there) == len(digests) && !slices.Contains(there, false)
}

// of makes the world speak of another policy.
func (w *world) of(policy string) {
	w.scope = wire.Scope{Policy: policy, Horizon: 600_000, Quarantine: quarantine}
	w.groups = wire.ReadGroups("stats", "alice")
	w.key = wire.EntryKey("stats", policy, "alice", "GET", "/api/chat/stats", "d1")
}

func newBridge(t *testing.T, o Options) *Bridge {
	t.Helper()
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// pass lets the server's clock move on.
func (w *world) pass(ms int) {
	w.t.Helper()
	if w.memory != nil {
		w.now = w.now.Add(time.Duration(ms) * time.Millisecond)
		w.memory.SetTime(w.now)
		return
	}
	began := must(w.raw.Time(w.ctx).Result())
	eventually(w.t, "the server's clock moves", func() bool {
		return must(w.raw.Time(w.ctx).Result()).Sub(began) > time.Duration(ms)*time.Millisecond
	})
}

// sooner lets deadlines pass, raises become due and the VMs' leases end that many ms sooner. On a real
// server it moves what is stored, so that how busy the machine is decides nothing.
func (w *world) sooner(ms int) {
	w.t.Helper()
	if w.memory != nil {
		w.pass(ms)
		return
	}
	w.check(w.raw.Eval(w.ctx, `
local state, vms, rules, less = KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[1])
local function sooner(time) return string.format('%.0f', math.max(1, tonumber(time) - less)) end
local leases = redis.call('ZRANGE', vms, 0, -1, 'WITHSCORES')
for i = 1, #leases, 2 do redis.call('ZADD', vms, sooner(leases[i + 1]), leases[i]) end
local known = redis.call('HGETALL', rules)
for i = 1, #known, 2 do redis.call('HSET', rules, known[i], sooner(known[i + 1])) end
local fields = redis.call('HGETALL', state)
for i = 1, #fields, 2 do
  local field, value = fields[i], fields[i + 1]
  if string.match(field, '^s:') then
    redis.call('HSET', state, field, (string.gsub(value, '^%d+', sooner)))
  elseif string.match(field, '^d:') then
    redis.call('HDEL', state, field)
    redis.call('HSET', state, 'd:' .. sooner(string.sub(field, 3)), value)
  elseif field == 'due' or field == 'next' and value ~= '0' then
    redis.call('HSET', state, field, (string.gsub(value, '%d+', sooner)))
  end
end
return 1`, []string{prefixOf(w.scope.Policy) + "state", prefixOf(w.scope.Policy) + "vms", prefixOf(w.scope.Policy) + "rules"}, ms).Err())
}

// endLease lets a VM's lease end now.
func (w *world) endLease(vm string) {
	w.t.Helper()
	now := must(w.raw.Time(w.ctx).Result()).UnixMilli()
	w.check(w.raw.ZAdd(w.ctx, prefixOf(w.scope.Policy)+"vms", redis.Z{Score: float64(now + 1), Member: vm}).Err())
	w.pass(2)
}

// eventually looks until ok, as long as patience lasts.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("gave up waiting: %s", what)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) look() wire.LookupAnswer {
	w.t.Helper()
	a, err := w.Lookup(w.ctx, wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups})
	w.check(err)
	return a
}

// want looks up and says what state was expected.
func (w *world) want(state wire.LookupState, when string) wire.LookupAnswer {
	w.t.Helper()
	a := w.look()
	if a.State != state {
		w.t.Errorf("%s: lookup gave state %d at %v, want %d", when, a.State, a.Ticket, state)
	}
	return a
}

// fill stores a response with a ticket; it belongs to the world's groups and more.
func (w *world) fill(ticket wire.Ticket, more ...string) {
	w.t.Helper()
	e := wire.Entry{
		Head:    wire.Head{Ticket: ticket, Definition: "def", Groups: append(append([]string{}, w.groups...), more...)},
		Payload: []byte("payload"),
	}
	_, err := w.Store(w.ctx, wire.StoreRequest{Scope: w.scope, Key: w.key, TTL: 600_000, Entry: e.Encode()})
	w.check(err)
}

// entryOf is a response with a ticket that belongs to everything.
func entryOf(ticket wire.Ticket) []byte {
	return wire.Entry{Head: wire.Head{Ticket: ticket, Groups: []string{"*"}}}.Encode()
}

// silence lets the server answer nobody until wakeUp.
func (w *world) silence() {
	if w.memory != nil {
		w.memory.Close()
		return
	}
	w.server.Pause()
	w.t.Cleanup(w.server.Resume)
}

// impatient makes calls give a silent server up soon. Until then they have the time that a busy
// machine takes.
func (w *world) impatient() {
	w.timeout, w.storeTimeout, w.adminTimeout = 100*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond
}

func (w *world) patient() { w.timeout, w.storeTimeout, w.adminTimeout = patience, patience, patience }

func (w *world) wakeUp() {
	if w.memory != nil {
		w.check(w.memory.Restart())
		return
	}
	w.server.Resume()
}

func (w *world) suspend(id string, ms int64, groups ...string) wire.Ticket {
	w.t.Helper()
	a, err := w.Suspend(w.ctx, wire.SuspendRequest{Scope: w.scope, ID: id, Groups: groups, Deadline: ms})
	w.check(err)
	return a.Ticket
}

func (w *world) close(id string, raise bool, groups ...string) wire.Ticket {
	w.t.Helper()
	a, err := w.CloseSuspension(w.ctx, wire.CloseRequest{Scope: w.scope, ID: id, Groups: groups, Raise: raise})
	w.check(err)
	return a.Ticket
}

func (w *world) poll(cursor wire.Ticket, hold int64) wire.FeedAnswer {
	w.t.Helper()
	a, err := w.Feed(w.ctx, w.pollRequest(cursor, hold))
	w.check(err)
	return a
}

func (w *world) pollRequest(cursor wire.Ticket, hold int64) wire.FeedRequest {
	return wire.FeedRequest{Scope: w.scope, VM: "vm-1", Cursor: cursor, Hold: hold, Lease: w.lease}
}

// stepClock is a clock whose waits end when the test says so.
type stepClock struct {
	waiting chan time.Duration // gets each wait's length when it begins
	release chan struct{}      // one value ends one wait
	gather  func()             // runs while a poll gathers, which takes no time
	passed  atomic.Int64       // nanoseconds
}

func newStepClock() *stepClock {
	return &stepClock{waiting: make(chan time.Duration, 16), release: make(chan struct{})}
}

func (c *stepClock) Now() time.Time { return time.Unix(1_790_000_000, c.passed.Load()) }

func (c *stepClock) pass(d time.Duration) { c.passed.Add(int64(d)) }

func (c *stepClock) Wait(ctx context.Context, wake <-chan struct{}, d time.Duration) {
	if d >= gather && d < 2*gather { // with the pause for a few VMs' receipts
		if c.gather != nil {
			c.gather()
		}
		return
	}
	c.waiting <- d
	select {
	case <-wake:
	case <-c.release:
	case <-ctx.Done():
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

func TestMain(m *testing.M) {
	logging.Disable() // go-redis logs what its errors say already
	os.Exit(m.Run())
}

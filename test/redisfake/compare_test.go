package redisfake

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge"
	"chatcache/redisbridge/wire"
	"chatcache/test/stack"
)

const (
	commandSeed = 7
	sequences   = 40
	commands    = 40 // of a sequence
)

// TestAgreesWithTheScripts runs random calls of a bridge on a server, repeats each
// command of theirs here, and compares the answers and then all that is stored.
func TestAgreesWithTheScripts(t *testing.T) {
	t.Run("miniredis", func(t *testing.T) {
		o := redisbridge.Options{Miniredis: true}
		o.Redis.Addrs = []string{miniredis.RunT(t).Addr()}
		compareOn(t, o)
	})
	t.Run("valkey", func(t *testing.T) {
		var o redisbridge.Options
		o.Redis.Addrs = []string{stack.ScratchValkeyT(t).Socket}
		compareOn(t, o)
	})
}

func compareOn(t *testing.T, o redisbridge.Options) {
	o.Insecure, o.MaxSuspensions = true, 5
	o.Timeout, o.StoreTimeout, o.AdminTimeout = time.Minute, time.Minute, time.Minute
	// A command that is given up is sent once more: the server would execute it twice.
	o.Redis.ReadTimeout, o.Redis.WriteTimeout = time.Minute, time.Minute
	raw := redis.NewUniversalClient(&o.Redis)
	defer raw.Close()
	for run := range uint64(sequences) {
		c := &comparison{t: t, raw: raw, random: rand.New(rand.NewPCG(commandSeed, run)), name: fmt.Sprintf("sequence %d", run)}
		c.reset(t.Context(), o.Miniredis)
		c.run(t.Context(), o)
		if t.Failed() {
			return
		}
	}
}

// comparison is a bridge on a real server with a fake one beside it. It is the bridge's hook.
type comparison struct {
	t        *testing.T
	fake     *Server
	raw      redis.UniversalClient
	bridge   *redisbridge.Bridge
	options  redisbridge.Options // of the bridge
	random   *rand.Rand
	name     string
	step     int
	scope    wire.Scope
	uploaded int64       // bytes, of an upload that may be another key's
	ticket   wire.Ticket // of some lookup or poll, perhaps of an epoch that ended
}

func (c *comparison) reset(ctx context.Context, anonymous bool) {
	if err := c.raw.FlushDB(ctx).Err(); err != nil {
		c.t.Fatal(err)
	}
	c.fake = New(func() int64 {
		now, err := c.raw.Time(ctx).Result()
		if err != nil {
			c.t.Fatal(err)
		}
		return now.UnixMilli()
	})
	if anonymous {
		return
	}
	field := func(section, name string) string {
		info, err := c.raw.Info(ctx, section).Result()
		if err != nil {
			c.t.Fatal(err)
		}
		_, rest, _ := strings.Cut(info, name+":")
		return strings.Fields(rest)[0]
	}
	c.fake.Identity = field("server", "run_id") + ":" + field("replication", "master_replid")
}

func (c *comparison) run(ctx context.Context, o redisbridge.Options) {
	o.Hooks = []redis.Hook{c}
	o.Bootstrap = c.random.IntN(2) == 0
	c.options = o
	c.start()
	defer func() { c.bridge.Close() }()
	c.scope = wire.Scope{Policy: "chat", Horizon: 600_000, Quarantine: 30_000}
	for c.step = range commands {
		c.command(ctx)
		c.compareState(ctx)
		if c.t.Failed() {
			return
		}
	}
}

func (c *comparison) start() {
	var err error
	if c.bridge, err = redisbridge.New(c.options); err != nil {
		c.t.Fatal(err)
	}
}

// some gives a few of the groups.
func (c *comparison) some() []string {
	all := []string{"*", "c:stats", "c:user", "p:stats:a", "p:stats:b,c %", "n:x"}
	c.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:1+c.random.IntN(3)]
}

func (c *comparison) command(ctx context.Context) {
	id := fmt.Sprint("w", c.random.IntN(8))
	key := wire.EntryKey("stats", "chat", "", "GET", "/", fmt.Sprint("d", c.random.IntN(2)))
	fetch := fmt.Sprint("f", c.random.IntN(3))
	const upload = "u" // of either key: a commit finds it half the time
	switch c.random.IntN(22) {
	case 0, 1:
		also := 2000 * c.random.Int64N(2)
		_, _ = c.bridge.Suspend(ctx, wire.SuspendRequest{Scope: c.scope, ID: id, Groups: c.some(), Deadline: 30_000 + c.random.Int64N(1000), AlsoAfter: also})
	case 2, 3:
		_, _ = c.bridge.CloseSuspension(ctx, wire.CloseRequest{Scope: c.scope, ID: id, Groups: c.some(), Raise: c.random.IntN(2) == 0, AlsoAfter: c.also(ctx)})
	case 4, 5:
		a, _ := c.bridge.Lookup(ctx, wire.LookupRequest{Scope: c.scope, Key: key, Groups: c.some()})
		c.ticket = a.Ticket
	case 6:
		_, _ = c.bridge.Purge(ctx, redisbridge.PurgeRequest{Policy: "chat", Cache: "stats"})
	case 7, 8:
		last := c.follow(ctx)
		if c.random.IntN(2) == 0 {
			c.ticket = last
		}
	case 9:
		entry := wire.Entry{Head: wire.Head{Ticket: c.ticket, Definition: "d", Groups: c.some()}, Payload: []byte("x")}
		_, _ = c.bridge.Store(ctx, wire.StoreRequest{Scope: c.scope, Key: key, TTL: 600_000, Fetch: []string{"", fetch}[c.random.IntN(2)], Entry: entry.Encode()})
	case 10:
		c.pass(ctx)
	case 11:
		c.lose(ctx)
	case 12, 13:
		a, _ := c.bridge.Lookup(ctx, wire.LookupRequest{Scope: c.scope, Key: key, Groups: c.some(), Fetch: fetch, Lease: 30_000})
		c.ticket = a.Ticket
	case 14:
		_, _ = c.bridge.Release(ctx, wire.ReleaseRequest{Scope: c.scope, Key: key, Fetch: fetch, Mark: 30_000 * c.random.Int64N(2)})
	case 15, 16:
		_, _ = c.bridge.SetControls(ctx, c.controls())
	case 17:
		c.leave(ctx)
	case 18, 19, 20:
		m := wire.PieceRequest{Scope: c.scope, Key: key, Upload: upload, Offset: c.uploaded, Bytes: []byte("piece")}
		if c.random.IntN(4) == 0 {
			m.Offset -= min(m.Offset, c.random.Int64N(10)) // once more, or after a gap
		}
		if m.Offset == 0 {
			m.Bytes = wire.Entry{Head: wire.Head{Ticket: c.ticket, TTL: 600_000, Definition: "d", Groups: c.some()}}.Encode()
		}
		if _, err := c.bridge.Piece(ctx, m); err == nil {
			c.uploaded = m.Offset + int64(len(m.Bytes))
		}
	case 21:
		m := wire.CommitRequest{Scope: c.scope, Key: key, Upload: upload, Size: c.uploaded, TTL: 500_000, Fetch: []string{"", fetch}[c.random.IntN(2)]}
		if _, err := c.bridge.Commit(ctx, m); err == nil {
			c.uploaded = 0
		}
	}
}

// follow polls for some VMs at a time: those that come while the first one's read is under way
// are read together.
func (c *comparison) follow(ctx context.Context) (last wire.Ticket) {
	var polls sync.WaitGroup
	var mu sync.Mutex
	for range 1 + c.random.IntN(6) {
		m := wire.FollowRequest{
			FeedRequest: wire.FeedRequest{Scope: c.scope, VM: fmt.Sprint("w", c.random.IntN(8)), Cursor: c.ticket, Lease: 100_000},
			Knows:       c.knows(), Report: c.report(),
		}
		m.Cursor.Sequence -= min(m.Cursor.Sequence, c.random.Uint64N(3))
		polls.Go(func() {
			a, _ := c.bridge.Follow(ctx, m)
			mu.Lock()
			defer mu.Unlock()
			last = a.Last
		})
	}
	polls.Wait()
	return last
}

// controls draws some settings.
func (c *comparison) controls() redisbridge.ControlsRequest {
	r := redisbridge.ControlsRequest{Policy: "chat", Cache: []string{"", "stats", "user"}[c.random.IntN(3)]}
	r.All = r.Cache == ""
	if c.random.IntN(2) == 0 {
		r.Set = redisbridge.ControlSettings{Off: true, Percent: 10}
	} else {
		r.Set, r.Unset = redisbridge.ControlSettings{TTL: "60s"}, []string{"off"}
	}
	return r
}

// knows draws what rules a VM knows.
func (c *comparison) knows() wire.Knows {
	stats, user := wire.CacheRules{Cache: "stats", Digest: "1"}, wire.CacheRules{Cache: "user", Digest: "1"}
	return []wire.Knows{
		{}, {}, {Version: "a"}, {Version: "b", Rules: []wire.CacheRules{stats}}, {Version: "c", Rules: []wire.CacheRules{stats, user}},
		{Version: "d", Rules: []wire.CacheRules{stats, {Cache: "stats", Digest: "2"}, user}}, {Version: "e", Rules: []wire.CacheRules{stats, user}},
	}[c.random.IntN(7)]
}

// leave ends the leases of all VMs with some rules, on both.
func (c *comparison) leave(ctx context.Context) {
	v := c.fake.Validity("chat")
	if v == nil {
		return
	}
	for _, rules := range sorted(v.Rules) {
		if c.random.IntN(2) == 0 {
			v.Rules[rules] = 1
			c.raw.HSet(ctx, "{chatcache:chat}:rules", rules, "1")
		}
	}
}

// report draws a VM's report, perhaps the same as before.
func (c *comparison) report() (r wire.Report) {
	if r.Number = c.random.Uint64N(3); r.Number == 0 {
		return r
	}
	for _, cache := range []string{"stats", "user"} {
		counts := wire.Counts{Cache: cache}
		for i := range counts.Values {
			counts.Values[i] = c.random.Uint64N(3)
		}
		r.Caches = append(r.Caches, counts)
	}
	return r
}

// also draws when to raise once more. The two clocks differ by some microseconds: both
// must round the time to the same one.
func (c *comparison) also(ctx context.Context) int64 {
	const delay, grid, margin = 60_000, 1024, 64
	if c.random.IntN(2) == 0 {
		return 0
	}
	for {
		now, err := c.raw.Time(ctx).Result()
		if err != nil {
			c.t.Fatal(err)
		}
		if left := grid - (now.UnixMilli()+delay)%grid; left > margin && left < grid-margin {
			return delay
		}
		time.Sleep(margin * time.Millisecond)
	}
}

// pass moves some deadlines into the past, on both.
func (c *comparison) pass(ctx context.Context) {
	v := c.fake.Validity("chat")
	if v == nil || !v.Exists {
		return
	}
	deadline := int64(1)
	for _, id := range sorted(v.Open) {
		if c.random.IntN(2) == 0 {
			continue
		}
		deadline++ // whose order is that of the raises
		s := v.Open[id]
		s.Deadline = deadline
		v.Open[id], v.Next = s, 1
		c.raw.HSet(ctx, "{chatcache:chat}:state", "s:"+id, fmt.Sprint(deadline, " ", s.Groups, " ", s.Also), "next", "1")
	}
	if c.random.IntN(2) == 0 {
		c.passDue(ctx, v)
	}
}

// passDue makes the first raise that is to come due.
func (c *comparison) passDue(ctx context.Context, v *Validity) {
	const key = "{chatcache:chat}:state"
	first, rest, _ := strings.Cut(c.raw.HGet(ctx, key, "due").Val(), " ")
	if first == "" {
		return
	}
	v.Due[0].Time = 1
	groups := c.raw.HGet(ctx, key, "d:"+first).Val()
	c.raw.HDel(ctx, key, "d:"+first)
	c.raw.HSet(ctx, key, "due", strings.TrimSpace("1 "+rest), "d:1", groups)
}

// lose forgets something, on both.
func (c *comparison) lose(ctx context.Context) {
	v := c.fake.Validity("chat")
	if v == nil {
		return
	}
	switch c.random.IntN(6) {
	case 5: // another server takes over, for a bridge that has seen no write
		if v.Exists {
			v.Server = "another:one"
			c.raw.HSet(ctx, "{chatcache:chat}:state", "server", v.Server)
		}
		c.bridge.Close()
		c.start()
		_, _ = c.bridge.Lookup(ctx, wire.LookupRequest{Scope: c.scope, Key: wire.EntryKey("stats", "chat", "", "GET", "/", "d0"), Groups: c.some()})
	case 4: // the bridge puts them back
		clear(v.Controls)
		c.raw.Del(ctx, "{chatcache:chat}:controls")
	case 0:
		v.Lose()
		c.raw.Del(ctx, "{chatcache:chat}:state", "{chatcache:chat}:feed")
	case 1:
		for _, group := range sorted(v.Generation)[:len(v.Generation)/2] {
			delete(v.Generation, group)
			c.raw.Del(ctx, "{chatcache:chat}:gen:"+group)
		}
	case 2:
		v.Trim(v.Seq / 2)
		c.raw.XTrimMinID(ctx, "{chatcache:chat}:feed", fmt.Sprint(v.Seq/2+1))
	case 3:
		for _, key := range sorted(c.fake.Entries) {
			delete(c.fake.Entries, key)
			c.raw.Del(ctx, key)
		}
	}
}

func (c *comparison) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return next(ctx, network, address)
	}
}

func (c *comparison) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "script" { // the bridge loads one: the fake knows it before the server does
			_, _ = scriptOf("eval", cmd.Args()[2].(string))
		}
		err := next(ctx, cmd)
		cmd.SetErr(err) // go-redis does that behind its hooks
		c.repeat(cmd)
		return err
	}
}

func (c *comparison) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			c.repeat(cmd)
		}
		return err
	}
}

// repeat runs on the fake what the server has answered, and compares.
func (c *comparison) repeat(cmd redis.Cmder) {
	switch cmd.Name() {
	case "evalsha", "eval", "hgetall", "hget":
	default:
		return
	}
	if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		return
	}
	got, err := c.fake.Do(cmd.Args())
	if err == errNoScript {
		return // the server knew the script from before
	}
	want, wantErr := result(cmd)
	if (err == nil) != (wantErr == nil) || err != nil && err.Error() != strings.TrimPrefix(wantErr.Error(), "ERR ") {
		c.t.Errorf("%s, command %d, %v: error %v, the server's %v", c.name, c.step, brief(cmd.Args()), err, wantErr)
		return
	}
	if err == nil && !reflect.DeepEqual(rounded(got), rounded(want)) {
		c.t.Errorf("%s, command %d, %v:\n got %q\nwant %q", c.name, c.step, brief(cmd.Args()), got, want)
	}
}

func result(cmd redis.Cmder) (any, error) {
	switch cmd := cmd.(type) {
	case *redis.MapStringStringCmd:
		return cmd.Result()
	case *redis.StringCmd:
		return cmd.Result()
	default:
		return cmd.(*redis.Cmd).Result()
	}
}

// brief leaves out a script's text.
func brief(args []any) []any {
	if args[0] == "eval" {
		return append([]any{"eval", "…"}, args[2:]...)
	}
	return args
}

// rounded leaves out by how many milliseconds the two differ, in which order a hash is, and the times of events, which the fake hasn't.
func rounded(answer any) any {
	if fields, ok := answer.(map[string]string); ok {
		fields = maps.Clone(fields)
		fields["version"] = "some time"
		return fields
	}
	list, ok := answer.([]any)
	if !ok {
		return answer
	}
	list = slices.Clone(list)
	for i, value := range list {
		if left, ok := value.(int64); ok && left > 0 {
			list[i] = "some time"
		}
		if fields, ok := value.([]any); ok && i == 4 { // the controls
			list[i] = settings(fields)
		} else if ok && i == 2 {
			list[i] = timeless(fields)
		}
	}
	return list
}

func timeless(events []any) []any {
	events = slices.Clone(events)
	for i, e := range events {
		pair := e.([]any)
		events[i] = []any{pair[0], pair[1].([]any)[:4]}
	}
	return events
}

func settings(fields []any) map[string]string {
	m := map[string]string{}
	for pair := range slices.Chunk(fields, 2) {
		m[pair[0].(string)] = pair[1].(string)
	}
	m["version"] = "some time"
	return m
}

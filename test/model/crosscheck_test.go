package model

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge"
	"chatcache/redisbridge/wire"
)

const (
	commandSeed = 6
	sequences   = 60
	commands    = 24 // of a sequence: numbers stay below 32
	alsoAfterMS = 60_000
)

// both are the model's server and a real one behind the bridge.
type both struct {
	*redisbridge.Bridge
	raw   redis.UniversalClient
	model Server
	rule  Rule
	scope wire.Scope

	epochs  map[uint64]uint8 // the model's epoch of each real one
	tickets [2]Ticket        // of lookups, to store with
	real    [2]wire.Ticket
	cursor  Ticket
	at      wire.Ticket
	untold  bool // a deadline has passed, and no script has run since
}

// TestScriptsAgree compares the model's scripts with the real ones, command by
// command, and shows that each difference in them would be found.
func TestScriptsAgree(t *testing.T) {
	onEachServer(t, func(t *testing.T, o redisbridge.Options) {
		for run := range uint64(sequences) {
			if difference := drive(t, o, Intact, run); difference != "" {
				t.Fatalf("seed %d, sequence %d: %s", commandSeed, run, difference)
			}
		}
		for _, rule := range []Rule{
			OneSuspensionPerGroup, PurgeClearsSuspensions, ExpiryWithoutRaise, OnlyLookupsExpire,
			NoQuarantine, SuspensionInGeneration, NoTicketCheck, NothingAlsoAfter,
		} {
			found := false
			for run := uint64(0); run < sequences && !found; run++ {
				found = drive(t, o, rule, run) != ""
			}
			if !found {
				t.Errorf("a model with %q agrees with the scripts", rule)
			}
		}
	})
}

// drive runs one random sequence and says where the two differ first.
func drive(t *testing.T, o redisbridge.Options, rule Rule, run uint64) string {
	o.Insecure, o.Bootstrap = true, true
	o.Timeout, o.StoreTimeout, o.AdminTimeout = 5*time.Second, 5*time.Second, 5*time.Second
	bridge, err := redisbridge.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer bridge.Close()
	raw := redis.NewUniversalClient(&o.Redis)
	defer raw.Close()
	if err := raw.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	b := &both{
		Bridge: bridge, raw: raw, rule: rule, model: Server{Ticket: Ticket{Epoch: 1}, Also: true},
		scope:  wire.Scope{Policy: "chat", Horizon: 600_000, Quarantine: 30_000},
		epochs: make(map[uint64]uint8),
	}
	if _, got, want := b.feed(t.Context()); got != want {
		return fmt.Sprintf("the first poll: the scripts say %s; the model %s", got, want)
	}
	random := rand.New(rand.NewPCG(commandSeed, run))
	for n := range commands {
		if name, got, want := b.command(t.Context(), random); got != want {
			return fmt.Sprintf("command %d, %s: the scripts say %s; the model %s", n+1, name, got, want)
		}
	}
	return ""
}

// command runs one on both sides, and gives what each says.
func (b *both) command(ctx context.Context, random *rand.Rand) (name, got, want string) {
	id, raise := random.IntN(2), random.IntN(2) == 0
	word, groups := fmt.Sprint("w", id), []string{"c:stats"}
	k := random.IntN(32)
	if k >= 24 && k < 31 && b.untold {
		return "nothing", "", ""
	}
	b.untold = k >= 24 && k < 29
	switch {
	case k < 6:
		a, err := b.Suspend(ctx, wire.SuspendRequest{Scope: b.scope, ID: word, Groups: groups, Deadline: 30_000, AlsoAfter: alsoAfterMS})
		b.model.Suspend(b.rule, id)
		return "suspend " + word, b.position(a.Ticket, err), b.model.position()
	case k < 10:
		a, err := b.CloseSuspension(ctx, wire.CloseRequest{Scope: b.scope, ID: word, Groups: groups, Raise: raise, AlsoAfter: alsoAfterMS})
		b.model.Close(b.rule, id, raise)
		return fmt.Sprint("close ", word, ", raise: ", raise), b.position(a.Ticket, err), b.model.position()
	case k < 12:
		_, err := b.Purge(ctx, redisbridge.PurgeRequest{Policy: b.scope.Policy, Cache: "stats"})
		b.model.Purge(b.rule)
		return "purge", fmt.Sprint(err), "<nil>"
	case k < 20:
		return b.lookup(ctx, id)
	case k < 24:
		return b.feed(ctx)
	case k < 29:
		which := random.IntN(4)
		return fmt.Sprint("deadline ", which, " passes"), fmt.Sprint(b.pass(ctx, which)), "<nil>"
	case k < 31:
		b.model.LoseGeneration(b.rule)
		err := b.raw.Del(ctx, b.prefix()+"gen:*", b.prefix()+"gen:c:stats").Err()
		return "the generations are lost", fmt.Sprint(err), "<nil>"
	default:
		b.model.NewEpoch(b.rule)
		if err := b.raw.FlushDB(ctx).Err(); err != nil {
			return "FLUSHDB", err.Error(), "<nil>"
		}
		return b.feed(ctx) // a new epoch begins with a script
	}
}

func (b *both) prefix() string { return "{chatcache:" + b.scope.Policy + "}:" }

// position writes a real ticket in the model's numbers: epochs are counted.
func (b *both) position(t wire.Ticket, err error) string {
	if err != nil {
		return err.Error()
	}
	if _, ok := b.epochs[t.Epoch]; !ok {
		b.epochs[t.Epoch] = uint8(len(b.epochs) + 1)
	}
	return fmt.Sprint(Ticket{b.epochs[t.Epoch], uint8(t.Sequence)})
}

func (s *Server) position() string { return fmt.Sprint(s.Ticket) }

// lookup stores under the ticket of an earlier lookup first, so that validity
// is seen, and keeps the new ticket.
func (b *both) lookup(ctx context.Context, slot int) (name, got, want string) {
	key, groups := b.key(), []string{wire.GroupAll, "c:stats"}
	stored := b.real[slot].Epoch != 0
	b.raw.Del(ctx, key)
	if stored {
		e := wire.Entry{Head: wire.Head{Ticket: b.real[slot], Definition: "d", Groups: groups}, Payload: []byte("x")}
		if _, err := b.Store(ctx, wire.StoreRequest{Scope: b.scope, Key: key, TTL: 600_000, Entry: e.Encode()}); err != nil {
			return "store", err.Error(), "<nil>"
		}
	}
	a, err := b.Lookup(ctx, wire.LookupRequest{Scope: b.scope, Key: key, Groups: groups})
	ticket, gen, suspended := b.model.Lookup(b.rule)
	state := wire.LookupMiss
	if suspended {
		state = wire.LookupSuspended
	} else if stored && admits(b.rule, ticket, gen, b.tickets[slot]) {
		state = wire.LookupHit
	}
	if a.State != wire.LookupSuspended {
		b.real[slot], b.tickets[slot] = a.Ticket, ticket
	}
	return "lookup", fmt.Sprint(b.position(a.Ticket, err), " state ", a.State), fmt.Sprint(b.model.position(), " state ", state)
}

func (b *both) key() string {
	return wire.EntryKey("stats", b.scope.Policy, "", "GET", "/", "d")
}

func (b *both) feed(ctx context.Context) (name, got, want string) {
	a, err := b.Feed(ctx, wire.FeedRequest{Scope: b.scope, VM: "vm", Cursor: b.at, Lease: 3000})
	var raises, modelRaises uint32
	for _, e := range a.Events {
		if e.Kind == wire.EventRaise {
			raises |= 1 << e.Sequence
		}
	}
	ticket, continues, moves := b.model.Feed(b.rule, b.cursor)
	if continues {
		modelRaises = b.model.Raises &^ (1<<(b.cursor.Seq+1) - 1)
	}
	const format = "%s continues %t moves %t raises %b"
	got = fmt.Sprintf(format, b.position(a.Last, err), a.Continues(b.at), len(a.Events) > 0, raises)
	want = fmt.Sprintf(format, b.model.position(), continues, moves, modelRaises)
	b.at, b.cursor = a.Last, ticket
	return "feed", got, want
}

// pass moves a deadline into the past, where there is one. The next script finds it.
func (b *both) pass(ctx context.Context, which int) error {
	if which == dueLater {
		return b.passLater(ctx)
	}
	field := [...]string{"s:w0", "s:w1", "s:quarantine"}[which]
	open := [...]bool{b.model.Open[0], b.model.Open[1], b.model.Quarantine}[which]
	value, err := b.raw.HGet(ctx, b.prefix()+"state", field).Result()
	if (err == nil) != open {
		return fmt.Errorf("%s is %q, in the model open: %t", field, value, open)
	}
	if !open {
		return nil
	}
	now, err := b.raw.Time(ctx).Result()
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(value, " ")
	b.model.Pass(b.rule, which)
	// Just now: what comes later counts from the deadline.
	return b.raw.HSet(ctx, b.prefix()+"state", field, fmt.Sprint(now.UnixMilli()-1, " ", rest), "next", "1").Err()
}

// passLater makes what is to come later due. The raises of both ids are one: they are of one group,
// and there is one moment.
func (b *both) passLater(ctx context.Context) error {
	state := b.prefix() + "state"
	times, err := b.raw.HGet(ctx, state, "due").Result()
	open := b.model.Later[0] || b.model.Later[1]
	if (err == nil) != open {
		return fmt.Errorf("due is %q, in the model something is: %t", times, open)
	}
	if !open {
		return nil
	}
	for _, time := range strings.Fields(times) {
		b.raw.HDel(ctx, state, "d:"+time)
	}
	b.model.Later = [2]bool{true, false}
	b.model.Pass(b.rule, dueLater)
	return b.raw.HSet(ctx, state, "due", "1", "d:1", "c:stats").Err()
}

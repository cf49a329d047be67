package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
	"chatcache/test/bench"
	"chatcache/test/stack"
)

// settle is how long a raise is left alone before its receipts are read: who waits for them
// gives bridge and Redis more to do meanwhile.
const settle = 60 * time.Millisecond

// measureReach raises, and takes from the receipts how long each VM took to apply it. Between
// two raises all is quiet for a random while. Then it raises and waits for the receipts, a
// fifth as often.
func measureReach(ctx context.Context, mesh *stack.Stack, a administrator, vms, raises int) (reach, error) {
	var each, last, waits []float64
	before, err := spent(mesh)
	if err != nil {
		return reach{}, err
	}
	for range raises {
		quiet()
		answer, err := a.purge(ctx, "")
		if err != nil {
			return reach{}, err
		}
		time.Sleep(settle)
		receipts, err := a.receipts(ctx, answer, vms)
		if err != nil {
			return reach{}, err
		}
		for _, r := range receipts {
			each = append(each, float64(r.MS))
		}
		last = append(last, float64(receipts[vms-1].MS))
	}
	after, err := spent(mesh)
	if err != nil {
		return reach{}, err
	}
	for name, at := range after {
		after[name] = (at - before[name]) / float64(raises)
	}
	for range max(raises/5, 1) {
		quiet()
		began := time.Now()
		answer, err := a.purge(ctx, "10s")
		if err != nil {
			return reach{}, err
		}
		waits = append(waits, milliseconds(time.Since(began)))
		if !answer.Receipts.Complete {
			return reach{}, fmt.Errorf("raise %d: %+v", answer.Sequence, answer.Receipts)
		}
	}
	return reach{VMs: vms, Raises: raises, Each: summarize(each), Last: summarize(last), Wait: summarize(waits), CPU: after}, nil
}

// quiet lets all be quiet for a random while.
func quiet() { time.Sleep(time.Duration(10+rand.IntN(40)) * time.Millisecond) }

// spent is the processor time of the mesh's processes so far, ms.
func spent(mesh *stack.Stack) (map[string]float64, error) {
	all := map[string]float64{}
	for _, p := range mesh.Processes() {
		at, err := bench.ProcessorTime(p.PID())
		if err != nil {
			return nil, err
		}
		name, _, _ := strings.Cut(p.Name, "-") // all Envoys together
		all[name] += milliseconds(at)
	}
	return all, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// measurePurges times purges with ten entries in Redis, with very many, and with ten again:
// what else the machine does changes meanwhile. No VM follows yet.
func measurePurges(ctx context.Context, mesh *stack.Stack, a administrator, s settings) (p purge, err error) {
	options, err := redis.ParseURL(mesh.Valkey.URL())
	if err != nil {
		return p, err
	}
	client := redis.NewClient(options)
	defer client.Close()
	const few = 10
	for _, round := range []struct {
		change func(redis.Pipeliner, int)
		from   int
		to     int
		cost   *cost
		holds  int
	}{
		{store(ctx), 0, few, &p.Few, few}, {store(ctx), few, s.entries, &p.Many, s.entries}, {drop(ctx), few, s.entries, &p.FewAgain, few},
	} {
		if err := inBatches(ctx, client, round.from, round.to, round.change); err != nil {
			return p, err
		}
		if *round.cost, err = timePurges(ctx, a, s.purges); err != nil {
			return p, err
		}
		round.cost.Entries = round.holds
		if round.cost.Keys, err = client.DBSize(ctx).Result(); err != nil {
			return p, err
		}
	}
	p.Ratio = p.Many.P50 / ((p.Few.P50 + p.FewAgain.P50) / 2)
	return p, nil
}

func timePurges(ctx context.Context, a administrator, n int) (cost, error) {
	var times []float64
	for range n {
		began := time.Now()
		if _, err := a.purge(ctx, ""); err != nil {
			return cost{}, err
		}
		times = append(times, milliseconds(time.Since(began)))
	}
	return cost{Purges: n, summary: summarize(times)}, nil
}

// inBatches changes the entries with these numbers.
func inBatches(ctx context.Context, client *redis.Client, from, to int, change func(redis.Pipeliner, int)) error {
	const batch = 10_000
	for from < to {
		pipe := client.Pipeline()
		for ; from < to && pipe.Len() < batch; from++ {
			change(pipe, from)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// store stores an entry of the cache stats as a bridge does, of a user of its own.
func store(ctx context.Context) func(redis.Pipeliner, int) {
	payload := make([]byte, 256)
	return func(pipe redis.Pipeliner, n int) {
		entry := wire.Entry{Head: wire.Head{
			Ticket: wire.Ticket{Epoch: 1, Sequence: 1}, Definition: "0123456789abcdef",
			Groups: wire.ReadGroups("stats", strconv.Itoa(n)), TTL: 600_000,
		}, Payload: payload}
		pipe.Set(ctx, key(n), entry.Encode(), time.Hour)
	}
}

func drop(ctx context.Context) func(redis.Pipeliner, int) {
	return func(pipe redis.Pipeliner, n int) { pipe.Unlink(ctx, key(n)) }
}

func key(n int) string {
	return wire.EntryKey("stats", "chat-api", strconv.Itoa(n), "GET", "/api/chat/stats", strconv.Itoa(n))
}

package redisbridge

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// pings counts the looks at Redis, and lets each take that long.
type pings struct {
	countingHook
	clock *handClock
	take  time.Duration
	count int
}

func (p *pings) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "ping" {
			p.count++
			p.clock.now = p.clock.now.Add(p.take)
		}
		return next(ctx, cmd)
	}
}

func newPingedWorld(t *testing.T) (*world, *pings) {
	p := &pings{clock: &handClock{now: time.Unix(1_790_000_000, 0)}}
	return newMemoryWorld(t, func(o *Options) { o.Clock, o.Hooks = p.clock, []redis.Hook{p} }), p
}

// Whoever asks whether the bridge is ready, without a token and as often as they like, keeps Redis from nothing else.
func TestReadinessAsksRedisOnlySoOften(t *testing.T) {
	w, redis := newPingedWorld(t)
	for range 1000 {
		if status, body := call(w, "GET", "/readyz", "", nil); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
	}
	if redis.count != looksASecond {
		t.Errorf("1000 calls at one moment asked Redis %d times, want %d", redis.count, looksASecond)
	}
	w.memory.Close()
	redis.clock.now = redis.clock.now.Add(time.Second)
	for range 1000 {
		if status, body := call(w, "GET", "/readyz", "", nil); status != 503 || !strings.HasPrefix(body, "not ready: redis") {
			t.Fatalf("%d %s", status, body)
		}
	}
}

// Callers that go away don't keep others from knowing whether the bridge is ready: what their looks find counts.
func TestReadinessForThoseWhoStay(t *testing.T) {
	w, redis := newPingedWorld(t)
	ready := func(ctx context.Context) (int, string) {
		answer := httptest.NewRecorder()
		w.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, "GET", "/readyz", nil))
		return answer.Code, answer.Body.String()
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 * looksASecond {
		ready(gone)
	}
	if status, body := ready(t.Context()); status != 200 {
		t.Errorf("after callers that went away: %d %s", status, body)
	}
	w.memory.Close()
	redis.clock.now = redis.clock.now.Add(time.Second)
	for range 2 * looksASecond {
		ready(gone)
	}
	if status, body := ready(t.Context()); status != 503 || !strings.HasPrefix(body, "not ready: redis") {
		t.Errorf("without Redis, after callers that went away: %d %s", status, body)
	}
}

// Who scrapes while Redis hangs takes what the scrape before has found, however long that took: otherwise they queue up.
func TestMetricsWhileRedisHangs(t *testing.T) {
	w, redis := newPingedWorld(t)
	redis.take = 2 * standingAge
	for range 3 {
		call(w, "GET", "/metrics", "", nil)
	}
	if redis.count != 1 {
		t.Errorf("Redis was asked %d times, want once", redis.count)
	}
}

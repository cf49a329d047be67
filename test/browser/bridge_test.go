package browser

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"chatcache/redisbridge"
	"chatcache/redisbridge/wire"
)

const (
	adminToken  = "administrators-own"
	viewerToken = "viewers-own"
)

// bridge is one with a Redis in memory, whose filters' part the test plays.
type bridge struct {
	*redisbridge.Bridge
	t       *testing.T
	url     string
	raw     redis.UniversalClient
	down    atomic.Bool // it breaks every connection
	silent  atomic.Bool // it takes calls and never answers
	noRedis func()      // stops its Redis
	reports uint64
}

func newBridge(t *testing.T) *bridge {
	t.Helper()
	o, stop, err := redisbridge.Memory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	o.Token, o.AdminToken, o.ViewerToken, o.Bootstrap = "filters-own", adminToken, viewerToken, true
	o.Timeout, o.AdminTimeout = patience, patience // of a machine that Chromium keeps busy
	b := &bridge{t: t, raw: redis.NewUniversalClient(&o.Redis), noRedis: stop}
	t.Cleanup(func() { b.raw.Close() })
	if b.Bridge, err = redisbridge.New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Bridge.Close() })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.down.Load() {
			panic(http.ErrAbortHandler)
		}
		if b.silent.Load() {
			io.Copy(io.Discard, r.Body) // or the server doesn't see that its caller goes
			<-r.Context().Done()
			return
		}
		b.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	b.url = server.URL + "/"
	return b
}

// count lets a VM report counts of a cache. It knows nothing of the feed yet.
func (b *bridge) count(vm, cache string, counts map[wire.Counter]uint64) {
	b.t.Helper()
	b.reports++
	report := wire.Report{Number: b.reports, Caches: []wire.Counts{{Cache: cache}}}
	for c, n := range counts {
		report.Caches[0].Values[c] = n
	}
	b.poll(vm, wire.Ticket{}, report)
}

// applied lets a VM say that it has applied all that has happened.
func (b *bridge) applied(vm string) {
	b.t.Helper()
	b.poll(vm, b.poll(vm, wire.Ticket{}, wire.Report{}), wire.Report{})
}

func (b *bridge) poll(vm string, cursor wire.Ticket, report wire.Report) wire.Ticket {
	b.t.Helper()
	feed := wire.FeedRequest{Scope: wire.Scope{Policy: "chat", Horizon: 600_000}, VM: vm, Cursor: cursor, Lease: wire.MaxLease}
	answer, err := b.Follow(b.t.Context(), wire.FollowRequest{FeedRequest: feed, Report: report, Knows: wire.Knows{Version: "5eed"}})
	if err != nil {
		b.t.Fatal(err)
	}
	return answer.Last
}

func (b *bridge) purge() {
	b.t.Helper()
	if _, err := b.Purge(b.t.Context(), redisbridge.PurgeRequest{Policy: "chat", All: true}); err != nil {
		b.t.Fatal(err)
	}
}

func TestMain(m *testing.M) {
	logging.Disable() // go-redis logs what its errors say already
	os.Exit(m.Run())
}

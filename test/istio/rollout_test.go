package istio

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"chatcache/test/stack"
)

// canary is a gateway beside ingress, with a label more.
var canary = proxyOptions{
	Name: "canary", IP: canaryIP, Namespace: ingress.Namespace, Workers: 2,
	Labels: map[string]string{"istio": "ingressgateway", "release": "canary"},
}

// upgraded gives another module that does the same: a custom section (id 0) is appended, whose name is new.
func upgraded(wasm []byte) []byte {
	return append(append([]byte(nil), wasm...), 0, 5, 3, 'n', 'e', 'w', '2')
}

// traffic reads through a gateway until it is stopped.
type traffic struct {
	stop func()
	done chan struct{}

	count  atomic.Int64
	failed []response // read when done is closed
}

// keepReading starts reads, each of which must be answered with 200.
func keepReading(t *testing.T, g *proxy, user, path string) *traffic {
	stopped := make(chan struct{})
	f := &traffic{done: make(chan struct{}), stop: sync.OnceFunc(func() { close(stopped) })}
	t.Cleanup(f.stop)
	go func() {
		defer close(f.done)
		for {
			select {
			case <-stopped:
				return
			default:
			}
			f.count.Add(1)
			if r := g.Get(user, path); r.Status != http.StatusOK {
				f.failed = append(f.failed, r)
			}
		}
	}()
	return f
}

// Stop ends the reads and fails the test if one wasn't answered.
func (f *traffic) Stop(t *testing.T) {
	t.Helper()
	seen := f.count.Load()
	stack.UntilT(t, "fifty reads after what happened", func() bool { return f.count.Load() > seen+50 })
	f.stop()
	<-f.done
	if len(f.failed) > 0 {
		t.Errorf("%d of %d reads failed meanwhile; the first: %v", len(f.failed), f.count.Load(), f.failed[0])
	}
	t.Logf("%d reads meanwhile", f.count.Load())
}

// untilRuns waits until the gateway's Envoy has the module whose digest a WasmPlugin pins.
func untilRuns(t *testing.T, g *proxy, sha256 string) {
	t.Helper()
	stack.UntilT(t, "Envoy's plugin is "+sha256, func() bool {
		dump, err := g.Admin("/config_dump?resource=ecds_filters")
		return err == nil && strings.Contains(dump, sha256+".wasm")
	})
}

func TestImageUpgradeLosesNoRequestAndNoEntry(t *testing.T) {
	w := newWorld(t, gatewayFiles...)
	g := startProxy(t, w, ingress)
	old := g.Get("ada", "/api/chat/stats")
	untilHit(t, g, "ada", "/api/chat/stats")
	untilRuns(t, g, w.Plugin.Spec.Sha256)

	meanwhile := keepReading(t, g, "bob", "/api/chat/stats")
	url, digest := w.Registry.Push(upgraded(w.wasm), "2.0.0")
	w.Istio.Apply(w.Plugin.with(func(p *wasmPlugin) { p.image(url, digest) }).Config)
	untilRuns(t, g, digest)
	after := g.Get("ada", "/api/chat/stats")
	meanwhile.Stop(t)
	if !after.Hit() || after.Body != old.Body {
		t.Errorf("after the upgrade: %v, want a hit: what is in Redis stays", after)
	}
}

func TestWrongDigestCostsTheCacheAndNothingElse(t *testing.T) {
	w := newWorld(t, gatewayFiles...)
	right := w.Plugin
	w.Istio.Apply(right.with(wrongDigest).Config)
	g := startProxy(t, w, ingress)
	for range 3 {
		if r := g.Get("ada", "/api/chat/stats"); r.Status != http.StatusOK || r.CacheStatus != "" {
			t.Errorf("with a wrong digest: %v, want what the origin says, and no word of the cache", r)
		}
	}
	if n := w.Origin.Count("GET /api/chat/stats"); n != 3 {
		t.Errorf("the origin was asked %d times, want 3", n)
	}
	if !strings.Contains(g.LogTail(1000), "which does not match: "+strings.Repeat("0", 64)) {
		t.Error("pilot-agent's log doesn't say which digest is wrong")
	}

	w.Istio.Apply(right.Config)
	untilHit(t, g, "ada", "/api/chat/stats")
}

// wrongDigest makes the image one that can't be loaded.
func wrongDigest(p *wasmPlugin) { p.Spec.Sha256 = strings.Repeat("0", 64) }

// Without a filter writes pass that invalidate nothing. Nothing older than they are is served where everything is purged before the filter
// comes back, or is off until it has.
func TestWritesWithoutAFilter(t *testing.T) {
	for name, tt := range map[string]struct {
		before []string // commands
		back   string   // what answers say once the filter is back
		after  []string
	}{
		"purged": {[]string{"purge", "--policy", "chat-api", "--all"}, "chatcache; ", nil},
		"off": {
			[]string{"controls", "set", "--policy", "chat-api", "--all", "off"}, "chatcache; fwd=bypass; detail=off",
			[]string{"controls", "unset", "--policy", "chat-api", "--all", "off"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, gatewayFiles...)
			g := startProxy(t, w, ingress)
			g.Get("ada", "/api/chat/sessions")
			untilHit(t, g, "ada", "/api/chat/sessions")

			w.Istio.Apply(w.Plugin.with(wrongDigest).Config)
			stack.UntilT(t, "the filter has gone", func() bool { return g.Get("ada", "/api/chat/sessions").CacheStatus == "" })
			if r := g.Do(request{http.MethodPost, "/api/chat/sessions", "ada", `{"title":"unnoticed"}`}); r.Status != http.StatusCreated || r.CacheStatus != "" {
				t.Fatalf("a write with a wrong digest: %v, want what the origin says, and no word of the cache", r)
			}
			w.redisbridge(tt.before...)

			w.Istio.Apply(w.Plugin.Config)
			read := func() response {
				r := g.Get("ada", "/api/chat/sessions")
				if r.Status != http.StatusOK || !strings.Contains(r.Body, "unnoticed") {
					t.Fatalf("after the write: %v, want it in the answer", r)
				}
				return r
			}
			stack.UntilT(t, "the filter is back", func() bool { return strings.HasPrefix(read().CacheStatus, tt.back) })
			if tt.after != nil {
				w.redisbridge(tt.after...)
			}
			stack.UntilT(t, "a hit", func() bool { return read().Hit() })
		})
	}
}

func TestPolicyChangeKeepsTheMemoryOfTheWorkers(t *testing.T) {
	w := newWorld(t, gatewayFiles...)
	one := ingress
	one.Workers = 1 // whose memory answers from the second hit on
	g := startProxy(t, w, one)
	g.Get("ada", "/api/chat/stats")
	stack.UntilT(t, "the worker has it in its memory", func() bool { return strings.HasSuffix(g.Get("ada", "/api/chat/stats").CacheStatus, "detail=l1") })

	w.Istio.Apply(w.Plugin.with(func(p *wasmPlugin) { p.set(t, "0s", "caches", "models", "ttl") }).Config)
	stack.UntilT(t, "the new policy is in force", func() bool {
		return g.Get("", "/api/models").CacheStatus == "chatcache; fwd=bypass; detail=off"
	})
	if r := g.Get("ada", "/api/chat/stats"); !strings.HasSuffix(r.CacheStatus, "detail=l1") {
		t.Errorf("after the change of policy: %v, want a hit from the worker's memory", r)
	}
}

func TestRemoval(t *testing.T) {
	w := newWorld(t, gatewayFiles...)
	g := startProxy(t, w, ingress)
	g.Get("ada", "/api/chat/stats")
	untilHit(t, g, "ada", "/api/chat/stats")

	meanwhile := keepReading(t, g, "bob", "/api/chat/stats")
	w.Istio.Delete(w.Plugin.Config)
	stack.UntilT(t, "the filter has gone", func() bool { return g.Get("ada", "/api/chat/stats").CacheStatus == "" })
	meanwhile.Stop(t)
}

// A second gateway with a label of its own gets the filter first: the other one's answers don't know of it.
func TestCanaryByASecondGatewaysLabel(t *testing.T) {
	w := newWorld(t, gatewayFiles...)
	w.Istio.Apply(w.Plugin.with(func(p *wasmPlugin) { p.Spec.Selector.MatchLabels["release"] = "canary" }).Config)
	g, canary := startProxy(t, w, ingress), startProxy(t, w, canary)
	stored := canary.Get("ada", "/api/chat/stats")
	untilHit(t, canary, "ada", "/api/chat/stats")
	if r := g.Get("ada", "/api/chat/stats"); r.Status != http.StatusOK || r.CacheStatus != "" {
		t.Errorf("beside the canary: %v, want what the origin says, and no word of the cache", r)
	}

	w.Istio.Apply(w.Plugin.Config)
	if r := untilHit(t, g, "ada", "/api/chat/stats"); r.Body != stored.Body {
		t.Errorf("once it has the filter, too: %v, want what the canary has stored", r)
	}
	if r := canary.Get("ada", "/api/chat/stats"); !r.Hit() {
		t.Errorf("the canary meanwhile: %v, want a hit", r)
	}
}

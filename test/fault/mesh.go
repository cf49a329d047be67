package fault

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"chatcache/test/stack"

	"github.com/redis/go-redis/v9"
)

// Mesh is a mesh of processes that can fail in every way.
type Mesh struct {
	*stack.Stack
	// ToBridge are the ways from each Envoy to the bridge, ToRedis is the bridge's to Redis.
	ToBridge []*Link
	ToRedis  *Link

	shuffle *Shuffle
	redis   *redis.Client
	proxies []proxyState
}

// proxyState tells requests that an Envoy's death broke from others.
type proxyState struct {
	mu     sync.Mutex
	down   bool
	deaths int
}

// shuffleMost is how long a call under Shuffle, and its answer, take at most: longer than
// filters wait.
const shuffleMost = 80 * time.Millisecond

// MeshT starts a mesh with links between its parts; it ends with the test.
func MeshT(t testing.TB, o stack.Options) *Mesh {
	t.Helper()
	m := &Mesh{proxies: make([]proxyState, max(1, o.Envoys))}
	o.Between = func(from, to string, port int) (int, error) {
		link, err := NewLink(port)
		if err != nil {
			return 0, err
		}
		t.Cleanup(func() { link.Close() })
		if to == "valkey" {
			m.ToRedis = link
		} else {
			m.ToBridge = append(m.ToBridge, link)
		}
		return link.Port, nil
	}
	m.Stack = stack.RunT(t, o)
	server, err := redis.ParseURL(m.Valkey.URL())
	if err != nil {
		t.Fatal(err)
	}
	m.redis = redis.NewClient(server)
	t.Cleanup(func() { m.redis.Close() })
	if m.shuffle, err = NewShuffle(m.Bridge.Port, shuffleMost); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.shuffle.Close() })
	return m
}

// Fault is one way to fail. End returns when the part can serve again.
type Fault struct {
	Name       string
	Begin, End func() error
	// Proxy is the Envoy that dies or is stopped, -1 if none.
	Proxy int
	// Forgets says that Redis loses its data, so that a quarantine follows.
	Forgets bool
}

// All lists the faults.
func (m *Mesh) All() []Fault {
	list := []Fault{
		{Name: "bridge killed", Begin: m.Bridge.Kill, End: start(m.Bridge.Process)},
		{Name: "bridge stopped", Begin: m.Bridge.Pause, End: m.Bridge.Resume},
		{Name: "Redis killed", Begin: m.Valkey.Kill, End: start(m.Valkey.Process), Forgets: true},
		{Name: "Redis stopped", Begin: m.Valkey.Pause, End: m.Valkey.Resume},
		{Name: "Redis flushed", Begin: m.flush, End: func() error { return nil }, Forgets: true},
		m.linked("Envoy-bridge cut", (*Link).Cut, m.ToBridge...),
		m.linked("Envoy-bridge silent", (*Link).Silence, m.ToBridge...),
		m.linked("Envoy-bridge slow", slow, m.ToBridge...),
		m.linked("one Envoy-bridge cut", (*Link).Cut, m.ToBridge[0]),
		m.linked("one Envoy-bridge silent", (*Link).Silence, m.ToBridge[0]),
		m.linked("bridge-Redis cut", (*Link).Cut, m.ToRedis),
		m.linked("bridge-Redis silent", (*Link).Silence, m.ToRedis),
		m.linked("bridge-Redis slow", slow, m.ToRedis),
		{Name: "bridge calls out of order", Begin: m.lead(m.shuffle.Port), End: m.lead(m.Bridge.Port)},
	}
	for i := range list {
		list[i].Proxy = -1
	}
	last := len(m.Envoys) - 1
	return append(list,
		Fault{Name: "one Envoy killed", Proxy: last, Begin: func() error { return m.killEnvoy(last) }, End: func() error { return m.startEnvoy(last) }},
		Fault{Name: "one Envoy stopped", Proxy: last, Begin: m.Envoys[last].Pause, End: m.Envoys[last].Resume})
}

// slowBy is a good part of what filters wait for the bridge by default, and both ways more.
const slowBy = 30 * time.Millisecond

func slow(l *Link) { l.Slow(slowBy) }

func start(p *stack.Process) func() error {
	return func() error { return p.Start(context.Background()) }
}

func (m *Mesh) linked(name string, begin func(*Link), links ...*Link) Fault {
	each := func(f func(*Link)) func() error {
		return func() error {
			for _, l := range links {
				f(l)
			}
			return nil
		}
	}
	return Fault{Name: name, Begin: each(begin), End: each((*Link).Heal)}
}

func (m *Mesh) lead(port int) func() error {
	return func() error {
		for _, l := range m.ToBridge {
			l.Lead(port)
		}
		return nil
	}
}

func (m *Mesh) flush() error { return m.redis.FlushAll(context.Background()).Err() }

func (m *Mesh) killEnvoy(i int) error {
	p := &m.proxies[i]
	p.mu.Lock()
	p.down, p.deaths = true, p.deaths+1
	p.mu.Unlock()
	return m.Envoys[i].Kill()
}

func (m *Mesh) startEnvoy(i int) error {
	err := m.Envoys[i].Start(context.Background())
	p := &m.proxies[i]
	p.mu.Lock()
	p.down = false
	p.mu.Unlock()
	return err
}

// Deaths counts the deaths of an Envoy; down tells that it hasn't come back. A request that
// fails is broken by a death if the count changed while it lasted, or the Envoy was down.
func (m *Mesh) Deaths(proxy int) (deaths int, down bool) {
	p := &m.proxies[proxy]
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.deaths, p.down
}

// Counters gives the filter's counters and gauges of all Envoys that answer, added up by
// name without the prefix "wasmcustom.chatcache.".
func (m *Mesh) Counters(ctx context.Context) (map[string]int64, error) {
	sums := map[string]int64{}
	var errs []error
	for _, e := range m.Envoys {
		text, err := e.Admin(ctx, "/stats?filter=wasmcustom")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			name, ours := strings.CutPrefix(name, "wasmcustom.chatcache.")
			if n, err := strconv.ParseInt(value, 10, 64); err == nil && ours {
				sums[name] += n
			}
		}
	}
	return sums, errors.Join(errs...)
}

package mesh

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	herdClients = 1000
	herdWithin  = time.Minute // far more than a herd needs, on a loaded machine
)

// herd sends reads of one user to a proxy, each over a connection of its own, and gives
// what became of them.
type herd struct {
	m   *real
	all sync.WaitGroup
	mu  sync.Mutex
	got map[string]int // status and cache-status
}

func (h *herd) run(ctx context.Context, n int, user string, proxies ...int) {
	for i := range n {
		h.all.Go(func() {
			outcome := h.one(ctx, h.m.stack.Envoys[proxies[i%len(proxies)]].URL(), user)
			h.mu.Lock()
			defer h.mu.Unlock()
			h.got[outcome]++
		})
	}
}

func (h *herd) one(ctx context.Context, url, user string) string {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/chat/stats", nil)
	if err != nil {
		return err.Error()
	}
	r.Host = "chat.test"
	r.Header.Set("Authorization", "Bearer "+user)
	response, err := h.m.client.Do(r)
	if err != nil {
		return "failed"
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return "broken off"
	}
	return fmt.Sprint(response.StatusCode)
}

// TestHerd: a thousand clients ask for what nobody has asked for before, over two proxies with two
// workers each. The origin is asked once, or twice where who fetches is killed; nobody fails.
func TestHerd(t *testing.T) {
	m := Real(t, Options{Policy: ChatPolicy(t, func(document map[string]any) {
		document["collapse"] = map[string]any{"max_wait": "20s"}
	}, Unhurried)}).(*real)
	for _, test := range []struct {
		name    string
		lead    func(ctx context.Context, h *herd, user string) // begins the fetch
		kill    func(leave context.CancelFunc)
		proxies []int
		asked   int64
	}{
		{"nobody dies", nil, nil, []int{0, 1}, 1},
		{"its client leaves", leadAt(0), func(leave context.CancelFunc) { leave() }, []int{0, 1}, 2},
		{"its proxy is killed", leadAt(0), func(context.CancelFunc) {
			if err := m.stack.Envoys[0].Kill(); err != nil {
				t.Fatal(err)
			}
		}, []int{1}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, began := m.origin.Serial(), time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), herdWithin)
			defer cancel()
			leads, leave := context.WithCancel(ctx)
			defer leave()
			first, rest := &herd{m: m, got: map[string]int{}}, &herd{m: m, got: map[string]int{}}
			if test.lead != nil {
				m.origin.Slow(herdWithin) // it is still asked when who asks is killed
				test.lead(leads, first, test.name)
				m.Until(herdWithin, "the origin is asked", func() bool { return m.origin.Serial() > before })
			}
			m.origin.Slow(time.Second)
			rest.run(ctx, herdClients, test.name, test.proxies...)
			if test.kill != nil {
				time.Sleep(300 * time.Millisecond) // some wait for it by then
				test.kill(leave)
			}
			rest.all.Wait()
			first.all.Wait()
			asked := m.origin.Serial() - before
			t.Logf("%d clients, origin asked %d times, %v", herdClients, asked, time.Since(began).Round(time.Millisecond))
			if rest.got["200"] != herdClients || asked != test.asked {
				t.Errorf("the origin was asked %d times, want %d; outcomes %v", asked, test.asked, rest.got)
			}
		})
	}
	if logs := m.Logs(); strings.Contains(logs, "recovered from a panic") {
		t.Error("the filter recovered from a panic")
	}
}

func leadAt(proxy int) func(context.Context, *herd, string) {
	return func(ctx context.Context, h *herd, user string) { h.run(ctx, 1, user, proxy) }
}

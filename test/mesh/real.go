package mesh

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"chatcache/redisbridge"
	"chatcache/test/stack"

	"github.com/redis/go-redis/v9"
)

type real struct {
	t       *testing.T
	stack   *stack.Stack
	origin  *Origin
	client  http.Client
	redis   *redis.Client
	garbage *http.Server
	faults  map[Part]Fault
	ledger  ledger
}

// Real runs a mesh of processes. Without Envoy or a Redis server the test is skipped,
// or fails with CHATCACHE_REQUIRE=1.
func Real(t *testing.T, o Options) Mesh {
	t.Helper()
	m := &real{t: t, origin: newOrigin(wait), faults: map[Part]Fault{}}
	m.client.Transport = &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	options := stack.Options{
		Envoys: Proxies, Workers: Workers, Policy: []byte(o.Policy), Origin: m.origin,
		BridgeArgs: []string{"--timeout", BridgePatience.String()}, Loopback: Loopback,
	}
	if o.JWT {
		options.Front = []any{jwtAuthn()}
	}
	m.stack = stack.RunT(t, options)
	server, err := redis.ParseURL(m.stack.Valkey.URL())
	if err != nil {
		t.Fatal(err)
	}
	m.redis = redis.NewClient(server)
	t.Cleanup(func() { m.redis.Close() })
	return m
}

func wait(ctx context.Context, wake <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-wake:
	case <-ctx.Done():
	case <-timer.C:
	}
}

type realStream struct {
	m        *real
	response *http.Response
}

func (s realStream) Finish() Response {
	s.m.t.Helper()
	defer s.response.Body.Close()
	body, err := io.ReadAll(s.response.Body)
	r := Response{Status: s.response.StatusCode, Header: s.response.Header, Body: string(body)}
	if err == nil {
		s.m.ledger.note(r)
	}
	return r
}

// send gives the response when its header section is there.
func (m *real) send(proxy int, r Request) (*http.Response, error) {
	req, err := http.NewRequest(r.Method, m.stack.Envoys[proxy].URL()+r.Path, strings.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	req.Host = "chat.test"
	for _, f := range r.fields() {
		req.Header.Add(f[0], f[1])
	}
	return m.client.Do(req)
}

func (m *real) Open(proxy int, r Request) Stream {
	m.t.Helper()
	response, err := m.send(proxy, r)
	if err != nil {
		m.t.Fatalf("%s %s: %v", r.Method, r.Path, err)
	}
	return realStream{m, response}
}

func (m *real) Together(requests ...Request) []Response {
	m.t.Helper()
	responses := make([]Response, len(requests))
	var all sync.WaitGroup
	for i, r := range requests {
		all.Go(func() {
			from, err := m.send(i%Proxies, r)
			if err != nil {
				return
			}
			defer from.Body.Close()
			if body, err := io.ReadAll(from.Body); err == nil {
				responses[i] = Response{Status: from.StatusCode, Header: from.Header, Body: string(body)}
			}
		})
	}
	all.Wait()
	for _, r := range responses {
		m.ledger.note(r)
	}
	return responses
}

func (m *real) Do(proxy int, r Request) Response {
	m.t.Helper()
	return m.Open(proxy, r).Finish()
}

func (m *real) Settle() {
	m.t.Helper()
	m.Until(settleWithin, "stores and ends of writes are acknowledged", func() bool { return m.ledger.settled(m) })
}

func (m *real) Until(within time.Duration, what string, holds func() bool) time.Duration {
	m.t.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > within {
			m.t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return time.Since(began)
}

func (m *real) Origin() *Origin { return m.origin }

func (m *real) Break(p Part, f Fault) {
	m.t.Helper()
	process := m.stack.Bridge.Process
	if p == Redis {
		process = m.stack.Valkey.Process
	}
	var err error
	switch f {
	case Healthy:
		err = m.heal(process, m.faults[p])
	case Down:
		err = process.Kill()
	case Hung:
		if err = process.Pause(); err == nil {
			m.untilSilent(p)
		}
	case Garbage:
		if err = process.Kill(); err == nil {
			err = m.serveGarbage()
		}
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.faults[p] = f
}

// untilSilent waits until a part that was stopped really is: the signal returns before every
// thread has got it.
func (m *real) untilSilent(p Part) {
	m.t.Helper()
	m.Until(settleWithin, "the stopped part is silent", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if p == Redis {
			return m.redis.Ping(ctx).Err() != nil
		}
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, m.stack.Bridge.URL()+"/healthz", nil)
		response, err := m.client.Do(req)
		if err == nil {
			response.Body.Close()
		}
		return err != nil
	})
}

func (m *real) heal(p *stack.Process, from Fault) error {
	if m.garbage != nil {
		if err := m.garbage.Close(); err != nil {
			return err
		}
		m.garbage = nil
	}
	if from == Hung {
		return p.Resume()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return p.Start(ctx)
}

// serveGarbage answers at the bridge's address.
func (m *real) serveGarbage() error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(m.stack.Bridge.Port)))
	if err != nil {
		return err
	}
	m.garbage = &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("<html>It works!</html>"))
	})}
	m.garbage.Protocols.SetUnencryptedHTTP2(true)
	m.garbage.Protocols.SetHTTP1(true)
	go m.garbage.Serve(l)
	return nil
}

func (m *real) Flush() {
	m.t.Helper()
	if err := m.redis.FlushAll(context.Background()).Err(); err != nil {
		m.t.Fatal(err)
	}
}

func (m *real) Keys() map[string]string {
	m.t.Helper()
	ctx := context.Background()
	names, err := m.redis.Keys(ctx, "*").Result()
	if err != nil {
		m.t.Fatal(err)
	}
	keys := map[string]string{}
	for _, name := range names {
		keys[name], _ = m.redis.Get(ctx, name).Result() // entries and generations; others hold no text of a client
	}
	return keys
}

func (m *real) Purge(cache, partition string) {
	m.t.Helper()
	m.administer(http.MethodPost, "/v1/purge", map[string]any{"policy": "chat-api", "all": cache == "", "cache": cache, "partition": partition})
}

func (m *real) Invalidate(rule, user string) {
	m.t.Helper()
	m.administer(http.MethodPost, "/v1/invalidate", map[string]any{
		"rule": rule, "identity": map[string]any{"header": map[string]string{"authorization": "Bearer " + user}},
	})
}

func (m *real) Control(r redisbridge.ControlsRequest) {
	m.t.Helper()
	m.administer(http.MethodPost, "/v1/controls", r)
}

func (m *real) Status() (s redisbridge.Status) {
	m.t.Helper()
	if err := json.Unmarshal(m.administer(http.MethodGet, "/v1/status", nil), &s); err != nil {
		m.t.Fatal(err)
	}
	return s
}

// administer makes a call of the bridge's administration.
func (m *real) administer(method, path string, ask any) (answer []byte) {
	m.t.Helper()
	body, _ := json.Marshal(ask)
	req, err := http.NewRequest(method, m.stack.Bridge.URL()+path, bytes.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+stack.AdminToken)
	response, err := m.client.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		m.t.Fatalf("%s: %v, %s: %s", path, err, response.Status, answer)
	}
	return answer
}

func (m *real) Reconfigure(document string, proxies ...int) {
	m.t.Helper()
	for i, e := range m.stack.Envoys {
		if len(proxies) > 0 && !slices.Contains(proxies, i) {
			continue
		}
		if err := e.SetPolicy(context.Background(), []byte(document)); err != nil {
			m.t.Fatal(err)
		}
	}
}

func (m *real) Refused(document string) string {
	m.t.Helper()
	for _, e := range m.stack.Envoys {
		if err := e.SetPolicy(context.Background(), []byte(document)); !errors.Is(err, stack.ErrRefused) {
			m.t.Fatalf("%s took the policy (%v):\n%s", e.Name, err, document)
		}
	}
	return m.Logs()
}

func (m *real) Sum(suffix string) (sum uint64) {
	m.t.Helper()
	for name, n := range m.stats("Counters") {
		if strings.HasSuffix(name, suffix) {
			sum += n
		}
	}
	return sum
}

func (m *real) Gauge(name string) int64 {
	m.t.Helper()
	return int64(m.stats("Gauges")["wasmcustom."+name])
}

// stats adds up the filters' statistics of a type over all proxies.
func (m *real) stats(kind string) map[string]uint64 {
	m.t.Helper()
	sums := map[string]uint64{}
	for _, e := range m.stack.Envoys {
		text, err := e.Admin(context.Background(), "/stats?filter=wasmcustom&type="+kind)
		if err != nil {
			m.t.Fatal(err)
		}
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			if n, err := strconv.ParseUint(value, 10, 64); err == nil {
				sums[name] += n
			}
		}
	}
	return sums
}

func (m *real) Logs() string {
	m.t.Helper()
	var b strings.Builder
	for _, p := range m.stack.Processes() {
		text, err := os.ReadFile(p.Log)
		if err != nil {
			m.t.Fatal(err)
		}
		b.Write(text)
	}
	return b.String()
}

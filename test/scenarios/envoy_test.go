package scenarios

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chatcache/hostsim"
	"chatcache/hostsim/scenario"
	"chatcache/redisbridge"
	"chatcache/test/mesh"
	"chatcache/test/stack"
)

// real is Envoy, the bridge and Valkey as processes, for all scenarios.
type real struct {
	t      *testing.T
	stack  *stack.Stack
	origin atomic.Pointer[scenario.Origin]
	bridge string // its state
}

func startReal(t *testing.T) *real {
	t.Helper()
	m := &real{t: t, bridge: "up"}
	m.reset()
	m.stack = stack.RunT(t, stack.Options{
		Policy: []byte(bothPolicies(t)), BridgeArgs: []string{"--timeout", mesh.BridgePatience.String()},
		Origin: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			m.origin.Load().ServeHTTP(w, r)
		}),
	})
	return m
}

func (m *real) reset() *scenario.Origin {
	origin := &scenario.Origin{Wait: originWaits}
	m.origin.Store(origin)
	return origin
}

func (m *real) tick() { time.Sleep(2 * time.Millisecond) }

func (m *real) Advance(d time.Duration) { time.Sleep(d) }

func (m *real) Do(_ int, r *hostsim.Request) (*hostsim.Response, []string) {
	resp, err := send(m.stack.Envoys[0].URL(), r)
	if err != nil {
		resp = &hostsim.Response{Details: err.Error()}
	}
	return resp, nil
}

func (m *real) Call(cluster string, r *hostsim.Request) (*hostsim.Response, error) {
	if cluster != bridgeCluster {
		return nil, fmt.Errorf("there is no cluster %q", cluster)
	}
	return send(m.stack.Bridge.URL(), r)
}

// send sends a request over a connection of its own.
func send(url string, r *hostsim.Request) (*hostsim.Response, error) {
	req, err := http.NewRequest(r.Method, url+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	req.Host = r.Authority
	req.Header.Set("User-Agent", "")
	for _, f := range r.Headers {
		req.Header.Add(f[0], f[1])
	}
	transport := &http.Transport{DisableKeepAlives: !r.HTTP2, DisableCompression: true, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!r.HTTP2)
	transport.Protocols.SetUnencryptedHTTP2(r.HTTP2)
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	answer, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	resp := &hostsim.Response{Status: answer.StatusCode, Body: body, Complete: err == nil}
	for name, values := range answer.Header {
		for _, v := range values {
			resp.Headers.Add(strings.ToLower(name), v)
		}
	}
	return resp, nil
}

func (m *real) SetCluster(name, state string) error {
	m.t.Helper()
	process, err := m.stack.Bridge.Process, error(nil)
	switch {
	case name != bridgeCluster:
		err = fmt.Errorf("cluster %s can't be made to fail here", name)
	case state == "refusing":
		err = process.Kill()
	case state == "hanging":
		err = m.hang()
	case state == "up" && m.bridge == "hanging":
		err = process.Resume()
	case state == "up" && m.bridge == "refusing":
		err = process.Start(context.Background())
	default:
		err = fmt.Errorf("cluster %s can't be %s here", name, state)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.bridge = state
	return nil
}

// hang stops the bridge. A signal takes a moment to stop every thread: until then
// one may still answer.
func (m *real) hang() error {
	m.t.Helper()
	if err := m.stack.Bridge.Pause(); err != nil {
		return err
	}
	client := http.Client{Timeout: 50 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	stack.UntilT(m.t, "the stopped bridge is silent", func() bool {
		resp, err := client.Get(m.stack.Bridge.URL() + "/healthz")
		if err == nil {
			resp.Body.Close()
		}
		return err != nil
	})
	return nil
}

// heard asks the bridge whether a VM is behind.
func (m *real) heard() bool {
	resp, err := m.Call(bridgeCluster, &hostsim.Request{Method: "GET", Path: "/v1/status", Headers: hostsim.Headers{{"authorization", "Bearer " + adminToken}}})
	if err != nil {
		return false
	}
	var status redisbridge.Status
	if err := json.Unmarshal(resp.Body, &status); err != nil {
		m.t.Fatalf("status: %v: %.200s", err, resp.Body)
	}
	return !slices.ContainsFunc(status.Policies, func(p redisbridge.PolicyStatus) bool { return p.Behind > 0 })
}

func (m *real) Counters() map[string]uint64 {
	text, err := m.stack.Envoys[0].Admin(context.Background(), "/stats?filter=wasmcustom&type=Counters")
	if err != nil {
		m.t.Fatal(err)
	}
	counters := map[string]uint64{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			counters[strings.TrimPrefix(name, "wasmcustom.")] = n
		}
	}
	return counters
}

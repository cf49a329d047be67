package parity_test

import (
	"net/http"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"chatcache/hostsim"
)

// simProxy is a simulated proxy, for one case.
type simProxy struct {
	*hostsim.Sim
	requests *recorder
	last     *hostsim.Stream
	before   int // log lines that its start made
}

// simulate starts one; the failures that a case provokes must be expected.
func simulate(t *testing.T, module []byte, c parityCase) *simProxy {
	t.Helper()
	return simulatePlugin(t, module, variantNamed(c.variant()), nil)
}

// simulatePlugin starts a proxy, or a further plugin of the one that beside is part of.
func simulatePlugin(t *testing.T, module []byte, v variant, beside *hostsim.Sim) *simProxy {
	t.Helper()
	clock := hostsim.NewClock(time.Time{})
	if beside != nil {
		clock = beside.Clock()
	}
	requests := &recorder{}
	wait := func(r *http.Request, d time.Duration) { clock.Wait(r.Context(), nil, d) }
	some := func(r *http.Request) { wait(r, 100*time.Millisecond) } // in which happens all that can
	handler := requests.dispatch(upstreams(upstreamPace{
		wait: wait, opened: some, reached: func(r *http.Request, _ int) { some(r) }, read: func(r *http.Request, _ int) { some(r) }, note: requests.note,
	}))
	o := hostsim.Options{
		Module: module, Beside: beside, Clock: clock, PluginName: "probe", DrainTime: drainTime,
		Clusters:      map[string]http.Handler{"backend": handler, "backend2": handler, "backend-small": handler, "backend2-small": handler, "refused": status(200), "nohosts": status(200), "full": status(200)},
		HTTP2Clusters: []string{"backend2", "backend2-small"},
		Direct: func(h hostsim.Headers) (int, string) {
			if h.Get(":path") == "/direct" {
				return 203, "direct"
			}
			return 0, ""
		},
		Route: func(h hostsim.Headers) string { return h.Get("x-route") },
	}
	v.simulate(&o)
	s := hostsim.RunT(t, o)
	s.SetCluster("refused", hostsim.ClusterRefusing)
	s.SetCluster("nohosts", hostsim.ClusterNoHosts)
	s.SetCluster("full", hostsim.ClusterFull)
	return &simProxy{Sim: s, requests: requests, before: len(s.Logs())}
}

var policies = map[string]hostsim.FailurePolicy{
	"": hostsim.FailClosed, "FAIL_CLOSED": hostsim.FailClosed, "FAIL_OPEN": hostsim.FailOpen, "FAIL_RELOAD": hostsim.FailReload,
}

func (v variant) simulate(o *hostsim.Options) {
	o.AllowOnHeadersStopIteration, o.BufferLimit = v.allow, v.limit
	o.VMID, o.VMConfig, o.Env = or(v.vmID, v.name), []byte(v.vmConfig), v.env
	o.RouteTimeout = v.routeTimeout()
	o.PluginConfig, o.Policy = []byte(v.config), policies[v.policy]
	o.NormalizePath, o.MergeSlashes, o.UseRemoteAddress = v.normalize, v.normalize, v.edge
	if v.retry {
		o.Retries, o.AttemptCountInResponse = 1, true
	}
	if v.limit > 0 {
		o.StreamWindow = streamWindow
	}
	if v.backoff != "" {
		o.ReloadBackoff, _ = time.ParseDuration(v.backoff)
	}
}

// forCase begins another case on the same proxy.
func (p *simProxy) forCase() *simProxy {
	p.before = len(p.Logs())
	return p
}

func (p *simProxy) pass(d time.Duration) { p.Advance(d) }

func (p *simProxy) awaitEnd(string) { p.Advance(time.Second) }

func (p *simProxy) log() []string {
	var lines []string
	for _, l := range p.Logs()[p.before:] {
		if l.Level == hostsim.LevelInfo && !strings.HasPrefix(l.Message, "start ") {
			lines = append(lines, strings.TrimSpace(l.Message))
		}
	}
	return lines
}

func (p *simProxy) upstream() []string { return p.requests.take() }
func (p *simProxy) reached() int       { return p.requests.count() }

func (p *simProxy) metrics() map[string]int64 {
	all := map[string]int64{}
	for name, n := range p.Counters() {
		all[name] = int64(n)
	}
	for name, n := range p.Gauges() {
		all[name] = int64(n)
	}
	return all
}

func (p *simProxy) fill() {} // it has, at once
func (p *simProxy) open() {}

func (p *simProxy) state(string) string {
	v, _ := p.last.FilterState("wasm.mine")
	return or(string(v), "-")
}

func (p *simProxy) start(c parityCase) client {
	headers := c.headers()
	for _, f := range c.trailers { // net/http's client announces them
		headers.Add("trailer", f[0])
	}
	p.last = p.Start(1, &hostsim.Request{
		Method: c.method(), Path: c.path(), Headers: headers, Body: []byte(c.body),
		Open: c.pieces != nil, Trailers: c.trailers, HTTP2: c.http2, HTTP10: c.http10,
	})
	if c.stall > 0 {
		p.last.StopReading()
	}
	p.Settle()
	return &simClient{p, p.last, c}
}

type simClient struct {
	sim    *simProxy
	stream *hostsim.Stream
	c      parityCase
}

func (s *simClient) send(text string) { s.stream.SendBody([]byte(text)); s.sim.Settle() }
func (s *simClient) end()             { s.stream.EndBody(); s.sim.Settle() }
func (s *simClient) leave()           { s.stream.Disconnect(); s.sim.Settle() }
func (s *simClient) stall()           {} // it has, from the beginning
func (s *simClient) readOn()          { s.stream.ReadOn(); s.sim.Settle() }
func (s *simClient) answered() bool   { return s.stream.Done() }

func (s *simClient) answer() answer {
	s.sim.Finish(s.stream)
	resp := s.stream.Response()
	if resp == nil {
		return answer{}
	}
	a := answer{Status: resp.Status, Body: shown(resp.Body), Complete: resp.Complete}
	for _, f := range resp.Trailers {
		a.Trailers = append(a.Trailers, f[0]+": "+f[1])
	}
	sort.Strings(a.Trailers)
	if s.c.raw {
		for _, f := range resp.Headers {
			if !byChance(f[0], f[1]) {
				a.Headers = append(a.Headers, f[0]+": "+f[1])
			}
		}
		return a
	}
	h := http.Header{}
	for _, f := range resp.Headers {
		h.Add(f[0], f[1])
	}
	length, err := strconv.ParseInt(resp.Get("content-length"), 10, 64)
	if err != nil {
		length = -1
	}
	a.Headers = comparable(h, length)
	return a
}

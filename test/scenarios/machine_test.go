package scenarios

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"chatcache/hostsim"
	"chatcache/hostsim/scenario"
)

// machine is a proxy with the filter, the bridge and Redis.
type machine interface {
	scenario.Target
	// reset begins a scenario: an origin that has no answers yet.
	reset() *scenario.Origin
	// tick lets a little time pass.
	tick()
	// heard tells whether the proxy has applied every event of the feed. What is fetched while one
	// is on its way isn't taken into the VM's memory, so time would decide who answers next.
	heard() bool
}

// outcome is what can be observed of a scenario.
type outcome struct {
	Steps    []observed
	Origin   []string // its requests
	Counters map[string]uint64
}

// observed is what a request or call came to.
type observed struct {
	Request  string
	Status   int
	Headers  []string
	Body     string
	Complete bool
}

// recorder is a machine that writes down what can be observed, and lets each
// request's work come to its end before the next begins: both machines then
// do the same things in the same order.
type recorder struct {
	machine
	t      *testing.T
	http2  bool
	steps  []observed
	before map[string]uint64 // the counters when the scenario began

	misses, writes uint64
	down           bool            // a cluster doesn't answer
	varied         map[string]bool // paths whose responses have variants
}

// runs counts the scenarios that were run, to tell them apart.
var runs int

// run runs a scenario; what it expects must hold.
func run(t *testing.T, m machine, s *scenario.Scenario, http2 bool) outcome {
	t.Helper()
	r := &recorder{machine: m, t: t, http2: http2, before: map[string]uint64{}, varied: map[string]bool{}}
	origin := m.reset()
	r.awaitReady()
	r.before = m.Counters()
	runs++
	for _, mismatch := range scenario.Run(s.Isolated(fmt.Sprintf("run-%d", runs)), r, origin) {
		t.Error(mismatch)
	}
	if r.down {
		if err := r.SetCluster(bridgeCluster, "up"); err != nil {
			t.Error(err)
		}
	}
	requests := slices.DeleteFunc(origin.Requests(), func(r string) bool { return r == "GET "+probePath })
	return outcome{r.steps, requests, r.counted()}
}

const bridgeCluster = "redis-bridge"

// probePath is asked for by probes only.
const probePath = "/api/models?probe"

// awaitReady waits until the filter follows the feed and may use its own memory.
func (r *recorder) awaitReady() {
	r.t.Helper()
	before := r.machine.Counters()
	runs++
	probe := &hostsim.Request{Method: "GET", Path: probePath, Authority: fmt.Sprintf("ready-%d.example.com", runs)}
	misses := uint64(0)
	r.until("a probe is answered from the filter's own memory", func() bool {
		resp, _ := r.machine.Do(1, probe)
		if resp.Get("cache-status") == "chatcache; fwd=uri-miss; stored" {
			misses++
		}
		return strings.HasSuffix(resp.Get("cache-status"), "detail=l1")
	})
	const stores = "chatcache.cache.models.stores"
	r.until("the probe is stored", func() bool { return r.machine.Counters()[stores]-before[stores] >= misses })
	for name, n := range r.machine.Counters() { // the probe isn't part of the scenario
		if strings.HasPrefix(name, "chatcache.cache.models.") {
			r.before[name] += n - before[name]
		}
	}
}

// until lets time pass until a condition holds.
func (r *recorder) until(what string, holds func() bool) {
	r.t.Helper()
	for range 10_000 {
		if holds() {
			return
		}
		r.tick()
	}
	r.t.Fatalf("it never came that %s; counters: %v", what, r.counted())
}

// counted are the scenario's counters that don't depend on time.
func (r *recorder) counted() map[string]uint64 {
	counters := map[string]uint64{}
	for name, n := range r.machine.Counters() {
		if n > r.before[name] && !strings.HasPrefix(name, "chatcache.feed_") {
			counters[name] = n - r.before[name]
		}
	}
	return counters
}

func (r *recorder) Counters() map[string]uint64 { return r.counted() }

func (r *recorder) Do(worker int, req *hostsim.Request) (*hostsim.Response, []string) {
	req.HTTP2 = r.http2
	resp, trace := r.machine.Do(worker, req)
	status := resp.Get("cache-status")
	if isFetched(status) {
		r.misses++
	}
	if strings.HasSuffix(status, "fwd=uri-miss; stored") && resp.Get("vary") != "" && !r.varied[req.Path] {
		r.varied[req.Path] = true
		r.misses++ // it is stored for its variant, too
	}
	if strings.HasPrefix(status, "chatcache; fwd=method") && !strings.HasSuffix(status, "no-identity") { // which ends nothing
		r.writes++
	}
	r.settle()
	r.steps = append(r.steps, observe(req, resp))
	return resp, trace
}

// isFetched tells of the responses that are stored or counted as unstored.
func isFetched(status string) bool {
	_, last, _ := strings.Cut(status, "chatcache; fwd=")
	switch why, _, _ := strings.Cut(last, ";"); why {
	case "uri-miss", "vary-miss", "stale", "request":
		return strings.HasSuffix(last, "; stored") || !strings.Contains(last, "fwd-status=")
	}
	return false
}

// settle waits until each miss is stored or refused, and each write's end acknowledged and heard of.
func (r *recorder) settle() {
	r.t.Helper()
	if r.down {
		return
	}
	r.until("stores and ends of writes are acknowledged", func() bool {
		var stores, writes uint64
		for name, n := range r.counted() {
			switch {
			case strings.HasSuffix(name, ".stores"), strings.HasSuffix(name, ".unstored"):
				stores += n
			case name == "chatcache.writes_closed":
				writes += n
			}
		}
		return stores >= r.misses && writes >= r.writes && r.machine.heard()
	})
}

func (r *recorder) Call(cluster string, req *hostsim.Request) (*hostsim.Response, error) {
	req.Headers = append(req.Headers.Clone(), [2]string{"authorization", "Bearer " + adminToken})
	resp, err := r.machine.Call(cluster, req)
	r.settle()
	if err == nil { // an administrator's answer tells numbers of the sequence
		r.steps = append(r.steps, observed{Request: cluster + " " + req.Path, Status: resp.Status, Complete: resp.Complete})
	}
	return resp, err
}

func (r *recorder) SetCluster(name, state string) error {
	err := r.machine.SetCluster(name, state)
	r.down = state != "up"
	if !r.down {
		r.awaitReady()
		r.settle()
	}
	return err
}

var freshness = regexp.MustCompile(`ttl=\d+`)

// observe leaves out what time and chance decide.
func observe(req *hostsim.Request, resp *hostsim.Response) observed {
	o := observed{Request: req.Method + " " + req.Path, Status: resp.Status, Body: string(resp.Body), Complete: resp.Complete}
	for _, f := range resp.Headers {
		switch f[0] {
		case "date", "age", "x-request-id", "x-envoy-upstream-service-time":
			continue
		}
		o.Headers = append(o.Headers, strings.ToLower(f[0])+": "+freshness.ReplaceAllString(f[1], "ttl=N"))
	}
	slices.Sort(o.Headers)
	return o
}

// originWaits lets an origin take real time.
func originWaits(r *http.Request, d time.Duration) {
	select {
	case <-r.Context().Done():
	case <-time.After(d):
	}
}

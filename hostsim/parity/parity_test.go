// Package parity compares the simulator with a real Envoy 1.40: the same
// module, the same requests, the same upstream handlers, and what client,
// module and upstream saw must be equal. It needs ENVOY, the path of the binary.
//
// FACTS.md lists what is known of Envoy, and the cases that show it.
package parity_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// outcome is what can be observed of a case.
type outcome struct {
	answer
	Before   []answer // to parityCase.before
	Beside   []answer // to parityCase.beside
	Log      []string // the module's
	Upstream []string // the requests it got, in their order
	Metrics  map[string]int64
	State    string // see parityCase.state
}

// answer is what a client got.
type answer struct {
	Status   int
	Headers  []string // sorted, without what differs by time and chance
	Body     string
	Trailers []string
	Complete bool
	Left     bool // the client went away, and saw nothing of it
	Hung     bool // nothing had come when it left
	Stalled  bool // the module saw no end of the response while the client didn't read
}

// proxy is a real Envoy or a simulated one.
type proxy interface {
	// start sends the case's request and doesn't wait for the answer.
	start(c parityCase) client
	// pass lets time pass.
	pass(d time.Duration)
	// log are the module's info lines since the case began.
	log() []string
	// awaitEnd lets pass what the module needs to log a last line that begins with until.
	awaitEnd(until string)
	// upstream are the requests it got, and reached is how many they are.
	upstream() []string
	reached() int
	metrics() map[string]int64
	// state is what the access log tells of the stream with this path.
	state(path string) string
	// fill waits until it has read what it takes of a message that is held.
	fill()
	// open lets upstreams go on that wait for it.
	open()
}

// client is one request under way.
type client interface {
	// send and end go on with a body that comes in pieces.
	send(text string)
	end()
	leave()
	// stall and readOn: the client doesn't read its response meanwhile.
	stall()
	readOn()
	answered() bool
	// answer waits for it.
	answer() answer
}

// observe runs a case.
func observe(p proxy, c parityCase) outcome {
	out := outcome{Metrics: map[string]int64{}}
	metrics := p.metrics()
	for _, b := range c.before {
		out.Before = append(out.Before, exchange(p, b))
	}
	var beside []client
	for _, b := range c.beside {
		beside = append(beside, begin(p, b))
	}
	out.answer = exchange(p, c)
	p.open()
	for i, b := range c.beside {
		out.Beside = append(out.Beside, finish(p, b, beside[i], 0))
	}
	p.awaitEnd(or(c.until, "done"))
	out.Log, out.Upstream = p.log(), p.upstream()
	if c.settle {
		sort.Strings(out.Log)
		sort.Strings(out.Upstream)
	}
	for name, n := range p.metrics() {
		if n != metrics[name] {
			out.Metrics[name] = n - metrics[name]
		}
	}
	if c.state {
		out.State = p.state(c.path())
	}
	return out
}

// begin sends a request and waits until it is as far as the case wants it.
func begin(p proxy, c parityCase) client {
	from := len(p.log())
	cl := p.start(c)
	awaitLine(p, from, or(c.begun, "request-headers"))
	return cl
}

func exchange(p proxy, c parityCase) answer {
	p.pass(c.wait)
	from := len(p.log())
	cl := p.start(c)
	switch {
	case c.opens != "":
		awaitLine(p, from, c.opens)
		p.open()
	case c.fills:
		p.fill()
		p.open()
	}
	return finish(p, c, cl, from)
}

// finish sends the rest of a request, and leaves or waits for the answer.
func finish(p proxy, c parityCase, cl client, from int) answer {
	for _, piece := range c.pieces {
		awaitLine(p, from, piece.after)
		await(p, func() bool { return p.reached() >= piece.reached })
		from = len(p.log())
		cl.send(piece.text)
	}
	if c.pieces != nil && c.leave == "" {
		cl.end()
	}
	switch {
	case c.leave != "":
		awaitLine(p, from, c.leave)
		await(p, func() bool { return p.reached() >= c.reached })
		cl.leave()
		awaitLine(p, from, "done") // else the next stream might come before the proxy has noticed
		return answer{Left: true}
	case c.stall > 0:
		cl.stall()
		p.pass(c.stall)
		stalled := len(p.log()) == from
		cl.readOn()
		a := cl.answer()
		a.Stalled = stalled
		return a
	case c.hangs != "":
		awaitLine(p, from, c.hangs)
		p.pass(100 * time.Millisecond)
		hung := !cl.answered()
		cl.leave()
		return answer{Hung: hung}
	}
	return cl.answer()
}

// awaitLine lets time pass until the module has logged a line that begins with
// prefix after the first from lines.
func awaitLine(p proxy, from int, prefix string) {
	await(p, func() bool {
		return slices.ContainsFunc(p.log()[from:], func(line string) bool { return strings.HasPrefix(line, prefix) })
	})
}

// await lets time pass until something is so, but not for ever: what is missing then shows in the outcome.
func await(p proxy, so func() bool) {
	const step = 2 * time.Millisecond
	for range clientPatience / step {
		if so() {
			return
		}
		p.pass(step)
	}
}

// comparable leaves out what time and chance decide, and what net/http's client hides.
func comparable(h http.Header, length int64) []string {
	var all []string
	for name, values := range h {
		for _, v := range values {
			if !byChance(name, v) && name != "Content-Length" && name != "Trailer" {
				all = append(all, strings.ToLower(name)+": "+v)
			}
		}
	}
	if length >= 0 && h.Get("Content-Length") != "" {
		all = append(all, "content-length: "+strconv.FormatInt(length, 10))
	}
	sort.Strings(all)
	return all
}

// shown is a body, or of a large one what tells it from others.
func shown(body []byte) string {
	if len(body) <= 10_000 {
		return string(body)
	}
	return fmt.Sprintf("%d bytes, %x", len(body), sha256.Sum256(body))
}

// ownDate is a date that cases set themselves.
const ownDate = "Mon, 01 Jan 2001 00:00:00 GMT"

func byChance(name, value string) bool {
	switch strings.ToLower(name) {
	case "date":
		return value != ownDate
	case "x-request-id", "x-envoy-upstream-service-time":
		return true
	}
	return false
}

func TestParity(t *testing.T) {
	envoy := sharedEnvoy(t)
	for _, c := range allCases() {
		t.Run(c.name, func(t *testing.T) {
			for _, version := range c.versions() {
				t.Run(protocol(version), func(t *testing.T) { compare(t, envoy, version) })
			}
		})
	}
}

func protocol(c parityCase) string {
	if c.http2 {
		return "http2"
	}
	return "http1"
}

func compare(t *testing.T, envoy *realEnvoy, c parityCase) {
	t.Helper()
	sim := simulate(t, probeModule(t), c)
	got := observe(sim, c)
	if c.expect != "" {
		sim.Expect(c.expect)
	}
	want := observe(envoy.forCase(t).like(got), c)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(outcome{})); diff != "" {
		t.Errorf("real Envoy (-) and the simulator (+) differ:\n%s", diff)
	}
}

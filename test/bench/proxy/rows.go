package main

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"
)

// metric is what a bound compares.
type metric string

const (
	cpu metric = "CPU" // of all processes of the row together, per request
	p50 metric = "p50"
	p99 metric = "p99"
)

// bound is a target: the ratio of a metric to the same one of another row of the same run, or to the sum of two.
// A limit of 0 shows the ratio and asks for nothing.
type bound struct {
	metric metric
	base   string // a row's name
	limit  float64
	plus   string  // another one's, unless it is ""
	mib    float64 // not the ratio but what is more than the base for each of so many MiB; a ratio if 0
}

// bases are the rows that it compares with.
func (b bound) bases() []string {
	if b.plus == "" {
		return []string{b.base}
	}
	return []string{b.base, b.plus}
}

// row is one line of the table.
type row struct {
	name        string
	proxy       proxy
	peer        string   // asked in place of the proxy, unless it is ""
	processes   []string // whose processor time counts, beside the proxy's
	connections int      // 0 means 16
	unloaded    bool     // one request at a time, and none before what the last one has left behind is done
	http2       bool
	// oneConnection has all calls share one (HTTP/2).
	oneConnection bool
	// holds has every path of the traffic in the proxy's L1 before the first round.
	holds bool
	// fills does, and makes the traffic's paths as many as the proxy's L1, of fullBytes, has room for.
	fills   bool
	traffic traffic
	bounds  []bound
}

const defaultConnections = 16

// afterwards is enough for what a write leaves to do: its end, and VMs that hear of it.
const afterwards = 5 * time.Millisecond

// captureLimit is what keeping a response aside and storing it may cost more than forwarding it, µs for
// each MiB: of the largest, so that the lookup, which costs the same for all, hardly counts.
const captureLimit = 150

// Names of rows that others are compared with.
const (
	floor         = "direct_response, 1 KiB"
	floorHTTP2    = "direct_response, 1 KiB, HTTP/2"
	floorStream   = "direct_response, 1 KiB, HTTP/2, 16 streams of one connection"
	floorOfFour   = "direct_response, 1 KiB, four workers"
	noopHTTP2     = "no-op filter, HTTP/2"
	forwarded     = "forwarded without filter, 1 KiB"
	noop          = "no-op filter"
	envoyCache    = "Envoy's cache filter, hit, 1 KiB"
	hitSmall      = "L1 hit, 1 KiB, 10 entries"
	bridgeAlone   = "lookup forwarded to the bridge without filter"
	bridgeQuiet   = bridgeAlone + ", unloaded"
	hitShared     = "L2 hit, 1 KiB, 1,000 entries"
	forwardedMiB  = "forwarded without filter, 1 MiB"
	forwarded7MiB = "forwarded without filter, 7 MiB"
	hitFull       = "L1 hit, 1 KiB, L1 full (64 MiB)"
	posted        = "POST forwarded without filter, unloaded"
	written       = "write and invalidation, unloaded"
	streamed      = "event stream of 100 chunks, forwarded without filter"
)

// asCompiled says that a row's filter is what Go's compiler writes, without package gowasm.
const asCompiled = ", as Go's compiler writes it"

// server names the process that answers the row's requests.
func (w row) server() string { return cmp.Or(w.peer, processEnvoy) }

// peerRows are other products' caches: those that keep answers to themselves are asked anonymously, since
// they keep nobody else's.
func peerRows() (list []row) {
	for _, name := range slices.Sorted(maps.Keys(peers)) {
		p := peers[name]
		w := row{name: name + ", hit, 1 KiB", peer: name, traffic: anonymous("/items/1/1", p.hit), bounds: []bound{{metric: cpu, base: floor}, {metric: cpu, base: hitSmall}}}
		if p.redis {
			w.processes, w.traffic = []string{processRedis}, get("/items/1/1", p.hit)
			w.bounds = []bound{{metric: cpu, base: floor}, {metric: cpu, base: hitShared}}
		}
		w.traffic.anyCase, w.traffic.warm = true, 5000 // some compile what they have run often enough
		list = append(list, w)
	}
	return list
}

func sized(format string, kib int) string { return fmt.Sprintf(format, kib) }

func rows() []row {
	withBridge := []string{processBridge, processRedis}
	list := []row{
		{name: floor, proxy: plain, traffic: get("/direct/1", "")},
		{name: noop, proxy: idle, traffic: get("/direct/1", ""), bounds: []bound{{metric: cpu, base: floor}}},
		{name: noop + asCompiled, proxy: idleAsCompiled, traffic: get("/direct/1", ""), bounds: []bound{{metric: cpu, base: noop}}},
		passThrough(1), passThrough(100), passThrough(1000),
		{name: "no rule matches, the filter disabled on its route", proxy: caching, traffic: get(elsewherePath, ""),
			bounds: []bound{{metric: cpu, base: floor}, {metric: cpu, base: noop, limit: 1.05}}},
		{name: hitSmall, proxy: caching, traffic: among("/l1/1/", 10, "detail=l1"),
			bounds: []bound{{metric: cpu, base: floor, limit: 1.25}, {metric: cpu, base: envoyCache, limit: 1.10}, {metric: cpu, base: noop}}},
		{name: hitSmall + asCompiled, proxy: cachingAsCompiled, traffic: among("/l1/1/", 10, "detail=l1"), bounds: []bound{{metric: cpu, base: hitSmall}}},
		{name: envoyCache, proxy: envoysCache, traffic: anonymous("/items/1/1", "age:"), bounds: []bound{{metric: cpu, base: floor}}},
		{name: "L1 hit, 1 KiB, 1,000 entries", proxy: caching, traffic: among("/l1/1/", 1000, "detail=l1"), bounds: []bound{{metric: cpu, base: hitSmall}}},
		{name: "L1 hit, 1 KiB, 100,000 entries", proxy: many, holds: true, traffic: among("/l1/1/", 100_000, "detail=l1"),
			bounds: []bound{{metric: cpu, base: hitSmall}, {metric: p99, base: hitSmall}}},
		{name: hitFull, proxy: full, fills: true, traffic: among("/l1/1/", 10_000, "detail=l1"), // enough to tell what one takes
			bounds: []bound{{metric: cpu, base: hitSmall}, {metric: p99, base: hitSmall, limit: 1.3}}},
		{name: floorHTTP2, proxy: plain, http2: true, traffic: get("/direct/1", "")},
		{name: noopHTTP2, proxy: idle, http2: true, traffic: get("/direct/1", ""), bounds: []bound{{metric: cpu, base: floorHTTP2}}},
		{name: "L1 hit, 1 KiB, HTTP/2", proxy: caching, http2: true, traffic: among("/l1/1/", 10, "detail=l1"),
			bounds: []bound{{metric: cpu, base: floorHTTP2, limit: 1.25}, {metric: cpu, base: noopHTTP2}}},
		{name: floorStream, proxy: plain, http2: true, oneConnection: true, traffic: get("/direct/1", "")},
		{name: "L1 hit, 1 KiB, HTTP/2, 16 streams of one connection", proxy: caching, http2: true, oneConnection: true,
			traffic: among("/l1/1/", 10, "detail=l1"), bounds: []bound{{metric: cpu, base: floorStream, limit: 1.25}}},
		{name: floorOfFour, proxy: plainOfFour, traffic: get("/direct/1", "")},
		{name: "L1 hit, 1 KiB, four workers", proxy: cachingOfFour, traffic: among("/l1/1/", 10, "detail=l1"),
			bounds: []bound{{metric: cpu, base: floorOfFour, limit: 1.25}, {metric: cpu, base: hitSmall}}},
		{name: "L1 hit, key from a POST body", proxy: caching, traffic: post("/query", `{"q":"one","page":1}`, "detail=l1"), bounds: []bound{{metric: cpu, base: hitSmall}}},
		{name: "L1 hit, Vary: Accept-Encoding", proxy: caching, traffic: compressed("/varied/1/0", "detail=l1"), bounds: []bound{{metric: cpu, base: hitSmall}}},
		{name: "304 to a client, L1", proxy: caching, traffic: revalidated("/l1/1/0"), bounds: []bound{{metric: cpu, base: hitSmall}}},
		{name: bridgeAlone, proxy: plain, processes: withBridge, traffic: lookupFrame},
		{name: hitShared, proxy: caching, processes: withBridge, traffic: among("/l2/1/", 1000, "detail=l2"), bounds: []bound{{metric: cpu, base: bridgeAlone, limit: 1.25}}},
		// Of so few entries most requests wait for the lookup of another one's.
		{name: "L2 hit, 1 KiB, 10 entries", proxy: caching, processes: withBridge, traffic: among("/l2/1/", 10, "detail=l2"),
			bounds: []bound{{metric: cpu, base: bridgeAlone, limit: 1.25}, {metric: cpu, base: hitShared}}},
		{name: "L2 hit, 1 KiB, 1,000 entries, bridge by Unix socket", proxy: bridgeSocket, processes: withBridge, traffic: among("/l2/1/", 1000, "detail=l2"), bounds: []bound{{metric: cpu, base: hitShared}}},
		{name: "L2 hit, 1 KiB, 1,000 entries, bridge and Redis by Unix sockets", proxy: bothSockets, processes: withBridge, traffic: among("/l2/1/", 1000, "detail=l2"), bounds: []bound{{metric: cpu, base: hitShared}}},
		{name: bridgeQuiet, proxy: plain, processes: withBridge, unloaded: true, traffic: lookupFrame},
		{name: "L2 hit, unloaded", proxy: caching, processes: withBridge, unloaded: true, traffic: among("/l2/1/", 10, "detail=l2"), bounds: []bound{{metric: p50, base: bridgeQuiet, limit: 1}}},
		{name: forwarded, proxy: plain, traffic: unique("/items/1/", "")},
		{name: "miss and fill, 1 KiB: the proxy alone", proxy: filling, traffic: unique("/l1/1/", "stored"), bounds: []bound{{metric: cpu, base: forwarded, limit: 1.15}}},
		{name: "miss and fill, 1 KiB: with bridge and Redis", proxy: filling, processes: withBridge, traffic: unique("/l1/1/", "stored"), bounds: []bound{{metric: cpu, base: forwarded}}},
		{name: forwardedMiB, proxy: plain, connections: 4, traffic: unique("/items/1024/", "")},
		{name: "miss and fill, 1 MiB: the proxy alone", proxy: filling, connections: 4, traffic: unique("/l1/1024/", "stored"), bounds: []bound{{metric: cpu, base: forwardedMiB}}},
		{name: forwarded7MiB, proxy: plain, connections: 1, traffic: unique("/items/7168/", "")},
		{name: "miss and fill, 7 MiB: the proxy alone", proxy: filling, connections: 1, traffic: unique("/l1/7168/", "stored"),
			bounds: []bound{{metric: cpu, base: forwarded7MiB}, {metric: cpu, base: forwarded7MiB, limit: captureLimit, mib: 7}}},
		{name: "forwarded without filter, 10 MiB", proxy: plain, connections: 1, traffic: unique("/items/10240/", "")},
		{name: "miss, 10 MiB: more than may be stored", proxy: filling, connections: 1, traffic: unique("/l1/10240/", "fwd=uri-miss"), bounds: []bound{{metric: cpu, base: "forwarded without filter, 10 MiB"}}},
		{name: streamed, proxy: plain, connections: 4, traffic: get("/events", "text/event-stream")},
		{name: "event stream, no rule matches", proxy: caching, connections: 4, traffic: get("/events", "text/event-stream"), bounds: []bound{{metric: cpu, base: streamed}}},
		{name: posted, proxy: plain, unloaded: true, traffic: post("/write", `{}`, "")},
		{name: written, proxy: writing, processes: withBridge, unloaded: true, traffic: post("/write", `{}`, "fwd=method"),
			bounds: []bound{{metric: p50, base: posted}, {metric: p50, base: posted, plus: bridgeQuiet, limit: 1}}},
		{name: written + ", told to seven VMs", proxy: caching, processes: withBridge, unloaded: true, traffic: post("/write", `{}`, "fwd=method"),
			bounds: []bound{{metric: p50, base: posted}, {metric: cpu, base: written}}},
	}
	for _, kib := range []int{16, 64} {
		base := sized("direct_response, %d KiB", kib)
		list = append(list,
			row{name: base, proxy: plain, traffic: get(fmt.Sprintf("/direct/%d", kib), "")},
			row{name: sized("L1 hit, %d KiB", kib), proxy: caching, traffic: among(fmt.Sprintf("/l1/%d/", kib), 10, "detail=l1"), bounds: []bound{{metric: cpu, base: base}}},
			row{name: base + ", HTTP/2", proxy: plain, http2: true, traffic: get(fmt.Sprintf("/direct/%d", kib), "")},
			row{name: sized("L1 hit, %d KiB, HTTP/2", kib), proxy: caching, http2: true, traffic: among(fmt.Sprintf("/l1/%d/", kib), 10, "detail=l1"), bounds: []bound{{metric: cpu, base: base + ", HTTP/2"}}})
	}
	return list
}

// passThrough asks a proxy whose policy has so many rules for what none of them matches.
func passThrough(rules int) row {
	return row{
		name: fmt.Sprintf("no rule matches, of %d", rules), proxy: passing(rules),
		traffic: get("/direct/1", ""), bounds: []bound{{metric: cpu, base: noop, limit: 1.05}},
	}
}

// choose gives the rows whose name matches, and those that they are compared with.
func choose(all []row, only *regexp.Regexp) ([]row, error) {
	wanted := map[string]bool{}
	for _, r := range all {
		if !only.MatchString(r.name) {
			continue
		}
		wanted[r.name] = true
		for _, b := range r.bounds {
			for _, base := range b.bases() {
				wanted[base] = true
			}
		}
	}
	chosen := slices.DeleteFunc(slices.Clone(all), func(r row) bool { return !wanted[r.name] })
	if len(chosen) == 0 {
		return nil, fmt.Errorf("-rows: no row is named like %q", only)
	}
	return chosen, nil
}

package degradation

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"chatcache/policy"
	"chatcache/test/fault"
	"chatcache/test/mesh"
	"chatcache/test/stack"
)

const (
	shortFault   = 2 * time.Second
	warmUp       = 4 * time.Second
	recoverIn    = 40 * time.Second // until caching is back and the journals are empty
	maxStaleness = 3 * time.Second  // of the shipped policy
	enoughHits   = 0.6              // of the fault-free hit ratio: caching is back
)

// faultTime is how long each fault lasts: 2 s, or CHATCACHE_DEGRADATION.
func faultTime(t *testing.T) time.Duration {
	text := os.Getenv("CHATCACHE_DEGRADATION")
	if text == "" {
		return shortFault
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("CHATCACHE_DEGRADATION: %v", err)
	}
	return d
}

// quick shortens a new epoch's quarantine, which is as long as the longest deadline.
func quick(document map[string]any) {
	for _, rule := range document["invalidations"].([]any) {
		rule.(map[string]any)["deadline"], rule.(map[string]any)["settle"] = "3s", "3s"
	}
}

func shippedTimeout(document map[string]any) {
	document["bridge"].(map[string]any)["timeout"] = "50ms"
}

// Under steady load, whatever fails: no request fails but those whose Envoy died, or which
// the origin itself broke off, and what was written meanwhile is what everybody reads afterwards. What it costs is reported.
func TestDegradation(t *testing.T) {
	lasts := faultTime(t)
	edits := []func(map[string]any){shippedTimeout}
	if lasts == shortFault {
		edits = append(edits, quick)
	}
	document := mesh.ChatPolicy(t, edits...)
	parsed, problems := policy.Parse([]byte(document))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	o := &origin{policy: parsed, values: map[register]int64{}, broken: map[string]bool{}}
	m := fault.MeshT(t, stack.Options{Envoys: mesh.Proxies, Workers: mesh.Workers, Policy: []byte(document), Origin: o})
	r := &run{load: newLoad(m, o), lasts: lasts}
	ctx, cancel := context.WithCancel(context.Background())
	var traffic sync.WaitGroup
	traffic.Go(func() { r.run(ctx) })
	defer traffic.Wait()
	defer cancel()

	time.Sleep(warmUp)
	began := time.Now()
	time.Sleep(max(lasts, 2*shortFault))
	samples, _ := r.between(began, time.Now())
	r.calm = sum(samples)
	if r.calm.failed > 0 || r.calm.hits == 0 {
		t.Fatalf("without any fault: %+v", r.calm)
	}
	for _, f := range append(m.All(), o.resetting()) {
		t.Run(f.Name, func(t *testing.T) { r.suffer(t, f) })
	}
	t.Logf("%d requests a second, 1 in %d a write, over %d Envoys of %d workers; each fault lasted %v; without: %.0f%% hits, forwarded p50 %v, p99 %v\n\n%s",
		rate, writes, mesh.Proxies, mesh.Workers, lasts, 100*r.calm.hits, ms(r.calm.p50), ms(r.calm.p99), r.table())
}

func ms(d time.Duration) string { return strconv.FormatFloat(d.Seconds()*1000, 'f', 1, 64) + " ms" }

// run is the whole test.
type run struct {
	*load
	lasts time.Duration
	calm  figures
	rows  []row
}

// row is what one fault cost.
type row struct {
	name, blame   string  // who broke requests, if any
	all           figures // while it lasted, and until caching was back
	during        figures
	before, after figures // the breakers opened; after is empty if they didn't
	backlog       int64
	back          time.Duration // until caching was back
}

// suffer lets a fault come and go.
func (r *run) suffer(t *testing.T, f fault.Fault) {
	_, looks := r.between(time.Now().Add(-time.Second), time.Now())
	began := time.Now()
	if err := f.Begin(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(r.lasts)
	ended := time.Now()
	if err := f.End(); err != nil {
		t.Fatal(err)
	}
	healed := time.Now()
	r.awaitCaching(t, healed)
	w := row{name: f.Name, blame: blame(f), back: time.Since(healed)}
	r.verify(t)
	w.measure(r.load, began, ended, looks)
	r.rows = append(r.rows, w)
	if w.all.failed > 0 {
		t.Errorf("%d of %d requests failed, first: %s", w.all.failed, w.all.requests, w.all.why)
	}
	if w.all.broken > 0 && w.blame == "" {
		t.Errorf("%d requests were broken by an Envoy's death or by the origin, though neither failed", w.all.broken)
	}
}

// blame names what may break requests off while a fault lasts, but for the cache.
func blame(f fault.Fault) string {
	switch {
	case f.Proxy >= 0:
		return "the Envoy's death"
	case f.Name == resets:
		return "the origin"
	}
	return ""
}

// measure sums up what happened since began.
func (w *row) measure(l *load, began, ended time.Time, before []look) {
	opened := int64(0)
	for _, k := range before {
		opened = max(opened, k.opened)
	}
	samples, looks := l.between(began, time.Now())
	w.all = sum(samples)
	samples, _ = l.between(began, ended)
	w.during = sum(samples)
	vms, last := int64(mesh.Proxies*mesh.Workers), opened
	for _, k := range looks {
		w.backlog = max(w.backlog, k.backlog)
		if k.at.Before(ended) {
			last = max(last, k.opened)
		}
	}
	split := ended
	for _, k := range looks {
		if last > opened && k.opened >= min(last, opened+vms) {
			split = k.at
			break
		}
	}
	samples, _ = l.between(began, split)
	w.before = sum(samples)
	samples, _ = l.between(split, ended)
	w.after = sum(samples)
}

// awaitCaching waits until the proxies answer from the cache as often as before.
func (r *run) awaitCaching(t *testing.T, healed time.Time) {
	for {
		time.Sleep(500 * time.Millisecond)
		samples, _ := r.between(time.Now().Add(-500*time.Millisecond), time.Now())
		if sum(samples).hits > enoughHits*r.calm.hits {
			return
		}
		if time.Since(healed) > recoverIn {
			t.Fatalf("caching is not back after %v: %.0f%% hits, %.0f%% before", recoverIn, 100*sum(samples).hits, 100*r.calm.hits)
		}
	}
}

// verify compares what everybody reads with what the origin holds, once the journals are
// empty and L1s may not be older.
func (r *run) verify(t *testing.T) {
	r.quiet.Store(true)
	defer r.quiet.Store(false)
	for end, empty := time.Now().Add(recoverIn), 0; empty < 4; time.Sleep(lookEvery) {
		counters, err := r.mesh.Counters(context.Background())
		if empty++; err != nil || counters["journal_entries"] != 0 {
			empty = 0
		}
		if time.Now().After(end) {
			t.Fatalf("%d ends of writes not delivered after %v: %v", counters["journal_entries"], recoverIn, err)
		}
	}
	time.Sleep(maxStaleness)
	for user := range users {
		for _, cache := range caches {
			for i := range 2 * mesh.Proxies {
				of := register{cache, "user" + strconv.Itoa(user)}
				response, body, err := r.ask(i%mesh.Proxies, "GET", reads[cache], of.user, "")
				if err != nil {
					t.Fatal(err)
				}
				if want := strconv.FormatInt(r.origin.value(of), 10); body != want {
					t.Errorf("%s of %s at envoy-%d is %s, want %s: %s", cache, of.user, i%mesh.Proxies, body, want, response.Header.Get("Cache-Status"))
				}
			}
		}
	}
}

// table gives the rows in Markdown.
func (r *run) table() string {
	var b strings.Builder
	b.WriteString("| fault | failed | hits | forwarded, until the breakers open: p50, p99 | after: p50, p99 | journal | caching is back |\n")
	b.WriteString("|---|---|---|---|---|---|---|\n")
	for _, w := range r.rows {
		failed := strconv.Itoa(w.all.failed)
		if w.all.broken > 0 {
			failed += fmt.Sprintf(" (and %d by %s)", w.all.broken, w.blame)
		}
		fmt.Fprintf(&b, "| %s | %s | %.0f%% | %s | %s | %d | %.1f s |\n",
			w.name, failed, 100*w.during.hits, r.ratio(w.before), r.ratio(w.after), w.backlog, w.back.Seconds())
	}
	return b.String()
}

// ratio compares with the fault-free run.
func (r *run) ratio(f figures) string {
	if f.requests == 0 {
		return "–"
	}
	return fmt.Sprintf("× %.2f, × %.2f", f.p50.Seconds()/r.calm.p50.Seconds(), f.p99.Seconds()/r.calm.p99.Seconds())
}

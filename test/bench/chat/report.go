package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"chatcache/test/bench"
)

// seen is what a run through one of the proxies has shown.
type seen struct {
	answers   []answer
	forwarded map[string]int // requests that the backend got, by route
}

// report compares the two.
type report struct {
	bench.Run
	Routes []*route `json:"routes"`
}

// route is one of the API's. Times are in ms.
type route struct {
	Name    string `json:"name"`
	Without side   `json:"without"`
	With    side   `json:"with"`
}

type side struct {
	Requests  int     `json:"requests"`
	Forwarded int     `json:"forwarded"`
	Hits      int     `json:"hits"` // answered without the backend
	P50       float64 `json:"p50"`
	P99       float64 `json:"p99"`
}

// elsewhere is what caching the same routes inside an application, in Redis, was reported to bring:
// ms before and after. Its hit ratio was over 80 %, and the backend's load fell by 40 to 60 %.
var elsewhere = map[string][2]int{
	"GET /api/chat/stats": {500, 10}, "GET /api/chat/search": {200, 20}, "GET /api/user/me": {300, 15},
	"GET /api/chat/sessions": {200, 20}, "POST /v1/initialize": {150, 10},
}

func (r *report) add(proxy int, s seen) {
	took, hits := map[string][]time.Duration{}, map[string]int{}
	for _, a := range s.answers {
		took[a.route] = append(took[a.route], a.took)
		if strings.Contains(a.cache, "; hit") || strings.Contains(a.cache, "; collapsed;") {
			hits[a.route]++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(took)) {
		times := took[name]
		slices.Sort(times)
		at := func(p float64) float64 { return float64(times[int(p*float64(len(times)-1))].Microseconds()) / 1000 }
		*r.side(name, proxy) = side{Requests: len(times), Forwarded: s.forwarded[name], Hits: hits[name], P50: at(0.5), P99: at(0.99)}
	}
}

func (r *report) side(name string, proxy int) *side {
	i := slices.IndexFunc(r.Routes, func(r *route) bool { return r.Name == name })
	if i < 0 {
		i = len(r.Routes)
		r.Routes = append(r.Routes, &route{Name: name})
	}
	if proxy == withFilter {
		return &r.Routes[i].With
	}
	return &r.Routes[i].Without
}

// print writes the report as Markdown.
func (r *report) print(w io.Writer) {
	r.Run.Print(w)
	fmt.Fprintf(w, "| ms | without: p50 | p99 | with the filter: p50 | p99 | hits | backend requests | in an application, reported |\n|---|---|---|---|---|---|---|---|\n")
	var reads, all side
	for _, x := range r.Routes {
		reported := ""
		if e, ok := elsewhere[x.Name]; ok {
			reported = fmt.Sprintf("%d → %d", e[0], e[1])
		}
		fmt.Fprintf(w, "| `%s` | %.1f | %.1f | %.1f | %.1f | %s | %d → %d | %s |\n", x.Name, x.Without.P50, x.Without.P99, x.With.P50, x.With.P99,
			share(x.With.Hits, x.With.Requests), x.Without.Forwarded, x.With.Forwarded, reported)
		all.Requests += x.Without.Forwarded
		all.Forwarded += x.With.Forwarded
		if x.With.Hits > 0 {
			reads.Requests += x.With.Requests
			reads.Hits += x.With.Hits
		}
	}
	fmt.Fprintf(w, "\nOf the routes that are cached %s were answered without the backend (elsewhere: over 80 %%). The backend got %d requests instead of %d: %s less (elsewhere: 40 to 60 %%).\n\n",
		share(reads.Hits, reads.Requests), all.Forwarded, all.Requests, share(all.Requests-all.Forwarded, all.Requests))
	fmt.Fprintln(w, "What the users do, of 100 things:")
	for _, a := range actions {
		fmt.Fprintf(w, "- %d × %s\n", a.weight, a.name)
	}
}

func share(part, whole int) string {
	if whole == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", 100*float64(part)/float64(whole))
}

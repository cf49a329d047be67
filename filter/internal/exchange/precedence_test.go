package exchange

import (
	"fmt"
	"strings"
	"testing"

	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"
)

// voices are all that say whether and how long a response is stored, in the order in which they count (package policy,
// "Freshness"), with what comes of a read where each is the first that speaks.
var voices = []struct {
	name   string
	status string
	kept   int64 // seconds; 0: not stored
}{
	{"the kill switch", "chatcache; fwd=bypass; detail=off", 0},
	{"the request's no-store", "chatcache; fwd=bypass; detail=request-no-cache", 0},
	{"the response's no-store", "chatcache; fwd=uri-miss; detail=no-store", 0},
	{"the response's private", "chatcache; fwd=uri-miss; detail=private", 0},
	{"the rule's status_ttl", "chatcache; fwd=uri-miss; stored", 200},
	{"the rule's ttl", "chatcache; fwd=uri-miss; stored", 600},
	{"the response's targeted max-age", "chatcache; fwd=uri-miss; stored", 40},
	{"the response's s-maxage", "chatcache; fwd=uri-miss; stored", 50},
	{"the response's max-age", "chatcache; fwd=uri-miss; stored", 60},
	{"the response's Expires", "chatcache; fwd=uri-miss; stored", 70},
	{"the heuristic", "chatcache; fwd=uri-miss; stored", 100},
}

const (
	saysOff = 1 << iota
	saysRequest
	saysNoStore
	saysPrivate
	saysStatusTTL
	saysTTL
	saysTargeted
	saysSMaxAge
	saysMaxAge
	saysExpires
	saysHeuristic
)

// TestPrecedence: each voice decides alone, beside each that counts less, and beside all of these.
func TestPrecedence(t *testing.T) {
	for first := range voices {
		less := 1<<len(voices) - 1<<(first+1)
		others := []int{0, less}
		for second := first + 1; second < len(voices); second++ {
			others = append(others, 1<<second)
		}
		for _, other := range others {
			said := 1<<first | other
			if said&(saysNoStore|saysPrivate) != 0 {
				said &^= saysTargeted // it would stand in for the Cache-Control that has these two
			}
			status, kept := read1(t, said)
			if want := voices[first]; status != want.status || kept != want.kept {
				t.Errorf("%s decides among %s: %q, kept for %d s, want %q, %d s", want.name, names(said), status, kept, want.status, want.kept)
			}
		}
	}
}

func names(said int) string {
	var names []string
	for i, v := range voices {
		if said&(1<<i) != 0 {
			names = append(names, v.name)
		}
	}
	return strings.Join(names, ", ")
}

// read1 is a read of which all that is said, and for how long its response is kept.
func read1(t *testing.T, said int) (status string, kept int64) {
	w := newWorld(t)
	cache := fmt.Sprintf(`"match": ["GET /it"], "shared": true, "keep_stale": "0s", "ttl": %q`, map[bool]string{true: "600s", false: "origin"}[said&saysTTL != 0])
	if said&saysStatusTTL != 0 {
		cache += `, "status_ttl": {"200": "200s"}`
	}
	w.plugin = w.configure(`{"version": 1, "name": "chat", "bridge": {"cluster": "bridge"}, "caches": {"it": {` + cache + `}}}`)
	if said&saysOff != 0 {
		w.lease()
		w.control(wire.Control{Off: true})
	}
	var asked []([2]string)
	if said&saysRequest != 0 {
		asked = append(asked, [2]string{"cache-control", "no-store"})
	}
	s := w.stream("GET", "/it", "", asked...)
	s.exchange.RequestHeaders(true)
	if said&(saysOff|saysRequest) == 0 {
		w.take(wire.PathLookup).miss(1)
	}
	s.respond("200", "body", answered(w.unix, said)...)
	w.run()
	for _, c := range w.calls {
		if c.path != wire.PathStore {
			continue
		}
		m := decoded(w, c, wire.DecodeStoreRequest)
		kept = m.TTL / 1000
	}
	return s.cacheStatus(), kept
}

// answered are the fields of a response that says so.
func answered(now int64, said int) (fields [][2]string) {
	var directives []string
	for bit, directive := range map[int]string{saysNoStore: "no-store", saysPrivate: "private", saysSMaxAge: "s-maxage=50", saysMaxAge: "max-age=60"} {
		if said&bit != 0 {
			directives = append(directives, directive)
		}
	}
	add := func(bit int, name, value string) {
		if said&bit != 0 {
			fields = append(fields, [2]string{name, value})
		}
	}
	add(saysNoStore|saysPrivate|saysSMaxAge|saysMaxAge, "cache-control", strings.Join(directives, ", "))
	add(saysTargeted, "cdn-cache-control", "max-age=40")
	add(saysExpires, "expires", httpcache.FormatDate(now+70))
	add(saysHeuristic, "last-modified", httpcache.FormatDate(now-1000))
	return fields
}

package redisbridge

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"chatcache/redisbridge/wire"
)

// maxCounts bounds the counts that Redis keeps for one policy: of caches beyond, as policies
// with other ones come and go, nothing is counted.
const maxCounts = 4 * wire.MaxCaches * int(wire.Counters)

// ProxyCounts are what the filters of all proxies together have counted for one cache, as they
// report it to any bridge, about once a second each. Redis keeps the sums: they begin anew
// when it is emptied. What a VM hadn't reported yet when it ended is lost.
type ProxyCounts struct {
	HitsL1    uint64 `json:"hitsL1"`    // answered from a worker's memory
	HitsL2    uint64 `json:"hitsL2"`    // answered from Redis
	Collapsed uint64 `json:"collapsed"` // answered with what another request's fetch has stored
	Misses    uint64 `json:"misses"`    // looked up, not found, forwarded
	Bypasses  uint64 `json:"bypasses"`  // forwarded without a usable answer of the cache
	// WouldHits were forwarded although there was an answer; compared with the origin's, as far as
	// they were to be, it was the same (Matches) or not (Mismatches).
	WouldHits  uint64 `json:"wouldHits"`
	Matches    uint64 `json:"matches"`
	Mismatches uint64 `json:"mismatches"`
	Uncompared uint64 `json:"uncompared"` // were to be compared, and couldn't be
	Errors     uint64 `json:"errors"`     // lookups and stores that the bridge didn't answer
	Stores     uint64 `json:"stores"`
	// HitRatio is the share of all requests that were answered by the cache, and WouldHitRatio the
	// same with those that would have been; 0 without any.
	HitRatio      float64 `json:"hitRatio"`
	WouldHitRatio float64 `json:"wouldHitRatio"`
	// AnsweredMicros is the mean time until an answer of the cache began, in µs, and
	// ForwardedMicros until one of the origin did; 0 without any.
	AnsweredMicros  float64 `json:"answeredMicros"`
	ForwardedMicros float64 `json:"forwardedMicros"`
	// SavedMS is how many milliseconds of waiting the answers of the cache have spared all
	// clients together, had each taken as long as the mean of what was forwarded.
	SavedMS float64 `json:"savedMs"`
}

// newProxyCounts makes the figures of the counters.
func newProxyCounts(v [wire.Counters]uint64) ProxyCounts {
	c := ProxyCounts{
		HitsL1: v[wire.CountHitsL1], HitsL2: v[wire.CountHitsL2], Collapsed: v[wire.CountCollapsed],
		Misses: v[wire.CountMisses], Bypasses: v[wire.CountBypasses], WouldHits: v[wire.CountWouldHits],
		Matches: v[wire.CountMatches], Mismatches: v[wire.CountMismatches], Uncompared: v[wire.CountUncompared],
		Errors: v[wire.CountErrors], Stores: v[wire.CountStores],
	}
	answered := c.HitsL1 + c.HitsL2 + c.Collapsed
	all := answered + c.Misses + c.Bypasses + c.WouldHits
	c.HitRatio, c.WouldHitRatio = ratio(answered, all), ratio(answered+c.WouldHits, all)
	c.AnsweredMicros = ratio(v[wire.CountAnsweredMicros], answered)
	c.ForwardedMicros = ratio(v[wire.CountForwardedMicros], v[wire.CountForwarded])
	if v[wire.CountForwarded] > 0 {
		c.SavedMS = max(0, float64(answered)*(c.ForwardedMicros-c.AnsweredMicros)/float64(time.Millisecond/time.Microsecond))
	}
	return c
}

// ratio is a of b, 0 where b is.
func ratio(a, b uint64) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

func checkReport(r wire.Report) error {
	for _, c := range r.Caches {
		if c.Cache == "" {
			return fmt.Errorf("%w: report of a cache without a name", ErrRequest)
		}
		if err := checkPlain("cache", c.Cache); err != nil {
			return err
		}
	}
	return nil
}

// reportArgs are a report's counts as the script feed takes them: a name and by how much.
func reportArgs(r wire.Report) (args []any) {
	for _, c := range r.Caches {
		for i, v := range c.Values {
			if v > 0 {
				args = append(args, c.Cache+" "+wire.Counter(i).String(), strconv.FormatUint(v, 10))
			}
		}
	}
	return args
}

// parseCounts reads what the script keeps, by cache. What can't be read is left out.
func parseCounts(fields map[string]string) map[string][wire.Counters]uint64 {
	counts := make(map[string][wire.Counters]uint64)
	for field, text := range fields {
		cache, name, _ := strings.Cut(field, " ")
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || !utf8.ValidString(cache) { // metrics have it as a label
			continue
		}
		for c := range wire.Counters {
			if c.String() == name {
				values := counts[cache]
				values[c] = n
				counts[cache] = values
			}
		}
	}
	return counts
}

// showCounts puts what the proxies have counted beside what this bridge has.
func (s *PolicyStatus) showCounts(fields map[string]string) {
	counts := parseCounts(fields)
	for i := range s.Caches {
		s.Caches[i].Proxies = newProxyCounts(counts[s.Caches[i].Name])
		delete(counts, s.Caches[i].Name)
	}
	for name, values := range counts {
		s.Caches = append(s.Caches, CacheStatus{Name: name, Proxies: newProxyCounts(values)})
	}
	sortCaches(s.Caches)
}

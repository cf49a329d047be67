package httpcache

import "strings"

// Received is when a response came, by the proxy's clock.
type Received struct {
	Now   int64 // seconds since 1970, at its header section
	Delay int64 // seconds since the request was sent
}

// maxHeuristic bounds a lifetime that no origin has stated.
const maxHeuristic Seconds = 24 * 60 * 60

// Lifetime is a response's freshness lifetime by its own words (RFC 9111 §4.2.1): s-maxage
// over max-age over Expires less Date. explicit tells that there are such words;
// without them it is a tenth of the time since Last-Modified, for a day at
// most (§4.2.2). A targeted field (RFC 9213) stands in for all of them.
func (f Fields) Lifetime(c Control, at Received) (lifetime Seconds, explicit bool) {
	switch {
	case c.SMaxAge != Absent:
		return c.SMaxAge, true
	case c.MaxAge != Absent:
		return c.MaxAge, true
	case f.Has("expires") && !c.Targeted:
		expires, ok := ParseDate(trim(f.Get("expires")), at.Now)
		if !ok {
			return 0, true // "0" and the like: already expired (§5.3)
		}
		return clamp(expires - f.date(at)), true
	}
	if !heuristic(f.Get(":status")) && !c.Public {
		return 0, false
	}
	modified, ok := ParseDate(trim(f.Get("last-modified")), at.Now)
	if !ok {
		return 0, false
	}
	return min(clamp(f.date(at)-modified)/10, maxHeuristic), false
}

// date is the response's Date, or when it came where that is missing or unreadable (RFC 9110 §6.6.1).
func (f Fields) date(at Received) int64 {
	if date, ok := ParseDate(trim(f.Get("date")), at.Now); ok {
		return date
	}
	return at.Now
}

// InitialAge is how old a response was when it came (RFC 9111 §4.2.3, corrected_initial_age).
func (f Fields) InitialAge(at Received) Seconds {
	apparent := clamp(at.Now - f.date(at))
	return max(apparent, f.correctedAge(at))
}

// correctedAge counts Age and the response's delay, and doesn't compare two clocks.
func (f Fields) correctedAge(at Received) Seconds { return clamp(int64(f.age()) + max(at.Delay, 0)) }

// age reads the Age field (RFC 9111 §5.1): of several values the first; one that is no number
// counts as none.
func (f Fields) age() Seconds {
	first, _, _ := strings.Cut(f.Get("age"), ",")
	age, _ := parseSeconds(trim(first))
	return age
}

func clamp(n int64) Seconds { return min(max(Seconds(n), 0), MaxSeconds) }

// heuristic tells whether a response with the status may be used for a while without a word
// of the origin on how long (RFC 9110 §15.1). 206 is left out: it is never stored.
func heuristic(status string) bool {
	switch status {
	case "200", "203", "204", "300", "301", "308", "404", "405", "410", "414", "501":
		return true
	}
	return false
}

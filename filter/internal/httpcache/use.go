package httpcache

// Limits are what a request says of the stored responses that may answer it (RFC 9111
// §5.2.1). The zero Limits say nothing.
type Limits struct {
	set                        bool
	NoCache, OnlyIfCached      bool
	maxAge, minFresh, maxStale Seconds
}

// Limits reads them from a request. Pragma counts only where Cache-Control is missing (§5.4).
func (f Fields) Limits() Limits {
	if !f.Has("cache-control") {
		noCache := f.Get("pragma") == "no-cache"
		return Limits{set: noCache, NoCache: noCache, maxAge: Absent, minFresh: Absent, maxStale: Absent}
	}
	d := f.CacheControl()
	l := Limits{NoCache: d.NoCache || len(d.NoCacheFields) > 0, OnlyIfCached: d.OnlyIfCached,
		maxAge: d.MaxAge, minFresh: d.MinFresh, maxStale: d.MaxStale}
	l.set = l.NoCache || l.OnlyIfCached || l.maxAge != Absent || l.minFresh != Absent || l.maxStale != Absent
	return l
}

// Set tells whether the request says anything: another request's response may not do then.
func (l Limits) Set() bool { return l.set }

// Verdict is what a stored response is good for.
type Verdict uint8

// The verdicts.
const (
	Unusable    Verdict = iota // the origin has to be asked
	Usable                     // fresh enough for the request, or as stale as it allows
	UsableWhile                // stale, but usable while somebody validates it (RFC 5861 §3)
)

// Freshness is how long a stored response may be used, in seconds.
type Freshness struct {
	Lifetime        int64 // fresh while its age is less
	WhileRevalidate int64 // and for so long usable while it is validated
	IfError         int64 // and for so long where the origin fails (RFC 5861 §4)
	Strict          bool  // never used stale, whatever else is said (must-revalidate and its like)
	Immutable       bool  // fresh is fresh, whatever age a request wants (RFC 8246)
}

// Judge decides by a response's age whether it answers a request with the limits
// (RFC 9111 §4.2, §4.2.4).
func (s Freshness) Judge(age int64, l Limits) Verdict {
	left := s.Lifetime - age
	if !l.set {
		switch {
		case left > 0:
			return Usable
		case !s.Strict && -left < s.WhileRevalidate:
			return UsableWhile
		}
		return Unusable
	}
	switch {
	case l.NoCache:
		return Unusable
	case s.Immutable && left > 0:
		return Usable
	case l.maxAge != Absent && age > int64(l.maxAge), l.minFresh != Absent && left < int64(l.minFresh):
		return Unusable
	case left > 0:
		return Usable
	case !s.Strict && l.maxStale != Absent && -left <= int64(l.maxStale):
		return Usable
	}
	return Unusable
}

// OnError tells whether the response may be used in place of an error of the origin.
func (s Freshness) OnError(age int64) bool { return !s.Strict && age-s.Lifetime < s.IfError }

// kept is the age up to which the response is of any use; validated is for how long beyond
// its lifetime it is kept to be validated.
func (s Freshness) kept(validated int64) int64 {
	if s.Strict {
		return s.Lifetime + validated
	}
	return s.Lifetime + max(s.WhileRevalidate, s.IfError, validated)
}

package httpcache

import (
	"slices"
	"strconv"
	"strings"
)

// Reason says why a response was not stored, or a request not answered from the
// cache. It is a token of Cache-Status' detail parameter (RFC 9211 §2.8) and
// part of a metric's name: lower case and hyphens only.
type Reason string

// Reasons of a response that is not stored.
const (
	Storable         Reason = ""
	ReasonStatus     Reason = "status"           // any status but 200
	ReasonSetCookie  Reason = "set-cookie"       // meant for one client
	ReasonNoStore    Reason = "no-store"         // RFC 9111 §5.2.2.5
	ReasonNoCache    Reason = "no-cache"         // RFC 9111 §5.2.2.4: reuse needs validation
	ReasonPrivate    Reason = "private"          // RFC 9111 §5.2.2.7, in a shared cache
	ReasonVary       Reason = "vary"             // depends on a field outside the key
	ReasonRange      Reason = "content-range"    // not the whole representation
	ReasonTrailers   Reason = "trailers"         // can't be replayed by a local reply
	ReasonFraming    Reason = "close-delimited"  // its end can't be told from a reset
	ReasonLength     Reason = "content-length"   // unreadable or contradictory
	ReasonTooLarge   Reason = "too-large"        // beyond max_response
	ReasonStale      Reason = "stale-on-arrival" // its Age is beyond the TTL
	ReasonTruncated  Reason = "incomplete"       // the end was not seen, or bytes are missing
	ReasonNotOrigin  Reason = "not-from-origin"  // a local reply of the proxy
	ReasonNoFreshTTL Reason = "expired"          // the credential expires now
)

// StoreRules say what a policy allows of a response.
type StoreRules struct {
	Private     bool     // the response belongs to one partition
	KeyHeaders  []string // request header fields that are part of the key
	MaxBody     int      // bytes
	AnyFraming  bool     // the upstream speaks HTTP/2: an end is an end
	TTL         int64    // seconds that a response stays fresh
	UntilExpiry int64    // seconds until the credential expires; negative: no limit
}

// Plan is what a response's header section allows.
type Plan struct {
	Length     int   // bytes announced; -1 when unknown
	InitialAge int64 // seconds, from the origin's Age field
	Lifetime   int64 // seconds that it may still be used
}

// PlanStore decides by the header section of a final response whether it may be
// stored, for how long, and what its body must look like.
func PlanStore(f Fields, rules StoreRules) (Plan, Reason) {
	if r := storableByFields(f, rules); r != Storable {
		return Plan{}, r
	}
	length, reason := bodyLength(f, rules.AnyFraming)
	if reason != Storable {
		return Plan{}, reason
	}
	if length > rules.MaxBody {
		return Plan{}, ReasonTooLarge
	}
	p := Plan{Length: length, InitialAge: f.age()}
	p.Lifetime = rules.TTL - p.InitialAge
	if p.Lifetime <= 0 {
		return Plan{}, ReasonStale
	}
	if rules.UntilExpiry >= 0 {
		p.Lifetime = min(p.Lifetime, rules.UntilExpiry)
	}
	if p.Lifetime <= 0 {
		return Plan{}, ReasonNoFreshTTL
	}
	return p, Storable
}

func storableByFields(f Fields, rules StoreRules) Reason {
	cc := f.CacheControl()
	switch {
	case f.Get(":status") != "200":
		return ReasonStatus
	case f.Has("set-cookie"):
		return ReasonSetCookie
	case cc.NoStore:
		return ReasonNoStore
	case cc.NoCache:
		return ReasonNoCache
	case cc.Private && !rules.Private:
		return ReasonPrivate
	case f.Has("content-range"):
		return ReasonRange
	case f.Has("trailer"):
		return ReasonTrailers
	case !varyWithin(f, rules.KeyHeaders):
		return ReasonVary
	}
	return Storable
}

// varyWithin tells whether everything that Vary names is part of the key
// (RFC 9111 §4.1).
func varyWithin(f Fields, keyHeaders []string) bool {
	within := true
	f.listItems("vary", func(item string) {
		if !slices.Contains(keyHeaders, strings.ToLower(item)) {
			within = false
		}
	})
	return within
}

// bodyLength reads how the body's end is marked. A body that ends with its
// connection looks the same when it was cut, so it is refused (Envoy reports
// via_upstream for both).
func bodyLength(f Fields, anyFraming bool) (int, Reason) {
	lengths := f.Values("content-length")
	codings := f.Values("transfer-encoding")
	switch {
	case len(lengths) > 1 || len(codings) > 1:
		return 0, ReasonLength
	case len(lengths) == 1:
		n, err := strconv.ParseUint(lengths[0], 10, 31)
		if err != nil || len(codings) > 0 {
			return 0, ReasonLength
		}
		return int(n), Storable
	case len(codings) == 1 && strings.EqualFold(trim(codings[0]), "chunked"):
		return -1, Storable
	case len(codings) == 0 && anyFraming:
		return -1, Storable
	}
	return 0, ReasonFraming
}

// age reads the Age field in seconds (RFC 9111 §5.1); several or unreadable
// values count as the oldest age that can be written, so that nothing is used
// for longer than was meant.
func (f Fields) age() int64 {
	values := f.Values("age")
	if len(values) == 0 {
		return 0
	}
	n, err := strconv.ParseUint(trim(values[0]), 10, 31)
	if err != nil || len(values) > 1 {
		return 1 << 31
	}
	return int64(n)
}

// Complete tells whether a response that was captured is whole.
func (p Plan) Complete(bodyBytes int, endSeen bool, details string) Reason {
	switch {
	case !endSeen:
		return ReasonTruncated
	case details != ViaUpstream:
		return ReasonNotOrigin
	case p.Length >= 0 && p.Length != bodyBytes:
		return ReasonTruncated
	}
	return Storable
}

// ViaUpstream is Envoy's response.code_details for a response that the upstream
// sent whole, as far as Envoy can tell.
const ViaUpstream = "via_upstream"

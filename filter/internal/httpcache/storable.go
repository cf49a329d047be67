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
	Storable            Reason = ""
	ReasonStatus        Reason = "status"            // one that isn't stored
	ReasonSetCookie     Reason = "set-cookie"        // meant for one client
	ReasonNoStore       Reason = "no-store"          // RFC 9111 §5.2.2.5
	ReasonNoCache       Reason = "no-cache"          // RFC 9111 §5.2.2.4: reuse needs validation
	ReasonPrivate       Reason = "private"           // RFC 9111 §5.2.2.7, in a shared cache
	ReasonAuthorization Reason = "authorization"     // RFC 9111 §3.5, in a shared cache
	ReasonUnstated      Reason = "no-caching-stated" // RFC 9111 §3: nothing says that it may be stored
	ReasonVary          Reason = "vary"              // depends on what can't be part of the key
	ReasonRange         Reason = "content-range"     // asked for a part: hardly the whole representation
	ReasonTrailers      Reason = "trailers"          // can't be replayed by a local reply
	ReasonFraming       Reason = "close-delimited"   // its end can't be told from a reset
	ReasonLength        Reason = "content-length"    // unreadable or contradictory
	ReasonTooLarge      Reason = "too-large"         // beyond max_response
	ReasonStale         Reason = "stale-on-arrival"  // its age is beyond its lifetime
	ReasonTruncated     Reason = "incomplete"        // the end was not seen, or bytes are missing
	ReasonNotOrigin     Reason = "not-from-origin"   // a local reply of the proxy
	ReasonNoFreshTTL    Reason = "expired"           // the credential expires now
	ReasonGroups        Reason = "cache-groups"      // too many to keep, or unreadable
)

// StoreRules say what a policy allows of a response, and what is known of its request.
type StoreRules struct {
	Private     bool     // the response belongs to one partition
	Authorized  bool     // the request had Authorization, or a credential that the proxy has taken away
	Ranged      bool     // the request had Range
	KeyHeaders  []string // request header fields that are part of the key
	Targets     []string // targeted cache control fields, the most specific first
	MaxBody     int      // bytes
	AnyFraming  bool     // the upstream speaks HTTP/2: an end is an end
	Origin      bool     // the origin decides on freshness, and TTL only bounds it
	Explicit    bool     // and has to state it: the request was a POST (RFC 9110 §9.3.3)
	TTL         int64    // seconds that a response stays fresh, by its status
	Stale       Stale    // what the policy says of stale responses
	UntilExpiry int64    // seconds until the credential expires; negative: no limit
	Received    Received
}

// Stale is what a policy says of stale responses, in seconds.
type Stale struct {
	WhileRevalidate, IfError Seconds // Absent: as the response says
	Keep                     int64   // for validation
}

// Plan is what a response's header section allows.
type Plan struct {
	Status     uint32
	Length     int   // bytes announced; -1 when unknown
	InitialAge int64 // seconds
	Kept       int64 // seconds for which it is of use from now on, fresh or stale
	useful     int64 // the same, but for the end of the request's credential
	Freshness
	Vary    []string // names beyond the key that it depends on
	Without []string // names of fields that are not to be stored
}

// PlanStore decides by the header section of a final response whether it may be
// stored, for how long, and what its body must look like. end tells that it has no body.
func PlanStore(f Fields, end bool, rules StoreRules) (Plan, Reason) {
	control := f.Control(rules.Targets)
	p, reason := storable(f, control, rules)
	if reason != Storable {
		return Plan{}, reason
	}
	if p.Length, reason = bodyLength(f, end, rules.AnyFraming); reason != Storable {
		return Plan{}, reason
	}
	if p.Length > rules.MaxBody {
		return Plan{}, ReasonTooLarge
	}
	return p.timed(f, control, rules)
}

// timed decides for how long the response is of use.
func (p Plan) timed(f Fields, c Control, rules StoreRules) (Plan, Reason) {
	p.Freshness = f.freshness(c, rules)
	p.InitialAge = int64(f.correctedAge(rules.Received))
	if rules.Origin {
		p.InitialAge = int64(f.InitialAge(rules.Received))
	}
	validated := int64(0)
	if f.HasValidator() && !rules.Explicit { // nobody asks to validate what a POST got
		validated = rules.Stale.Keep
	}
	if p.Kept = p.kept(validated) - p.InitialAge; p.Kept <= 0 {
		return Plan{}, ReasonStale
	}
	p.useful = p.Kept
	if rules.UntilExpiry >= 0 {
		p.Kept = min(p.Kept, rules.UntilExpiry)
	}
	if p.Kept <= 0 {
		return Plan{}, ReasonNoFreshTTL
	}
	return p, Storable
}

// freshness is how long the response may be used by the rule and by itself.
func (f Fields) freshness(c Control, rules StoreRules) Freshness {
	s := Freshness{
		Lifetime:  rules.TTL,
		Strict:    c.MustRevalidate || c.ProxyRevalidate || c.SMaxAge != Absent || c.NoCache,
		Immutable: c.Immutable,
	}
	if rules.Origin {
		lifetime, explicit := f.Lifetime(c, rules.Received)
		s.Lifetime = min(int64(lifetime), rules.TTL)
		if rules.Explicit && !explicit {
			s.Lifetime = 0
		}
	}
	if c.NoCache {
		s.Lifetime = 0
	}
	if s.Strict {
		return s
	}
	s.WhileRevalidate = window(rules.Stale.WhileRevalidate, c.StaleWhileRevalidate, rules)
	s.IfError = window(rules.Stale.IfError, c.StaleIfError, rules)
	return s
}

// window is how long beyond its lifetime a response may be used: the policy's word, or the
// response's where the origin decides.
func window(policy, response Seconds, rules StoreRules) int64 {
	switch {
	case policy != Absent:
		return int64(policy)
	case rules.Origin && response != Absent:
		return min(int64(response), rules.TTL)
	}
	return 0
}

// storable decides by everything but time and framing (RFC 9111 §3).
func storable(f Fields, c Control, rules StoreRules) (Plan, Reason) {
	status := f.Get(":status")
	code, _ := strconv.ParseUint(status, 10, 16)
	names, star := f.VaryBeyond(rules.KeyHeaders)
	p := Plan{Status: uint32(code), Vary: names, Without: c.NoCacheFields}
	if !rules.Private {
		p.Without = append(slices.Clip(p.Without), c.PrivateFields...)
	}
	understood := heuristic(status)
	switch {
	case code < 200 || status == "206" || status == "304" || status == "416" || len(status) != 3:
		return p, ReasonStatus // what they say is of this request's range or condition
	case !rules.Origin && rules.TTL == 0:
		return p, ReasonStatus // the rule has no TTL for it
	case c.MustUnderstand && !understood:
		return p, ReasonStatus
	case f.Has("set-cookie") && !slices.Contains(p.Without, "set-cookie"):
		return p, ReasonSetCookie
	case c.NoStore && !(c.MustUnderstand && understood):
		return p, ReasonNoStore
	case slices.ContainsFunc(p.Without, isNeeded):
		return p, ReasonNoCache
	case c.NoCache && !(rules.Stale.Keep > 0 && f.HasValidator()):
		return p, ReasonNoCache
	case c.Private && !rules.Private:
		return p, ReasonPrivate
	case rules.Origin && !rules.Private && rules.Authorized && !c.allowsAuthorized():
		return p, ReasonAuthorization
	case rules.Origin && !f.says(c, understood && !rules.Explicit, rules.Private):
		return p, ReasonUnstated
	case f.Has("content-range") && rules.Ranged:
		return p, ReasonRange
	case f.Has("trailer"):
		return p, ReasonTrailers
	case star || slices.ContainsFunc(p.Vary, isCredential):
		return p, ReasonVary
	}
	return p, Storable
}

// allowsAuthorized tells whether the answer to one credential may be stored for all (RFC 9111 §3.5).
func (c Control) allowsAuthorized() bool {
	return c.Public || c.MustRevalidate || c.SMaxAge != Absent
}

// says tells whether anything says that the response may be stored (RFC 9111 §3, last list).
func (f Fields) says(c Control, heuristic, private bool) bool {
	return heuristic || c.Public || c.Private && private || c.MaxAge != Absent || c.SMaxAge != Absent ||
		f.Has("expires") && !c.Targeted
}

// isCredential tells of fields whose values must not leave the proxy, not even digested.
func isCredential(name string) bool {
	return name == "authorization" || name == "cookie" || name == "proxy-authorization"
}

// isNeeded tells of fields without which what is stored would be answered to whom, or read as what, it isn't.
func isNeeded(name string) bool {
	return name == "vary" || name == "content-encoding" || name == "content-type"
}

// bodyLength reads how the body's end is marked. A body that ends with its
// connection looks the same when it was cut, so it is refused (Envoy reports
// via_upstream for both). end: there is none.
func bodyLength(f Fields, end, anyFraming bool) (int, Reason) {
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
	case len(codings) == 0 && (end || anyFraming):
		return -1, Storable
	}
	return 0, ReasonFraming
}

// Complete says why a captured response isn't whole, or Storable: bodyBytes is the size of its body, endSeen tells that its
// end has come, and details are Envoy's response.code_details.
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

// Aged makes the response older: that many seconds have passed since its header section came.
func (p *Plan) Aged(seconds int64) {
	p.InitialAge += seconds
	p.Kept -= seconds
}

// Jittered shortens the lifetime by up to percent of it. By how much depends on seed and moment, which
// differ for responses that are stored at the same time.
func (p Plan) Jittered(percent int, seed string, moment int64) Plan {
	most := p.Lifetime * int64(percent) / 100
	if most <= 0 {
		return p
	}
	hash := uint64(moment) * 0x9e3779b97f4a7c15
	for i := 0; i < len(seed); i++ {
		hash = (hash ^ uint64(seed[i])) * 0x100000001b3 // FNV-1a
	}
	cut := int64((hash ^ hash>>32) % uint64(most+1))
	if fresh := p.Lifetime - p.InitialAge; cut >= fresh {
		cut = max(fresh-1, 0)
	}
	p.Lifetime -= cut
	p.Kept = min(p.Kept, p.useful-cut)
	return p
}

package exchange

import "chatcache/filter/internal/httpcache"

// outcome is what became of a write, as far as the proxy can tell.
type outcome uint8

const (
	// changed: the origin answered. Its data may have changed: raise.
	changed outcome = iota
	// unchanged: the origin never saw the request or definitely rejected it.
	unchanged
	// unknown: the origin may still commit. The suspension lasts until the
	// rule's settle time has passed, and then is a raise.
	unknown
)

func (o outcome) String() string {
	return [...]string{"changed", "unchanged", "unknown"}[o]
}

// observed is what the proxy shows of a write when its stream is done.
type observed struct {
	forwarded bool   // the request was let on
	status    int    // of the final response; 0: none was seen
	end       bool   // the end of the response was seen
	details   string // response.code_details
	attempts  uint64 // upstream.request_attempt_count; 0: none
	// raiseOn4xx: hops behind the proxy may retry, so a 4xx proves nothing.
	raiseOn4xx bool
	// rolledBack: the policy says that the origin writes nothing where it answers with this 5xx.
	rolledBack bool
}

// judge decides. A 4xx is definite only when no earlier attempt can have
// reached an origin that then did the work: one attempt, or none at all. So is a 5xx of
// the origin where the policy says what it means; of anybody else's nothing is known.
func judge(o observed) outcome {
	switch {
	case !o.forwarded:
		return unchanged
	case o.status == 0 || !o.end:
		return unknown
	case o.status == 408 || o.status >= 502 && o.status <= 504:
		return unknown
	case o.attempts > 1:
		return unknown // the attempt that was given up may still commit, later than the answer to the next
	case o.status < 400 || o.status >= 500 && !o.rolledBack:
		return changed
	case o.details != httpcache.ViaUpstream && o.attempts == 0 && o.status < 500:
		return unchanged // a later filter or the router rejected it
	case o.details != httpcache.ViaUpstream:
		return unknown // the proxy gave up, maybe after it had sent something
	case o.attempts != 1 || o.raiseOn4xx:
		return changed
	}
	return unchanged
}

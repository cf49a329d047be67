package exchange

import "chatcache/filter/internal/httpcache"

// What access logs have of a stream that a rule matches: the rule's name, and a result.
// A stream that ended before its result was known has neither.
const (
	resultHitL1       = "hit:l1" // a read answered from the VM's memory
	resultHitL2       = "hit:l2" // from Redis
	resultCollapsedL1 = "collapsed:l1"
	resultCollapsedL2 = "collapsed:l2"
	resultStored      = "stored"      // a miss whose response is stored if it ends whole
	resultMiss        = "miss:"       // a miss that isn't stored, and why
	resultValidated   = "validated"   // a read answered with what was stored, since the origin has confirmed it
	resultStaleError  = "stale:error" // a read answered with what was stored, since the origin failed
	resultUncached    = "uncached"    // a read with only-if-cached, answered 504
	resultMisdirected = "misdirected" // a refresh of the proxy's own that was refused, answered 421
	resultBypass      = "bypass:"     // a read that was forwarded without an answer of the cache, and why
	resultWrite       = "write"
	resultPending     = "write:" + string(reasonPending)
	resultAnonymous   = "write:" + string(reasonNoIdentity) // which the origin refuses, as the policy says
	resultRefused     = "refused"                           // a write, by "unreachable": "refuse"
)

func resultFound(tier string, waited bool) string {
	switch {
	case waited && tier == tierL1:
		return resultCollapsedL1
	case waited:
		return resultCollapsedL2
	case tier == tierL1:
		return resultHitL1
	}
	return resultHitL2
}

func resultUnstored(reason httpcache.Reason) string { return resultMiss + string(reason) }

func resultBypassed(reason httpcache.Reason) string { return resultBypass + string(reason) }

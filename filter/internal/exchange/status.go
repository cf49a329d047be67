package exchange

import (
	"strconv"
	"strings"

	"chatcache/filter/internal/httpcache"
)

// Reasons of a request that is forwarded without an answer of the cache, beside
// those of package httpcache.
const (
	reasonOff           httpcache.Reason = "off"                  // the cache's ttl is 0s, or operators have it off
	reasonRollout       httpcache.Reason = "rollout"              // not all proxies know its rules
	reasonPercent       httpcache.Reason = "percent"              // outside of the share that is served
	reasonHead          httpcache.Reason = "head"                 // the response to HEAD has no body to store
	reasonRange         httpcache.Reason = "range"                // of a body-keyed request
	reasonConditional   httpcache.Reason = "conditional"          // If-Match and the like
	reasonUpgrade       httpcache.Reason = "upgrade"              // WebSocket and the like
	reasonOverridden    httpcache.Reason = "method-override"      // X-HTTP-Method-Override and the like
	reasonRequest       httpcache.Reason = "request-no-cache"     // the client asked for the origin
	reasonRequestBody   httpcache.Reason = "request-body"         // a body that isn't part of the key
	reasonNoIdentity    httpcache.Reason = "no-identity"          // a private cache, nobody named; or a write that is refused for that
	reasonExpired       httpcache.Reason = "credential-expired"   // its exp has passed
	reasonBodyUnseen    httpcache.Reason = "body-not-visible"     // the policy doesn't promise bodies
	reasonExpect        httpcache.Reason = "expect-continue"      // holding the body would deadlock
	reasonBodyTooLarge  httpcache.Reason = "body-too-large"       // beyond body.max_bytes
	reasonBodyUnusable  httpcache.Reason = "body-not-json"        // nothing to key by
	reasonKeyTooLong    httpcache.Reason = "key-too-long"         // beyond a bound
	reasonWriteInFlight httpcache.Reason = "write-in-flight"      // a group is suspended
	reasonPending       httpcache.Reason = "invalidation-pending" // this VM still owes a write's end to the bridge
	reasonTimeout       httpcache.Reason = "bridge-timeout"
	reasonBreaker       httpcache.Reason = "breaker-open" // it has failed too often in a row to be waited for
	reasonUnreachable   httpcache.Reason = "bridge-unreachable"
	reasonBridgeError   httpcache.Reason = "bridge-error" // it answered, but not with what was asked
	// The wait for somebody else's fetch was over before any lookup had an answer.
	reasonCollapseTimeout httpcache.Reason = "collapse-timeout"
	// A stored response could have answered the request.
	reasonObserve httpcache.Reason = "observe"       // operators only want to see that
	reasonVerify  httpcache.Reason = "verify"        // it is compared with what the origin answers
	reasonUnheld  httpcache.Reason = "capture-limit" // too many responses are being captured
	reasonUnsent  httpcache.Reason = "upload-failed" // the bridge doesn't take its pieces, or not as fast as they come
	// A filter behind this one had it in memory, see secondHand.
	reasonSecondHand httpcache.Reason = "second-hand"
	// A request with only-if-cached, and nothing stored that would do.
	reasonOnlyIfCached httpcache.Reason = "only-if-cached"
	// A request to refresh what is stored that would be another's than the one that was answered with it.
	reasonMisdirected  httpcache.Reason = "misdirected"
	reasonStaleIfError httpcache.Reason = "stale-if-error" // answered with a stale response in place of the origin's error
)

const statusField = "cache-status"

// Members of the Cache-Status field (RFC 9211), all by the name of chatcache.

// statusFound is that of a read answered from the tier. One that waited for somebody else's
// fetch was a miss that was collapsed with another request, and not a hit (section 2.6).
func statusFound(ttl int64, tier string, waited bool) string {
	how := "hit"
	if waited {
		how = "fwd=uri-miss; collapsed"
	}
	return "chatcache; " + how + "; ttl=" + strconv.FormatInt(ttl, 10) + "; detail=" + tier
}

// Why a read was forwarded, as Cache-Status has it (RFC 9211 section 2.2).
const (
	forwardedMiss    = "uri-miss"
	forwardedVariant = "vary-miss" // what is stored answered another variant of the request
	forwardedStale   = "stale"     // what is stored has to be validated first
	forwardedRequest = "request"   // what is stored is too old for this request
)

// statusForwarded is that of a read that went to the origin; one that has waited in vain says so.
func statusForwarded(why string, waited bool) string {
	if waited {
		return "chatcache; fwd=" + why + "; collapsed=?0"
	}
	return "chatcache; fwd=" + why
}

func statusStored(why string, waited bool) string { return statusForwarded(why, waited) + "; stored" }

func statusMiss(why string, detail httpcache.Reason, waited bool) string {
	return statusForwarded(why, waited) + "; detail=" + string(detail)
}

// statusValidated is that of a read whose stored response the origin has confirmed.
func statusValidated(why string, stored, waited bool) string {
	status := statusForwarded(why, waited) + "; fwd-status=304"
	if stored {
		status += "; stored"
	}
	return status
}

// statusOnError is that of a read answered with a stale response in place of the origin's.
func statusOnError(why, originStatus string, waited bool) string {
	return statusForwarded(why, waited) + "; fwd-status=" + originStatus + "; detail=" + string(reasonStaleIfError)
}

func statusOnlyIfCached() string { return "chatcache; detail=" + string(reasonOnlyIfCached) }

func statusMisdirected() string { return "chatcache; detail=" + string(reasonMisdirected) }

func statusBypass(detail httpcache.Reason) string {
	return "chatcache; fwd=bypass; detail=" + string(detail)
}

func statusWrite(detail httpcache.Reason) string {
	if detail == "" {
		return "chatcache; fwd=method"
	}
	return "chatcache; fwd=method; detail=" + string(detail)
}

func statusRefused() string { return "chatcache; detail=" + string(reasonUnreachable) }

// secondHand tells whether a response comes out of the memory or the Redis of a filter behind this one, by the members above. Such a
// one may be as old as max_staleness lets that filter's clients see it:
//
//  1. the sidecar's VM has a response in L1, and hasn't heard yet of a write that has been acknowledged
//  2. the gateway's lookup finds nothing valid, and sees that write's number
//  3. the sidecar answers from L1, as it may
//  4. stored under the ticket of 2 it would be valid for everybody until its TTL ends
func secondHand(response httpcache.Fields) bool {
	for _, line := range response.Values(statusField) {
		for member := range strings.SplitSeq(line, ",") {
			name, parameters, _ := strings.Cut(member, ";")
			if strings.Trim(name, " \t") == "chatcache" &&
				(strings.Contains(parameters, "ttl=") || strings.Contains(parameters, string(reasonStaleIfError))) {
				return true
			}
		}
	}
	return false
}

// keyMember is the parameter key of a read's Cache-Status (RFC 9211 section 2.7), where the policy wants it and there is a key.
func (r *read) keyMember() string {
	if !r.plugin.Policy.StatusKey || r.plugin.identity == nil || r.key == nil {
		return ""
	}
	return `; key="` + r.plugin.identity.KeyDigest(r.key) + `"`
}

func (r *read) addStatus(member string) { r.Exchange.addStatus(member + r.keyMember()) }

// failure names what an answer that can't be used was.
func failure(a Answer) httpcache.Reason {
	switch a.Status {
	case "504":
		return reasonTimeout
	case "503", "":
		return reasonUnreachable
	}
	return reasonBridgeError
}

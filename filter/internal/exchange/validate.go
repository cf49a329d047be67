package exchange

import (
	"strconv"
	"time"

	"chatcache/filter/internal/httpcache"
)

// Validation of a stored response that can't be used as it is:
//
//  1. a lookup finds it valid, which no write has made it unlike, but stale: offer keeps it
//  2. the read is forwarded with the stored validators in place of the client's own, unless a write has come
//     meanwhile: see unmoved
//  3. the origin answers 304: the stored response, updated, replaces that answer, and is stored under
//     the ticket of 1, so that a write which came meanwhile still makes it invalid
//  4. or it fails: the stored response replaces the answer where stale-if-error allows that and no write
//     has come meanwhile: see unmoved
//  5. or it answers anew, which streams through and is stored as after any miss; what it answers to a HEAD
//     says whether the stored response is the present one: see compareHead
//
// Where 3 or 5 says that nothing may be stored any more, what is stored is used no more without a validation: see forbids, and
// supersedes.
//
// An invalidated response is a miss in 1 and so never gets here.

// offer keeps a response that was found for when the origin confirms it or fails.
func (r *read) offer(f *found, now int64) {
	if f == nil || r.request.wants.ranges && !r.request.head {
		return
	}
	f.separate()
	s, ok := r.open(*f, now)
	if !ok {
		return
	}
	s.ReadFields(moreFields)
	r.why = forwardedStale
	if s.Lifetime > s.age {
		r.why = forwardedRequest
	}
	if s.WhileRevalidate > 0 {
		r.keep(r.fence, *f, now) // reads that come meanwhile may be answered with it
	}
	useful := r.request.method != "POST" && s.Fields.HasValidator() || s.OnError(s.age) || r.request.head || r.refreshOf != ""
	if useful && r.state.reserveBlock(s.block) {
		r.stale = &s
	}
}

// withdraw gives back what offer has kept.
func (r *read) withdraw() {
	if r.stale != nil {
		r.state.releaseBlock(r.stale.block)
		r.stale = nil
	}
}

// forward lets a held read go to the origin, or tells it that nothing stored will do.
func (r *read) forward(now int64) {
	if r.phase != paused {
		return
	}
	if r.limits.OnlyIfCached && r.withheld == "" {
		r.refuse()
		return
	}
	if r.meant() != "" && r.bypass != "" {
		r.misdirect()
		return
	}
	r.asked = now
	if r.bypass == "" {
		r.condition()
	}
	r.resume()
}

// refuse answers a request with only-if-cached (RFC 9111 section 5.2.1.7).
func (r *read) refuse() {
	r.endFetch(0)
	r.stream.Describe(r.cache.Name, resultUncached)
	r.reply(504, httpcache.Fields{{"content-type", "text/plain"}, {statusField, statusOnlyIfCached()}},
		[]byte("chatcache: nothing is stored that this request would accept, and it wants nothing else\n"))
}

// condition puts the stored validators into the request. A read that fetches for others takes the
// client's own away even without any: a 304 to one is of no use to the others.
func (r *read) condition() {
	leads := r.flight != nil && r.flight.leader == r
	conditions := httpcache.Fields(nil)
	if r.refreshOf != "" {
		_ = r.stream.RemoveRequestField(refreshField)
	}
	if r.stale != nil && r.request.method != "POST" && r.unmoved(r.stale.groups, r.asked) { // one that matches would make a POST fail (RFC 9110 section 13.1.2)
		conditions = r.stale.Fields.Conditions()
		r.validates = len(conditions) > 0
	}
	if r.request.wants.conditions && (leads || conditions != nil) {
		_ = r.stream.RemoveRequestField("if-none-match")
		_ = r.stream.RemoveRequestField("if-modified-since")
	}
	for _, c := range conditions {
		_ = r.stream.SetRequestField(c[0], c[1])
	}
}

// settled replaces the origin's answer with the stored response where that is what the
// client is to get.
func (r *read) settled(answer httpcache.Fields) bool {
	if r.stale == nil {
		return false
	}
	switch status := answer.Get(":status"); status {
	case "304":
		if !r.validates || !r.viaUpstream() {
			return false // it is about the client's own condition
		}
		r.confirmed(answer)
		return true
	case "500", "502", "503", "504":
		return r.refreshOf == "" && r.standsIn(status) // a refresh is to tell that it failed
	}
	return false
}

// compareHead takes what the origin's answer to a HEAD says of the stored response (RFC 9111 section 4.3.5): that it
// is the present one, which is then updated as by a 304; or that it isn't, or may not be stored any more, and then nobody uses it unless the
// origin confirms it. Other VMs know that as soon as they look into Redis. It tells which of both was stored.
func (r *read) compareHead(answer httpcache.Fields) (updated, outdated bool) {
	if r.stale == nil || !r.request.head || answer.Get(":status") != "200" || !r.viaUpstream() || r.ticket.Epoch == 0 || secondHand(answer) {
		return false, false
	}
	s := *r.stale
	like := httpcache.LikeHead(answer, s.Fields, len(s.Body))
	if like == httpcache.Untold {
		return false, false
	}
	if like == httpcache.Alike {
		present := s
		switch reason := r.refresh(&present, answer); {
		case reason == httpcache.Storable:
			return true, false
		case !forbids(reason):
			return false, false
		}
	}
	r.outdate(s)
	return false, true
}

// outdate stores a response again as one that must be validated each time. That is no fetch which others could wait for: they go on by the mark
// that the read's own leaves.
func (r *read) outdate(s storedResponse) {
	if s.Strict && s.Lifetime == 0 {
		return // it is one
	}
	now := r.plugin.host.Now()
	r.state.l1.Delete(r.key) // also where L1 may not be filled now
	groups, ok := r.groupsOf(s.Fields)
	if !ok {
		return
	}
	plan := storePlan{groups: groups, Plan: httpcache.Plan{
		Status: s.Status, InitialAge: s.age, Freshness: httpcache.Freshness{Strict: true},
		Kept: max((s.expires-now)/int64(time.Second), 1),
	}}
	if s.Varies {
		plan.Vary, _ = s.Fields.VaryBeyond(keyHeaders(r.plugin.Policy, r.cache, r.partition))
	}
	r.fillAside(r.key, plan, s.Fields, s.Body, now)
	r.fillBase(plan, s.Fields, s.Body, now)
}

// unmoved tells whether no write has come, as far as this VM has heard, since the lookup was sent that has found something of the groups. A
// read that came only after that lookup must hear of writes at present, too:
//
//  1. a read's lookup finds something stale; its origin is slow
//  2. a write passes another proxy, and is acknowledged
//  3. a read comes, waits for the first one, and has waited for too long
//  4. the origin, asked with what 1 has found, may say that this is the present response: a Last-Modified has seconds
func (r *read) unmoved(groups []string, now int64) bool {
	return !(r.late && !r.leased(now)) && !r.state.moved(groups, r.fence.mark)
}

// viaUpstream tells whether the origin has answered, and not the proxy.
func (r *read) viaUpstream() bool {
	details, _ := r.stream.Property("response", "code_details")
	return string(details) == httpcache.ViaUpstream
}

// confirmed answers with the stored response, as the 304 has updated it.
func (r *read) confirmed(answer httpcache.Fields) {
	s := *r.stale
	r.withdraw()
	reason := httpcache.ReasonStatus
	if httpcache.Confirms(answer, s.Fields) {
		before := s
		if reason = r.refresh(&s, answer); forbids(reason) && r.mayOutdate(answer) {
			r.outdate(before)
		}
	}
	if reason != httpcache.Storable {
		r.endFetch(markAfter(answer, reason))
	}
	r.stream.Describe(r.cache.Name, resultValidated)
	r.plugin.host.Add(&r.metrics.validated, 1)
	r.represent(s, statusValidated(r.why, reason == httpcache.Storable, r.waited))
}

// forbids tells whether the reason for which a confirmation isn't stored is the origin's word on what it confirms: then nobody may go on
// using that as if it were fresh (RFC 9111 section 4.3.4). Others are about the one exchange: a cookie, a credential.
func forbids(reason httpcache.Reason) bool {
	switch reason {
	case httpcache.ReasonNoStore, httpcache.ReasonNoCache, httpcache.ReasonPrivate, httpcache.ReasonStale, httpcache.ReasonVary, httpcache.ReasonGroups:
		return true
	}
	return false
}

// mayOutdate tells whether an answer counts for what is stored: it is the origin's, of a moment that the lookup's ticket comes before.
func (r *read) mayOutdate(answer httpcache.Fields) bool {
	return r.ticket.Epoch != 0 && !secondHand(answer)
}

// supersedes tells whether a request of the proxy's own, which was to refresh what is stored, was answered with something else, or with that there is
// none any more. It matters where that can't be stored for what it is. Answers to clients' requests don't count: each chooses what its own says. The
// proxy's own has no Cache-Control: one with limits is a client's that looks like it, and would have what is fresh fetched once more.
func (r *read) supersedes(answer httpcache.Fields) bool {
	if r.refreshOf == "" || r.limits.Set() || r.stale == nil || !r.mayOutdate(answer) || !r.viaUpstream() {
		return false
	}
	status := answer.Get(":status")
	return status == "200" || status == "404" || status == "410"
}

// ownFault tells whether a response isn't stored for the proxy's, the bridge's or the credential's sake, whatever it is.
func ownFault(reason httpcache.Reason) bool {
	return reason == reasonUnheld || reason == reasonUnsent || reason == httpcache.ReasonNoFreshTTL || reason == httpcache.ReasonNotOrigin
}

// refresh updates what was stored, and stores it again if that may be.
func (r *read) refresh(s *storedResponse, answer httpcache.Fields) httpcache.Reason {
	now := r.plugin.host.Now()
	answer = answer.Dated(r.plugin.host.Unix()) // not as old as what it confirms
	fields := httpcache.Refreshed(s.Fields, answer)
	plan, reason := r.plan(s.described(fields, answer), false, now)
	s.Fields, s.age = append(make(httpcache.Fields, 0, len(fields)+3), fields...), plan.InitialAge
	switch {
	case reason != httpcache.Storable:
	case r.ticket.Epoch == 0:
		reason = httpcache.ReasonNotOrigin
	case secondHand(answer):
		reason = reasonSecondHand
	}
	if reason == httpcache.Storable {
		r.fill(plan, httpcache.StoredFields(fields, plan.Without), s.Body, now)
	}
	return reason
}

// described is the header section that the stored response would have if it came now.
func (s *storedResponse) described(fields, answer httpcache.Fields) httpcache.Fields {
	whole := append(httpcache.Fields{{":status", strconv.Itoa(int(s.Status))}, {"content-length", strconv.Itoa(len(s.Body))}}, fields...)
	for _, age := range answer.Values("age") {
		whole = append(whole, [2]string{"age", age})
	}
	return whole
}

// standsIn answers with the stale response in place of an error, if it may.
func (r *read) standsIn(status string) bool {
	s := *r.stale
	s.age = (r.plugin.host.Now()-s.stored)/int64(time.Second) + s.InitialAge
	if r.limits.Set() || !s.OnError(s.age) || !r.unmoved(s.groups, r.plugin.host.Now()) {
		return false
	}
	r.withdraw()
	r.endFetch(markFault)
	r.stream.Describe(r.cache.Name, resultStaleError)
	r.plugin.host.Add(&r.metrics.staleOnError, 1)
	r.represent(s, statusOnError(r.why, status, r.waited))
	return true
}

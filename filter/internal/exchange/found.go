package exchange

import (
	"bytes"
	"strconv"
	"time"

	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"
)

// The tiers that a stored response is found in, as Cache-Status names them.
const (
	tierL1 = "l1"
	tierL2 = "l2"
)

// found is a stored response that a read may be answered with.
type found struct {
	block           []byte // as httpcache lays it out
	alone           bool   // the block isn't a part of something larger
	definition      string // of the cache it was stored for
	groups          []string
	stored, expires int64 // monotonic nanoseconds
	tier            string
	epoch           uint64 // of Redis, as the bridge has it that has found it there
	leased          bool   // somebody else has the right to fetch it: it is stale, and is being validated
}

// separate gives what has been found memory of its own, before it is kept: a small entry of an answer to many lookups would keep
// all of that.
func (f *found) separate() {
	if !f.alone && len(f.block) <= wire.MaxFoundTogether {
		f.block = bytes.Clone(f.block)
	}
	f.alone = true
}

// storedResponse is one that has been read, with its freshness by the present policy.
type storedResponse struct {
	found
	httpcache.Response
	age int64 // seconds
}

// open reads a stored response, unless it is of another definition, answered a request that
// doesn't match (RFC 9111 section 4.1), or is unreadable.
func (r *read) open(f found, now int64) (s storedResponse, ok bool) {
	if f.definition != r.cache.Definition {
		return storedResponse{}, false
	}
	response, err := httpcache.DecodeResponse(f.block)
	if err != nil || !r.matches(&response) {
		return storedResponse{}, false
	}
	ttl, _ := r.ttlOf(response.Status)
	response.Lifetime = min(response.Lifetime, int64(ttl/time.Second))
	return storedResponse{found: f, Response: response, age: (now-f.stored)/int64(time.Second) + response.InitialAge}, true
}

// matches tells whether what a response depends on beyond the key is the same in the read's
// request as in the one that it answered.
func (r *read) matches(response *httpcache.Response) bool {
	if !response.Varies || r.state.variants.is(r.request.fields, response.Variant) {
		return true
	}
	response.ReadFields(moreFields)
	names, _ := response.Fields.VaryBeyond(keyHeaders(r.plugin.Policy, r.cache, r.partition))
	if r.state.variants.digest(r.request.fields, names) == response.Variant {
		return true
	}
	r.why = forwardedVariant
	r.varies(names)
	return false
}

// suits tells whether a response is of the read's variant.
func (r *read) suits(f found) bool {
	response, err := httpcache.DecodeResponse(f.block)
	return err != nil || r.matches(&response)
}

func (r *read) canUse(f found, now int64) bool {
	s, ok := r.open(f, now)
	if !ok {
		return false
	}
	verdict := s.Judge(s.age, r.limits)
	return verdict == httpcache.Usable || verdict == httpcache.UsableWhile && r.covered(f, now)
}

// answer replies with a stored response, if it can be used, or withholds it; then the request is to be
// forwarded. A stale one can be used while somebody else validates it, where that is allowed at all.
func (r *read) answer(f found, now int64) bool {
	s, ok := r.open(f, now)
	if !ok {
		return false
	}
	refresh := false
	if !r.simple() {
		r.place(now)
		s.ReadFields(moreFields)
	}
	switch s.Judge(s.age, r.limits) {
	case httpcache.Unusable:
		return false
	case httpcache.UsableWhile:
		r.place(now)
		if refresh = !r.covered(f, now); refresh && !r.refreshable(f, now) {
			return false
		}
	}
	if r.withhold(f, s.Response) {
		return true
	}
	if refresh {
		r.revalidate()
	}
	ttl := min((f.expires-now)/int64(time.Second), s.Lifetime-s.age)
	r.stream.Describe(r.cache.Name, resultFound(f.tier, r.waited))
	r.represent(s, statusFound(ttl, f.tier, r.waited))
	r.observe(wire.CountAnsweredMicros)
	counter, metric := r.metrics.answered(f.tier, r.waited)
	r.metrics.count(r.plugin.host, counter, metric)
	r.prefetchNext(s.Body, now)
	return true
}

// answered is what the callback that has found an answer ends with.
func (r *read) answered() Action {
	if r.phase == replied {
		return PauseAll
	}
	r.phase = flowing // withheld; its body may have been held
	return Continue
}

// beingFetched tells whether another read of the VM is fetching the key, or a refresh of it is under way.
func (r *read) beingFetched(now int64) bool {
	if r.state.refreshes.covers(r.keyInRedis(), now) {
		return true
	}
	f := r.state.flights.current[r.keyInRedis()]
	return f != nil && f.leader != nil && f.leader != r && f.serves(now)
}

// moreFields is how many fields an answer has beside the stored ones at most.
const moreFields = 3

// simple tells whether a stored response that may be used is the answer to the read just as it is: nothing
// of the request or of what operators have set asks for more than that.
func (r *read) simple() bool {
	control := r.control()
	return r.wantsAll() && r.cache.Prefetch == nil && !control.Observe && control.Verify == 0
}

// represent replies with what the request gets of a stored response: all of it, the part that it
// asks for, or 304 where the client has it already.
func (r *read) represent(s storedResponse, status string) {
	status += r.keyMember()
	if s.Fields == nil { // nobody needed them
		more := [...][2]string{{"age", strconv.FormatInt(s.age, 10)}, {statusField, status}}
		r.state.scratch.reply = s.AppendPairs(r.state.scratch.reply[:0], more[:])
		r.replyPairs(s.Status, r.state.scratch.reply, s.Body)
		return
	}
	s.Fields = r.unmark(s.Fields)
	code, fields, body := s.Status, s.Fields, s.Body
	if s.Status == 200 && (r.request.wants.conditions || r.request.wants.ranges) {
		code, fields, body = r.selected(s)
	}
	fields = append(fields, [2]string{"age", strconv.FormatInt(s.age, 10)}, [2]string{statusField, status})
	r.reply(code, fields, body)
}

// selected evaluates the request's preconditions, then its range (RFC 9110 section 13.2.2).
func (r *read) selected(s storedResponse) (code uint32, fields httpcache.Fields, body []byte) {
	request, now := r.request.fields, r.plugin.host.Unix()
	if r.request.wants.conditions && httpcache.NotModified(request, s.Fields, now) {
		return 304, httpcache.NotModifiedFields(s.Fields), nil
	}
	if !r.request.wants.ranges || r.request.head {
		return 200, s.Fields, s.Body
	}
	span, whole, unsatisfiable := httpcache.RangeOf(request, s.Fields, len(s.Body), now)
	if whole {
		return 200, s.Fields, s.Body
	}
	const name = "content-range"
	if unsatisfiable {
		return 416, httpcache.Fields{{name, httpcache.UnsatisfiedRange(len(s.Body))}}, nil
	}
	return 206, append(httpcache.PartFields(s.Fields), [2]string{name, span.ContentRange(len(s.Body))}), s.Body[span.First:span.End]
}

// observe records how long the client has waited for the header section.
func (r *read) observe(sum wire.Counter) {
	elapsed := uint64((r.plugin.host.Now() - r.began) / int64(time.Microsecond))
	r.plugin.host.Record(&r.metrics.latency, elapsed)
	r.metrics.tally[sum] += elapsed
}

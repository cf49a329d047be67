package exchange

import (
	"slices"

	"chatcache/filter/internal/httpcache"
	"chatcache/policy"
)

// phase is where a stream stands. There is exactly one resume or one reply for
// each pause: both happen only in paused, and both leave it.
type phase uint8

const (
	flowing phase = iota // nothing of ours holds the stream
	paused               // the request is held
	held                 // the response's header section is held
	replied              // we have answered; the response callbacks are our own answer's
	ended                // the stream is gone; a late answer of the bridge does nothing
)

// Exchange is one stream: a request and its response. Its methods are called in the
// order in which the proxy calls a stream's callbacks.
type Exchange struct {
	plugin *Plugin
	state  *State
	stream Stream
	phase  phase
	flow   flow // nil: no rule matches, nothing is touched

	unlogged bool // its end may not be told
}

// flow is what a matched rule makes of a stream: a read or a write.
type flow interface {
	// start decides on the request's header section.
	start(end bool) Action
	// body sees a held request's body: n bytes so far.
	body(n int, end bool) Action
	// response sees the header section of a response that is not our own, and lets it go on
	// unless it has replaced it.
	response(fields httpcache.Fields, end bool) Action
	// chunk sees n bytes of that response's body.
	chunk(n int, end bool)
	// trailers sees its trailers, which end it.
	trailers()
	// abort gives up whatever was under way, after a panic.
	abort()
	// done sees the end of the stream.
	done()
	// lost ends what done would have, where that has panicked.
	lost()
}

// RequestHeaders handles the request's header section; end tells that there is
// no body.
func (e *Exchange) RequestHeaders(end bool) Action {
	fields, err := e.stream.RequestFields(e.state.scratch.fields[:0])
	if err != nil {
		return Continue
	}
	e.state.scratch.fields = fields
	var target request
	target.readTarget(fields)
	cache, rule := e.plugin.Policy.MatchOverridden(target.method, target.overriding, target.authority, target.path)
	if cache == nil && rule == nil {
		rule = e.plugin.Policy.Unruled(target.method)
	}
	var r *request
	switch {
	case cache != nil:
		e.flow, r = newRead(e, target, cache)
	case rule != nil:
		e.flow, r = newWrite(e, target, rule)
	default:
		return Continue
	}
	r.read(fields, e.stream)
	e.state.follower.follow()
	action := e.flow.start(end)
	if e.phase != replied {
		r.keep()
		e.watch()
	}
	return action
}

// RequestBody handles a request body; n is how many bytes of it are held by now, end tells that these are all.
func (e *Exchange) RequestBody(n int, end bool) Action {
	if e.flow == nil || e.phase != paused {
		return Continue
	}
	return e.flow.body(n, end)
}

// RequestTrailers handles request trailers: a body that is waited for ends
// without being the key.
func (e *Exchange) RequestTrailers() Action {
	if e.flow == nil || e.phase != paused {
		return Continue
	}
	return e.flow.body(0, false)
}

// Concerned tells whether the exchange has anything to do with the response. With most it hasn't, and who calls may spare itself
// its callbacks.
func (e *Exchange) Concerned() bool { return e.flow != nil && e.phase != replied }

// ResponseHeaders handles the response's header section. Our own reply comes
// this way too and is left alone.
func (e *Exchange) ResponseHeaders(end bool) Action {
	if !e.Concerned() {
		return Continue
	}
	// A response while the request is paused is a local reply of the proxy.
	e.phase = flowing
	fields, err := e.stream.ResponseFields()
	if err != nil {
		return Continue
	}
	action := e.flow.response(fields, end)
	e.passed(end)
	return action
}

// ResponseBody handles a chunk of n bytes; end tells that it is the last one.
func (e *Exchange) ResponseBody(n int, end bool) {
	if e.flow != nil && e.phase == flowing {
		e.flow.chunk(n, end)
		e.passed(end)
	}
}

// ResponseTrailers handles trailers.
func (e *Exchange) ResponseTrailers() {
	if e.flow != nil && e.phase == flowing {
		e.flow.trailers()
		e.passed(true)
	}
}

// Done handles the end of the stream, however it came. It may be called again.
func (e *Exchange) Done() {
	if e.flow != nil {
		e.flow.done()
	}
	e.flow, e.phase = nil, ended
}

// Lost ends the stream after a panic in Done: no other callback of it will come.
func (e *Exchange) Lost() {
	flow := e.flow
	e.flow, e.phase = nil, ended
	if flow != nil {
		flow.lost()
	}
}

// Abandon gives up after a panic in a stream callback, which then answers Continue.
// Done still ends a write.
func (e *Exchange) Abandon() {
	if e.flow != nil {
		e.flow.abort()
	}
	if e.phase == paused || e.phase == held {
		e.phase = flowing
	}
}

// Abort gives up after a panic in the callback of a call: a held request goes on.
func (e *Exchange) Abort() {
	if e.flow != nil {
		e.flow.abort()
	}
	e.resume()
	e.resumeResponse()
}

// pause holds the request.
func (e *Exchange) pause(how Action) Action {
	e.phase = paused
	return how
}

// resume lets a held request go on. Inside the callback that holds it, the caller
// returns Continue instead.
func (e *Exchange) resume() {
	if e.phase == paused {
		e.phase = flowing
		_ = e.stream.Resume() // fails only when the stream is gone
	}
}

// resumeResponse lets a held response go on.
func (e *Exchange) resumeResponse() {
	if e.phase == held {
		e.phase = flowing
		_ = e.stream.ResumeResponse() // fails only when the stream is gone
	}
}

// reply answers in place of the origin.
func (e *Exchange) reply(status uint32, fields httpcache.Fields, body []byte) {
	e.replyPairs(status, fields.Pairs(), body)
}

func (e *Exchange) replyPairs(status uint32, pairs httpcache.Pairs, body []byte) {
	e.phase = replied
	_ = e.stream.Reply(status, pairs, body) // fails only when the stream is gone
}

func (e *Exchange) addStatus(member string) {
	if err := e.stream.AddResponseField(statusField, member); err != nil {
		e.plugin.host.Warn("chatcache: can't add cache-status: " + err.Error())
	}
}

// keyHeaders lists the request fields that the key of a cache covers: those of its rule, and those that the partition was made
// of. A header in which no credential was found is one of these, too: with one the partition would be another.
func keyHeaders(p *policy.Policy, c *policy.Cache, partition policy.Partition) []string {
	if c.Shared {
		return c.Headers
	}
	names, verified := slices.Clip(c.Headers), false
	for i, source := range p.Identity {
		counts := partition.Sources.Has(i)
		switch {
		case source.Kind == policy.SourceHeader && (counts || !verified): // behind a verified claim it may be there and not count
			names = append(names, source.Name)
		case source.Kind == policy.SourceClaim && counts:
			names = append(names, source.Header)
		case source.Kind == policy.SourceVerified && counts:
			verified = true
		}
	}
	return names
}

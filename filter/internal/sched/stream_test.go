//go:build !wasip1

package sched

import (
	"strconv"
	"strings"
	"time"

	"chatcache/filter/internal/exchange"
	"chatcache/filter/internal/httpcache"
)

// stream is one request of the one user, a read or a write.
type stream struct {
	w        *world
	vm       *vm
	root     *root // whose plugin it came to
	number   int16
	rule     *rule  // nil: a read
	unruled  bool   // a write: by the policy of its plugin it concerns nothing that is read
	id       string // of a write's suspension
	other    bool   // a read of another cache, see readsElsewhere
	how      int16  // a read: of which kind, with readsVariant; 0: a plain one
	self     *call  // by which the proxy has sent it itself; nil: a client's
	match    string // the request's If-None-Match
	exchange exchange.Exchange
	inside   bool // a callback of the request's header section is running

	held      bool // the request is paused
	forwarded bool // the origin has it
	over      bool // it has ended for the proxy

	holding bool   // the response's header section is held
	rest    func() // lets the rest of the response pass; nil: it has, or hasn't begun

	fields  httpcache.Fields // of the response
	chunk   []byte
	details string
	tries   byte

	read   readState
	write  writeState
	weight int
}

// begin starts a stream.
func (w *world) begin(number int16, v *vm, r *rule, self *call, how int16) {
	s := &stream{w: w, vm: v, root: v.current(), number: number, rule: r, self: self, other: how == readsElsewhere, how: how, details: httpcache.ViaUpstream, tries: 1, weight: w.weigh(false)}
	if self != nil {
		self.loop = s
	}
	if s.kind() == readsCondition {
		s.match = `"0"`
	}
	s.unruled = r != nil && (s.root.policy == policies[freshUnruled] || s.root.policy == policies[staleUnruled])
	w.streams = append(w.streams, s)
	w.begins(s)
	v.told(input{kind: readBegins, stream: number, rule: r})
	v.enter(func() {
		s.exchange = s.root.plugin.NewExchange(s)
		s.inside = true
		action := s.exchange.RequestHeaders(true)
		s.inside = false
		switch {
		case s.over && action == exchange.Continue:
			w.violation("%s was answered and goes on", name(number))
		case action == exchange.Continue:
			s.forward()
		default:
			s.held = !s.over
		}
	})
}

func (s *stream) forward() {
	s.forwarded = true
	if s.vm.record != nil {
		s.vm.did("stream %d is forwarded", s.number)
	}
	s.w.forwards(s)
}

func (s *stream) RequestFields(dst httpcache.Fields) (httpcache.Fields, error) {
	if s.self != nil {
		return append(dst, s.self.fields...), nil
	}
	if s.how&readsVariant > 0 {
		dst = append(dst, [2]string{"accept-language", "de"})
	}
	switch s.kind() {
	case readsAfresh:
		dst = append(dst, [2]string{"cache-control", "max-age=0"})
	case readsCached:
		dst = append(dst, [2]string{"cache-control", "only-if-cached"})
	case readsRange:
		dst = append(dst, [2]string{"range", "bytes=0-0"})
	case readsCondition:
		dst = append(dst, [2]string{"if-none-match", `"0"`})
	}
	method, path := "GET", "/stats"
	switch {
	case s.rule != nil:
		method, path = s.rule.method, "/messages"
	case s.other:
		path = "/rooms"
	case s.kind() == readsHead:
		method = "HEAD"
	}
	if s.rule != nil && s.w.plan.byURI {
		path = "/stats"
	}
	if s.rule != nil && s.rule.override != "" {
		dst = append(dst, [2]string{"x-http-method-override", s.rule.override})
	}
	dst = append(dst, httpcache.Fields{{":method", method}, {":authority", "chat.test"}, {":path", path}}...)
	if s.rule != nil && (s.w.plan.anonymous || s.rule.nobody) {
		return dst, nil
	}
	return append(dst, [2]string{"authorization", "Bearer ann"}), nil
}

// kind is that of a read, whatever language it asks for.
func (s *stream) kind() int16 { return s.how &^ readsVariant }

func (s *stream) RequestBody(int) ([]byte, error)           { return nil, nil }
func (s *stream) ResponseFields() (httpcache.Fields, error) { return s.fields, nil }
func (s *stream) ResponseBody(n int) ([]byte, error)        { return s.chunk[:n], nil }

func (s *stream) RemoveRequestField(name string) error {
	if name == "if-none-match" {
		s.match = ""
	}
	return nil
}

func (s *stream) ResumeResponse() error {
	if s.over || !s.holding {
		s.w.violation("%s: a response resumed that isn't held", name(s.number))
	}
	s.holding = false
	s.w.names(s)
	return nil
}

func (s *stream) SetRequestField(name, value string) error {
	if name == "if-none-match" {
		s.match = value
	}
	return nil
}

func (s *stream) AddResponseField(name, value string) error {
	s.fields = append(s.fields, [2]string{name, value})
	return nil
}

func (s *stream) Describe(string, string) {}

func (s *stream) Property(path ...string) ([]byte, bool) {
	switch strings.Join(path, ".") {
	case "request.protocol":
		if s.w.plan.http3 {
			return []byte("HTTP/3"), true
		}
	case "response.code_details":
		return []byte(s.details), true
	case "upstream.request_attempt_count":
		return []byte{s.tries, 0, 0, 0, 0, 0, 0, 0}, true
	}
	return nil, false
}

func (s *stream) Call(path string, frame []byte, timeout time.Duration, done func(exchange.Answer)) error {
	s.w.newCall(s.root, s, path, frame, timeout, done)
	return nil
}

// Reply ends the stream: the client has its answer.
func (s *stream) Reply(status uint32, pairs httpcache.Pairs, body []byte) error {
	fields, err := pairs.AppendFields(nil)
	if err != nil {
		return err
	}
	if s.over || !s.held && !s.inside {
		s.w.violation("%s: a reply to a request that isn't held", name(s.number))
	}
	s.held, s.over = false, true
	s.vm.replied = append(s.vm.replied, s)
	s.tell(int(status))
	s.got(int(status), fields, string(body), true)
	s.w.replied(s, status, fields.Get("cache-status"), string(body))
	return nil
}

func (s *stream) Resume() error {
	if s.over || !s.held || s.inside {
		s.w.violation("%s: resumed although it isn't held", name(s.number))
	}
	s.held = false
	s.forward()
	return nil
}

// tell answers the proxy that has sent the request itself, with 0 where the stream broke off. The first word counts.
func (s *stream) tell(status int) {
	if s.self != nil && s.self.response == nil {
		s.self.response = &response{status: status, broken: status == 0}
	}
}

// respond lets the proxy see the head of a response. It tells whether that goes on: it may be replaced.
func (s *stream) respond(status int, length int, more ...[2]string) bool {
	s.fields = append(httpcache.Fields{{":status", strconv.Itoa(status)}, {"content-length", strconv.Itoa(length)}}, more...)
	s.inside = true
	action := s.exchange.ResponseHeaders(false)
	s.inside = false
	s.holding = action == exchange.PauseAll
	if s.over != (action == exchange.Replaced) {
		s.w.violation("%s: action %v to a response, replaced: %t", name(s.number), action, s.over)
	}
	return !s.over
}

// finish lets it see the rest, and the end of the stream.
func (s *stream) finish(body string) {
	s.chunk = []byte(body)
	s.exchange.ResponseBody(len(body), true)
	status, _ := strconv.Atoi(s.fields.Get(":status"))
	s.tell(status)
	s.got(status, s.fields, body, true)
	s.end()
}

// end is the stream's end, whatever was seen of it.
func (s *stream) end() {
	s.held, s.over, s.holding, s.rest = false, true, false, nil
	s.tell(0)
	s.w.ends(s)
	if !s.w.plan.http3 {
		s.exchange.Done()
	}
}

// localReply is the proxy's in place of what is held.
func (s *stream) localReply() {
	s.details = "stream_idle_timeout"
	s.tries = 0
	s.held = false
	if s.respond(504, 2) {
		s.finish("no")
	}
}

// originFails is the origin's error in place of its answer to a read.
const originFails = 1

// readEnds lets the origin's whole answer to a read pass: 304 where the request names the version that it is to get.
func (s *stream) readEnds(fails bool) {
	body := strconv.Itoa(s.read.version)
	s.vm.told(input{kind: originEnds, stream: s.number, body: body})
	status, tag := 200, strconv.Quote(body)
	switch {
	case fails:
		status, body = 500, "failed"
	case s.match == tag:
		status, body = 304, ""
	}
	var more [][2]string
	if s.w.plan.stale {
		more = append(more, [2]string{"etag", tag})
	}
	if s.w.plan.named || s.w.plan.tagged {
		more = append(more, [2]string{"cache-groups", `"stats"`})
	}
	if s.w.plan.varies {
		more = append(more, [2]string{"vary", "accept-language"})
	}
	if s.w.plan.byURI && !fails {
		if s.w.plan.stale {
			more = append(more, [2]string{"cache-control", "max-age=1, stale-while-revalidate=600, stale-if-error=600"})
		} else {
			more = append(more, [2]string{"cache-control", "max-age=600"})
		}
	}
	if status == 200 && s.kind() == readsRange {
		more = append(more, [2]string{"content-range", "bytes 0-0/1"})
		status = 206
	}
	if s.respond(status, len(body), more...) {
		if s.kind() == readsHead {
			body = ""
		}
		s.finish(body)
	}
}

// writeEnds lets a write's response end, or break off.
func (s *stream) writeEnds(e ending) {
	s.vm.told(input{kind: responseEnds, stream: s.number, ending: e})
	switch e {
	case changed, changedLater:
		s.write.later = e == changedLater
		s.succeed(func() {
			if !s.write.later && s.write.version == 0 {
				s.write.over = true // there was nothing to commit
			}
			s.finish("{}")
		})
	case rejected:
		s.write.over = true
		s.respond(422, 2)
		s.finish("{}")
	case cutOff:
		s.details = "upstream_reset_after_response_started{remote_reset}"
		s.succeed(func() {
			s.got(0, nil, "", false)
			s.end()
		})
	case unavailable:
		s.details = "upstream_reset_before_response_started{connection_termination}"
		s.respond(503, 2)
		s.finish("no")
	case retriedRejected:
		s.tries = 2
		s.respond(422, 2)
		s.finish("{}")
	case retriedChanged:
		s.tries = 2
		s.succeed(func() { s.finish("{}") })
	}
}

// succeed lets the proxy see that a write has succeeded, and then the rest of the response. Where it names what it invalidates the
// rest comes later.
func (s *stream) succeed(rest func()) {
	if !s.w.plan.named {
		s.respond(201, 2)
		rest()
		return
	}
	s.rest, s.write.named, s.write.head = rest, true, s.write.version
	if s.w.plan.anonymous {
		s.respond(201, 2)
	} else {
		s.respond(201, 2, [2]string{"cache-group-invalidation", `"stats"`})
	}
	if !s.holding {
		s.w.names(s)
	}
}

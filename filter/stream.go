package main

import (
	"errors"
	"time"

	"chatcache/filter/internal/exchange"
	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

// pauseAll is StopAllIterationAndWatermark: with allow_on_headers_stop_iteration a
// plain pause in request headers would let the body callbacks, and then the request,
// go on (measured in Envoy 1.40).
const pauseAll = types.Action(4)

// stream is one HTTP stream: the callbacks of its exchange, and its exchange.Stream.
type stream struct {
	types.DefaultHttpContext
	id       uint32
	root     *pluginContext
	exchange exchange.Exchange
	request  httpcache.Pairs // its header section, as it came
}

func (s *stream) guarded(callback func()) {
	guard(&s.root.metrics, s.exchange.Abandon, callback)
}

func (s *stream) OnHttpRequestHeaders(_ int, end bool) types.Action {
	action := exchange.Continue
	s.guarded(func() { action = s.exchange.RequestHeaders(end) })
	switch action {
	case exchange.PauseAll:
		return pauseAll
	case exchange.PauseForBody:
		return types.ActionPause
	}
	return types.ActionContinue
}

func (s *stream) OnHttpRequestBody(n int, end bool) types.Action {
	action := exchange.Continue
	s.guarded(func() { action = s.exchange.RequestBody(n, end) })
	return bodyAction(action)
}

func (s *stream) OnHttpRequestTrailers(int) types.Action {
	action := exchange.Continue
	s.guarded(func() { action = s.exchange.RequestTrailers() })
	return bodyAction(action)
}

// bodyAction: a pause in a body or trailers callback buffers (StopIterationAndBuffer).
func bodyAction(a exchange.Action) types.Action {
	if a == exchange.Continue {
		return types.ActionContinue
	}
	return types.ActionPause
}

func (s *stream) OnHttpResponseHeaders(_ int, end bool) types.Action {
	if !s.exchange.Concerned() {
		return types.ActionContinue
	}
	action := exchange.Continue
	s.guarded(func() { action = s.exchange.ResponseHeaders(end) })
	switch action {
	case exchange.PauseAll:
		return pauseAll
	case exchange.Replaced:
		return types.ActionPause
	}
	return types.ActionContinue
}

func (s *stream) OnHttpResponseBody(n int, end bool) types.Action {
	if s.exchange.Concerned() {
		s.guarded(func() { s.exchange.ResponseBody(n, end) })
	}
	return types.ActionContinue
}

func (s *stream) OnHttpResponseTrailers(int) types.Action {
	if s.exchange.Concerned() {
		s.guarded(func() { s.exchange.ResponseTrailers() })
	}
	return types.ActionContinue
}

func (s *stream) OnHttpStreamDone() {
	guard(&s.root.metrics, s.exchange.Lost, func() { s.exchange.Done() })
}

// The methods below make stream an exchange.Stream.

// Header maps of the ABI.
const (
	requestHeaders          = 0
	responseHeaders         = 2
	httpCallResponseHeaders = 6
)

// Bodies of the ABI.
const (
	requestBody          = 0
	responseBody         = 1
	httpCallResponseBody = 4
)

var errHostCall = errors.New("the proxy has refused a host call")

func (s *stream) RequestFields(dst httpcache.Fields) (fields httpcache.Fields, err error) {
	s.request, fields, err = section(requestHeaders, dst)
	return fields, err
}

// section reads a whole header section: as it is, and as fields behind dst.
func section(mapType int32, dst httpcache.Fields) (httpcache.Pairs, httpcache.Fields, error) {
	pairs, ok := headerMap(mapType)
	if !ok {
		return nil, nil, errHostCall
	}
	fields, err := pairs.AppendFields(dst)
	return pairs, fields, err
}

func (s *stream) SetRequestField(name, value string) error {
	return proxywasm.ReplaceHttpRequestHeader(name, value)
}

func (s *stream) RemoveRequestField(name string) error {
	return proxywasm.RemoveHttpRequestHeader(name)
}

func (s *stream) RequestBody(n int) ([]byte, error) { return body(requestBody, n) }

func (s *stream) ResponseFields() (httpcache.Fields, error) {
	_, fields, err := section(responseHeaders, nil)
	return fields, err
}

func (s *stream) ResponseBody(n int) ([]byte, error) { return body(responseBody, n) }

// body reads the first n bytes of a body.
func body(bufferType int32, n int) ([]byte, error) {
	b, ok := buffer(bufferType, n)
	if !ok {
		return nil, errHostCall
	}
	return b, nil
}

func (s *stream) AddResponseField(name, value string) error {
	return proxywasm.AddHttpResponseHeader(name, value)
}

// Describe sets the property that access logs show, as %FILTER_STATE(wasm.chatcache:PLAIN)%: the rule's
// name, a space, the result. Two properties would cost every request another host call.
func (s *stream) Describe(rule, result string) {
	s.root.described = append(append(append(s.root.described[:0], rule...), ' '), result...)
	describe(s.root.described)
}

func (s *stream) Property(path ...string) ([]byte, bool) {
	joined := s.root.path[:0]
	for i, part := range path {
		if i > 0 {
			joined = append(joined, 0)
		}
		joined = append(joined, part...)
	}
	s.root.path = joined
	return property(joined)
}

func (s *stream) Call(path string, frame []byte, timeout time.Duration, done func(exchange.Answer)) error {
	trace := s.request.Get(wire.TraceField) // none: the call belongs to no trace
	return s.root.bridge.call(path, frame, timeout, trace, func(a exchange.Answer) {
		guard(&s.root.metrics, s.exchange.Abort, func() { done(a) })
	})
}

func (s *stream) Reply(status uint32, fields httpcache.Pairs, body []byte) error {
	if !localReply(status, fields, body) {
		return errHostCall
	}
	return nil
}

func (s *stream) Resume() error         { return proxywasm.ResumeHttpRequest() }
func (s *stream) ResumeResponse() error { return proxywasm.ResumeHttpResponse() }

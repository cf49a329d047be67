package main

import (
	"fmt"
	"strings"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

type stream struct {
	types.DefaultHttpContext
	plugin  *plugin
	id      uint32
	script  map[string]string
	action  types.Action
	size    int // the most that a body callback showed
	calls   int // under way
	answers int
	once    map[string]bool // commands that were to be done once
}

func (s *stream) OnHttpRequestHeaders(n int, eos bool) types.Action {
	pairs, err := proxywasm.GetHttpRequestHeaders()
	must(err)
	for _, p := range pairs {
		if name, ok := strings.CutPrefix(p[0], "x-on-"); ok {
			s.script[name] = p[1]
		}
	}
	return s.on("request-headers", fmt.Sprintf("end=%v", eos))
}

func (s *stream) OnHttpRequestBody(n int, eos bool) types.Action {
	s.size = max(s.size, n)
	if c, ok := s.script["request-end"]; ok && eos {
		s.script["request-body"] = c
	}
	return s.on("request-body", fmt.Sprintf("size=%d end=%v", n, eos))
}

func (s *stream) OnHttpRequestTrailers(n int) types.Action {
	return s.on("request-trailers", fmt.Sprintf("n=%d", n))
}

func (s *stream) OnHttpResponseHeaders(n int, eos bool) types.Action {
	return s.on("response-headers", fmt.Sprintf("end=%v", eos))
}

func (s *stream) OnHttpResponseBody(n int, eos bool) types.Action {
	s.size = max(s.size, n)
	if eos {
		if c, ok := s.script["response-end"]; ok {
			s.script["response-body"] = c
		}
	}
	return s.on("response-body", fmt.Sprintf("size=%d end=%v", n, eos))
}

func (s *stream) OnHttpResponseTrailers(n int) types.Action {
	return s.on("response-trailers", fmt.Sprintf("n=%d", n))
}

func (s *stream) OnHttpStreamDone() { s.on("done", "") }

func (s *stream) on(name, detail string) types.Action {
	if s.script["quiet"] == "" {
		logf("%s %s", name, detail)
	}
	s.action = types.ActionContinue
	s.run(s.script[name])
	return s.action
}

package main

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func commands(script string) [][]string {
	var all [][]string
	for c := range strings.SplitSeq(script, ";") {
		if f := strings.Fields(c); len(f) > 0 {
			all = append(all, append(f, "", "", "", ""))
		}
	}
	return all
}

func (s *stream) run(script string) {
	for _, c := range commands(script) {
		if err := s.do(c); err != nil {
			logf("%s: %v", c[0], err)
		}
	}
}

func (s *stream) do(c []string) error {
	switch c[0] {
	case "pause", "buffer":
		s.action = types.ActionPause
	case "stopall":
		s.action = types.Action(4)
	case "action":
		n, _ := strconv.Atoi(c[1])
		s.action = types.Action(n)
	case "resume-request":
		return proxywasm.ResumeHttpRequest()
	case "resume-response":
		return proxywasm.ResumeHttpResponse()
	case "reply":
		status, _ := strconv.Atoi(c[1])
		return proxywasm.SendHttpResponse(uint32(status), replyHeaders(c[3:]), []byte(strings.TrimPrefix(c[2], "-")), -1)
	case "replygrpc":
		status, _ := strconv.Atoi(c[1])
		return proxywasm.SendHttpResponse(403, replyHeaders(nil), []byte(c[2]), int32(status))
	case "replybig":
		n, _ := strconv.Atoi(c[1])
		return proxywasm.SendHttpResponse(200, nil, make([]byte, n), -1)
	case "call", "recall", "badcall", "post":
		return s.call(c)
	case "last":
		if s.calls == 0 {
			return s.do(c[1:])
		}
	case "once":
		if c := strings.Join(c[1:], " "); !s.once[c] {
			s.once[c] = true
			return s.do(commands(c)[0])
		}
	case "log":
		logf("%s", strings.TrimSpace(strings.Join(c[1:], " ")))
	case "close":
		closeStream(0) // the SDK closes TCP's only
	case "panic":
		panic("as asked")
	case "exit":
		os.Exit(3)
	case "loop":
		for {
		}
	case "grow":
		mib, _ := strconv.Atoi(c[1])
		kept = append(kept, make([]byte, mib<<20))
	default:
		return s.inspect(c)
	}
	return nil
}

var (
	kept [][]byte
	held []uint32 // ids of streams
)

// closeStream resets a stream; 0 is the request's.
//
//go:wasmimport env proxy_close_stream
func closeStream(kind uint32) uint32

// replyHeaders are those of every reply and what its command adds; - is an empty value.
func replyHeaders(fields []string) [][2]string {
	headers := [][2]string{{"X-Reply", "yes"}}
	for _, f := range fields {
		if name, value, ok := strings.Cut(f, "="); ok {
			value = strings.ReplaceAll(value, "_", " ")
			headers = append(headers, [2]string{name, strings.TrimPrefix(value, "-")})
		}
	}
	return headers
}

// call is "call CLUSTER PATH MS", a GET, or "post CLUSTER PATH MS BODY TRAILER", with - for none.
func (s *stream) call(c []string) error {
	ms, _ := strconv.Atoi(c[3])
	again, _ := strconv.Atoi(c[4])
	headers := [][2]string{{":method", "GET"}, {":path", c[2]}, {":authority", c[1]}}
	if c[0] == "badcall" {
		headers[1][1] = "/"
		headers = slices.DeleteFunc(headers, func(h [2]string) bool { return h[0] == c[2] })
	}
	var body []byte
	var trailers [][2]string
	if c[0] == "post" {
		headers[0][1] = "POST"
		body = []byte(strings.TrimPrefix(c[4], "-"))
		if c[5] != "" {
			headers, trailers = append(headers, [2]string{"trailer", "x-sum"}), [][2]string{{"x-sum", c[5]}}
		}
	}
	_, err := proxywasm.DispatchHttpCall(c[1], headers, body, trailers, uint32(ms), func(n, size, trailers int) {
		s.calls--
		h, _ := proxywasm.GetHttpCallResponseHeaders()
		status := ""
		for _, p := range h {
			if p[0] == ":status" {
				status = p[1]
			}
		}
		body, _ := proxywasm.GetHttpCallResponseBody(0, size)
		logf("call answered %s %q", status, body)
		if trailers > 0 {
			t, _ := proxywasm.GetHttpCallResponseTrailers()
			logf("trailers %v", t)
		}
		if s.answers++; c[0] == "recall" && s.answers < again {
			must(s.call(c))
			return
		}
		s.run(s.script["call"])
	})
	if err == nil {
		s.calls++
	}
	return err
}

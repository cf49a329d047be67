// Command probe is a proxy-wasm module whose behaviour a test writes into the
// request: header x-on-CALLBACK holds commands for that callback, separated by
// semicolons. What happens is logged, so that a test can compare the log.
//
// Commands: pause, stopall, buffer, resume-request, resume-response,
// reply STATUS BODY, replybig BYTES, call CLUSTER PATH TIMEOUT_MS, effective ID, prop A.B,
// setprop NAME VALUE, headers request|response, header request|response NAME,
// set request|response NAME VALUE, body request|response, setbody request|response TEXT,
// hold, release reply|resume, kept, foreign NAME ARGUMENT, zip TEXT, state NAME VALUE, log TEXT, count NAME, resolve VM_ID QUEUE, enqueue TEXT,
// last COMMAND… (when no call is under way), shared KEY VALUE, now, close, panic, loop, grow MiB, exit.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() { proxywasm.SetVMContext(&vm{}) }

type vm struct{ types.DefaultVMContext }

func (*vm) NewPluginContext(id uint32) types.PluginContext { return &plugin{id: id} }

// plugin is configured by commands, too: "tick MS; refuse; queue NAME; on-tick CLUSTER".
type plugin struct {
	types.DefaultPluginContext
	id     uint32
	onTick string
	queue  uint32
}

var counters = map[string]proxywasm.MetricCounter{}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	config, err := proxywasm.GetPluginConfiguration()
	if err != nil && err != types.ErrorStatusNotFound {
		logf("configuration: %v", err)
	}
	logf("start %q env %q", config, os.Getenv("PROBE"))
	for _, c := range commands(string(config)) {
		switch c[0] {
		case "tick":
			ms, _ := strconv.Atoi(c[1])
			must(proxywasm.SetTickPeriodMilliSeconds(uint32(ms)))
		case "queue":
			p.queue, err = proxywasm.RegisterSharedQueue(c[1])
			must(err)
			queue = p.queue
		case "on-tick":
			p.onTick = strings.Join(c[1:], " ")
		case "refuse":
			logError("refused: as asked")
			return types.OnPluginStartStatusFailed
		case "loop":
			for {
			}
		}
	}
	return types.OnPluginStartStatusOK
}

var queue uint32

func (p *plugin) OnTick() {
	logf("tick")
	s := &stream{plugin: p}
	s.run(p.onTick)
}

func (p *plugin) OnQueueReady(id uint32) {
	for {
		b, err := proxywasm.DequeueSharedQueue(id)
		if err != nil {
			return
		}
		logf("queue %q", b)
	}
}

func (p *plugin) OnPluginDone() bool { logf("plugin done"); return true }

func (p *plugin) NewHttpContext(id uint32) types.HttpContext {
	return &stream{plugin: p, id: id, script: map[string]string{}}
}

type stream struct {
	types.DefaultHttpContext
	plugin *plugin
	id     uint32
	script map[string]string
	action types.Action
	calls  int // under way
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
	return s.on("request-body", fmt.Sprintf("size=%d end=%v", n, eos))
}

func (s *stream) OnHttpRequestTrailers(n int) types.Action {
	return s.on("request-trailers", fmt.Sprintf("n=%d", n))
}

func (s *stream) OnHttpResponseHeaders(n int, eos bool) types.Action {
	return s.on("response-headers", fmt.Sprintf("end=%v", eos))
}

func (s *stream) OnHttpResponseBody(n int, eos bool) types.Action {
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

func commands(script string) [][]string {
	var all [][]string
	for c := range strings.SplitSeq(script, ";") {
		if f := strings.Fields(c); len(f) > 0 {
			all = append(all, append(f, "", "", ""))
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
	case "resume-request":
		return proxywasm.ResumeHttpRequest()
	case "resume-response":
		return proxywasm.ResumeHttpResponse()
	case "reply":
		status, _ := strconv.Atoi(c[1])
		return proxywasm.SendHttpResponse(uint32(status), [][2]string{{"X-Reply", "yes"}}, []byte(c[2]), -1)
	case "replybig":
		n, _ := strconv.Atoi(c[1])
		return proxywasm.SendHttpResponse(200, nil, make([]byte, n), -1)
	case "call":
		return s.call(c)
	case "last":
		if s.calls == 0 {
			return s.do(c[1:])
		}
	case "log":
		logf("%s", strings.TrimSpace(strings.Join(c[1:], " ")))
	case "count":
		m, ok := counters[c[1]]
		if !ok {
			m = proxywasm.DefineCounterMetric(c[1])
			counters[c[1]] = m
		}
		m.Increment(1)
	case "close":
		return proxywasm.CloseDownstream()
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

func (s *stream) call(c []string) error {
	ms, _ := strconv.Atoi(c[3])
	headers := [][2]string{{":method", "GET"}, {":path", c[2]}, {":authority", c[1]}}
	_, err := proxywasm.DispatchHttpCall(c[1], headers, nil, nil, uint32(ms), func(n, size, trailers int) {
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
		s.run(s.script["call"])
	})
	if err == nil {
		s.calls++
	}
	return err
}

// inspect are the commands that look at something.
func (s *stream) inspect(c []string) error {
	response := c[1] == "response"
	switch c[0] {
	case "prop":
		v, err := proxywasm.GetProperty(strings.Split(c[1], "."))
		if err == nil {
			logf("prop %s = %q", c[1], v)
		}
		return err
	case "setprop":
		return proxywasm.SetProperty([]string{c[1]}, []byte(c[2]))
	case "now":
		logf("now %s", time.Now().UTC().Format(time.RFC3339Nano))
	case "headers":
		get := proxywasm.GetHttpRequestHeaders
		if response {
			get = proxywasm.GetHttpResponseHeaders
		}
		h, err := get()
		if err == nil {
			logf("headers %v", h)
		}
		return err
	case "header":
		get := proxywasm.GetHttpRequestHeader
		if response {
			get = proxywasm.GetHttpResponseHeader
		}
		v, err := get(c[2])
		if err == nil {
			logf("header %s = %q", c[2], v)
		}
		return err
	case "set":
		if response {
			return proxywasm.ReplaceHttpResponseHeader(c[2], c[3])
		}
		return proxywasm.ReplaceHttpRequestHeader(c[2], c[3])
	case "body":
		get := proxywasm.GetHttpRequestBody
		if response {
			get = proxywasm.GetHttpResponseBody
		}
		b, err := get(0, 1<<20)
		if err == nil {
			logf("body %q", b)
		}
		return err
	case "setbody":
		if response {
			return proxywasm.ReplaceHttpResponseBody([]byte(c[2]))
		}
		return proxywasm.ReplaceHttpRequestBody([]byte(c[2]))
	case "resolve":
		id, err := proxywasm.ResolveSharedQueue(c[1], c[2])
		queue = id
		return err
	case "enqueue":
		return proxywasm.EnqueueSharedQueue(queue, []byte(c[1]))
	case "hold":
		held = append(held, s.id)
	case "release": // release reply|resume: every held stream
		for _, id := range held {
			err := proxywasm.SetEffectiveContext(id)
			logf("release err=%v", err)
			if c[1] == "reply" {
				must(proxywasm.SendHttpResponse(200, nil, []byte("released"), -1))
			} else {
				must(proxywasm.ResumeHttpRequest())
			}
		}
		held = nil
		return proxywasm.SetEffectiveContext(s.id)
	case "kept":
		logf("kept %d", len(kept))
	case "foreign":
		b, err := proxywasm.CallForeignFunction(c[1], []byte(c[2]))
		if err == nil {
			logf("foreign %q", b)
		}
		return err
	case "zip":
		b, err := proxywasm.CallForeignFunction("compress", []byte(c[1]))
		if err != nil {
			return err
		}
		b, err = proxywasm.CallForeignFunction("uncompress", b)
		logf("zip %q", b)
		return err
	case "state": // SetEnvoyFilterStateArguments{path, value}
		argument := append([]byte{10, byte(len(c[1]))}, c[1]...)
		argument = append(append(argument, 18, byte(len(c[2]))), c[2]...)
		_, err := proxywasm.CallForeignFunction("set_envoy_filter_state", argument)
		if err == types.ErrorStatusNotFound || err == nil {
			return nil
		}
		return err
	case "shared":
		_, cas, err := proxywasm.GetSharedData(c[1])
		logf("shared cas=%d err=%v", cas, err)
		return proxywasm.SetSharedData(c[1], []byte(c[2]), cas)
	default:
		logf("unknown command %q", c[0])
	}
	return nil
}

func logf(format string, args ...any) { proxywasm.LogInfof(format, args...) }

func logError(text string) { proxywasm.LogError(text) }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// Command go is the sample filter on the Go SDK; README.md beside it says what it does.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() { proxywasm.SetVMContext(&vm{}) }

type vm struct {
	types.DefaultVMContext
	config []byte
}

func (v *vm) OnVMStart(int) types.OnVMStartStatus {
	v.config, _ = proxywasm.GetVMConfiguration()
	return types.OnVMStartStatusOK
}

func (v *vm) NewPluginContext(uint32) types.PluginContext { return &plugin{vm: v} }

type plugin struct {
	types.DefaultPluginContext
	vm      *vm
	queue   uint32
	waiting []uint32 // streams that the next tick wakes

	requests proxywasm.MetricCounter
	active   proxywasm.MetricGauge
	path     proxywasm.MetricHistogram
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	config, _ := proxywasm.GetPluginConfiguration()
	proxywasm.LogInfof("start vm=%s plugin=%s", p.vm.config, config)
	p.requests = proxywasm.DefineCounterMetric("sample.requests")
	p.active = proxywasm.DefineGaugeMetric("sample.active")
	p.path = proxywasm.DefineHistogramMetric("sample.path")
	var err error
	p.queue, err = proxywasm.RegisterSharedQueue("sample")
	if err = errors.Join(err, proxywasm.SetTickPeriodMilliSeconds(50)); err != nil {
		proxywasm.LogErrorf("start: %v", err)
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

func (p *plugin) OnTick() {
	for _, id := range p.waiting {
		if proxywasm.SetEffectiveContext(id) == nil {
			proxywasm.AddHttpRequestHeader("x-woken", "tick")
			proxywasm.ResumeHttpRequest()
		}
	}
	p.waiting = nil
}

func (p *plugin) OnQueueReady(queue uint32) {
	if path, err := proxywasm.DequeueSharedQueue(queue); err == nil {
		proxywasm.LogInfof("queue %s", path)
	}
}

func (p *plugin) NewHttpContext(id uint32) types.HttpContext { return &stream{plugin: p, id: id} }

type stream struct {
	types.DefaultHttpContext
	plugin *plugin
	id     uint32
	path   string
}

func (s *stream) OnHttpRequestHeaders(int, bool) types.Action {
	s.path, _ = proxywasm.GetHttpRequestHeader(":path")
	s.plugin.requests.Increment(1)
	s.plugin.active.Add(1)
	s.plugin.path.Record(uint64(len(s.path)))
	proxywasm.AddHttpRequestHeader("x-count", strconv.Itoa(count()))
	switch s.path {
	case "/deny":
		proxywasm.SendHttpResponse(403, [][2]string{{"x-reason", "policy"}}, []byte("denied\n"), -1)
		return types.ActionPause
	case "/ask":
		return s.ask("backend")
	case "/ask-nobody":
		return s.ask("nobody")
	case "/later":
		s.plugin.waiting = append(s.plugin.waiting, s.id)
		return types.ActionPause
	case "/old":
		proxywasm.ReplaceHttpRequestHeader(":path", "/new")
	case "/wrap":
		proxywasm.RemoveHttpRequestHeader("content-length")
	}
	return types.ActionContinue
}

// count adds 1 to the proxy's count of requests.
func count() int {
	for {
		value, cas, err := proxywasm.GetSharedData("requests")
		if err != nil && err != types.ErrorStatusNotFound {
			return -1
		}
		n, _ := strconv.Atoi(string(value))
		err = proxywasm.SetSharedData("requests", []byte(strconv.Itoa(n+1)), cas)
		if err != types.ErrorStatusCasMismatch {
			return n + 1
		}
	}
}

func (s *stream) ask(cluster string) types.Action {
	headers := [][2]string{{":method", "GET"}, {":path", "/answer"}, {":authority", cluster}}
	_, err := proxywasm.DispatchHttpCall(cluster, headers, nil, nil, 300, func(_, size, _ int) {
		answer, _ := proxywasm.GetHttpCallResponseHeaders()
		for _, h := range answer {
			if h[0] == ":status" {
				proxywasm.AddHttpRequestHeader("x-asked", fmt.Sprintf("%s %d", h[1], size))
			}
		}
		proxywasm.ResumeHttpRequest()
	})
	if err != nil {
		proxywasm.AddHttpRequestHeader("x-asked", "refused")
		return types.ActionContinue
	}
	return types.ActionPause
}

func (s *stream) OnHttpRequestBody(_ int, end bool) types.Action {
	if s.path != "/wrap" {
		return types.ActionContinue
	}
	if !end {
		return types.ActionPause
	}
	proxywasm.PrependHttpRequestBody([]byte("["))
	proxywasm.AppendHttpRequestBody([]byte("]"))
	return types.ActionContinue
}

func (s *stream) OnHttpResponseHeaders(int, bool) types.Action {
	proxywasm.AddHttpResponseHeader("x-sample", "go")
	if s.path == "/wrap" {
		proxywasm.RemoveHttpResponseHeader("content-length")
	}
	return types.ActionContinue
}

func (s *stream) OnHttpResponseBody(_ int, end bool) types.Action {
	if s.path == "/wrap" && end {
		proxywasm.AppendHttpResponseBody([]byte("!"))
	}
	return types.ActionContinue
}

func (s *stream) OnHttpStreamDone() {
	s.plugin.active.Add(-1)
	status := make([]byte, 8)
	if code, err := proxywasm.GetProperty([]string{"response", "code"}); err == nil {
		copy(status, code)
	}
	proxywasm.LogInfof("done %s %d", s.path, binary.LittleEndian.Uint64(status))
	proxywasm.EnqueueSharedQueue(s.plugin.queue, []byte(s.path))
}

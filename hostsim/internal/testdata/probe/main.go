// Command probe is a proxy-wasm module whose behaviour a test writes into the
// request: header x-on-CALLBACK holds commands for that callback, separated by
// semicolons. What happens is logged, so that a test can compare the log.
//
// Commands:
//   - what the callback returns: pause, buffer (the same), stopall, action N
//   - the stream: resume-request, resume-response, close,
//     reply STATUS BODY NAME=VALUE…, replybig BYTES, replygrpc STATUS BODY
//   - calls: call CLUSTER PATH TIMEOUT_MS, recall CLUSTER PATH TIMEOUT_MS TIMES,
//     badcall CLUSTER MISSING, last COMMAND… (when no call is under way), once COMMAND…
//   - headers: headers request|response, fields request|response|call, header request|response NAME,
//     values request|response NAME, set request|response NAME VALUE,
//     trailer request|response NAME VALUE
//   - bodies: body request|response, setbody request|response TEXT, fits BYTES
//   - other streams: hold, release reply|resume
//   - properties: prop A.B, has A.B, property A|B, setprop NAME VALUE, state NAME VALUE
//   - metrics: count NAME, gauge NAME VALUE, record NAME VALUE
//   - the proxy: shared KEY VALUE, resolve VM_ID QUEUE, enqueue TEXT, foreign NAME ARGUMENT, zip TEXT
//   - the VM: log TEXT, now, random, kept, starts, plugin, env, panic, loop, grow MiB, exit
package main

import (
	"os"
	"strconv"
	"strings"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() { proxywasm.SetVMContext(&vm{}) }

type vm struct{ types.DefaultVMContext }

// starts is how often the VM was told that it starts.
var starts int

func (*vm) OnVMStart(int) types.OnVMStartStatus { starts++; return types.OnVMStartStatusOK }

func (*vm) NewPluginContext(id uint32) types.PluginContext { return &plugin{id: id} }

// plugin is configured by commands, too: "tick MS; on-tick COMMAND; queue NAME;
// on-queue COMMAND; on-call COMMAND; on-done COMMAND; refuse; loop". With on-done
// it isn't done until the command plugin-done.
type plugin struct {
	types.DefaultPluginContext
	id      uint32
	onTick  string
	onQueue string
	onCall  string
	onDone  string
}

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
			queue, err = proxywasm.RegisterSharedQueue(c[1])
			must(err)
		case "on-queue":
			p.onQueue = strings.Join(c[1:], " ")
		case "on-tick":
			p.onTick = strings.Join(c[1:], " ")
		case "on-call":
			p.onCall = strings.Join(c[1:], " ")
		case "on-done":
			p.onDone = strings.Join(c[1:], " ")
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
	p.run(p.onTick)
}

func (p *plugin) OnQueueReady(id uint32) {
	for {
		b, err := proxywasm.DequeueSharedQueue(id)
		if err != nil {
			return
		}
		logf("queue %q", b)
		p.run(p.onQueue)
	}
}

func (p *plugin) OnPluginDone() bool {
	logf("plugin done")
	p.run(p.onDone)
	return p.onDone == ""
}

// run does commands outside any stream.
func (p *plugin) run(script string) {
	s := &stream{plugin: p, script: map[string]string{"call": p.onCall}, once: map[string]bool{}}
	s.run(script)
}

func (p *plugin) NewHttpContext(id uint32) types.HttpContext {
	return &stream{plugin: p, id: id, script: map[string]string{}, once: map[string]bool{}}
}

func logf(format string, args ...any) { proxywasm.LogInfof(format, args...) }

func logError(text string) { proxywasm.LogError(text) }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

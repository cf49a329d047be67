package main

import (
	"errors"
	"os"
	"strings"
	"time"

	"chatcache/filter/internal/exchange"
	"chatcache/filter/internal/httpcache"
	"chatcache/policy"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

// Environment variables of the VM (vm_config.environment_variables). What the policy
// itself says comes first.
const (
	envPartitionSecret = "CHATCACHE_PARTITION_SECRET"
	envBridgeToken     = "CHATCACHE_BRIDGE_TOKEN"
)

// pluginContext is the root context: the host of one exchange.Plugin.
type pluginContext struct {
	types.DefaultPluginContext
	id        uint32
	states    *exchange.States
	collector *collector
	plugin    *exchange.Plugin
	bridge    bridge
	metrics   metrics
	queue     uint32 // a shared queue of this context alone: an item wakes it
	ticking   bool
	woken     bool // a run is coming that sees to what is due

	described, path []byte // room for what access logs show, and for a property's path; used again by each stream
}

func (p *pluginContext) OnPluginStart(int) types.OnPluginStartStatus {
	status := types.OnPluginStartStatusFailed
	guard(&p.metrics, nil, func() {
		if err := p.start(); err != nil {
			logLines("chatcache: policy refused: ", err)
			return
		}
		status = types.OnPluginStartStatusOK
	})
	return status
}

func (p *pluginContext) start() error {
	document, err := proxywasm.GetPluginConfiguration()
	if err != nil && !errors.Is(err, types.ErrorStatusNotFound) {
		return err
	}
	parsed, problems := policy.Parse(document)
	if len(problems) > 0 {
		return problems
	}
	for _, warning := range parsed.Warnings() {
		proxywasm.LogWarn("chatcache: policy: " + warning.String())
	}
	queue, err := proxywasm.RegisterSharedQueue("chatcache-" + randomID())
	if err != nil {
		return err
	}
	p.queue = queue
	p.bridge = newBridge(parsed.Bridge, os.Getenv(envBridgeToken))
	p.metrics.counter(&p.metrics.panics) // defined before it is needed
	secret := parsed.PartitionSecret
	if secret == "" {
		secret = os.Getenv(envPartitionSecret)
	}
	p.plugin, err = exchange.NewPlugin(parsed, []byte(secret), p, p.states)
	return err
}

// logLines logs each line of an error as a line of its own.
func logLines(prefix string, err error) {
	for line := range strings.Lines(err.Error()) {
		proxywasm.LogCritical(prefix + strings.TrimSuffix(line, "\n"))
	}
}

// OnPluginDone may put the plugin's end off, see exchange.Plugin.Close. Where the VM ends
// with its last plugin, Envoy doesn't wait.
func (p *pluginContext) OnPluginDone() bool {
	done := true
	guard(&p.metrics, nil, func() {
		if p.plugin != nil {
			done = p.plugin.Close()
		}
	})
	return done
}

func (p *pluginContext) OnTick() { p.run() }

func (p *pluginContext) OnQueueReady(uint32) {
	_, _ = proxywasm.DequeueSharedQueue(p.queue) // an item says nothing
	p.run()
}

func (p *pluginContext) run() {
	p.woken = false // what wakes from here on wants another run
	guard(&p.metrics, nil, func() {
		if p.plugin != nil {
			p.plugin.Run()
			p.collector.fit(p.states.L1Bytes())
		}
	})
}

func (p *pluginContext) NewHttpContext(id uint32) types.HttpContext {
	if p.plugin == nil { // its start failed
		return &types.DefaultHttpContext{}
	}
	s := &stream{id: id, root: p}
	s.exchange = p.plugin.NewExchange(s)
	return s
}

// The methods below make pluginContext an exchange.Host.

func (p *pluginContext) Call(path string, frame []byte, timeout time.Duration, done func(exchange.Answer)) error {
	return p.bridge.call(path, frame, timeout, "", func(a exchange.Answer) {
		guard(&p.metrics, nil, func() { done(a) })
	})
}

func (p *pluginContext) Fetch(cluster string, fields httpcache.Fields, timeout time.Duration, done func(status string)) error {
	_, err := proxywasm.DispatchHttpCall(cluster, fields, nil, nil, uint32(timeout.Milliseconds()), func(int, int, int) {
		guard(&p.metrics, nil, func() { done(answer(0).Status) })
	})
	return err
}

var item = []byte{1}

// Wake enqueues an item: the proxy then calls OnQueueReady in the root context,
// about 0.3 ms later in Envoy, also from callbacks of streams. One item is enough for all who wake it until then.
func (p *pluginContext) Wake() {
	if p.woken {
		return
	}
	p.woken = true
	if err := proxywasm.EnqueueSharedQueue(p.queue, item); err != nil {
		p.woken = false
		p.Warn("chatcache: can't wake the root context: " + err.Error())
	}
}

// Within makes the stream's context the effective one: that of the host calls, while the
// SDK's, which a dispatched call is bound to, stays the root's. Where that fails the stream has gone,
// and the host calls would concern whatever context was effective before.
func (p *pluginContext) Within(other exchange.Stream, act func()) bool {
	s := other.(*stream)
	if err := proxywasm.SetEffectiveContext(s.id); err != nil {
		return false
	}
	defer func() {
		if err := proxywasm.SetEffectiveContext(p.id); err != nil {
			proxywasm.LogCritical("chatcache: can't go back to the root context: " + err.Error())
		}
	}()
	guard(&s.root.metrics, s.exchange.Abort, act)
	return true
}

func (p *pluginContext) StartTicks() {
	if p.ticking {
		return
	}
	if err := proxywasm.SetTickPeriodMilliSeconds(uint32(exchange.TickPeriod.Milliseconds())); err != nil {
		p.Warn("chatcache: can't start ticks: " + err.Error())
		return
	}
	p.ticking = true
}

func (p *pluginContext) Finished()                           { proxywasm.PluginDone() }
func (p *pluginContext) Now() int64                          { return now() }
func (p *pluginContext) Unix() int64                         { return unix() }
func (p *pluginContext) Add(c *exchange.Metric, n uint64)    { p.metrics.add(c, n) }
func (p *pluginContext) Set(g *exchange.Metric, value int64) { p.metrics.set(g, value) }
func (p *pluginContext) Record(h *exchange.Metric, v uint64) { p.metrics.record(h, v) }
func (p *pluginContext) Warn(line string)                    { proxywasm.LogWarn(line) }

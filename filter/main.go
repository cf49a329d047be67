// Command filter is chatcache's proxy-wasm filter. `make build/chatcache.wasm` compiles it and has package gowasm
// rewrite what Go's compiler has written; without that it does the same, and needs more time for it:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o chatcache.wasm ./filter
//
// It only connects the proxy with package exchange: this file registers the
// VM's context, plugin.go is the root context, stream.go one HTTP stream, bridge.go
// the calls to the bridge, metrics.go the metrics; guard.go keeps panics from the proxy, collector.go its
// memory small, and hostcall_wasip1.go has the host calls that every request makes, without the SDK.
package main

import (
	"crypto/rand"
	"encoding/hex"

	"chatcache/filter/internal/exchange"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() { proxywasm.SetVMContext(&vmContext{}) }

type vmContext struct {
	types.DefaultVMContext
	states    *exchange.States
	collector *collector
}

// NewPluginContext makes a root context. The first one, which the host makes before
// it starts the VM, draws the VM's id: it names the VM in the registry and
// begins the ids of its suspensions.
func (vm *vmContext) NewPluginContext(id uint32) types.PluginContext {
	if vm.states == nil {
		vm.states, vm.collector = exchange.NewStates(randomID()), newCollector()
	}
	return &pluginContext{id: id, states: vm.states, collector: vm.collector, metrics: newMetrics()}
}

func randomID() string {
	var id [12]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return hex.EncodeToString(id[:])
}

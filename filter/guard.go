package main

import (
	"fmt"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
)

// guard runs a callback. A panic must not leave it: Envoy would end the VM and with
// it every stream of the worker. It is counted and logged, and abort, where
// there is one, lets the stream go on.
func guard(m *metrics, abort func(), callback func()) {
	defer func() {
		if r := recover(); r != nil {
			proxywasm.LogCritical(fmt.Sprintf("chatcache: recovered from a panic: %v", r))
			m.add(&m.panics, 1)
			if abort != nil {
				guard(m, nil, abort)
			}
		}
	}()
	callback()
}

package main

import (
	"time"

	"chatcache/filter/internal/exchange"
	"chatcache/policy"
	"chatcache/redisbridge/wire"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
)

// bridge makes the calls. The SDK binds a call to the context whose callback is
// running: streams call from their own callbacks, the root from its own.
type bridge struct {
	cluster, authority, bearer string
}

// newBridge takes the token of the policy or else that of the environment.
func newBridge(b policy.Bridge, token string) bridge {
	if b.Token != "" {
		token = b.Token
	}
	return bridge{cluster: b.Cluster, authority: b.Authority, bearer: "Bearer " + token}
}

// call hands on the traceparent of the request that it is made for, if it has one.
func (b *bridge) call(path string, frame []byte, timeout time.Duration, traceparent string, done func(exchange.Answer)) error {
	fields := [][2]string{
		{":method", "POST"}, {":path", path}, {":authority", b.authority},
		{"content-type", wire.ContentType}, {"authorization", b.bearer},
	}
	if _, ok := wire.TraceID(traceparent); ok {
		fields = append(fields, [2]string{wire.TraceField, traceparent})
	}
	millis := uint32(max(timeout.Milliseconds(), 1))
	_, err := proxywasm.DispatchHttpCall(b.cluster, fields, frame, nil, millis, func(_, bodySize, _ int) {
		done(answer(bodySize))
	})
	return err
}

// answer reads what the proxy holds of the call's response during its callback.
func answer(bodySize int) exchange.Answer {
	a := exchange.Answer{Status: callStatus()}
	if a.Status != "200" || bodySize == 0 || bodySize > wire.MaxFrame {
		return a
	}
	var ok bool
	if a.Body, ok = buffer(httpCallResponseBody, bodySize); !ok {
		return exchange.Answer{}
	}
	return a
}

package linear

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"chatcache/redisbridge/wire"
)

// serveBridge is the way to the bridge and back.
func (w *world) serveBridge(rw http.ResponseWriter, r *http.Request) {
	late := r.WithContext(context.WithoutCancel(r.Context())) // on its way, whoever gave up
	pause := func(limit time.Duration) { w.clock.Wait(late.Context(), nil, w.dice.Upto(limit)) }
	lose := func() { w.clock.Wait(r.Context(), nil, time.Hour) }
	if w.weather == garbled {
		fmt.Fprint(rw, "<html>It works!</html>")
		return
	}
	if w.mode.latePolls && r.URL.Path == wire.PathFollow {
		w.bridge.ServeHTTP(rw, r)
		if pause(2 * staleness); w.dice.IntN(3) == 0 {
			lose()
		}
		return
	}
	fate := 9
	if w.weather == stormy {
		fate = w.dice.IntN(10)
	}
	pause(way)
	switch fate {
	case 0:
		rw.WriteHeader(http.StatusServiceUnavailable)
	case 1:
		lose() // the call
	case 2:
		w.bridge.ServeHTTP(discard{}, late)
		lose() // the answer
	case 3, 4:
		pause(3 * bridgeTimeout)
		w.bridge.ServeHTTP(rw, late) // after whoever asked has given up, perhaps
		pause(2 * bridgeTimeout)
	default:
		w.bridge.ServeHTTP(rw, r)
	}
	if r.URL.Path == wire.PathSuspend && w.dice.IntN(1000) < w.mode.flushes {
		w.redis.FlushAll() // before the feed's followers have heard of the write
	}
	pause(way)
}

// discard is a response that nobody gets.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

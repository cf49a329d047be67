package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// By HTTP/2 each caller has a connection of its own, or all share one.
func TestConnections(t *testing.T) {
	for _, c := range []struct {
		oneConnection bool
		want          int32
	}{{false, 4}, {true, 1}} {
		var opened, asked atomic.Int32
		all := make(chan struct{}) // closed when every caller waits for an answer
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) == 4 {
				close(all)
			}
			<-all
			w.Header().Set("Cache-Status", r.Proto)
		}))
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				opened.Add(1)
			}
		}
		s.Start()
		asks := client{
			port: s.Listener.Addr().(*net.TCPAddr).Port, connections: 4, http2: true, oneConnection: c.oneConnection, traffic: get("/", "HTTP/2.0"),
		}
		got, err := asks.until(t.Context(), time.Minute, 100)
		s.Close()
		if err != nil || len(got.latencies) != 100 || got.unexpected > 0 {
			t.Errorf("one connection %v: %d answers, %d of them by something else (%s), %v", c.oneConnection, len(got.latencies), got.unexpected, got.example, err)
		}
		if n := opened.Load(); n != c.want {
			t.Errorf("one connection %v: %d were opened, want %d", c.oneConnection, n, c.want)
		}
	}
}

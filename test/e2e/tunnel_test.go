package e2e

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"

	"chatcache/test/stack"

	"golang.org/x/net/http2"
)

// withTunnels lets WebSockets and CONNECT through.
func withTunnels(_ int, manager map[string]any) {
	manager["http2_protocol_options"] = map[string]any{"allow_connect": true}
	manager["upgrade_configs"] = []any{map[string]any{"upgrade_type": "websocket"}, map[string]any{"upgrade_type": "CONNECT"}}
	manager["route_config"] = map[string]any{"name": "tunnels", "virtual_hosts": []any{map[string]any{"name": "all", "domains": []any{"*"}, "routes": []any{
		map[string]any{"match": map[string]any{"connect_matcher": map[string]any{}}, "route": map[string]any{
			"cluster": "chat", "upgrade_configs": []any{map[string]any{"upgrade_type": "CONNECT", "connect_config": map[string]any{}}},
		}},
		map[string]any{"match": map[string]any{"prefix": "/"}, "route": map[string]any{"cluster": "chat"}},
	}}}}
}

// sameTunnels: WebSockets and CONNECT pass, also where a rule matches or unsafe methods count.
func sameTunnels(t *testing.T, s *stack.Stack) {
	upgrade := func(path string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: tunnel.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
	}
	for _, c := range []struct{ name, head, status string }{
		{"WebSocket without a rule", upgrade("/other/1"), "101"},
		{"WebSocket where a rule matches", upgrade("/cached/1"), "101"},
		{"WebSocket where the origin decides", upgrade("/origin/1"), "101"},
		{"CONNECT", "CONNECT tunnel.test:443 HTTP/1.1\r\nHost: tunnel.test:443\r\n\r\n", "200"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i := range 4 { // the second half goes through the filter, twice, as what could have been stored
				conn := dialWire(t, address(s.Envoys[1-i/2]))
				io.WriteString(conn, c.head)
				in := bufio.NewReader(conn)
				lines, err := headerSection(in)
				if err != nil {
					t.Fatal(err)
				}
				if got := strings.Fields(lines[0])[1]; got != c.status {
					t.Fatalf("status %s, want %s: %q", got, c.status, lines)
				}
				// Both ways at once and in turns.
				for n := range 3 {
					sent := fmt.Sprint("message ", n, "\x00\xff")
					io.WriteString(conn, sent)
					got := make([]byte, len(sent))
					if _, err := io.ReadFull(in, got); err != nil || string(got) != sent {
						t.Fatalf("%q came back as %q: %v", sent, got, err)
					}
				}
			}
		})
	}
}

// TestTunnelsByTwo: a WebSocket that a client opens by HTTP/2 (RFC 8441) passes, to an origin that speaks HTTP/2, and to one that speaks
// HTTP/1.1, for which Envoy makes an upgrade of it; so does a tunnel of CONNECT alone.
func TestTunnelsByTwo(t *testing.T) {
	for _, origin := range []struct {
		name     string
		upstream func(map[string]any)
	}{{"HTTP 2", nil}, {"HTTP 1", byOne}} {
		t.Run(origin.name, func(t *testing.T) {
			s := besideAPlainOne(t, stack.Options{OriginPort: listenOnTheWire(t).port(), Manager: withTunnels, Upstream: origin.upstream})
			for _, way := range ways {
				t.Run(way.name, func(t *testing.T) {
					fields := [][2]string{{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "http"}, {":path", way.prefix + "socket"},
						{":authority", "tunnel.test"}, {"sec-websocket-version", "13"}}
					if way.control != "" {
						fields = append(fields, [2]string{"cache-control", way.control})
					}
					for i := range 4 { // the second half goes through the filter, twice, as what could have been stored
						opened := tunnelByTwo(t, address(s.Envoys[1-i/2]), fields)
						if passed := strings.Contains(opened, "cache-status: chatcache; fwd=bypass; detail=upgrade"); passed != (way.reads && i/2 == 1) {
							t.Errorf("opened with\n%s", opened)
						}
					}
				})
			}
			t.Run("CONNECT", func(t *testing.T) { // without a protocol: RFC 9113 section 8.5
				for i := range 4 {
					tunnelByTwo(t, address(s.Envoys[1-i/2]), [][2]string{{":method", "CONNECT"}, {":authority", "tunnel.test:443"}})
				}
			})
		})
	}
}

// tunnelByTwo opens a tunnel, uses it, and gives the header section that it was opened with.
func tunnelByTwo(t *testing.T, addr string, fields [][2]string) string {
	t.Helper()
	conn := dialWire(t, addr)
	io.WriteString(conn, http2.ClientPreface)
	framer := newFramer(conn, conn)
	framer.WriteSettings()
	writeFields(framer, 1, false, fields)
	opened := tunnelFrame(t, framer)
	if !strings.Contains(opened, ":status: 200") || strings.Contains(opened, "\nupgrade: ") {
		t.Fatalf("opened with %q", opened)
	}
	for n := range 3 {
		sent := fmt.Sprint("message ", n, "\x00\xff")
		framer.WriteData(1, false, []byte(sent))
		got := ""
		for len(got) < len(sent) {
			got += tunnelFrame(t, framer)
		}
		if got != sent {
			t.Fatalf("%q came back as %q", sent, got)
		}
	}
	return opened
}

// tunnelFrame gives the next data or header section of the tunnel.
func tunnelFrame(t *testing.T, framer *http2.Framer) string {
	t.Helper()
	for {
		switch frame := nextFrame(t, framer).(type) {
		case *http2.DataFrame:
			return string(frame.Data())
		case *http2.MetaHeadersFrame:
			return strings.Join(twoLines(frame), "\n")
		}
	}
}

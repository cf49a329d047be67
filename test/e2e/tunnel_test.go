package e2e

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"

	"chatcache/test/stack"
)

// withTunnels lets WebSockets and CONNECT through.
func withTunnels(_ int, manager map[string]any) {
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

package e2e

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"chatcache/test/chatapi"
	"chatcache/test/loopback"
	"chatcache/test/stack"
)

// Envoy reaches the bridge by a Unix socket, and the bridge Redis by another one: what one proxy
// stores, the next one answers with.
func TestUnixSockets(t *testing.T) {
	dir := t.TempDir()
	redis := filepath.Join(dir, "redis.sock")
	stack.RunT(t, stack.Options{Envoys: -1, ValkeySocket: redis})
	s := patientStack(t, stack.Options{
		Envoys: 2, Origin: chatapi.New(chatapi.Options{}), RedisURL: "unix://" + redis, BridgeSocket: filepath.Join(dir, "bridge.sock"),
	})
	if err := loopback.CheckPort(s.Bridge.Port); err != nil {
		t.Errorf("the bridge listens on a port, too: %v", err)
	}
	read := func(proxy int) string {
		response, err := http.Get(s.Envoys[proxy].URL() + "/api/models")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.Header.Get("Cache-Status")
	}
	if got := read(0); !strings.Contains(got, "stored") {
		t.Fatalf("the first read: %s", got)
	}
	stack.WaitT(t, "the other proxy has a hit", func(context.Context) error { // the store isn't waited for
		if got := read(1); !strings.Contains(got, "hit") {
			return errors.New(got)
		}
		return nil
	})
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"chatcache/test/stack"
)

// lines is what the command has printed so far.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var proxyURL = regexp.MustCompile(`simulator +(http://\S+)`)

var bridgeURL = regexp.MustCompile(`bridge, in memory +(http://\S+)`)

// The variables are those of make run.
func TestSettings(t *testing.T) {
	env := map[string]string{"ENVOY_PORT": "1", "ENVOY_ADMIN_PORT": "2", "BRIDGE_PORT": "3", "CHATAPI_PORT": "4", "VALKEY_PORT": "5", "CHATAPI_LATENCY": "0.5"}
	got, err := readSettings(func(name string) string { return env[name] })
	if want := (settings{stack.Ports{Envoy: 1, Bridge: 3, Origin: 4}, 0.5}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestServesUntilInterrupted reads until a hit, writes, and reads the new answer.
func TestServesUntilInterrupted(t *testing.T) {
	root, err := stack.Root()
	if err == nil {
		err = stack.Build(t.Context(), root, "build/chatcache.wasm", "build/redisbridge", "build/hostsim")
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	var out lines
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, settings{}, &out) }()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(out.String(), "Ctrl-C"); time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-ended:
			t.Fatal(err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("no banner:\n%s", out.String())
		}
	}
	url := proxyURL.FindStringSubmatch(out.String())[1]
	await(t, url, "chatcache; hit")
	// Where the machine stands still for longer than the policy's bridge.timeout it says that invalidation is pending.
	if got := send(t, "POST", url+"/api/chat/sessions"); got != "chatcache; fwd=method" && got != "chatcache; fwd=method; detail=invalidation-pending" {
		t.Errorf("write: %q", got)
	}
	await(t, url, "chatcache; fwd=uri-miss; stored")
	bridge := bridgeURL.FindStringSubmatch(out.String())[1]
	resp, err := http.Post(bridge+"/v1/invalidate", "application/json", strings.NewReader(`{"rule": "create session", "identity": {"header": {"authorization": "Bearer ada"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusOK {
		t.Errorf("the bridge says %s to what one user's write invalidates", resp.Status)
	}
	interrupt()
	if err := <-ended; err != nil || !strings.HasSuffix(out.String(), "\nstopping\n") {
		t.Errorf("%v\n%s", err, out.String())
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://")); err == nil {
		conn.Close()
		t.Error("something still listens")
	}
}

// await reads until the answer's Cache-Status begins so.
func await(t *testing.T, url, status string) {
	t.Helper()
	stack.WaitT(t, "a read gets "+status, func(context.Context) error {
		if got := send(t, "GET", url+"/api/chat/stats"); !strings.HasPrefix(got, status) {
			return fmt.Errorf("Cache-Status %q", got)
		}
		return nil
	})
}

// send gives the answer's Cache-Status.
func send(t *testing.T, method, url string) string {
	t.Helper()
	body := strings.NewReader("")
	if method == "POST" {
		body = strings.NewReader(`{"title":"hello"}`)
	}
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer ada")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.Header.Get("Cache-Status")
}

package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// The caller gets whole answers, several at a time, and tells those that aren't a 200.
func TestCaller(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		n, err := strconv.Atoi(string(body))
		if err != nil {
			http.Error(w, "not a number", http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, strings.Repeat("x", n))
	}))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	c, err := dial(t.Context(), server.Listener.Addr().(*net.TCPAddr).Port, "/")
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, n := range []int{0, 1, 100_000} {
		if body, err := c.call([]byte(strconv.Itoa(n))); len(body) != n || err != nil {
			t.Errorf("%d bytes, %v, want %d", len(body), err, n)
		}
	}
	if _, err := c.call([]byte("x")); !errors.Is(err, errStatus) {
		t.Errorf("got %v, want %v", err, errStatus)
	}
	for _, body := range []string{"10", "x", "10", "10"} {
		if err := c.send([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.flush(); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for range 4 {
		body, err := c.receive()
		if errors.Is(err, errStatus) {
			refused++
		} else if len(body) != 10 || err != nil {
			t.Errorf("%d bytes, %v, want 10", len(body), err)
		}
	}
	if refused != 1 {
		t.Errorf("%d calls were refused, want 1", refused)
	}
}

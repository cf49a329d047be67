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

func TestReport(t *testing.T) {
	l := newLookups([]cost{{rate: 10, cpu: 20}, {rate: 10, cpu: 40}, {rate: 10, cpu: 30}}, []cost{{rate: 1, cpu: 30}, {rate: 5, cpu: 40}, {rate: 3, cpu: 33}})
	if l.Ratio != 1.1 || l.Least != 1 || l.Most != 1.5 || l.Bridge.Rate != 3 || l.Bridge.CPU != 33 {
		t.Errorf("got %+v", l)
	}
	if r := newReach(7, []float64{3, 1, 2}); r != (reach{VMs: 7, Raises: 3, P50: 2, P99: 3, Max: 3}) {
		t.Errorf("got %+v", r)
	}
	var text strings.Builder
	(&report{Lookups: l, Memory: memory{Followers: 5, MiB: 300}}).print(&text)
	for _, want := range []string{"**1.10** (1.00–1.50; target: 1.2: met)", "with 5 followers: 300 MiB (target: 256: not met)", "30303 (target: 25000: met)"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in:\n%s", want, &text)
		}
	}
}

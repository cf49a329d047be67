package parity_test

import (
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"chatcache/hostsim"
)

// TestStreamWindow: what an HTTP/2 client may send unasked is what
// hostsim.DefaultStreamWindow says.
func TestStreamWindow(t *testing.T) {
	envoy := sharedEnvoy(t)
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(envoy.ports["default"])))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(clientPatience))
	io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	const settings, initialWindow = 4, 4
	for {
		var head [9]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			t.Fatalf("no window in the settings: %v", err)
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(conn, payload); err != nil {
			t.Fatal(err)
		}
		for ; head[3] == settings && len(payload) >= 6; payload = payload[6:] {
			if binary.BigEndian.Uint16(payload) != initialWindow {
				continue
			}
			if got := binary.BigEndian.Uint32(payload[2:]); got != hostsim.DefaultStreamWindow {
				t.Errorf("Envoy's window is %d, the simulator's %d", got, hostsim.DefaultStreamWindow)
			}
			return
		}
	}
}

// TestBackPressure: how much is shown at once of a message that was held. The
// exact size is a matter of reads; what counts is whether it was all of it.
func TestBackPressure(t *testing.T) {
	envoy := sharedEnvoy(t)
	const slow = "call backend /?upstream=opened 30000; stopall" // for as long as everything takes that can be sent meanwhile
	upload := []string{quiet, "1", onRequest, slow, onCall, "resume-request", onDone, "fits 200000; fits 5000000"}
	download := []string{quiet, "1", onResponse, slow, onCall, "resume-response", onDone, "fits 200000; fits 5000000"}
	for name, c := range map[string]parityCase{
		"an upload":                     {verb: "POST", body: strings.Repeat("x", 10_000_000), upstream: "count", script: upload},
		"an upload, small buffers":      {on: "small", verb: "POST", body: strings.Repeat("x", 10_000_000), upstream: "count", script: upload},
		"a response":                    {upstream: "10MB", script: download},
		"a response, small buffers":     {on: "small", route: "backend-small", upstream: "10MB", script: download},
		"a response by HTTP/2":          {route: "backend2", upstream: "10MB", script: download},
		"a response by HTTP/2, small":   {on: "small", route: "backend2-small", upstream: "10MB", script: download},
		"a client that doesn't read":    {upstream: "30MB", stall: 300 * time.Millisecond, script: ends},
		"a client that doesn't read, 2": {route: "backend2", upstream: "30MB", stall: 300 * time.Millisecond, script: ends},
	} {
		c.name, c.until, c.fills = name, "fits 5000000", c.stall == 0
		if c.stall > 0 {
			c.until = "prop response.flags"
		}
		t.Run(name, func(t *testing.T) {
			for _, version := range c.versions() {
				t.Run(protocol(version), func(t *testing.T) { compare(t, envoy, version) })
			}
		})
	}
}

package istio

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// Admin asks Envoy's admin interface, which listens on the pod's own 127.0.0.1 alone, for a path.
func (g *proxy) Admin(path string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DialContext: g.dial, DisableKeepAlives: true}}
	resp, err := client.Get("http://127.0.0.1:15000" + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: admin %s answered %s", g.Name, path, resp.Status)
	}
	return string(body), err
}

// Counter gives the value of one of Envoy's counters or gauges.
func (g *proxy) Counter(name string) (int, error) {
	text, err := g.Admin("/stats?usedonly&filter=^" + name + "$")
	if err != nil || text == "" {
		return 0, err
	}
	_, value, _ := strings.Cut(strings.TrimSpace(text), ": ")
	return strconv.Atoi(value)
}

// dial connects from inside the pod's network.
func (g *proxy) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = g.within(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

const (
	// fullBytes is the budget of an L1 that a row fills.
	fullBytes = 64 << 20
	// nearlyFull is the share of it that may be taken: going round among more than fit finds none.
	nearlyFull = 0.98
)

// held is what a proxy's VMs have in their L1.
type held struct{ entries, bytes int }

var heldGauge = regexp.MustCompile(`(?m)^wasmcustom\.chatcache\.l1_(entries|bytes): (\d+)$`)

// held asks the proxy's own gauges.
func (m *mesh) held(ctx context.Context, p proxy) (held, error) {
	text, err := m.sites[p].Admin(ctx, "/stats?filter=chatcache.l1_")
	if err != nil {
		return held{}, err
	}
	return parseHeld(text)
}

// awaitHeld returns what a proxy holds once its gauges, which its VMs set at their ticks, tell of so many
// entries. Where they don't the error matches errDisturbed.
func (m *mesh) awaitHeld(ctx context.Context, p proxy, entries int) (held, error) {
	for end := time.Now().Add(5 * time.Second); ; {
		got, err := m.held(ctx, p)
		switch {
		case err != nil || got.entries >= entries:
			return got, err
		case time.Now().After(end):
			return got, fmt.Errorf("%w: L1 holds %d entries in %d bytes, want %d entries", errDisturbed, got.entries, got.bytes, entries)
		}
		select {
		case <-ctx.Done():
			return got, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// parseHeld takes gauges that aren't there, as before a VM's first tick, for 0.
func parseHeld(stats string) (h held, err error) {
	for _, found := range heldGauge.FindAllStringSubmatch(stats, -1) {
		n, err := strconv.Atoi(found[2])
		if err != nil {
			return h, err
		}
		if found[1] == "entries" {
			h.entries = n
		} else {
			h.bytes = n
		}
	}
	return h, nil
}

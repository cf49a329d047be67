package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"chatcache/test/bench"
	"chatcache/test/stack"
)

// report is what a run has shown.
type report struct {
	Command string    `json:"command"`
	Machine string    `json:"machine"`
	Go      string    `json:"go"`
	Started time.Time `json:"started"`
	Samples []sample  `json:"samples"`
	// Growth is the proxy's memory at the end by that after a quarter of the run.
	Growth float64 `json:"growth"`
}

// sample is the state after so many keys. Memory is resident, in MiB.
type sample struct {
	Keys      int     `json:"keys"`
	Seconds   float64 `json:"seconds"`
	EnvoyMiB  float64 `json:"envoyMiB"`
	BridgeMiB float64 `json:"bridgeMiB"`
	RedisMiB  float64 `json:"redisMiB"`
	L1MiB     float64 `json:"l1MiB"`
	L1Entries int     `json:"l1Entries"`
	Stored    int     `json:"stored"` // entries that the bridge has acknowledged
}

func (r *report) header(w io.Writer) {
	fmt.Fprintf(w, "%s\n%s, %s\n\n", r.Command, r.Machine, r.Go)
	fmt.Fprintln(w, "| keys | time | Envoy, MiB resident | bridge | Redis | L1, MiB | L1, entries | stored |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|")
}

func (r *report) add(w io.Writer, s sample) {
	r.Samples = append(r.Samples, s)
	fmt.Fprintf(w, "| %d | %.0f s | %.1f | %.1f | %.1f | %.2f | %d | %d |\n",
		s.Keys, s.Seconds, s.EnvoyMiB, s.BridgeMiB, s.RedisMiB, s.L1MiB, s.L1Entries, s.Stored)
}

func (r *report) conclude(w io.Writer) {
	early, last := r.Samples[len(r.Samples)/4-1], r.Samples[len(r.Samples)-1]
	r.Growth = last.EnvoyMiB / early.EnvoyMiB
	fmt.Fprintf(w, "\nEnvoy's memory after %d keys by that after %d: %.3f\n", last.Keys, early.Keys, r.Growth)
}

// measure takes a sample, and cuts the processes' logs off: a line for each of ten
// million requests would fill a disk.
func measure(ctx context.Context, mesh *stack.Stack, keys int, since time.Duration) (sample, error) {
	s := sample{Keys: keys, Seconds: since.Seconds()}
	var err error
	for _, part := range []struct {
		process *stack.Process
		mib     *float64
	}{{mesh.Envoys[0].Process, &s.EnvoyMiB}, {mesh.Bridge.Process, &s.BridgeMiB}, {mesh.Valkey.Process, &s.RedisMiB}} {
		if *part.mib, err = bench.ResidentMiB(part.process.PID()); err != nil {
			return s, err
		}
		if err := os.Truncate(part.process.Log, 0); err != nil {
			return s, err
		}
	}
	text, err := mesh.Envoys[0].Admin(ctx, "/stats?filter=chatcache")
	if err != nil {
		return s, err
	}
	stats := counts(text)
	s.L1MiB = float64(stats["wasmcustom.chatcache.l1_bytes"]) / (1 << 20)
	s.L1Entries = stats["wasmcustom.chatcache.l1_entries"]
	s.Stored = stats["wasmcustom.chatcache.cache.items.stores"]
	return s, nil
}

// counts reads Envoy's "name: number" lines.
func counts(text string) map[string]int {
	stats := make(map[string]int)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if n, err := strconv.Atoi(value); err == nil {
			stats[name] = n
		}
	}
	return stats
}

// boundRedis sets Redis' memory and lets it evict entries.
func boundRedis(ctx context.Context, url, memory string) error {
	options, err := redis.ParseURL(url)
	if err != nil {
		return err
	}
	client := redis.NewClient(options)
	defer client.Close()
	if err := client.ConfigSet(ctx, "maxmemory", memory).Err(); err != nil {
		return fmt.Errorf("maxmemory %s: %w", memory, err)
	}
	return client.ConfigSet(ctx, "maxmemory-policy", "volatile-lru").Err()
}

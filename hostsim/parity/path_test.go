package parity_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPaths compares what the module sees of paths, plain and strange ones, with
// and without the connection manager's normalisation.
func TestPaths(t *testing.T) {
	envoy := sharedEnvoy(t)
	for _, on := range []string{"default", "normalize"} {
		t.Run(on, func(t *testing.T) {
			sim := simulate(t, probeModule(t), parityCase{on: on})
			for _, path := range strangePaths() {
				c := parityCase{on: on, raw: true, url: path, script: []string{quiet, "1", onRequest, "header request :path; reply 200; pause"}}.over(false)
				real := seen(envoy.forCase(t), c)
				if diff := cmp.Diff(real, seen(sim, c)); diff != "" {
					t.Errorf("%s: real Envoy (-) and the simulator (+) differ:\n%s", path, diff)
				}
			}
		})
	}
}

// seen is the status and what the module logged.
func seen(p proxy, c parityCase) []string {
	from := len(p.log())
	a := exchange(p, c)
	if a.Status == 200 {
		awaitLine(p, from, "header")
	}
	return append([]string{fmt.Sprint(a.Status)}, p.log()[from:]...)
}

func strangePaths() []string {
	paths := []string{
		"/", "//", "///", "/a//b", "//a", "/a//", "/a?b//c", "/a?b=/../c", "/a/../b?c=..", "/..", "/../a", "/a/..", "/a/../..", "/.", "/./", "/a/.", "/...",
		"/a/%2e%2e/b", "/a/%2E./b", "/a/.%2e", "/%2e", "/a%2fb", "/a%2F..%2Fb", `/a\b`, `/a\..\b`, `\a`, "/%41%5a", "/%7e%2D%5f", "/%00", "/a%0", "/%zz", "/%", "/%25", "/é", "/a#b", "/a?b#c", "/a;b/../c", "/a:b@c",
	}
	for c := '!'; c <= '~'; c++ {
		if c != '#' {
			paths = append(paths, fmt.Sprintf("/x%cy", c), fmt.Sprintf("/x%%%02xy", c))
		}
	}
	parts := []string{"/", "/", "/", ".", "..", "%2e", "%2F", `\`, "a", "b", "%61", "?", "%"}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		var b strings.Builder
		b.WriteByte('/')
		for range 2 + rng.IntN(8) {
			b.WriteString(parts[rng.IntN(len(parts))])
		}
		paths = append(paths, b.String())
	}
	return paths
}

// Command cachetests runs the conformance tests of https://cache-tests.fyi against chatcache, and shows how many of
// each kind it passes. They are no part of this repository: check out https://github.com/http-tests/cache-tests, with
// Node 20 or later run `npm install undici@7` in it, and
//
//	make cache-tests CACHE_TESTS=../cache-tests
//
// The tests' own server is the origin of three Envoys: one with the filter, bridge and Valkey behind it, whose policy leaves
// everything to RFC 9111; one without any cache, for what Envoy itself breaks; one with Envoy's own cache
// filter. Each has one worker: with more of them a write's own client could still, for milliseconds and at most for
// l1.max_staleness, be answered from another worker's memory, which the tests take for a failure.
//
// Every required or optimal test that chatcache doesn't pass is listed with the reason that [known] has for it; one
// without a reason makes the command fail.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"chatcache/test/stack"
)

func main() {
	checkout := flag.String("checkout", "", "directory of the checked out cache-tests")
	only := flag.String("test", "", "run one test by its id, and show its messages")
	results := flag.String("results", "", "existing directory to keep results and logs in; the former are as the tests' own results/*.json")
	flag.Parse()
	stack.Main("cachetests", func(ctx context.Context) error { return run(ctx, suite{dir: *checkout}, *only, *results) })
}

func run(ctx context.Context, s suite, only, results string) (err error) {
	if err := s.check(); err != nil {
		return err
	}
	dir := results
	if dir == "" {
		if dir, err = os.MkdirTemp("", "cachetests"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	port, err := s.serve(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.server.Stop()) }()
	mesh, err := startMesh(ctx, dir, port)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mesh.Close()) }()
	if err := warm(ctx, mesh.Envoys[caching].URL()); err != nil {
		return err
	}
	if only != "" {
		return s.show(ctx, mesh.Envoys[caching].URL(), only)
	}
	files := make([]string, proxies)
	for p := range proxies { // one by one: a busy machine changes what is fresh
		files[p] = filepath.Join(dir, p.String()+".json")
		if err := s.run(ctx, mesh.Envoys[p].URL(), files[p]); err != nil {
			return err
		}
	}
	judged, err := s.judge(ctx, append(files, s.references()...))
	if err != nil {
		return err
	}
	return report(os.Stdout, judged)
}

// proxy is one of the Envoys that are tested.
type proxy int

const (
	caching  proxy = iota // with chatcache
	plain                 // without any cache
	ownCache              // with Envoy's own cache filter
	proxies
)

func (p proxy) String() string { return [...]string{"chatcache", "no cache", "Envoy's cache"}[p] }

// policy leaves to RFC 9111 whatever is below /test, for all clients alike, and lets what is stale answer where the origin
// fails, which the tests of what forbids that take for granted. The tests' server answers 500 to what it doesn't do, which
// the policy has to say of an origin. The bridge is waited for as long as a busy
// machine needs.
const policy = `{"version": 1, "name": "cache-tests", "bridge": {"cluster": "redis-bridge", "timeout": "5s"}, "host": {"loopback_cluster": "loopback"}, "unchanged_on": [500],
	"caches": {"tests": {"match": ["GET /test/{path...}"], "ttl": "origin", "max_ttl": "720h", "shared": true, "stale_if_error": "1h"}}}`

// warm asks until every worker has reached the bridge once: the first call of each waits for a connection, for a short
// time only.
func warm(ctx context.Context, base string) error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for asked, reached := 0, 0; reached < 40; asked++ {
		if asked > 1000 {
			return errors.New("the filter doesn't reach the bridge")
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprint(base, "/test/warm/", asked), nil)
		if err != nil {
			return err
		}
		response, err := client.Do(req)
		if err != nil {
			return err
		}
		response.Body.Close()
		if reached++; strings.Contains(response.Header.Get("Cache-Status"), "bypass") {
			reached = 0
		}
	}
	return nil
}

func startMesh(ctx context.Context, dir string, origin int) (*stack.Stack, error) {
	return stack.Start(ctx, stack.Options{
		Dir: dir, Envoys: int(proxies), Policy: []byte(policy), OriginPort: origin, Loopback: "loopback",
		BridgeArgs: []string{"--timeout", "4s"},
		Manager: func(envoy int, manager map[string]any) {
			filters := manager["http_filters"].([]any)
			router := filters[len(filters)-1]
			switch proxy(envoy) {
			case plain:
				manager["http_filters"] = []any{router}
			case ownCache:
				manager["http_filters"] = []any{stack.EnvoysCache(), router}
			}
		},
	})
}

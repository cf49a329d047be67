// Command chat lets chat users work, once through a proxy without the filter and once
// through one with it, and shows what they wait for and what the backend is spared.
//
//	go run ./test/bench/chat -json test/bench/chat/result.json -markdown test/bench/chat/RESULT.md
//
// It needs build/chatcache.wasm, build/redisbridge, Envoy and Valkey, as `make bench-chat`
// provides them. The backend is the sample chat API with the latencies of a real one; the policy
// is the shipped envoy/chat.policy.json. Both times the same users do the same things, drawn from
// one seed: user.go has what they do, how often, and how long they think.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"chatcache/test/bench"
	"chatcache/test/chatapi"
	"chatcache/test/stack"
)

type settings struct {
	users, actions int
	think          time.Duration
	seed           uint64
	json, markdown string
}

func main() {
	var s settings
	flag.IntVar(&s.users, "users", 40, "how many users at a time")
	flag.IntVar(&s.actions, "actions", 60, "how many things each does")
	flag.DurationVar(&s.think, "think", 600*time.Millisecond, "how long a user thinks between two things, on average")
	flag.Uint64Var(&s.seed, "seed", 1, "what the users do is drawn from it")
	flag.StringVar(&s.json, "json", "", "file to write the figures to")
	flag.StringVar(&s.markdown, "markdown", "", "file to write the table to")
	flag.Parse()
	stack.Main("bench-chat", func(ctx context.Context) error { return run(ctx, s) })
}

// The two proxies.
const (
	withFilter = iota
	withoutFilter
	proxies
)

func run(ctx context.Context, s settings) (err error) {
	r := report{Run: bench.Begin(fmt.Sprintf("go run ./test/bench/chat -users %d -actions %d -think %s -seed %d", s.users, s.actions, s.think, s.seed))}
	for _, proxy := range []int{withoutFilter, withFilter} {
		fmt.Fprintf(os.Stderr, "%d users do %d things each, %s the filter\n", s.users, s.actions, []string{"with", "without"}[proxy])
		seen, err := work(ctx, s, proxy, &r)
		if err != nil {
			return err
		}
		r.add(proxy, seen)
	}
	r.End()
	r.print(os.Stdout)
	return errors.Join(bench.WriteIf(s.json, r), bench.WriteTextIf(s.markdown, r.print))
}

// work lets all users work through one of the proxies, before a backend that has seen nobody yet.
func work(ctx context.Context, s settings, proxy int, r *report) (seen seen, err error) {
	dir, err := os.MkdirTemp("", "chatcache-bench")
	if err != nil {
		return seen, err
	}
	defer os.RemoveAll(dir)
	api := chatapi.New(chatapi.Options{Latency: 1})
	mesh, err := stack.Start(ctx, stack.Options{
		Dir: dir, Envoys: proxies, Origin: api,
		Manager: func(envoy int, manager map[string]any) {
			if filters := manager["http_filters"].([]any); envoy == withoutFilter {
				manager["http_filters"] = filters[len(filters)-1:]
			}
		},
	})
	if err != nil {
		return seen, err
	}
	defer func() { err = errors.Join(err, mesh.Close()) }()
	if r.Envoy, r.Redis, err = bench.Versions(ctx, mesh); err != nil {
		return seen, err
	}
	if seen.answers, err = allUsers(ctx, s, mesh.Envoys[proxy].URL()); err != nil {
		return seen, err
	}
	seen.forwarded = api.Counts()
	return seen, nil
}

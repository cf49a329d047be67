package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// user does one thing after the other, and thinks in between.
type user struct {
	client  *http.Client
	proxy   string
	token   string
	random  *rand.Rand
	think   time.Duration
	answers func(answer)
}

// answer is what a user has waited for.
type answer struct {
	route string
	took  time.Duration
	cache string // Cache-Status
}

// action is something that users do, and how often: the weights are of 100.
type action struct {
	name   string
	weight int
	do     func(context.Context, *user) error
}

// actions is the mix: nine reads in ten, and every write drops what it concerns. It is what users
// of a chat do between two long looks at an answer, written down rather than measured: another mix
// gives other hit ratios.
var actions = []action{
	{"dashboard: stats, profile, first page, flags", 28, dashboard},
	{"another page of sessions, the second mostly", 18, page},
	{"open one of the five latest sessions", 18, open},
	{"search one of four words", 14, search},
	{"models, rankings or activity", 12, overview},
	{"send a message", 7, send},
	{"create, rename or delete a session", 3, organise},
}

func dashboard(ctx context.Context, u *user) error {
	return u.all(ctx, "GET /api/chat/stats", "GET /api/user/me", "GET /api/chat/sessions?page=1&limit=10", "POST /v1/initialize")
}

func page(ctx context.Context, u *user) error {
	return u.all(ctx, fmt.Sprintf("GET /api/chat/sessions?page=%d&limit=10", []int{1, 2, 2, 3}[u.random.IntN(4)]))
}

func open(ctx context.Context, u *user) error {
	return u.all(ctx, fmt.Sprintf("GET /api/chat/sessions/s%d", 21+u.random.IntN(5)))
}

func search(ctx context.Context, u *user) error {
	return u.all(ctx, "GET /api/chat/search?q="+[]string{"hello", "talk", "help", "credits"}[u.random.IntN(4)])
}

func overview(ctx context.Context, u *user) error {
	return u.all(ctx, []string{"GET /api/models", "GET /api/rankings", "GET /api/activity"}[u.random.IntN(3)])
}

func send(ctx context.Context, u *user) error {
	return u.all(ctx, fmt.Sprintf("POST /api/chat/sessions/s%d/messages", 21+u.random.IntN(5)))
}

func organise(ctx context.Context, u *user) error {
	session := 1 + u.random.IntN(20)
	return u.all(ctx, []string{
		"POST /api/chat/sessions", fmt.Sprintf("PATCH /api/chat/sessions/s%d", session), fmt.Sprintf("DELETE /api/chat/sessions/s%d", session),
	}[u.random.IntN(3)])
}

// allUsers lets all users sign in and work, and gives what each has waited for.
func allUsers(ctx context.Context, s settings, proxy string) (all []answer, err error) {
	var lock sync.Mutex
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8 * s.users}, Timeout: time.Minute}
	group, ctx := errgroup.WithContext(ctx)
	for i := range s.users {
		u := &user{
			client: client, proxy: proxy, token: fmt.Sprintf("user-%d", i), think: s.think,
			random: rand.New(rand.NewPCG(s.seed, uint64(i))),
			answers: func(a answer) {
				lock.Lock()
				defer lock.Unlock()
				all = append(all, a)
			},
		}
		group.Go(func() error { return u.work(ctx, s.actions) })
	}
	err = group.Wait()
	return all, err
}

func (u *user) work(ctx context.Context, actions int) error {
	if err := u.all(ctx, "GET /api/user/me", "POST /v1/initialize", "GET /api/models"); err != nil { // signs in
		return err
	}
	for range actions {
		if err := u.wait(ctx, time.Duration((0.5+u.random.Float64())*float64(u.think))); err != nil {
			return err
		}
		if err := u.draw().do(ctx, u); err != nil {
			return err
		}
	}
	return nil
}

func (u *user) draw() action {
	at := u.random.IntN(100)
	for _, a := range actions {
		if at -= a.weight; at < 0 {
			return a
		}
	}
	return actions[0]
}

func (u *user) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// all sends requests side by side, as a browser does.
func (u *user) all(ctx context.Context, requests ...string) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, request := range requests {
		group.Go(func() error { return u.one(ctx, request) })
	}
	return group.Wait()
}

// bodies are those of the requests that have one.
var bodies = map[string]string{
	"POST /v1/initialize":                        `{"client":"web","version":"1.4.0"}`,
	"POST /api/chat/sessions":                    `{"title":"A new talk"}`,
	"PATCH /api/chat/sessions/{session}":         `{"title":"Renamed"}`,
	"POST /api/chat/sessions/{session}/messages": `{"content":"What is new?"}`,
}

func (u *user) one(ctx context.Context, request string) error {
	method, target, _ := strings.Cut(request, " ")
	route := routeOf(method, target)
	req, err := http.NewRequestWithContext(ctx, method, u.proxy+target, strings.NewReader(bodies[route]))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+u.token)
	req.Header.Set("Content-Type", "application/json")
	began := time.Now()
	response, err := u.client.Do(req)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	// A session that another of this user's requests has deleted is no fault.
	if response.StatusCode >= 400 && response.StatusCode != http.StatusNotFound {
		return fmt.Errorf("%s: %s", request, response.Status)
	}
	u.answers(answer{route: route, took: time.Since(began), cache: response.Header.Get("Cache-Status")})
	return nil
}

// routeOf names a request as the sample API names its routes.
func routeOf(method, target string) string {
	path, _, _ := strings.Cut(target, "?")
	if rest, ok := strings.CutPrefix(path, "/api/chat/sessions/"); ok {
		_, below, _ := strings.Cut(rest, "/")
		path = strings.TrimSuffix("/api/chat/sessions/{session}/"+below, "/")
	}
	return method + " " + path
}

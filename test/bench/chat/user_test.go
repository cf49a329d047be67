package main

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestActionsAreAHundred(t *testing.T) {
	sum := 0
	for _, a := range actions {
		sum += a.weight
	}
	if sum != 100 {
		t.Errorf("the weights are %d together", sum)
	}
}

// What is drawn comes as often as its weight says, and again from the same seed.
func TestDraw(t *testing.T) {
	draw := func() (all []string) {
		u := user{random: rand.New(rand.NewPCG(1, 2))}
		for range 10_000 {
			all = append(all, u.draw().name)
		}
		return all
	}
	first, count := draw(), map[string]int{}
	for i, name := range draw() {
		if name != first[i] {
			t.Fatal("one seed drew two orders")
		}
		count[name]++
	}
	for _, a := range actions {
		if n := count[a.name]; n < 80*a.weight || n > 120*a.weight {
			t.Errorf("%s came %d times in 10,000, want about %d", a.name, n, 100*a.weight)
		}
	}
}

func TestRouteOf(t *testing.T) {
	for request, want := range map[string]string{
		"GET /api/chat/sessions?page=2":                "GET /api/chat/sessions",
		"GET /api/chat/sessions/s7":                    "GET /api/chat/sessions/{session}",
		"POST /api/chat/sessions/s7/messages":          "POST /api/chat/sessions/{session}/messages",
		"GET /api/chat/search?q=/api/chat/sessions/s7": "GET /api/chat/search",
	} {
		method, target, _ := strings.Cut(request, " ")
		if got := routeOf(method, target); got != want {
			t.Errorf("%s is %s, want %s", request, got, want)
		}
	}
}

func TestReport(t *testing.T) {
	var r report
	r.add(withoutFilter, seen{
		answers:   []answer{{"GET /api/chat/stats", 500 * time.Millisecond, ""}, {"GET /api/chat/stats", 502 * time.Millisecond, ""}},
		forwarded: map[string]int{"GET /api/chat/stats": 2},
	})
	r.add(withFilter, seen{
		answers: []answer{
			{"GET /api/chat/stats", 501 * time.Millisecond, "chatcache; fwd=uri-miss; stored"},
			{"GET /api/chat/stats", 600 * time.Microsecond, "chatcache; hit; ttl=599; detail=l1"},
		},
		forwarded: map[string]int{"GET /api/chat/stats": 1},
	})
	var text bytes.Buffer
	r.print(&text)
	for _, want := range []string{
		"| `GET /api/chat/stats` | 500.0 | 500.0 | 0.6 | 0.6 | 50 % | 2 → 1 | 500 → 10 |\n",
		"50 % were answered without the backend (elsewhere: over 80 %). The backend got 1 requests instead of 2: 50 % less (elsewhere: 40 to 60 %).\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report lacks\n%s\nin\n%s", want, &text)
		}
	}
}

package stack

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"
)

// RunT starts a mesh for a test and stops it at the test's end, showing the
// logs' ends if the test failed. Without Envoy or a Redis server the test is
// skipped with the reason; with CHATCACHE_REQUIRE=1 that is a failure.
//
// Filter and bridge are built first, so that a test never runs old ones.
// It looks at no REDIS_URL: tests flush and stop their server.
func RunT(t testing.TB, o Options) *Stack {
	t.Helper()
	RequireT(t)
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	root, err := Root()
	if err == nil {
		err = Build(ctx, root, "build/chatcache.wasm", "build/redisbridge")
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.endTest(t) })
	return s
}

// RequireT skips the test, or with CHATCACHE_REQUIRE=1 fails it, where Envoy or
// a Redis server is missing.
func RequireT(t testing.TB) {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	_, envoyErr := EnvoyPath(root)
	_, valkeyErr := ValkeyPath(root)
	Require(t, errors.Join(envoyErr, valkeyErr))
}

// Require goes on where nothing is missing. Else it skips the test with the reason, or with
// CHATCACHE_REQUIRE=1 fails it: the one place that decides between the two.
func Require(t testing.TB, missing error) {
	t.Helper()
	switch {
	case missing == nil:
	case os.Getenv("CHATCACHE_REQUIRE") == "1":
		t.Fatal(missing)
	default:
		t.Skip(missing)
	}
}

func (s *Stack) endTest(t testing.TB) {
	if t.Failed() {
		for _, p := range s.Processes() {
			t.Logf("the end of %s's log:\n%s", p.Name, p.LogTail(40))
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	select {
	case p := <-s.died:
		t.Errorf("%s ended during the test: %s; the end of its log:\n%s", p.Name, p.ending, p.LogTail(40))
	default:
	}
}

// WaitT looks until look gives nil, for at most a minute.
func WaitT(t testing.TB, what string, look func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		err := look(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("gave up waiting until %s: %v", what, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// UntilT is WaitT for what only holds or doesn't.
func UntilT(t testing.TB, what string, holds func() bool) {
	t.Helper()
	WaitT(t, what, func(context.Context) error {
		if !holds() {
			return errors.New("not yet")
		}
		return nil
	})
}

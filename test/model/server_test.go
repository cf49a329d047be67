package model

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge"
)

// onEachServer runs a test on miniredis, and on a real server where there is one.
func onEachServer(t *testing.T, test func(*testing.T, redisbridge.Options)) {
	t.Run("miniredis", func(t *testing.T) {
		address := miniredis.RunT(t).Addr()
		test(t, redisbridge.Options{Redis: redis.UniversalOptions{Addrs: []string{address}}, Miniredis: true})
	})
	t.Run("valkey", func(t *testing.T) {
		test(t, redisbridge.Options{Redis: redis.UniversalOptions{Addrs: []string{startValkey(t)}}})
	})
}

// startValkey starts the server that VALKEY names, or the one that make tools fetched.
func startValkey(t *testing.T) (socket string) {
	t.Helper()
	binary := os.Getenv("VALKEY")
	if binary == "" {
		binary = filepath.Join("..", "..", ".tools", "valkey-server")
	}
	if _, err := os.Stat(binary); err != nil {
		const why = "needs a real server: set VALKEY to the path of valkey-server, or run make tools"
		if os.Getenv("CHATCACHE_REQUIRE") == "1" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	dir, err := os.MkdirTemp("", "vk") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "s")
	cmd := exec.Command(binary, "--port", "0", "--unixsocket", socket, "--save", "", "--io-threads", "1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	c := redis.NewClient(&redis.Options{Addr: socket, Network: "unix"})
	defer c.Close()
	for limit := time.Now().Add(10 * time.Second); c.Ping(t.Context()).Err() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("gave up waiting: the server starts")
		}
	}
	return socket
}

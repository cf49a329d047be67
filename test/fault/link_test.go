package fault

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// echo answers each line with itself.
func echo(t *testing.T) (port int) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port
}

func dial(t *testing.T, port int) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, bufio.NewReader(c)
}

// say sends a line and gives what comes back within a time.
func say(c net.Conn, r *bufio.Reader, line string, within time.Duration) (string, error) {
	if _, err := io.WriteString(c, line); err != nil {
		return "", err
	}
	c.SetReadDeadline(time.Now().Add(within))
	return r.ReadString('\n')
}

func TestLink(t *testing.T) {
	l, err := NewLink(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, r := dial(t, l.Port)
	if got, err := say(c, r, "open\n", 5*time.Second); got != "open\n" {
		t.Fatalf("%q, %v", got, err)
	}

	l.Slow(60 * time.Millisecond)
	began := time.Now()
	if got, err := say(c, r, "slow\n", 5*time.Second); got != "slow\n" || time.Since(began) < 120*time.Millisecond {
		t.Errorf("slow: %q after %v, want at least 60ms each way: %v", got, time.Since(began), err)
	}

	l.Silence()
	if got, err := say(c, r, "silent\n", 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("silent: %q, %v", got, err)
	}
	l.Heal()
	if got, err := say(c, r, "", 5*time.Second); got != "silent\n" {
		t.Errorf("what was held: %q, %v", got, err)
	}

	l.Cut()
	if _, err := say(c, r, "cut\n", 5*time.Second); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("cut: %v", err)
	}
	// The reset may come before the client knows that it is connected.
	if c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(l.Port))); err == nil {
		defer c.Close()
		if got, err := say(c, bufio.NewReader(c), "while cut\n", 5*time.Second); err == nil {
			t.Errorf("while cut: %q", got)
		}
	}
	l.Heal()
	d, s := dial(t, l.Port)
	if got, err := say(d, s, "healed\n", 5*time.Second); got != "healed\n" {
		t.Errorf("healed: %q, %v", got, err)
	}
}

func TestShuffle(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.URL.Path)
	}))
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server.Config.Protocols = protocols
	server.Start()
	defer server.Close()
	s, err := NewShuffle(server.Listener.Addr().(*net.TCPAddr).Port, 30*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	const calls = 30
	answers := make(chan int, calls)
	for i := range calls {
		go func() {
			time.Sleep(time.Duration(i) * time.Millisecond)
			response, err := client.Get("http://127.0.0.1:" + strconv.Itoa(s.Port) + "/" + strconv.Itoa(i))
			if err != nil {
				t.Error(err)
				answers <- 0
				return
			}
			defer response.Body.Close()
			body, _ := io.ReadAll(response.Body)
			if string(body) != "/"+strconv.Itoa(i) {
				t.Errorf("call %d got %q", i, body)
			}
			answers <- i
		}()
	}
	overtaken, last := 0, -1
	for range calls {
		i := <-answers
		if i < last {
			overtaken++
		}
		last = i
	}
	if overtaken == 0 {
		t.Error("no answer overtook another")
	}
}

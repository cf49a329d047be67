package h2c

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func toString(v any) string { return fmt.Sprint(v) }

// writes is a listener whose connections remember what is written at once.
type writes struct {
	net.Listener
	mu   sync.Mutex
	list [][]byte
}

type writesConn struct {
	net.Conn
	of *writes
}

func (l *writes) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return writesConn{c, l}, err
}

func (c writesConn) Write(b []byte) (int, error) {
	c.of.mu.Lock()
	c.of.list = append(c.of.list, bytes.Clone(b))
	c.of.mu.Unlock()
	return c.Conn.Write(b)
}

// start serves both protocols on one port.
func start(t *testing.T, h http.HandlerFunc) (url string, l *writes) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = &writes{Listener: inner}
	s := testServer(h)
	s.MaxStreams, s.Limit = 100, func(*http.Request) int { return 8 << 20 }
	s.ReadTimeout, s.WriteTimeout = 10*time.Minute, 10*time.Minute // however busy the machine is
	one := http.Server{Handler: h}
	go one.Serve(s.Listen(l, time.Minute))
	t.Cleanup(func() { one.Close() })
	return "http://" + inner.Addr().String(), l
}

func client(t *testing.T, two bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!two)
	protocols.SetUnencryptedHTTP2(two)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// A handler sees the same request, and its client the same answer, as with net/http's own HTTP/2.
func TestLikeNetHTTP(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Seen", fmt.Sprint(r.Method, r.URL, r.Host, r.Proto, r.RequestURI, r.ContentLength, len(r.Header), r.Header["Cookie"], r.Header["X-Two"], len(body)))
		w.Header().Add("X-Several", "1")
		w.Header().Add("X-Several", "2")
		switch r.URL.Path {
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/missing":
			http.Error(w, "no such thing", http.StatusNotFound)
		case "/twice":
			_, _ = io.WriteString(w, "<html>")
			_, _ = w.Write(body)
			w.WriteHeader(http.StatusTeapot) // too late
		case "/nothing":
		default:
			_, _ = w.Write(body)
		}
	})
	ours, _ := start(t, handler)
	reference := httptest.NewUnstartedServer(handler)
	reference.Config.Protocols = new(http.Protocols)
	reference.Config.Protocols.SetUnencryptedHTTP2(true)
	reference.Start()
	defer reference.Close()
	c := client(t, true)
	seen := func(base, method, path string, body []byte) string {
		r, _ := http.NewRequest(method, base+path, bytes.NewReader(body))
		r.Host = "bridge.example"
		r.Header["X-Two"] = []string{"a", "b"}
		r.Header.Set("Cookie", "a=1; b=2; c=3")
		answer, err := c.Do(r)
		if err != nil {
			t.Fatal(method, path, err)
		}
		defer answer.Body.Close()
		got, err := io.ReadAll(answer.Body)
		if err != nil || answer.Header.Get("Date") == "" {
			t.Error(method, path, err, answer.Header)
		}
		answer.Header.Del("Date")
		if method != http.MethodHead && len(got) > 0 && answer.Header.Get("Content-Length") == "" {
			answer.Header.Set("Content-Length", fmt.Sprint(len(got))) // net/http leaves it out of what it sends in pieces
		}
		return fmt.Sprint(answer.Proto, answer.Status, answer.Header, len(got), bytes.HasSuffix(got, body))
	}
	large := bytes.Repeat([]byte("0123456789"), 300_000)
	for _, path := range []string{"/", "/a%20b?c=d", "/none", "/missing", "/twice", "/nothing"} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			for _, size := range []int{0, 1, 1000, 16_384, 100_000, len(large)} {
				if method != "POST" && size > 0 {
					continue
				}
				got, want := seen(ours, method, path, large[:size]), seen(reference.URL, method, path, large[:size])
				if method == "HEAD" { // net/http says a length only where the handler does
					got, want = strings.Replace(got, "Content-Length:[0] ", "", 1), strings.Replace(want, "Content-Length:[0] ", "", 1)
				}
				if got != want {
					t.Errorf("%s %s with %d bytes:\n got %.400s\nwant %.400s", method, path, size, got, want)
				}
			}
		}
	}
}

// Many calls at a time, of many connections, get each its own answer.
func TestManyCalls(t *testing.T) {
	url, _ := start(t, func(w http.ResponseWriter, r *http.Request) { echo(w, r) })
	var all sync.WaitGroup
	for i := range 4 {
		c := client(t, true)
		for j := range 32 {
			all.Go(func() {
				for k := range 10 {
					want := bytes.Repeat([]byte{byte(i), byte(j), byte(k)}, 1+j*k*k*7)
					answer, err := c.Post(url, "application/octet-stream", bytes.NewReader(want))
					if err != nil {
						t.Error(err)
						return
					}
					got, err := io.ReadAll(answer.Body)
					answer.Body.Close()
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("%d bytes, %v, want the %d that were sent", len(got), err, len(want))
					}
				}
			})
		}
	}
	all.Wait()
}

func TestOtherProtocols(t *testing.T) {
	url, _ := start(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	for _, two := range []bool{false, true} {
		answer, err := client(t, two).Get(url)
		if err != nil {
			t.Fatal(err)
		}
		proto, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if want := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[two]; string(proto) != want {
			t.Errorf("%s, want %s", proto, want)
		}
	}
	// A method that begins as the preface does, in pieces.
	nc, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, piece := range []string{"P", "R", "OPFIND / HTTP/1.0\r\n", "\r\n"} {
		_, _ = io.WriteString(nc, piece)
	}
	if answer, err := io.ReadAll(nc); err != nil || !strings.HasSuffix(string(answer), "\r\n\r\nHTTP/1.0") {
		t.Errorf("%q, %v", answer, err)
	}
}

// An answer wakes its client once: its header section and its content are written together.
func TestAnswersAreOneWrite(t *testing.T) {
	url, l := start(t, func(w http.ResponseWriter, r *http.Request) { echo(w, r) })
	c := client(t, true)
	for range 20 {
		answer, err := c.Post(url, "text/plain", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(answer.Body)
		answer.Body.Close()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	heads, wholes := 0, 0
	for _, w := range l.list {
		heads += bytes.Count(w, []byte("text/plain"))
		wholes += bytes.Count(w, []byte("hello"))
		if bytes.Contains(w, []byte("text/plain")) != bytes.Contains(w, []byte("hello")) {
			t.Errorf("%q is written by itself", w)
		}
	}
	if heads != 20 || wholes != 20 {
		t.Errorf("%d header sections and %d bodies, want 20", heads, wholes)
	}
}

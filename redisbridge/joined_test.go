package redisbridge

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// frameOf is an HTTP/2 frame.
func frameOf(kind, flags byte, payload string) string {
	return string([]byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags, 0, 0, 0, 1}) + payload
}

// writes is a connection that remembers what was written at once.
type writes struct {
	net.Conn
	list []string
}

func (w *writes) Write(b []byte) (int, error) {
	w.list = append(w.list, string(b))
	return len(b), nil
}

func TestJoinedWrites(t *testing.T) {
	const data, settings, ping = 0, 4, 6
	head, interim := frameOf(frameHeaders, flagEndHeaders, "\x88head"), frameOf(frameHeaders, flagEndHeaders, "\x48\x03100")
	last := frameOf(frameHeaders, flagEndHeaders|flagEndStream, "\x88head")
	part := frameOf(frameHeaders, 0, "\x88part of a head")
	body, start := frameOf(data, flagEndStream, "body"), frameOf(settings, 0, "")
	large := frameOf(data, flagEndStream, strings.Repeat("x", 5000))
	for _, c := range []struct {
		name        string
		write, want []string
	}{
		{"an answer", []string{start, head, body}, []string{start, head + body}},
		{"100, and then an answer", []string{start, interim, head, body}, []string{start, interim, head + body}},
		{"two answers", []string{start, head, body, head, body}, []string{start, head + body, head + body}},
		{"two heads at once, and their bodies", []string{head + head, body, body}, []string{head + head + body, body}},
		{"one head after another", []string{head, head, body + body}, []string{head + head + body + body}},
		{"without a body", []string{start, last}, []string{start, last}},
		{"a head in parts", []string{part, head}, []string{part}},
		{"a head among others", []string{start + head, body}, []string{start + head, body}},
		{"something else first", []string{head, frameOf(ping, 0, "12345678"), body}, []string{head + frameOf(ping, 0, "12345678"), body}},
		{"a body in pieces that looks like a head", []string{start, body[:9] + "b", "ody" + large[:9], large[9:4000], large[4000:] + body[:9], "body", head, body},
			[]string{start, body[:9] + "b", "ody" + large[:9], large[9:4000], large[4000:] + body[:9], "body", head + body}},
		{"a frame's header in pieces", []string{start + large[:4], large[4:7], large[7:], head, body}, []string{start + large[:4], large[4:7], large[7:], head + body}},
		{"a large body", []string{head, large}, []string{head + large}},
		{"HTTP/1.1", []string{"HTTP/1.1 200 OK\r\n\r\n", head, body}, []string{"HTTP/1.1 200 OK\r\n\r\n", head, body}},
	} {
		w := &writes{}
		conn := &joinedConn{Conn: w}
		for _, b := range c.write {
			if n, err := conn.Write([]byte(b)); n != len(b) || err != nil {
				t.Errorf("%s: wrote %d of %d, %v", c.name, n, len(b), err)
			}
		}
		if fmt.Sprintf("%q", w.list) != fmt.Sprintf("%q", c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, w.list, c.want)
		}
	}
}

// A client that waits for 100 (Continue) before it sends its body gets that at once.
func TestExpectContinue(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	go server.Serve(joinedListener{l})
	defer server.Close()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols, ExpectContinueTimeout: time.Hour}, Timeout: patience / 3}
	r, err := http.NewRequest("POST", "http://"+l.Addr().String(), strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Expect", "100-continue")
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); string(body) != "body" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
}

// However many heads come without a body, what is kept back is bounded.
func TestJoinedWritesAreBounded(t *testing.T) {
	w := &writes{}
	conn := &joinedConn{Conn: w}
	head := frameOf(frameHeaders, flagEndHeaders, "\x88"+strings.Repeat("h", 200))
	for range 100 {
		_, _ = conn.Write([]byte(head))
	}
	if len(w.list) < 4 || len(conn.kept) > maxJoined {
		t.Errorf("%d writes, %d bytes kept back, want %d at most", len(w.list), len(conn.kept), maxJoined)
	}
}

// counted is a connection that counts what the server writes.
type counted struct {
	net.Conn
	mu     *sync.Mutex
	writes *[][]byte
}

func (c counted) Write(b []byte) (int, error) {
	c.mu.Lock()
	*c.writes = append(*c.writes, bytes.Clone(b))
	c.mu.Unlock()
	return c.Conn.Write(b)
}

type countingListener struct {
	net.Listener
	mu     sync.Mutex
	writes [][]byte
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return counted{c, &l.mu, &l.writes}, nil
}

// A real server's answer is one write, whatever its length and however many there are at a time.
func TestAnswersAreOneWrite(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counting := &countingListener{Listener: inner}
	server := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := len(r.URL.Path) // some answers are longer than the server's own buffers
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, strings.Repeat("x", n*n))
	}))
	go server.Serve(joinedListener{counting})
	defer server.Close()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}, Timeout: 10 * time.Second}
	ask := func(n int) {
		response, err := client.Get("http://" + inner.Addr().String() + "/" + strings.Repeat("p", n-1))
		if err != nil {
			t.Error(err)
			return
		}
		defer response.Body.Close()
		if body, err := io.ReadAll(response.Body); len(body) != n*n || err != nil {
			t.Errorf("%d bytes, %v, want %d", len(body), err, n*n)
		}
	}
	ask(1)
	counting.mu.Lock()
	counting.writes = nil
	counting.mu.Unlock()
	const answers = 20
	for range answers {
		ask(20)
	}
	counting.mu.Lock()
	heads := 0
	for _, b := range counting.writes {
		if b[3] == frameHeaders {
			heads++
		}
	}
	if n := len(counting.writes); heads != answers || n > answers+answers/2 { // now and then there is a WINDOW_UPDATE or an acknowledged SETTINGS
		t.Errorf("%d writes for %d answers, %d of them begin with HEADERS", n, answers, heads)
	}
	counting.mu.Unlock()
	var many sync.WaitGroup
	for i := range 100 {
		many.Go(func() { ask(1 + i*2) })
	}
	many.Wait()
}

package parity_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// upstreamServer serves the upstreams' handlers on loopback, HTTP/1.1 and HTTP/2.
type upstreamServer struct {
	*httptest.Server
	requests *recorder
	now      atomic.Pointer[upstreamCase]
}

// upstreamCase is what handlers of a case wait for.
type upstreamCase struct {
	opened chan struct{}
	once   sync.Once
	read   atomic.Int64 // bytes of an event stream that the client has
}

func startUpstream() *upstreamServer {
	s := &upstreamServer{requests: &recorder{}}
	s.forCase()
	until := func(r *http.Request, so func() bool) {
		for deadline := time.Now().Add(clientPatience); !so() && r.Context().Err() == nil && time.Now().Before(deadline); {
			time.Sleep(2 * time.Millisecond)
		}
	}
	s.Server = httptest.NewUnstartedServer(s.requests.dispatch(upstreams(upstreamPace{
		wait: func(r *http.Request, d time.Duration) {
			select {
			case <-r.Context().Done():
			case <-time.After(d):
			}
		},
		opened: func(r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-s.now.Load().opened:
			case <-time.After(clientPatience):
			}
		},
		reached: func(r *http.Request, n int) { until(r, func() bool { return s.requests.count() >= n }) },
		read: func(r *http.Request, n int) {
			now := s.now.Load()
			until(r, func() bool { return now.read.Load() >= int64(n) })
		},
		note: s.requests.note,
	})))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	return s
}

// forCase begins another case.
func (s *upstreamServer) forCase() {
	s.requests.take()
	s.now.Store(&upstreamCase{opened: make(chan struct{})})
}

// open lets the handlers go on that wait for it.
func (s *upstreamServer) open() {
	now := s.now.Load()
	now.once.Do(func() { close(now.opened) })
}

func (s *upstreamServer) port() int { return s.Listener.Addr().(*net.TCPAddr).Port }

// clientPatience is how long a client waits for an answer on a busy machine.
const clientPatience = 30 * time.Second

// realClient is a request with a connection of its own.
type realClient struct {
	cancel context.CancelFunc
	read   chan struct{}  // closed: the response's body may be read
	body   *io.PipeWriter // of a request in pieces
	done   chan answer
}

func (p *realProxy) start(c parityCase) client {
	ctx, cancel := context.WithTimeout(context.Background(), clientPatience)
	cl := &realClient{cancel: cancel, read: make(chan struct{}), done: make(chan answer, 1)}
	if c.stall == 0 {
		close(cl.read)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(p.ports[c.listener]))
	if c.http10 || c.raw {
		go func() { cl.done <- sendRaw(address, c) }()
		return cl
	}
	var body io.Reader = strings.NewReader(c.body)
	if c.pieces != nil {
		body, cl.body = io.Pipe()
	}
	got := io.Discard
	if c.upstream == "sse" {
		got = (*byteCounter)(&p.server.now.Load().read)
	}
	go func() { cl.done <- send(ctx, address, c, body, cl.read, got) }()
	if c.body != "" && c.pieces != nil {
		cl.send(c.body)
	}
	return cl
}

func (c *realClient) send(text string) { io.WriteString(c.body, text) }
func (c *realClient) end()             { c.body.Close() }
func (c *realClient) stall()           {} // it has, from the beginning
func (c *realClient) readOn()          { close(c.read) }
func (c *realClient) answered() bool   { return len(c.done) > 0 }

func (c *realClient) leave() {
	c.cancel()
	if c.body != nil {
		c.body.CloseWithError(context.Canceled)
	}
	<-c.done
}

func (c *realClient) answer() answer {
	defer c.cancel()
	return <-c.done
}

// byteCounter counts what is written to it.
type byteCounter atomic.Int64

func (n *byteCounter) Write(b []byte) (int, error) {
	(*atomic.Int64)(n).Add(int64(len(b)))
	return len(b), nil
}

func send(ctx context.Context, address string, c parityCase, body io.Reader, read <-chan struct{}, got io.Writer) answer {
	req, _ := http.NewRequestWithContext(ctx, c.method(), "http://"+address+c.path(), body)
	if c.body == "" && c.pieces == nil {
		req.Body, req.ContentLength = nil, 0
	}
	if c.trailers != nil {
		req.ContentLength, req.Trailer = -1, http.Header{}
		for _, f := range c.trailers {
			req.Trailer.Set(f[0], f[1])
		}
	}
	req.Host = "example.com"
	req.Header.Set("User-Agent", "")
	for _, f := range c.headers() {
		req.Header.Add(f[0], f[1])
	}
	transport := &http.Transport{DisableKeepAlives: !c.http2, DisableCompression: true, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!c.http2)
	transport.Protocols.SetUnencryptedHTTP2(c.http2)
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return answer{}
	}
	<-read
	return received(resp, got)
}

// received is the whole answer; got sees its body as it comes.
func received(resp *http.Response, got io.Writer) answer {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.TeeReader(resp.Body, got))
	var trailers []string
	for name := range resp.Trailer {
		if resp.Trailer.Get(name) != "" { // else it was announced, and did not come
			trailers = append(trailers, strings.ToLower(name)+": "+resp.Trailer.Get(name))
		}
	}
	sort.Strings(trailers) // net/http gives a map
	return answer{Trailers: trailers, Status: resp.StatusCode, Headers: comparable(resp.Header, resp.ContentLength), Body: shown(body), Complete: err == nil}
}

// sendRaw sends what no client of net/http sends any more, or keeps what it
// hides: the order and spelling of the response's fields.
func sendRaw(address string, c parityCase) answer {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return answer{}
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(clientPatience))
	version := "1.1"
	if c.http10 {
		version = "1.0"
	}
	fmt.Fprintf(conn, "%s %s HTTP/%s\r\nHost: example.com\r\n", c.method(), c.path(), version)
	for _, f := range c.headers() {
		fmt.Fprintf(conn, "%s: %s\r\n", f[0], f[1])
	}
	if c.body != "" {
		fmt.Fprintf(conn, "content-length: %d\r\n", len(c.body))
	}
	fmt.Fprintf(conn, "\r\n%s", c.body)
	var text bytes.Buffer
	resp, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &text)), &http.Request{Method: c.method()})
	if err != nil {
		return answer{}
	}
	resp.Header.Del("Connection")
	a := received(resp, io.Discard)
	if c.raw {
		a.Headers = rawFields(text.Bytes())
	}
	return a
}

// rawFields are the response's fields as they came, without the connection's own.
func rawFields(message []byte) []string {
	head, _, _ := strings.Cut(string(message), "\r\n\r\n")
	var fields []string
	for _, line := range strings.Split(head, "\r\n")[1:] {
		name, value, _ := strings.Cut(line, ":")
		if value = strings.TrimSpace(value); name != "connection" && !byChance(name, value) {
			fields = append(fields, name+": "+value)
		}
	}
	return fields
}

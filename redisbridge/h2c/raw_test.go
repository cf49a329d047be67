package h2c

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// raw is a client that says what it likes, over a pipe, in a bubble of package synctest.
type raw struct {
	*testing.T
	conn   net.Conn
	framer *http2.Framer
	block  bytes.Buffer
	hpack  *hpack.Encoder
	got    chan string // what the server says, see describe; closed at the end
	body   strings.Builder
	served chan struct{} // closed when the server is done with the connection
}

func testServer(h http.HandlerFunc) *Server {
	return &Server{
		Handler: h, Limit: func(*http.Request) int { return 100 }, MaxStreams: 2, MaxHeaderBytes: 4096,
		ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute, Log: slog.New(slog.DiscardHandler),
	}
}

// connect begins a connection without a word, and reads all that comes.
func connect(t *testing.T, s *Server) *raw {
	client, server := net.Pipe()
	c := &raw{T: t, conn: client, got: make(chan string, 1000), served: make(chan struct{})}
	c.framer = http2.NewFramer(client, client)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.framer.AllowIllegalWrites = true
	c.hpack = hpack.NewEncoder(&c.block)
	go func() { s.Serve(server); close(c.served) }()
	go c.read()
	t.Cleanup(func() { client.Close(); <-c.served })
	return c
}

// open begins a connection as a client should.
func open(t *testing.T, s *Server, settings ...http2.Setting) *raw {
	c := connect(t, s)
	c.must(c.framer.WriteSettings(settings...))
	c.expect("SETTINGS", "WINDOW_UPDATE 0 983041", "SETTINGS ack")
	return c
}

func (c *raw) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// headers sends a header section: pairs of names and values, or "POST /" and "GET /" for what they need.
func (c *raw) headers(stream uint32, end bool, fields ...string) {
	c.Helper()
	c.block.Reset()
	if method, path, ok := strings.Cut(fields[0], " "); ok {
		fields = append([]string{":method", method, ":scheme", "http", ":authority", "bridge", ":path", path}, fields[1:]...)
	}
	for i := 0; i < len(fields); i += 2 {
		c.must(c.hpack.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}))
	}
	c.must(c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.block.Bytes(), EndHeaders: true, EndStream: end}))
}

func (c *raw) read() {
	defer close(c.got)
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			return
		}
		c.got <- describe(f)
	}
}

func describe(f http2.Frame) string {
	var b strings.Builder
	word := func(list ...any) {
		for _, v := range list {
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			_, _ = io.WriteString(&b, toString(v))
		}
	}
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if word("SETTINGS"); f.IsAck() {
			word("ack")
		}
	case *http2.WindowUpdateFrame:
		word("WINDOW_UPDATE", f.StreamID, f.Increment)
	case *http2.MetaHeadersFrame:
		word("HEADERS", f.StreamID, f.PseudoValue("status"))
	case *http2.DataFrame:
		word("DATA", f.StreamID, string(f.Data()))
	case *http2.RSTStreamFrame:
		return toString("RST_STREAM ") + toString(f.StreamID) + " " + f.ErrCode.String()
	case *http2.GoAwayFrame:
		return "GOAWAY " + toString(f.LastStreamID) + " " + f.ErrCode.String()
	case *http2.PingFrame:
		if word("PING"); f.IsAck() {
			word("ack")
		}
		word(string(f.Data[:]))
	}
	if f.Header().Flags.Has(http2.FlagDataEndStream) && (f.Header().Type == http2.FrameData || f.Header().Type == http2.FrameHeaders) {
		word("end")
	}
	return b.String()
}

// expect waits for frames, in this order.
func (c *raw) expect(want ...string) {
	c.Helper()
	for _, w := range want {
		select {
		case got, ok := <-c.got:
			if !ok {
				got = "the end of the connection"
			}
			if got != w {
				c.Fatalf("the server says %q, want %q", got, w)
			}
		case <-time.After(time.Hour): // of the bubble
			c.Fatalf("the server says nothing, want %q", w)
		}
	}
}

// silent says that the server has nothing more to say.
func (c *raw) silent() {
	c.Helper()
	synctest.Wait()
	select {
	case got := <-c.got:
		c.Fatalf("the server says %q, want nothing", got)
	default:
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	_, _ = w.Write(b)
}

func TestBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testServer(echo)
		c := open(t, s)
		c.headers(1, false, "POST /")
		c.must(c.framer.WriteData(1, false, []byte("he")))
		c.silent()
		c.must(c.framer.WriteData(1, true, []byte("llo")))
		c.expect("HEADERS 1 200", "DATA 1 hello end")

		c.headers(3, false, "POST /", "content-length", "2")
		c.must(c.framer.WriteData(3, false, []byte("hi")))
		c.headers(3, true, "x-trailer", "1")
		c.expect("HEADERS 3 200", "DATA 3 hi end")

		// One byte beyond the limit is handed over, and the client is told to stop.
		c.headers(5, false, "POST /")
		c.must(c.framer.WriteData(5, false, bytes.Repeat([]byte("x"), 300)))
		c.expect("HEADERS 5 200", "DATA 5 "+strings.Repeat("x", 101)+" end", "RST_STREAM 5 NO_ERROR")
		c.must(c.framer.WriteData(5, true, []byte("what was under way")))

		// Nothing is taken of a body that nobody may send.
		s.Limit = func(*http.Request) int { return 0 }
		c.headers(7, false, "POST /")
		c.expect("HEADERS 7 200 end", "RST_STREAM 7 NO_ERROR")
		c.must(c.framer.WriteData(7, true, []byte("what was under way")))
		c.headers(9, true, "GET /")
		c.expect("HEADERS 9 200 end")
		c.silent()
	})
}

// What a client sends without being told that it may ends its stream or connection; what it has sent is
// acknowledged before its windows are used up.
func TestClientsWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testServer(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			_, _ = io.WriteString(w, toString(len(b)))
		})
		s.Limit = func(*http.Request) int { return 4 << 20 }
		c := open(t, s)
		c.headers(1, false, "POST /")
		piece := make([]byte, 16<<10)
		sent, window := 0, 1<<20
		for ; sent < 3<<20; sent += len(piece) {
			if window -= len(piece); window < 0 {
				t.Fatalf("after %d bytes there is no window", sent)
			}
			c.must(c.framer.WriteData(1, false, piece))
			synctest.Wait()
			for len(c.got) > 0 {
				if said := <-c.got; strings.HasPrefix(said, "WINDOW_UPDATE 1 ") {
					window = 1 << 20
				} else if !strings.HasPrefix(said, "WINDOW_UPDATE 0 ") {
					t.Fatal(said)
				}
			}
		}
		c.must(c.framer.WriteData(1, true, nil))
		c.expect("HEADERS 1 200", "DATA 1 "+toString(sent)+" end")
	})
}

// An answer goes out as the client's windows let it.
func TestAnswersFollowTheWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, testServer(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "0123456789")
		}), http2.Setting{ID: http2.SettingInitialWindowSize, Val: 4})
		c.headers(1, true, "GET /")
		c.expect("HEADERS 1 200", "DATA 1 0123")
		c.silent()
		c.must(c.framer.WriteWindowUpdate(1, 3))
		c.expect("DATA 1 456")
		c.must(c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 5}))
		c.expect("SETTINGS ack", "DATA 1 7")
		c.silent()
		c.must(c.framer.WritePing(false, [8]byte([]byte("whatever"))))
		c.expect("PING ack whatever")
		// It doesn't wait for ever.
		began := time.Now()
		c.expect("RST_STREAM 1 CANCEL")
		if waited := time.Since(began); waited > 10*time.Second {
			t.Errorf("reset after %v, want WriteTimeout", waited)
		}
		// Nor does a handler wait for a stream that the client has reset.
		c.headers(3, true, "GET /")
		c.expect("HEADERS 3 200", "DATA 3 01234")
		c.must(c.framer.WriteRSTStream(3, http2.ErrCodeCancel))
		c.headers(5, true, "GET /")
		c.expect("HEADERS 5 200", "DATA 5 01234")
	})
}

// A window of the connection holds for all streams together.
func TestAnswersFollowTheConnectionsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, testServer(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(make([]byte, 60_000))
		}), http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 17})
		zeros := func(n int) string { return string(make([]byte, n)) }
		c.headers(1, true, "GET /")
		c.expect("HEADERS 1 200", "DATA 1 "+zeros(60_000)+" end")
		c.headers(3, true, "GET /")
		c.expect("HEADERS 3 200", "DATA 3 "+zeros(5_535))
		c.must(c.framer.WriteWindowUpdate(0, 100_000))
		c.expect("DATA 3 " + zeros(54_465) + " end")
	})
}

// A client that resets its streams has no more handlers at work than it may have streams.
func TestResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone, leave := make(chan struct{}, 9), make(chan struct{})
		c := open(t, testServer(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			gone <- struct{}{}
			<-leave
			_, _ = io.WriteString(w, "nobody reads this")
		}))
		for stream := uint32(1); stream <= 3; stream += 2 {
			c.headers(stream, true, "GET /")
			c.must(c.framer.WriteRSTStream(stream, http2.ErrCodeCancel))
			<-gone
		}
		for stream := uint32(5); stream < 100; stream += 2 {
			c.headers(stream, true, "GET /")
			c.expect("RST_STREAM " + toString(stream) + " REFUSED_STREAM")
			c.must(c.framer.WriteRSTStream(stream, http2.ErrCodeCancel))
		}
		close(leave)
		synctest.Wait()
		c.headers(101, true, "GET /")
		c.silent() // it is handled
		c.must(c.framer.WriteRSTStream(101, http2.ErrCodeCancel))
		<-gone
		c.silent()
	})
}

func TestBodiesThatDontCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, testServer(echo))
		c.headers(1, false, "POST /")
		// The connection is in use meanwhile.
		for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(time.Second) {
			c.must(c.framer.WritePing(false, [8]byte{}))
			synctest.Wait()
			if said := <-c.got; strings.HasPrefix(said, "RST_STREAM 1 CANCEL") {
				if waited := time.Since(began); waited < 10*time.Second {
					t.Errorf("reset after %v, want ReadTimeout", waited)
				}
				return
			}
		}
		t.Error("a body that never ends isn't given up")
	})
}

func TestQuietConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, testServer(echo))
		began := time.Now()
		c.expect("GOAWAY 0 NO_ERROR")
		if waited := time.Since(began); waited < 50*time.Second || waited > 70*time.Second {
			t.Errorf("closed after %v, want IdleTimeout", waited)
		}
		<-c.served
	})
}

// A client that doesn't read what it asks for is given up, and its connection remembers a bounded number of
// answers: also where somebody else than the reading goroutine waits to write.
func TestClientsThatDontRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		done, leave := make(chan struct{}), make(chan struct{})
		s := testServer(func(w http.ResponseWriter, r *http.Request) { <-leave })
		go func() { s.Serve(server); close(done) }()
		c := &raw{T: t, conn: client, framer: http2.NewFramer(client, client)}
		c.hpack = hpack.NewEncoder(&c.block)
		for i := range 3 { // settings, the connection's window, an acknowledgement
			if i == 2 {
				c.must(c.framer.WriteSettings())
			}
			_, err := c.framer.ReadFrame()
			c.must(err)
		}
		c.headers(1, true, "GET /")
		close(leave)
		synctest.Wait() // the answer waits to be written
		written := 0
		for ; written < 50_000 && c.framer.WritePing(false, [8]byte{}) == nil; written++ {
		}
		if most := 2 * maxOut / (frameHeader + 8); written < 100 || written > most {
			t.Errorf("%d pings were taken, want at most %d", written, most)
		}
		<-done
	})
}

func TestFaults(t *testing.T) {
	for _, f := range []struct {
		name string
		say  func(c *raw)
		want []string
	}{
		{"an even stream", func(c *raw) { c.headers(2, true, "GET /") }, []string{"GOAWAY 0 PROTOCOL_ERROR"}},
		{"data of a stream that isn't", func(c *raw) { c.must(c.framer.WriteData(1, true, nil)) }, []string{"GOAWAY 0 PROTOCOL_ERROR"}},
		{"a reset of a stream that isn't", func(c *raw) { c.must(c.framer.WriteRSTStream(1, 0)) }, []string{"GOAWAY 0 PROTOCOL_ERROR"}},
		{"a window of a stream that isn't", func(c *raw) { c.must(c.framer.WriteWindowUpdate(1, 1)) }, []string{"GOAWAY 0 PROTOCOL_ERROR"}},
		{"a window that is too large", func(c *raw) { c.must(c.framer.WriteWindowUpdate(0, 1<<31-1)) }, []string{"GOAWAY 0 FLOW_CONTROL_ERROR"}},
		{"a continuation of nothing", func(c *raw) { c.must(c.framer.WriteContinuation(1, true, nil)) }, []string{"GOAWAY 0 PROTOCOL_ERROR"}},
		{"a promise", func(c *raw) {
			c.must(c.framer.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true}))
		}, []string{"GOAWAY 0 PROTOCOL_ERROR"}},
		{"a header section that goes on and on", func(c *raw) {
			c.must(c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}}))
			for range 100 {
				if c.framer.WriteContinuation(1, false, bytes.Repeat([]byte{0x82}, 4000)) != nil {
					return
				}
			}
		}, []string{"GOAWAY 0 PROTOCOL_ERROR"}},
		{"a long header section", func(c *raw) { c.headers(1, true, "GET /", "x", strings.Repeat("x", 4000)) }, []string{"HEADERS 1 431 end"}},
		{"no path", func(c *raw) { c.headers(1, true, ":method", "GET", ":scheme", "http") }, []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
		{"two paths", func(c *raw) { c.headers(1, true, "GET /", ":path", "/") }, []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
		{"a path that isn't one", func(c *raw) { c.headers(1, true, "GET x") }, []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
		{"CONNECT", func(c *raw) { c.headers(1, true, "CONNECT /") }, []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
		{"an upper-case name", func(c *raw) { c.headers(1, true, "GET /", "X-Y", "1") }, []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
		{"a field of the connection", func(c *raw) { c.headers(1, true, "GET /", "connection", "close") }, []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
		{"chunks", func(c *raw) { c.headers(1, false, "POST /", "transfer-encoding", "chunked") }, []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
		{"a length that isn't one", func(c *raw) { c.headers(1, false, "POST /", "content-length", "-1") }, []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
		{"two lengths", func(c *raw) { c.headers(1, false, "POST /", "content-length", "1", "content-length", "2") }, []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
		{"less than was said", func(c *raw) {
			c.headers(1, false, "POST /", "content-length", "2")
			c.must(c.framer.WriteData(1, true, []byte("1")))
		}, []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
		{"more than was said", func(c *raw) {
			c.headers(1, false, "POST /", "content-length", "2")
			c.must(c.framer.WriteData(1, true, []byte("123")))
		}, []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
		{"a frame that is too large", func(c *raw) { go c.framer.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, 20_000)) }, []string{"GOAWAY 0 FRAME_SIZE_ERROR"}},
		{"a handler that panics", func(c *raw) { c.headers(1, true, "GET /panic") }, []string{"RST_STREAM 1 INTERNAL_ERROR"}},
		{"an answer that doesn't fit a frame", func(c *raw) { c.headers(1, true, "GET /fields") }, []string{"RST_STREAM 1 INTERNAL_ERROR"}},
	} {
		t.Run(f.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := open(t, testServer(func(w http.ResponseWriter, r *http.Request) {
					switch r.URL.Path {
					case "/panic":
						panic("at the disco")
					case "/fields":
						w.Header().Set("X", strings.Repeat("x", 20_000))
					}
				}))
				f.say(c)
				c.expect(f.want...)
				if strings.HasPrefix(f.want[0], "GOAWAY") {
					<-c.served
					return
				}
				c.headers(3, true, "GET /") // the connection is of use still
				c.expect("HEADERS 3 200 end")
			})
		})
	}
}

func TestSettingsComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, testServer(echo))
		c.headers(1, true, "GET /")
		c.expect("SETTINGS", "WINDOW_UPDATE 0 983041", "GOAWAY 0 PROTOCOL_ERROR")
		<-c.served
	})
}

// What is under way is answered, what comes later isn't begun.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leave := make(chan struct{})
		s := testServer(func(w http.ResponseWriter, r *http.Request) { <-leave })
		c, idle := open(t, s), open(t, s)
		c.headers(1, true, "GET /")
		synctest.Wait()
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(context.Background()) }()
		idle.expect("GOAWAY 0 NO_ERROR")
		<-idle.served
		c.expect("GOAWAY 1 NO_ERROR")
		c.headers(3, true, "GET /")
		c.silent()
		select {
		case <-done:
			t.Error("shut down while a call is under way")
		default:
		}
		close(leave)
		c.expect("HEADERS 1 200 end")
		if err := <-done; err != nil {
			t.Error(err)
		}
		c.expect("GOAWAY 1 NO_ERROR")
		for said := range c.got {
			t.Errorf("the server says %q after its end", said)
		}
		late, server := net.Pipe()
		s.Serve(server)
		if _, err := late.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("a connection after the end: %v, want it closed", err)
		}
	})
}

func TestShutdownIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testServer(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		c := open(t, s)
		c.headers(1, true, "GET /")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != context.DeadlineExceeded {
			t.Errorf("%v, want %v", err, context.DeadlineExceeded)
		}
	})
}

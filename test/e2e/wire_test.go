package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"chatcache/test/stack"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// wireFields are what a request and its response have beyond what they must: repeated, in no order, in mixed case where
// the protocol has one.
var (
	wireFields = [][2]string{{"X-Zulu", "1"}, {"x-alpha", "2"}, {"X-ZULU", "3"}, {"Accept", "*/*"}, {"coOkie", "b=1"}, {"x-alpha", ""}}
	wireAnswer = [][2]string{{"X-Second", "2"}, {"x-first", "1"}, {"ETAG", `"A"`}, {"Content-Length", "2"}, {"X-second", "3"}, {"Date", "Sun, 06 Nov 1994 08:49:37 GMT"}}
)

// wireDeadline is far more than a request takes.
const wireDeadline = 20 * time.Second

// TestOnTheWire: what reaches origin and client is what an Envoy without the filter makes of it, looked at more closely than
// net/http can; and tunnels pass.
func TestOnTheWire(t *testing.T) {
	origin := listenOnTheWire(t)
	s := besideAPlainOne(t, stack.Options{OriginPort: origin.port(), Manager: withTunnels})
	t.Run("fields", func(t *testing.T) { sameFields(t, s, origin) })
	t.Run("tunnels", func(t *testing.T) { sameTunnels(t, s) })
}

// sameFields: order, repetition and case of field lines, in requests and responses, byte for byte in HTTP/1.1 and field by
// field in HTTP/2.
func sameFields(t *testing.T, s *stack.Stack, origin *wireOrigin) {
	for version, ask := range map[string]func(t *testing.T, addr, path string, fields [][2]string) []string{"HTTP/1.1": askOne, "HTTP/2": askTwo} {
		for n, way := range ways {
			t.Run(version+" "+way.name, func(t *testing.T) {
				fields := wireFields
				if way.control != "" {
					fields = append(slices.Clip(fields), [2]string{"Cache-Control", way.control})
				}
				path := fmt.Sprint(way.prefix, version, n)
				plain := append(ask(t, address(s.Envoys[1]), path, fields), reached(t, origin.came)...)
				got := append(ask(t, address(s.Envoys[0]), path, fields), reached(t, origin.came)...)
				ours := 0
				for _, line := range got {
					if strings.HasPrefix(line, "cache-status:") {
						ours++
					}
				}
				if want := map[bool]int{true: 1}[way.reads]; ours != want {
					t.Errorf("%d lines of cache-status, want %d", ours, want)
				}
				kept := slices.DeleteFunc(got, func(line string) bool { return strings.HasPrefix(line, "cache-status:") })
				if diff := cmp.Diff(plain, kept); diff != "" || len(plain) < len(wireFields)+len(wireAnswer) {
					t.Errorf("without the filter (-), with it (+):\n%s%q", diff, plain)
				}
			})
		}
	}
}

// reached gives what an origin tells of a request that has been answered. One that it didn't get fails the test.
func reached[T any](t *testing.T, came <-chan T) (request T) {
	t.Helper()
	select {
	case request = <-came:
	case <-time.After(wireDeadline):
		t.Fatal("answered, and the origin wasn't asked")
	}
	return request
}

func address(e *stack.Envoy) string { return strings.TrimPrefix(e.URL(), "http://") }

// wireOrigin answers with wireAnswer, and shows the lines of each request's header section. After a request to upgrade, and of
// what is no request at all, it is an echo.
type wireOrigin struct {
	net.Listener
	came chan []string
}

func listenOnTheWire(t *testing.T) *wireOrigin {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	o := &wireOrigin{Listener: l, came: make(chan []string, 1)}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go o.serve(conn)
		}
	}()
	return o
}

func (o *wireOrigin) port() int { return o.Addr().(*net.TCPAddr).Port }

func (o *wireOrigin) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	if begin, _ := in.Peek(4); string(begin) == http2.ClientPreface[:4] {
		in.Discard(len(http2.ClientPreface))
		o.serveTwo(conn, in)
		return
	}
	for {
		if begin, _ := in.Peek(4); string(begin) != "GET " {
			io.Copy(conn, in)
			return
		}
		lines, err := headerSection(in)
		if err != nil {
			return
		}
		if slices.ContainsFunc(lines, func(line string) bool { return strings.EqualFold(line, "Upgrade: websocket\r\n") }) {
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
			io.Copy(conn, in)
			return
		}
		o.came <- lines
		io.WriteString(conn, "HTTP/1.1 200 Fine\r\n"+oneLines(wireAnswer)+"\r\nok")
	}
}

func (o *wireOrigin) serveTwo(conn net.Conn, in io.Reader) {
	framer := newFramer(conn, in)
	framer.WriteSettings(http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1})
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				framer.WriteSettingsAck()
			}
		case *http2.DataFrame:
			framer.WriteData(frame.StreamID, frame.StreamEnded(), frame.Data())
		case *http2.MetaHeadersFrame:
			if frame.PseudoValue("protocol") != "" {
				writeFields(framer, frame.StreamID, false, [][2]string{{":status", "200"}})
				continue
			}
			o.came <- twoLines(frame)
			writeFields(framer, frame.StreamID, false, append([][2]string{{":status", "200"}}, wireAnswer...))
			framer.WriteData(frame.StreamID, false, []byte("ok"))
			writeFields(framer, frame.StreamID, true, [][2]string{{"x-trailer", "1"}, {"a-trailer", "2"}})
		}
	}
}

// askOne sends a request by HTTP/1.1 and gives the lines of the response.
func askOne(t *testing.T, addr, path string, fields [][2]string) []string {
	t.Helper()
	conn := dialWire(t, addr)
	io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHOST: Wire.Test\r\n"+oneLines(fields)+"\r\n")
	in := bufio.NewReader(conn)
	lines, err := headerSection(in)
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 2)
	if _, err := io.ReadFull(in, body); err != nil {
		t.Fatal(err)
	}
	return append(lines, "body: "+string(body))
}

// askTwo sends it by HTTP/2.
func askTwo(t *testing.T, addr, path string, fields [][2]string) (lines []string) {
	t.Helper()
	conn := dialWire(t, addr)
	io.WriteString(conn, http2.ClientPreface)
	framer := newFramer(conn, conn)
	framer.WriteSettings()
	writeFields(framer, 1, true, append([][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", path}, {":authority", "Wire.Test"}}, fields...))
	for {
		switch frame := nextFrame(t, framer).(type) {
		case *http2.DataFrame:
			if len(frame.Data()) > 0 {
				lines = append(lines, "body: "+string(frame.Data()))
			}
		case *http2.MetaHeadersFrame:
			if lines = append(lines, twoLines(frame)...); frame.StreamEnded() {
				return lines
			}
		}
	}
}

// nextFrame acknowledges settings; the end of the stream or connection fails the test.
func nextFrame(t *testing.T, framer *http2.Framer) http2.Frame {
	t.Helper()
	frame, err := framer.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	switch frame := frame.(type) {
	case *http2.SettingsFrame:
		if !frame.IsAck() {
			framer.WriteSettingsAck()
		}
	case *http2.RSTStreamFrame, *http2.GoAwayFrame:
		t.Fatal(frame)
	}
	return frame
}

func dialWire(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(wireDeadline))
	return conn
}

// passing are fields that no two messages have alike.
func passing(line string) bool {
	name, _, _ := strings.Cut(strings.ToLower(line), ":")
	return name == "x-request-id" || name == "x-envoy-upstream-service-time"
}

func headerSection(in *bufio.Reader) (lines []string, err error) {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, errors.Join(err, fmt.Errorf("after %q", lines))
		}
		if line == "\r\n" {
			return lines, nil
		}
		if !passing(line) {
			lines = append(lines, line)
		}
	}
}

func oneLines(fields [][2]string) string {
	var b strings.Builder
	for _, f := range fields {
		b.WriteString(f[0] + ": " + f[1] + "\r\n")
	}
	return b.String()
}

func newFramer(out io.Writer, in io.Reader) *http2.Framer {
	framer := http2.NewFramer(out, in)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return framer
}

func writeFields(framer *http2.Framer, stream uint32, end bool, fields [][2]string) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range fields {
		encoder.WriteField(hpack.HeaderField{Name: strings.ToLower(f[0]), Value: f[1]})
	}
	framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end})
}

func twoLines(frame *http2.MetaHeadersFrame) (lines []string) {
	for _, f := range frame.Fields {
		if line := f.Name + ": " + f.Value; !passing(line) {
			lines = append(lines, line)
		}
	}
	return lines
}

package chatapi

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// FaultKind names a way to answer that a cache must not store, or hardly may.
type FaultKind string

// The kinds of faults.
const (
	FaultTruncate       FaultKind = "truncate"        // half of content-length, then the connection closes
	FaultTruncateChunks FaultKind = "truncate-chunks" // a chunk, no last one, then the connection closes
	FaultReset          FaultKind = "reset"           // half of content-length, then a TCP reset
	FaultRefuse         FaultKind = "refuse"          // the connection closes without an answer
	FaultCloseDelimited FaultKind = "close-delimited" // HTTP/1.1 without a length, ended by closing
	FaultStatus         FaultKind = "status"          // the status N
	FaultSetCookie      FaultKind = "set-cookie"      // Set-Cookie
	FaultNoStore        FaultKind = "no-store"        // Cache-Control: no-store
	FaultPrivate        FaultKind = "private"         // Cache-Control: private
	FaultVary           FaultKind = "vary"            // Vary: Accept-Language
	FaultBig            FaultKind = "big"             // N bytes
	FaultSlow           FaultKind = "slow"            // N milliseconds between two halves
)

// ErrFault says that a fault's text is none.
var ErrFault = errors.New("not a fault")

// Fault is an http.Handler that answers in a broken or odd way. Those that
// break a connection need an HTTP/1.1 server's http.Hijacker or, where there is
// none, abort the handler. The zero Fault is none.
type Fault struct {
	Kind FaultKind
	N    int // for status, big and slow
}

// ParseFault reads "kind" or "kind=N", as /_fault?kind=… has it.
func ParseFault(text string) (Fault, error) {
	kind, number, hasNumber := strings.Cut(text, "=")
	f := Fault{Kind: FaultKind(kind)}
	low, high := 0, 0
	switch f.Kind {
	case FaultStatus:
		low, high = 200, 599
	case FaultBig:
		low, high = 1, 64<<20
	case FaultSlow:
		low, high = 1, 60_000
	case FaultTruncate, FaultTruncateChunks, FaultReset, FaultRefuse, FaultCloseDelimited, FaultSetCookie, FaultNoStore, FaultPrivate, FaultVary:
		if !hasNumber {
			return f, nil
		}
		return Fault{}, fmt.Errorf("%w: %q: %s takes no number", ErrFault, text, kind)
	default:
		return Fault{}, fmt.Errorf("%w: %q: see package chatapi for the kinds", ErrFault, text)
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < low || n > high {
		return Fault{}, fmt.Errorf("%w: %q: want %s=N with N from %d to %d", ErrFault, text, kind, low, high)
	}
	f.N = n
	return f, nil
}

// String gives the text that ParseFault reads.
func (f Fault) String() string {
	switch f.Kind {
	case FaultStatus, FaultBig, FaultSlow:
		return fmt.Sprintf("%s=%d", f.Kind, f.N)
	}
	return string(f.Kind)
}

func serveFault(w http.ResponseWriter, r *http.Request) {
	f, err := ParseFault(r.URL.Query().Get("kind"))
	if err != nil {
		got := failure(http.StatusBadRequest, "bad_request", "kind: %v", err)
		respond(w, got.status, got.body)
		return
	}
	f.ServeHTTP(w, r)
}

// ServeHTTP answers with the fault.
func (f Fault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := fmt.Appendf(nil, "{\"fault\":%q,\"padding\":\"%s\"}\n", f.String(), strings.Repeat("x", 64))
	h := w.Header()
	h.Set("Content-Type", "application/json")
	switch f.Kind {
	case FaultTruncate, FaultReset, FaultTruncateChunks, FaultRefuse:
		f.breakOff(w, body)
		return
	case FaultCloseDelimited:
		h.Set("Transfer-Encoding", "identity") // net/http then ends the body by closing
		w.Write(body)
		return
	case FaultSlow:
		f.slowly(w, r, body)
		return
	case FaultBig:
		body = []byte(strings.Repeat("x", f.N))
	case FaultSetCookie:
		h.Set("Set-Cookie", "seen=1")
	case FaultNoStore, FaultPrivate:
		h.Set("Cache-Control", string(f.Kind))
	case FaultVary:
		h.Set("Vary", "Accept-Language")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if f.Kind == FaultStatus {
		w.WriteHeader(f.N)
	}
	w.Write(body)
}

func (f Fault) slowly(w http.ResponseWriter, r *http.Request, body []byte) {
	half := len(body) / 2
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body[:half])
	http.NewResponseController(w).Flush()
	if sleep(r.Context(), time.Duration(f.N)*time.Millisecond) == nil {
		w.Write(body[half:])
	}
}

// breakOff writes the answer's bytes itself and ends the connection.
func (f Fault) breakOff(w http.ResponseWriter, body []byte) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		f.abort(w, body)
	}
	defer conn.Close()
	head := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	half := body[:len(body)/2]
	switch f.Kind {
	case FaultTruncate, FaultReset:
		fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n%s", head, len(body), half)
	case FaultTruncateChunks:
		fmt.Fprintf(conn, "%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", head, len(half), half)
	}
	if tcp, ok := conn.(*net.TCPConn); ok && f.Kind == FaultReset {
		tcp.SetLinger(0)
	}
}

// abort is breakOff where the connection can't be had (HTTP/2, a simulator):
// the server resets the stream. It doesn't return.
func (f Fault) abort(w http.ResponseWriter, body []byte) {
	if f.Kind != FaultRefuse {
		if f.Kind != FaultTruncateChunks {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}
		w.Write(body[:len(body)/2])
		http.NewResponseController(w).Flush()
	}
	panic(http.ErrAbortHandler) // net/http's way to break an answer off
}

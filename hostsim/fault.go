package hostsim

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// The faults below are ordinary http.Handlers: in a simulated cluster and
// behind a real net/http server they do the same to a proxy.

// ResetAt answers with body and cuts the connection after n of its bytes.
// chunked leaves the length open; otherwise Content-Length is declared.
func ResetAt(n int, body string, chunked bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !chunked {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}
		io.WriteString(w, body[:n])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
}

// ResetBeforeHeaders cuts the connection without any answer.
func ResetBeforeHeaders() http.Handler {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
}

// CloseDelimited answers with body, whose end only the end of the connection tells.
// A proxy can't tell it from one that was cut (cut: after n bytes, else n < 0).
func CloseDelimited(body string, n int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Transfer-Encoding", "identity")
		if n < 0 {
			io.WriteString(w, body)
			return
		}
		io.WriteString(w, body[:n])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
}

// Truncated declares the length of body and ends after n bytes.
func Truncated(body string, n int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		io.WriteString(w, body[:n])
	})
}

// Overlong declares a length of n and sends all of body; a proxy takes the
// first n bytes for the whole of it.
func Overlong(body string, n int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h, ok := w.(http.Hijacker)
		if !ok { // a simulated cluster: a proxy wouldn't see the rest
			w.Header().Set("Content-Length", strconv.Itoa(n))
			io.WriteString(w, body[:n])
			return
		}
		conn, _, err := h.Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: text/plain; charset=utf-8\r\nDate: %s\r\n\r\n%s", n, httpDate(time.Now()), body)
	})
}

package fault

import (
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"time"
)

// Shuffle is a proxy before the bridge that gives calls, and their answers, delays of their
// own: they overtake each other.
type Shuffle struct {
	Port   int
	server *http.Server
}

// NewShuffle starts one; each way takes up to most.
func NewShuffle(bridge int, most time.Duration) (*Shuffle, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	target := &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(bridge))}
	dawdle := func() { time.Sleep(rand.N(most)) }
	forward := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:      &http.Transport{Protocols: protocols},
		ModifyResponse: func(*http.Response) error { dawdle(); return nil },
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	s := &Shuffle{Port: listener.Addr().(*net.TCPAddr).Port}
	s.server = &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dawdle()
		forward.ServeHTTP(w, r)
	})}
	go s.server.Serve(listener)
	return s, nil
}

// Close ends it and everything under way.
func (s *Shuffle) Close() error { return s.server.Close() }

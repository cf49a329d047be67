package redisbridge

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"chatcache/redisbridge/wire"
)

// maxAdminBody bounds the body of an administrator's call, bytes.
const maxAdminBody = 64 << 10

// routes lists every call.
func (b *Bridge) routes() http.Handler {
	mux := http.NewServeMux()
	filter, admin, open := b.options.Token, b.options.AdminToken, ""
	handle := func(pattern, token string, h handler) { mux.Handle(pattern, b.guarded(token, h)) }

	handle("POST "+wire.PathLookup, filter, frame(wire.DecodeLookupRequest, b.Lookup))
	handle("POST "+wire.PathStore, filter, frame(wire.DecodeStoreRequest, b.Store))
	handle("POST "+wire.PathRelease, filter, frame(wire.DecodeReleaseRequest, b.Release))
	handle("POST "+wire.PathSuspend, filter, frame(wire.DecodeSuspendRequest, b.Suspend))
	handle("POST "+wire.PathClose, filter, frame(wire.DecodeCloseRequest, b.CloseSuspension))
	handle("POST "+wire.PathFeed, filter, frame(wire.DecodeFeedRequest, b.Feed))

	handle("POST /v1/purge", admin, jsonCall(b.Purge))
	handle("POST /v1/invalidate", admin, jsonCall(b.Invalidate))
	handle("GET /v1/receipts", admin, b.receipts)
	handle("GET /v1/status", admin, b.status)

	handle("GET /healthz", open, b.healthz)
	handle("GET /readyz", open, b.readyz)
	handle("GET /metrics", open, b.metrics)

	handle("/", open, notFound)
	return mux
}

// handler answers a call or gives the error to answer with.
type handler func(w http.ResponseWriter, r *http.Request) error

// guarded lets only callers with the token in, and answers errors.
func (b *Bridge) guarded(token string, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := authorize(r, token)
		if err == nil {
			err = h(w, r)
		}
		if err != nil {
			b.writeError(w, r, err)
		}
	})
}

// authorize compares in constant time. An empty token lets everybody in.
func authorize(r *http.Request, token string) error {
	shown, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case token == "":
		return nil
	case !ok:
		return fmt.Errorf(`%w: want "authorization: Bearer TOKEN"`, ErrUnauthorized)
	case subtle.ConstantTimeCompare([]byte(shown), []byte(token)) != 1:
		return fmt.Errorf("%w: wrong token", ErrUnauthorized)
	}
	return nil
}

// writeError is the one place that answers with an error.
func (b *Bridge) writeError(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody listens any more
	}
	status := statusOf(err)
	if status >= 500 {
		b.failures.log(b.log, b.clock.Now(), r.URL.Path, err)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintln(w, err)
}

func notFound(_ http.ResponseWriter, r *http.Request) error {
	return fmt.Errorf("%w: no call %s %s in this version of redisbridge", ErrNotFound, r.Method, r.URL.Path)
}

type encoder interface{ Encode() []byte }

// frame makes a handler of a call that takes and gives a frame.
func frame[Request any, Answer encoder](
	decode func([]byte) (Request, error), call func(context.Context, Request) (Answer, error),
) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		body, err := readBody(w, r, wire.MaxFrame)
		if err != nil {
			return err
		}
		request, err := decode(body)
		if err != nil {
			return err
		}
		answer, err := call(r.Context(), request)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", wire.ContentType)
		_, err = w.Write(answer.Encode())
		return err
	}
}

func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, fmt.Errorf("%w: body of %d bytes, at most %d", ErrTooLarge, r.ContentLength, limit)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, fmt.Errorf("%w: body of more than %d bytes", ErrTooLarge, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: reading the body: %w", ErrRequest, err)
	}
	return body, nil
}

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

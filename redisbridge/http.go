package redisbridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"chatcache/redisbridge/page"
	"chatcache/redisbridge/wire"
)

// maxAdminBody bounds the body of an administrator's call, bytes.
const maxAdminBody = 64 << 10

// routes lists every call.
func (b *Bridge) routes() http.Handler {
	mux := http.NewServeMux()
	filter, admin, viewer, open := b.ofFilters, b.ofAdmins, b.ofViewers, anybody
	handle := func(pattern string, let access, h handler) { mux.Handle(pattern, b.answering(let(h))) }

	handle("POST "+wire.PathLookup, filter, deep(frameTo(b.sendFound, wire.DecodeLookupRequest, b.Lookup)))
	handle("POST "+wire.PathLookups, filter, deep(frameTo(b.sendTogether, wire.DecodeLookupsRequest, b.Lookups)))
	handle("POST "+wire.PathStore, filter, frame(wire.DecodeStoreRequest, b.Store))
	handle("POST "+wire.PathStores, filter, frame(wire.DecodeStoresRequest, b.Stores))
	handle("POST "+wire.PathPiece, filter, frame(wire.DecodePieceRequest, b.Piece))
	handle("POST "+wire.PathCommit, filter, frame(wire.DecodeCommitRequest, b.Commit))
	handle("POST "+wire.PathRelease, filter, frame(wire.DecodeReleaseRequest, b.Release))
	handle("POST "+wire.PathSuspend, filter, frame(wire.DecodeSuspendRequest, b.Suspend))
	handle("POST "+wire.PathClose, filter, frame(wire.DecodeCloseRequest, b.CloseSuspension))
	handle("POST "+wire.PathJoin, filter, frameTo(b.sendJoined, wire.DecodeJoinRequest, b.Join))
	handle("POST "+wire.PathFollow, filter, framePoll(b, wire.DecodeFollowRequest, b.Follow))
	handle("POST "+wire.PathFeed, filter, framePoll(b, wire.DecodeFeedRequest, b.Feed))

	handle("POST /v1/purge", admin, jsonCall(b.Purge))
	handle("POST /v1/invalidate", admin, jsonCall(b.Invalidate))
	handle("POST /v1/inspect", admin, jsonCall(b.Inspect))
	handle("POST /v1/controls", admin, jsonCall(b.SetControls))
	handle("GET /v1/controls", viewer, b.getControls)
	handle("GET /v1/receipts", admin, b.receipts)
	handle("GET /v1/status", viewer, b.status)

	handle("GET /healthz", open, b.healthz)
	handle("GET /readyz", open, b.readyz)
	handle("GET /metrics", open, b.metrics)

	page.Register(mux) // has no data: what it shows it asks of /v1/status with its user's token
	handle("/", open, notFound)
	return mux
}

// handler answers a call or gives the error to answer with.
type handler func(w http.ResponseWriter, r *http.Request) error

// access lets some callers reach a handler.
type access func(handler) handler

func anybody(h handler) handler { return h }

// ofFilters lets those in that show the filters' token, and logs that others came: the proxy of a filter with another
// token caches nothing, and its own log doesn't say why.
func (b *Bridge) ofFilters(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		now := b.clock.Now()
		if _, err := b.tokens.filters.admit(r.Header.Get("Authorization"), now); err != nil {
			b.refusals.log(b.log, now, r.URL.Path, traceOf(r),
				fmt.Errorf("%w, from %s: want the bridge's CHATCACHE_BRIDGE_TOKEN, or a token of its --token-file", err, callerOf(r)))
			return err
		}
		return h(w, r)
	}
}

// ofAdmins lets those in that show an administrators' token, so many in a second, and
// logs each call.
func (b *Bridge) ofAdmins(h handler) handler { return b.audited(b.admitAdmin, h) }

// ofViewers lets those in, too, that show a viewers' token, likewise.
func (b *Bridge) ofViewers(h handler) handler { return b.audited(b.admitViewer, h) }

// entrance finds the name of a caller, and tells whether it may only look. The error matches ErrUnauthorized.
type entrance func(authorization string, now time.Time) (name string, viewer bool, err error)

func (b *Bridge) admitAdmin(authorization string, now time.Time) (name string, viewer bool, err error) {
	name, err = b.tokens.admins.admit(authorization, now)
	return name, false, err
}

// admitViewer lets administrators in, too.
func (b *Bridge) admitViewer(authorization string, now time.Time) (name string, viewer bool, err error) {
	if name, err = b.tokens.admins.admit(authorization, now); err != nil && !b.tokens.viewers.none() {
		name, err = b.tokens.viewers.admit(authorization, now)
		return name, true, err
	}
	return name, false, err
}

// audited limits and logs the calls of those that admit lets in, and logs that others came.
// What a browser sends for another site's page is refused: where no token is
// needed, no page but the bridge's own may do anything.
func (b *Bridge) audited(admit entrance, h handler) handler {
	sites := http.NewCrossOriginProtection()
	return func(w http.ResponseWriter, r *http.Request) error {
		now := b.clock.Now()
		what := new(subject)
		who, viewer, err := admit(r.Header.Get("Authorization"), now)
		if err == nil {
			err = b.audit.admit(now, viewer)
		}
		if err == nil && sites.Check(r) != nil {
			err = ErrSite
		}
		if err == nil {
			err = h(w, r.WithContext(context.WithValue(r.Context(), subjectKey{}, what)))
		}
		b.audit.record(r, who, what.text, err, now)
		return err
	}
}

// answering makes a handler's error the answer.
func (b *Bridge) answering(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := b.clock.Now()
		err := h(w, r)
		if errors.Is(err, errParked) {
			return
		}
		if err != nil {
			b.writeError(w, r, err)
		}
		if b.log.Enabled(r.Context(), slog.LevelDebug) {
			b.log.Debug("call", "path", r.URL.Path, "took", b.clock.Now().Sub(began), "trace", traceOf(r), "error", err)
		}
	})
}

// writeError is the one place that answers with an error.
func (b *Bridge) writeError(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody listens any more
	}
	status := statusOf(err)
	if status >= 500 {
		b.failures.log(b.log, b.clock.Now(), r.URL.Path, traceOf(r), err)
	}
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
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
	return frameTo(sendFrame[Answer], decode, call)
}

// sendFrame answers with a frame as a whole.
func sendFrame[Answer encoder](w http.ResponseWriter, answer Answer) error {
	return writeFrame(w, answer.Encode())
}

// writeFrame writes a frame that is in so many parts.
func writeFrame(w http.ResponseWriter, parts ...[]byte) (err error) {
	w.Header().Set("Content-Type", wire.ContentType)
	for i := 0; i < len(parts) && err == nil; i++ {
		_, err = w.Write(parts[i])
	}
	return err
}

// frameTo is frame with a way to send the answer.
func frameTo[Request, Answer any](
	send func(http.ResponseWriter, Answer) error,
	decode func([]byte) (Request, error), call func(context.Context, Request) (Answer, error),
) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		request, err := readFrame(w, r, decode)
		if err != nil {
			return err
		}
		answer, err := call(r.Context(), request)
		if err != nil {
			return err
		}
		return send(w, answer)
	}
}

func readFrame[Request any](w http.ResponseWriter, r *http.Request, decode func([]byte) (Request, error)) (m Request, err error) {
	body, err := readBody(w, r, wire.MaxFrame)
	if err != nil {
		return m, err
	}
	return decode(body)
}

// framePoll is frame for a call that is held, whose connection is parked meanwhile if it can be.
func framePoll[Request any, Answer encoder](
	b *Bridge, decode func([]byte) (Request, error), call func(context.Context, Request) (Answer, error),
) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		request, err := readFrame(w, r, decode)
		if err != nil {
			return err
		}
		respond := func(w http.ResponseWriter, r *http.Request) error {
			answer, err := call(r.Context(), request)
			if err != nil {
				return err
			}
			return sendFrame(w, answer)
		}
		if p := parkingOf(r); p != nil && p.park(w, r, b.answering(respond)) {
			return errParked
		}
		return respond(w, r)
	}
}

// stackOfLookup is about what a lookup takes on its way to Redis and back, bytes.
const stackOfLookup = 16 << 10

// deep lets a handler begin on a stack that is large enough. Each HTTP/2 request has a goroutine of
// its own, whose stack begins small and would be copied again and again on the way down:
// an eighth of a lookup's processor time. Polls don't get it: ten thousand are held at a time.
func deep(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		growStack(0)
		return h(w, r)
	}
}

//go:noinline
func growStack(i int) byte {
	var room [stackOfLookup]byte
	return room[i]
}

func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, fmt.Errorf("%w: body of %d bytes, at most %d", ErrTooLarge, r.ContentLength, limit)
	}
	// As large as it says it is: growing to a megabyte would copy it several times.
	body := bytes.NewBuffer(make([]byte, 0, max(r.ContentLength, 0)+bytes.MinRead))
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, fmt.Errorf("%w: body of more than %d bytes", ErrTooLarge, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: reading the body: %w", ErrRequest, err)
	}
	return body.Bytes(), nil
}

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

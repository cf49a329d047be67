package redisbridge

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// adminBurst is how many seconds' worth of administrators' calls may come at once.
	adminBurst = 10
	// readAuditPeriod is how often reads of one caller are logged: pages poll.
	readAuditPeriod = time.Minute
	// maxReaders bounds the callers whose reads are remembered.
	maxReaders = 256
	// maxAuditField bounds what is logged of a field that a caller sent, bytes.
	maxAuditField = 256
)

// audit limits and logs the calls of administrators.
type audit struct {
	log      *slog.Logger
	admins   *rate.Limiter // of their calls that were let in
	viewers  *rate.Limiter // likewise: who may only look must not keep others from the kill switch
	refusals *rate.Limiter // of log lines about those that weren't

	mu      sync.Mutex
	reads   map[string]time.Time // when reads by this caller were logged last
	omitted int                  // refusals that weren't logged
}

// newAudit lets so many calls pass in a second, of administrators and of viewers each; any number if it is negative.
func newAudit(log *slog.Logger, perSecond float64) *audit {
	limit, burst := rate.Limit(perSecond), int(adminBurst*perSecond)
	if perSecond < 0 {
		limit, burst = rate.Inf, 0
	}
	return &audit{
		log: log, admins: rate.NewLimiter(limit, max(burst, 1)), viewers: rate.NewLimiter(limit, max(burst, 1)),
		refusals: rate.NewLimiter(1, 10), reads: make(map[string]time.Time),
	}
}

// admit takes one call off the rate of administrators, or of viewers. The error matches ErrRate.
func (a *audit) admit(now time.Time, viewer bool) error {
	calls, whose := a.admins, "administrators"
	if viewer {
		calls, whose = a.viewers, "viewers"
	}
	if !calls.AllowN(now, 1) {
		return fmt.Errorf("%w: %s may make %g in a second", ErrRate, whose, float64(calls.Limit()))
	}
	return nil
}

// subject describes what a call is about, as far as the handler knows.
type subject struct{ text string }

type subjectKey struct{}

// about notes in the audit log what the call with this context is about. It must
// hold no credential and no identity.
func about(ctx context.Context, text string) {
	if s, ok := ctx.Value(subjectKey{}).(*subject); ok {
		s.text = text
	}
}

// record logs one call: what, by whom, from where, and what became of it. Reads of one
// caller are one line a minute, refusals of strangers one a second.
func (a *audit) record(r *http.Request, who, what string, err error, now time.Time) {
	status := http.StatusOK
	if err != nil {
		status = statusOf(err)
	}
	from := callerOf(r)
	omitted, ok := a.due(r, who, from, status, now)
	if !ok {
		return
	}
	certificate := r.Header.Get("X-Forwarded-Client-Cert") // the word of whoever has the token: Envoy's
	if status == http.StatusUnauthorized {
		certificate = ""
	}
	line := []any{"call", r.Method + " " + clip(r.URL.Path), "who", who, "from", from, "status", status}
	for _, more := range []struct{ name, value string }{
		{"what", what},
		{"certificate", certificate},
		{"forwardedFor", r.Header.Get("X-Forwarded-For")},
		{"trace", traceOf(r)},
	} {
		if more.value != "" {
			line = append(line, more.name, clip(more.value))
		}
	}
	if err != nil {
		line = append(line, "error", clip(err.Error()))
	}
	if omitted > 0 {
		line = append(line, "omitted", omitted)
	}
	a.log.Info("audit", line...)
}

// callerOf is the address that a call came from, without its port.
func callerOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// due tells whether a call is logged, and how many weren't before it.
func (a *audit) due(r *http.Request, who, from string, status int, now time.Time) (omitted int, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if status == http.StatusUnauthorized || status == http.StatusTooManyRequests {
		if !a.refusals.AllowN(now, 1) {
			a.omitted++
			return 0, false
		}
		omitted, a.omitted = a.omitted, 0
		return omitted, true
	}
	if r.Method != http.MethodGet || status != http.StatusOK {
		return 0, true
	}
	reader := r.URL.Path + " " + who + " " + from
	if last, known := a.reads[reader]; known && now.Sub(last) < readAuditPeriod {
		return 0, false
	}
	if len(a.reads) >= maxReaders {
		clear(a.reads)
	}
	a.reads[reader] = now
	return 0, true
}

func clip(s string) string {
	if len(s) > maxAuditField {
		return s[:maxAuditField] + "…"
	}
	return s
}

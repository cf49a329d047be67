package h2c

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// WholeWriter is what each ResponseWriter is.
type WholeWriter interface {
	WriteWhole(b []byte) // is Write without a copy: b must not be changed any more
}

// response is what a handler answers. It goes out when the handler has returned.
type response struct {
	header http.Header
	status int
	body   []byte
	own    bool // the body may be appended to
}

func (r *response) Header() http.Header {
	if r.header == nil {
		r.header = make(http.Header, 4)
	}
	return r.header
}

// WriteHeader sets the status: the first final one counts.
func (r *response) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
}

func (r *response) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	if !r.own {
		r.body, r.own = append(make([]byte, 0, len(r.body)+len(b)), r.body...), true
	}
	r.body = append(r.body, b...)
	return len(b), nil
}

func (r *response) WriteWhole(b []byte) {
	if r.WriteHeader(http.StatusOK); r.body == nil {
		r.body = b
		return
	}
	_, _ = r.Write(b) // never fails
}

// complete adds what net/http adds to an answer.
func (r *response) complete(method string) {
	r.WriteHeader(http.StatusOK)
	h := r.Header()
	switch {
	case r.status == http.StatusNoContent || r.status == http.StatusNotModified:
		r.body = nil
	default:
		if len(r.body) > 0 && h["Content-Type"] == nil {
			h["Content-Type"] = []string{http.DetectContentType(r.body)}
		}
		if h["Content-Length"] == nil {
			h["Content-Length"] = []string{strconv.Itoa(len(r.body))}
		}
		if method == http.MethodHead {
			r.body = nil
		}
	}
	if h["Date"] == nil {
		h["Date"] = date(time.Now())
	}
}

// dated is the Date field of one second.
type dated struct {
	second int64
	value  []string
}

var lastDate atomic.Pointer[dated]

// date gives the field's value, which nobody may change.
func date(now time.Time) []string {
	d := lastDate.Load()
	if second := now.Unix(); d == nil || d.second != second {
		d = &dated{second, []string{now.UTC().Format(http.TimeFormat)}}
		lastDate.Store(d)
	}
	return d.value
}

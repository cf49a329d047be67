package hostsim

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// uploadBody is a request body that arrives while the handler runs.
type uploadBody struct {
	mu       sync.Mutex
	data     []byte
	end      bool
	ctx      context.Context
	trailers Headers     // come with the end
	trailer  http.Header // the request's, filled in at the end
	// drained hears of what the handler has read.
	drained func()
}

func (b *uploadBody) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.data)
}

func (b *uploadBody) push(p []byte, end bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = append(b.data, p...)
	b.end = b.end || end
}

func (b *uploadBody) arrived() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.data) > 0 || b.end || b.ctx.Err() != nil
}

// Read gives what has arrived, or lets the job wait for more.
func (b *uploadBody) Read(p []byte) (int, error) {
	if j, _ := b.ctx.Value(jobKey{}).(*job); !b.arrived() {
		j.park(b.arrived)
	}
	n, err := b.take(p)
	if n > 0 && b.drained != nil {
		b.drained()
	}
	return n, err
}

func (b *uploadBody) take(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case len(b.data) > 0:
		n := copy(p, b.data)
		b.data = b.data[n:]
		return n, nil
	case !b.end:
		return 0, b.ctx.Err()
	}
	for _, f := range b.trailers {
		if name := http.CanonicalHeaderKey(f[0]); hasKey(b.trailer, name) {
			b.trailer.Add(name, f[1])
		}
	}
	b.trailers = nil
	return 0, io.EOF
}

func hasKey(h http.Header, name string) bool { _, ok := h[name]; return ok }

func (b *uploadBody) Close() error { return nil }

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// progressEvery is how often the progress of long work is shown.
const progressEvery = 2 * time.Second

// warming sends reads and counts what came of them.
type warming struct {
	flags   warmFlags
	client  *http.Client
	out     io.Writer // progress and errors
	began   time.Time
	mu      sync.Mutex // guards summary and what is written to out
	summary warmSummary
}

func newWarming(f warmFlags, out io.Writer, transport http.RoundTripper) *warming {
	w := &warming{flags: f, out: out, client: &http.Client{
		Transport: transport, Timeout: f.timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	w.summary.Unstored, w.summary.Bypassed = map[string]int{}, map[string]int{}
	return w
}

// run sends the reads. When ctx ends, or after too many errors, what is under way is
// waited for, and nothing more is sent.
func (w *warming) run(ctx context.Context, reads []replay) warmSummary {
	w.began, w.summary.Reads = time.Now(), len(reads)
	done, finished := make(chan struct{}), make(chan struct{})
	go func() { defer close(finished); w.showProgress(done) }()
	w.feed(ctx, reads)
	close(done)
	<-finished
	w.summary.Seconds = time.Since(w.began).Seconds()
	return w.summary
}

// feed hands reads on as the rate and the concurrency allow, in their order.
func (w *warming) feed(ctx context.Context, reads []replay) {
	limiter := rate.NewLimiter(rate.Limit(w.flags.rate), 1)
	slots := make(chan struct{}, w.flags.concurrency)
	var workers sync.WaitGroup
	defer workers.Wait()
	for _, read := range reads {
		slots <- struct{}{} // first: meanwhile it may be interrupted, or those that are under way fail
		if why := w.stop(ctx, limiter); why != "" {
			w.mu.Lock()
			w.summary.Stopped, w.summary.NextLine = why, read.line
			w.mu.Unlock()
			return
		}
		workers.Go(func() {
			w.send(context.WithoutCancel(ctx), read)
			<-slots
		})
	}
}

// stop waits for the next request's turn, and says why there is none.
func (w *warming) stop(ctx context.Context, limiter *rate.Limiter) string {
	if limiter.Wait(ctx) != nil {
		return "interrupted"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.flags.maxErrors > 0 && w.summary.Errors >= w.flags.maxErrors {
		return fmt.Sprintf("%d errors", w.summary.Errors)
	}
	return ""
}

// send sends one read and counts its answer.
func (w *warming) send(ctx context.Context, read replay) {
	status, cacheStatus, err := w.ask(ctx, read)
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.summary
	s.Sent++
	if err == nil && status >= 400 {
		err = fmt.Errorf("answered %d", status)
	}
	if err != nil {
		if s.Errors++; s.Errors <= maxNamed {
			path, _, _ := strings.Cut(read.target, "?")
			fmt.Fprintf(w.out, "line %d: GET %.100s: %v\n", read.line, path, err)
		}
		return
	}
	s.count(cacheStatus)
}

func (w *warming) ask(ctx context.Context, read replay) (status int, cacheStatus []string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(w.flags.proxy, "/")+read.target, nil)
	if err != nil {
		return 0, nil, withoutURL(err)
	}
	request.Header = w.flags.fields.Clone()
	for name, value := range read.header {
		request.Header.Set(name, value)
	}
	request.Host = read.authority
	if read.authority == "" {
		request.Host = w.flags.authority
	}
	response, err := w.client.Do(request)
	if err != nil {
		return 0, nil, withoutURL(err)
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body) // what isn't read whole isn't stored
	return response.StatusCode, response.Header.Values("Cache-Status"), err
}

// withoutURL leaves out what a client's error repeats of the request.
func withoutURL(err error) error {
	if e, ok := err.(*url.Error); ok {
		return e.Err
	}
	return err
}

func (w *warming) showProgress(done <-chan struct{}) {
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		w.mu.Lock()
		s := w.summary
		fmt.Fprintf(w.out, "after %v: %d of %d sent, %d hits, %d stored, %d errors\n",
			time.Since(w.began).Round(time.Second), s.Sent, s.Reads, s.Hits+s.Collapsed, s.Stored, s.Errors)
		w.mu.Unlock()
	}
}

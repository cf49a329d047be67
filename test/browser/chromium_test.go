package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"chatcache/test/stack"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience bounds one test: Chromium takes its time on a busy machine.
const patience = 3 * time.Minute

// chromium starts a browser without a profile, for one test. Where there is none the test is
// skipped, or with CHATCACHE_REQUIRE=1 fails.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path := os.Getenv("CHROMIUM")
	if path == "" {
		path = "chromium"
	}
	path, err := exec.LookPath(path)
	if err != nil {
		stack.Require(t, fmt.Errorf("%w: run `make chromium`, or name yours with CHROMIUM=", err))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx,
		// The directory of its profile is chromedp's own, which knows that Chromium's children write to it for a moment more.
		chromedp.ExecPath(path), chromedp.WSURLReadTimeout(patience),
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Headless, chromedp.DisableGPU,
		chromedp.NoSandbox, // root needs it, and what is loaded is the repository's own
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("hide-scrollbars", true), chromedp.Flag("lang", "en-US"),
	)
	t.Cleanup(cancel)
	return ctx
}

// tab is one tab, and what it has asked for and complained about.
type tab struct {
	context.Context
	t *testing.T

	mu         sync.Mutex
	requests   []string
	complaints []string
}

// newTab opens a tab of the browser; each has a session storage of its own.
func newTab(t *testing.T, browser context.Context) *tab {
	t.Helper()
	b := &tab{t: t}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithListener(b.note))
	t.Cleanup(cancel)
	b.Context = ctx
	b.do(chromedp.EmulateViewport(1200, 900))
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *tab) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
	case *log.EventEntryAdded:
		b.complaints = append(b.complaints, e.Entry.Text)
	}
}

// noted gives what was noted and begins anew.
func (b *tab) noted() (requests, complaints []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	requests, complaints = b.requests, b.complaints
	b.requests, b.complaints = nil, nil
	return requests, complaints
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// eval gives what the expression, or the promise that it is, comes to.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// refused tells whether the expression throws, or the promise that it is is rejected.
func (b *tab) refused(expression string) bool {
	b.t.Helper()
	_, err := chromedp.Run(b, chromedp.Evaluate[chromedp.Void](expression, chromedp.EvalAwaitPromise))
	var thrown *chromedp.ExceptionError
	if err != nil && !errors.As(err, &thrown) {
		b.t.Fatal(err)
	}
	return err != nil
}

// text gives what a user sees of the page.
func (b *tab) text() string {
	b.t.Helper()
	return eval[string](b, "document.body.innerText")
}

// field gives the text of a field.
func (b *tab) field(name string) string {
	b.t.Helper()
	return eval[string](b, `document.querySelector('[data-field="`+name+`"]')?.textContent ?? ""`)
}

// until looks until ok; the page asks every two seconds.
func (b *tab) until(what string, ok func() bool) {
	b.t.Helper()
	for !ok() {
		select {
		case <-b.Done():
			b.t.Fatalf("gave up waiting: %s", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (b *tab) untilSees(words string) {
	b.t.Helper()
	last := ""
	defer func() {
		if b.t.Failed() {
			b.t.Logf("the page is\n%s", last)
		}
	}()
	b.until("the page says "+words, func() bool { last = b.text(); return strings.Contains(last, words) })
}

// enter types a token in.
func (b *tab) enter(token string) {
	b.t.Helper()
	b.do(chromedp.WaitVisible("#token"), chromedp.SendKeys("#token", token+"\r"))
}

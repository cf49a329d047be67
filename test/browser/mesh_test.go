package browser

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"chatcache/test/chatapi"
	"chatcache/test/stack"
)

// The page of a real mesh: real Envoys, whose filters report what they count, in front of the
// chat API with a real one's latencies. With CHATCACHE_SCREENSHOT=FILE it looks on for longer,
// and puts what it sees into the file, as `make screenshot` does.
func TestRealMesh(t *testing.T) {
	browser := chromium(t)
	mesh := stack.RunT(t, stack.Options{
		Envoys: 2, Workers: 2, Origin: chatapi.New(chatapi.Options{Latency: 1}),
		BridgeArgs: []string{"--timeout", "5s"}, // or a worker whose poll fails comes back too late for what the page waits
	})
	page := newTab(t, browser)
	page.do(chromedp.EmulateViewport(1200, 1180), chromedp.Navigate(mesh.Bridge.URL()+"/"))
	ctx, stop := context.WithCancel(t.Context())
	var users sync.WaitGroup
	for n := range 6 {
		users.Go(func() { chat(ctx, mesh, n) })
	}
	t.Cleanup(func() { stop(); users.Wait() })
	page.enter(stack.AdminToken)
	page.untilSees("live, administrator")
	page.until("hits of the mesh", func() bool { r := page.field("ratio"); return r != "" && r != "–" && r != "0.0%" })
	page.until("waiting was saved", func() bool { s := page.field("saved"); return s != "" && s != "0 µs" })
	page.until("four workers", func() bool { return strings.Contains(page.field("behind"), " of 4 workers") })
	page.until("writes invalidate", func() bool { r := page.field("invalidations"); return r != "–" && r != "0.00" })
	// A control that is set here is at work at once, in each worker, and stops when it is unset.
	page.change("models")
	page.do(chromedp.Click(`[name=off]`), chromedp.Click(`[name=save]`), chromedp.WaitNotVisible("#change"))
	page.untilSees("models: set; 4 workers of proxies know")
	if got := status(t, mesh); !strings.Contains(got, "fwd=bypass; detail=off") {
		t.Errorf("a cache that is off says %q", got)
	}
	page.change("models")
	page.do(chromedp.Click(`[name=off]`), chromedp.SetValue(`[name=ttl]`, "30m"), chromedp.Click(`[name=save]`), chromedp.WaitNotVisible("#change"))
	page.until("models are cached again", func() bool { return strings.Contains(status(t, mesh), "; hit; ") })
	if _, complaints := page.noted(); len(complaints) > 1 {
		t.Errorf("the browser complains: %q", complaints)
	}
	if file := os.Getenv("CHATCACHE_SCREENSHOT"); file != "" {
		time.Sleep(75 * time.Second) // the graph shows minutes
		screenshot(page, file)
	}
}

// status is the Cache-Status of a read of the models.
func status(t *testing.T, mesh *stack.Stack) string {
	t.Helper()
	response, err := http.Get(mesh.Envoys[0].URL() + "/api/models")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.Header.Get("Cache-Status")
}

// chat reads at random and writes now and then, as one user.
func chat(ctx context.Context, mesh *stack.Stack, user int) {
	random := rand.New(rand.NewPCG(1, uint64(user)))
	for ctx.Err() == nil {
		method, path, body := "GET", [...]string{
			"/api/chat/stats", "/api/chat/sessions", "/api/chat/search?q=hello", "/api/user/me", "/api/models", "/api/rankings", "/api/activity",
		}[random.IntN(7)], ""
		if random.IntN(60) == 0 {
			method, path, body = "POST", "/api/chat/sessions", `{"title":"hello"}`
		}
		request, err := http.NewRequestWithContext(ctx, method, mesh.Envoys[random.IntN(len(mesh.Envoys))].URL()+path, strings.NewReader(body))
		if err != nil {
			return
		}
		request.Header.Set("Authorization", fmt.Sprint("Bearer user-", user))
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(20+random.IntN(100)) * time.Millisecond):
		}
	}
}

// screenshot writes what the tab shows, in the 256 colours that are most of it: a small file.
func screenshot(page *tab, file string) {
	page.t.Helper()
	raw, err := chromedp.Run(page, chromedp.CaptureScreenshot())
	if err != nil {
		page.t.Fatal(err)
	}
	full, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		page.t.Fatal(err)
	}
	small := image.NewPaletted(full.Bounds(), frequent(full, 256))
	draw.Draw(small, small.Rect, full, small.Rect.Min, draw.Src)
	var b bytes.Buffer
	if err = png.Encode(&b, small); err == nil {
		err = os.WriteFile(file, b.Bytes(), 0o644)
	}
	if err != nil {
		page.t.Fatal(err)
	}
}

// frequent gives the n colours that the picture has most of.
func frequent(picture image.Image, n int) color.Palette {
	pixels := map[color.Color]int{}
	r := picture.Bounds()
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			pixels[picture.At(x, y)]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(pixels), func(a, b color.Color) int { return pixels[b] - pixels[a] })
	return colours[:min(n, len(colours))]
}

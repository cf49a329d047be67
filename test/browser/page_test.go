package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
)

// Nobody sees anything without a token; with one it is live, and it stays in its tab.
func TestToken(t *testing.T) {
	b, browser := newBridge(t), chromium(t)
	b.count("vm-1", "stats", map[wire.Counter]uint64{wire.CountHitsL1: 30, wire.CountMisses: 10})
	first := newTab(t, browser)
	wantNothing := func(page *tab) {
		t.Helper()
		if text := page.text(); strings.Contains(text, "stats") || strings.Contains(text, "vm-1") || strings.Contains(text, "miniredis") {
			t.Errorf("without a token the page tells\n%s", text)
		}
	}
	first.do(chromedp.Navigate(b.url), chromedp.WaitVisible("#token"))
	wantNothing(first)
	first.enter("wrong")
	first.untilSees("The bridge doesn't know this token.")
	wantNothing(first)
	first.enter("two words")
	first.untilSees("printable ASCII characters only")
	first.enter(viewerToken)
	first.untilSees("live, viewer: read only")
	first.untilSees("75.0%")

	first.do(chromedp.Reload())
	first.untilSees("75.0%")
	// The token is nowhere that is kept or shown.
	trace := eval[string](first, `document.documentElement.outerHTML + location.href + document.cookie + JSON.stringify(localStorage) + document.getElementById("token").value`)
	if strings.Contains(trace, viewerToken) {
		t.Errorf("the page has the token:\n%s", trace)
	}

	second := newTab(t, first)
	second.do(chromedp.Navigate(b.url), chromedp.WaitVisible("#token"))
	wantNothing(second)
	second.enter(adminToken)
	second.untilSees("live, administrator")

	first.do(chromedp.Click("#leave"), chromedp.WaitVisible("#token"))
	wantNothing(first)
	first.do(chromedp.Reload(), chromedp.WaitVisible("#token"))
	wantNothing(first)
}

// The page shows what the bridge counts, and goes on doing so.
func TestFigures(t *testing.T) {
	b := newBridge(t)
	b.count("vm-1", "stats", map[wire.Counter]uint64{
		wire.CountHitsL1: 60, wire.CountHitsL2: 20, wire.CountCollapsed: 5, wire.CountMisses: 10, wire.CountBypasses: 5, wire.CountStores: 1234,
		wire.CountAnsweredMicros: 85 * 400, wire.CountForwarded: 10, wire.CountForwardedMicros: 10 * 500_000,
	})
	b.applied("vm-1")
	page := newTab(t, chromium(t))
	page.do(chromedp.Navigate(b.url))
	page.enter(adminToken)
	page.untilSees("live, administrator")
	want := func(fields map[string]string) {
		t.Helper()
		for name, text := range fields {
			page.until(name+" is "+text, func() bool { return strings.Contains(page.field(name), text) })
		}
	}
	want(map[string]string{
		"name": "chat", "ratioOfAll": "85.0% since Redis was empty", "saved": "42 s", "stores": "1,234", "server": "memory miniredis",
		"lag": "0 events", "behind": "0 of 1 worker behind", "followers": "Workers of proxies", "invalidationsOfAll": "0 in this epoch",
	})
	row := eval[[]string](page, `[...document.querySelector('[data-rows="caches"]').rows[0].cells].map(c => c.textContent)`)
	if got, want := strings.Join(row, "|"), "stats|85.0%|–|60|20|5|10|5|0|0 of 0|0|1,234|400 µs|500 ms|42 s"; got != want {
		t.Errorf("the cache's row is\n%s, want\n%s", got, want)
	}

	b.purge()
	b.purge()
	b.count("vm-2", "stats", map[wire.Counter]uint64{wire.CountHitsL1: 1, wire.CountMisses: 3})
	want(map[string]string{"ratio": "25.0%", "ratioOfAll": "82.7%", "behind": "2 of 2 workers behind", "lag": "2 events", "invalidationsOfAll": "2 in this epoch"})
	page.until("invalidations have a rate", func() bool { f := page.field("invalidations"); return f != "0.00" && f != "–" })

	b.down.Store(true)
	page.untilSees("the bridge can't be reached; figures are old")
	b.down.Store(false)
	page.untilSees("live, administrator")

	b.noRedis()
	page.untilSees("Redis doesn't answer; figures are old")
	want(map[string]string{"name": "chat", "ratioOfAll": "82.7%", "server": "doesn't answer"})
	page.do(chromedp.Reload())
	page.untilSees("Redis doesn't answer; figures are old")
	want(map[string]string{"server": "doesn't answer"})
}

// A bridge that takes calls and doesn't answer isn't waited for, and the page says so; it goes on by itself once that answers.
func TestSilentBridge(t *testing.T) {
	b := newBridge(t)
	b.count("vm-1", "stats", map[wire.Counter]uint64{wire.CountHitsL1: 30, wire.CountMisses: 10})
	page := newTab(t, chromium(t))
	page.do(chromedp.Navigate(b.url))
	page.enter(adminToken)
	page.untilSees("live, administrator")
	page.change("stats")
	page.do(chromedp.Click(`[name=off]`))
	b.silent.Store(true)
	page.do(chromedp.Click(`[name=save]`))
	page.until("the form says that nothing came", func() bool {
		return eval[string](page, `document.getElementById("problem").textContent`) == "the bridge hasn't answered within 10 s; it may do what it was asked for all the same"
	})
	page.do(chromedp.Click(`[name=cancel]`))
	page.untilSees("the bridge hasn't answered within 10 s; figures are old")
	page.untilSees("75.0%")
	b.silent.Store(false)
	page.untilSees("live, administrator")
}

// Whatever names are: they are text.
func TestNamesAreText(t *testing.T) {
	b := newBridge(t)
	b.count("vm-1", "stats", map[wire.Counter]uint64{wire.CountHitsL1: 1})
	const script, image = `<script>window.caught="script"</script>`, `<img/src=x/onerror=window.caught="image">`
	ctx := t.Context()
	end := b.raw.ZScore(ctx, "{chatcache:chat}:vms", "vm-1").Val()
	for _, err := range []error{
		b.raw.ZAdd(ctx, "{chatcache:chat}:vms", redis.Z{Member: script, Score: end}, redis.Z{Member: image, Score: end}).Err(),
		b.raw.HSet(ctx, "{chatcache:chat}:counts", image+" hitsL1", 7).Err(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	page := newTab(t, chromium(t))
	page.do(chromedp.Navigate(b.url))
	page.enter(adminToken)
	page.untilSees(script)
	page.untilSees(image)
	caught := eval[string](page, `String(window.caught)`)
	tables := eval[string](page, `[...document.querySelectorAll("tbody th")].map(c => c.textContent).join("|")`)
	if want := image + "|stats|(all caches)|" + image + "|stats|" + image + "|" + script + "|vm-1"; caught != "undefined" || tables != want {
		t.Errorf("a name ran (%s), or the tables' headers are\n%s, want\n%s", caught, tables, want)
	}
	elements := eval[int](page, `document.querySelectorAll("main img, main script").length`)
	if _, complaints := page.noted(); elements > 0 || len(complaints) > 1 { // the one is the 401 before the token
		t.Errorf("%d elements of names; the browser complains of %q", elements, complaints)
	}
}

// The page loads and calls nothing but its bridge, and couldn't.
func TestNothingFromElsewhere(t *testing.T) {
	b := newBridge(t)
	page := newTab(t, chromium(t))
	page.do(chromedp.Navigate(b.url))
	page.enter(viewerToken)
	page.untilSees("live, viewer")
	requests, complaints := page.noted()
	if len(requests) < 7 {
		t.Errorf("only %q was asked for", requests)
	}
	for _, url := range requests {
		if !strings.HasPrefix(url, b.url) {
			t.Errorf("the page asked for %s", url)
		}
	}
	for _, text := range complaints {
		if !strings.Contains(text, "401") {
			t.Errorf("the browser complains: %s", text)
		}
	}
	elsewhere := strings.Replace(b.url, "127.0.0.1", "localhost", 1)
	for _, attempt := range []string{
		`fetch("` + elsewhere + `healthz", {mode: "no-cors"})`,
		`document.body.innerHTML = "<b>x</b>"`,
		`new Promise((good, bad) => { const s = document.createElement("script"); s.onload = good; s.onerror = bad; s.src = "` + elsewhere + `page/words.js"; document.head.append(s); })`,
		`new Promise((good, bad) => { const i = new Image(); i.onload = good; i.onerror = bad; i.src = "` + elsewhere + `page/icon.svg"; })`,
	} {
		if !page.refused(attempt) {
			t.Errorf("the browser lets the page do %s", attempt)
		}
	}
	if page.refused(`fetch("healthz")`) {
		t.Error("the browser doesn't let the page call its bridge")
	}
}

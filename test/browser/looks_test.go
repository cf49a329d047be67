package browser

import (
	"encoding/json"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"chatcache/redisbridge/wire"
)

// contrasts gives the texts whose colour stands out from the ground by less than 4.5 to 1, what
// WCAG 2 asks for (AA).
const contrasts = `(() => {
	const rgb = (c) => c.match(/[\d.]+/g).map(Number);
	const light = (c) => { const [r, g, b] = rgb(c).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const ground = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (rgb(c)[3] !== 0) return c; } return "rgb(255, 255, 255)"; };
	const weak = [];
	for (const e of document.querySelectorAll("body *")) {
		if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || !e.checkVisibility()) continue;
		const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
		if ((a + 0.05) / (b + 0.05) < 4.5) weak.push(e.tagName + " " + e.textContent);
	}
	return weak;
})()`

// watchShifts sums up how much of the page moves without a user's doing.
const watchShifts = `(() => {
	window.shifted = 0;
	new PerformanceObserver((list) => { for (const e of list.getEntries()) if (!e.hadRecentInput) window.shifted += e.value; }).observe({type: "layout-shift", buffered: true});
})()`

func TestLooks(t *testing.T) {
	b := newBridge(t)
	b.count("vm-1", "stats", map[wire.Counter]uint64{wire.CountHitsL1: 9, wire.CountMisses: 1})
	page := newTab(t, chromium(t))
	page.do(chromedp.Navigate(b.url))
	page.enter(adminToken)
	page.untilSees("live, administrator")

	grounds := map[string]bool{}
	for _, scheme := range []string{"light", "dark"} {
		media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
		if _, err := chromedp.Call(page, emulation.SetEmulatedMedia, media); err != nil {
			t.Fatal(err)
		}
		grounds[eval[string](page, `getComputedStyle(document.body).backgroundColor`)] = true
		if weak := eval[[]string](page, contrasts); len(weak) > 0 {
			t.Errorf("%s: too faint on its ground: %q", scheme, weak)
		}
	}
	if len(grounds) != 2 {
		t.Errorf("light and dark have the ground %v", grounds)
	}

	// Nothing jumps when figures come, and grow by digits.
	eval[chromedp.Void](page, watchShifts)
	for range 3 {
		before := page.field("stores")
		b.count("vm-1", "stats", map[wire.Counter]uint64{wire.CountHitsL1: 123_456, wire.CountMisses: 7890, wire.CountStores: 99_999})
		page.until("the figures change", func() bool { return page.field("stores") != before })
	}
	if shifted := eval[float64](page, `window.shifted`); shifted > 0.01 {
		t.Errorf("the page jumps: layout shift %f", shifted)
	}

	// On a telephone tables scroll by themselves, not the page.
	page.do(chromedp.EmulateViewport(360, 700))
	if eval[bool](page, `document.documentElement.scrollWidth > innerWidth`) {
		t.Error("the page is wider than 360 px")
	}
}

// A reader of screens finds a name at whatever can be used or read.
func TestAccessibleNames(t *testing.T) {
	b := newBridge(t)
	b.count("vm-1", "stats", map[wire.Counter]uint64{wire.CountHitsL1: 9})
	page := newTab(t, chromium(t))
	page.do(chromedp.Navigate(b.url), chromedp.WaitVisible("#token"))
	wantNames(t, page, map[string]string{"textbox": "Token of a viewer or an administrator", "button": "Show"})
	page.enter(adminToken)
	page.untilSees("live, administrator")
	wantNames(t, page, map[string]string{
		"table": "Caches: all proxies together, since Redis was empty", "rowheader": "stats", "columnheader": "Hit ratio", "heading": "chatcache",
		"image": "Hit ratio of the last minutes", "region": "Redis", "button": "Forget the token",
	})
	page.do(chromedp.Click(`[data-rows="controls"] button`), chromedp.WaitVisible("#change"))
	wantNames(t, page, map[string]string{
		"dialog": "(all caches) of chat", "checkbox": "Off: neither use nor store anything", "textbox": "TTL instead of the policy's",
		"spinbutton": "Percent of the partitions to serve", "button": "Set",
	})
	if bare := eval[[]string](page, `[...document.querySelectorAll("main th:not([scope]), main table:not(:has(caption))")].map(e => e.outerHTML)`); len(bare) > 0 {
		t.Errorf("no scope or caption: %q", bare)
	}
}

// wantNames wants that each role has an element of that name, and that none has one without.
func wantNames(t *testing.T, page *tab, want map[string]string) {
	t.Helper()
	tree, err := chromedp.Call(page, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, n := range tree.Nodes {
		if n.Ignored || n.Role == nil || n.Name == nil {
			continue
		}
		role, name := value(n.Role), value(n.Name)
		found[role+" "+name] = true
		switch role {
		case "textbox", "checkbox", "spinbutton", "dialog", "button", "table", "rowheader", "columnheader", "heading", "image", "region":
			if name == "" {
				t.Errorf("a %s has no name", role)
			}
		}
	}
	for role, name := range want {
		if !found[role+" "+name] {
			t.Errorf("no %s is named %q", role, name)
		}
	}
}

func value(v *accessibility.Value) (text string) {
	_ = json.Unmarshal(v.Value, &text)
	return text
}

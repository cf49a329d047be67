package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"chatcache/redisbridge"
	"chatcache/redisbridge/wire"
)

// rows gives the texts of a table, a line for each row.
func (b *tab) rows(name string) string {
	b.t.Helper()
	return eval[string](b, `[...document.querySelector('[data-rows="`+name+`"]').rows].map(r => [...r.cells].filter(c => c.checkVisibility()).map(c => c.textContent).join("|")).join("\n")`)
}

// change opens the form for a row of the controls.
func (b *tab) change(row string) {
	b.t.Helper()
	b.do(chromedp.Click(`[data-rows="controls"] button[aria-label="Change controls of `+row+`"]`), chromedp.WaitVisible("#change"))
}

// Where no worker follows the feed nobody is said to know.
func TestControlsThatNobodyHears(t *testing.T) {
	b := newBridge(t)
	b.purge()
	page := newTab(t, chromium(t))
	page.do(chromedp.Navigate(b.url))
	page.enter(adminToken)
	page.untilSees("live, administrator")
	page.change("(all caches)")
	page.do(chromedp.Click(`[name=off]`), chromedp.Click(`[name=save]`), chromedp.WaitNotVisible("#change"))
	page.untilSees("(all caches): set; no worker of a proxy follows the feed, so none has heard of it")
}

// An administrator sets and unsets controls, and is told when the workers know; a viewer sees them.
func TestControls(t *testing.T) {
	b, browser := newBridge(t), chromium(t)
	b.count("vm-1", "stats", map[wire.Counter]uint64{wire.CountHitsL1: 1})
	page := newTab(t, browser)
	page.do(chromedp.Navigate(b.url))
	page.enter(adminToken)
	page.untilSees("live, administrator")
	want := func(who *tab, rows string) {
		t.Helper()
		who.until("controls are\n"+rows, func() bool { return who.rows("controls") == rows })
	}
	save := func() {
		t.Helper()
		page.do(chromedp.Click(`[name=save]`), chromedp.WaitNotVisible("#change"))
	}
	want(page, "(all caches)|–|–|–|–|–||Change\nstats|–|–|–|–|–||Change")

	page.change("stats")
	page.do(chromedp.SetValue(`[name=ttl]`, "soon"), chromedp.Click(`[name=save]`))
	page.untilSees(`bad request: "ttl" is "soon", want a duration`)
	page.do(chromedp.SetValue(`[name=ttl]`, "60s"), chromedp.SetValue(`[name=percent]`, "12.5"), chromedp.Click(`[name=off]`))
	save()
	page.untilSees("stats: set; 1 worker may not know yet") // it doesn't poll
	want(page, "(all caches)|–|–|–|–|–||Change\nstats|yes|1m0s|12.5%|–|–||Change")
	controls, err := b.Controls(t.Context(), "chat")
	if err != nil {
		t.Fatal(err)
	}
	if c := controls.Controls.Caches[0].ControlSettings; c != (redisbridge.ControlSettings{Off: true, TTL: "1m0s", Percent: 12.5}) {
		t.Errorf("the bridge has %+v", c)
	}

	viewer := newTab(t, page)
	viewer.do(chromedp.Navigate(b.url))
	viewer.enter(viewerToken)
	viewer.untilSees("live, viewer")
	want(viewer, "(all caches)|–|–|–|–|–|\nstats|yes|1m0s|12.5%|–|–|")
	if strings.Contains(viewer.text(), "Change") {
		t.Error("a viewer is offered changes")
	}

	page.change("stats")
	page.do(chromedp.Click(`[name=off]`), chromedp.SetValue(`[name=percent]`, ""))
	save()
	want(page, "(all caches)|–|–|–|–|–||Change\nstats|–|1m0s|–|–|–||Change")
	page.change("(all caches)")
	page.do(chromedp.Click(`[name=observe]`), chromedp.SetValue(`[name=verify]`, "1"))
	save()
	want(page, "(all caches)|–|–|–|yes|1%||Change\nstats|–|1m0s|–|–|–||Change")
	want(viewer, "(all caches)|–|–|–|yes|1%|\nstats|–|1m0s|–|–|–|")

	// Nothing is sent where nothing is changed.
	version := func() uint64 {
		c, err := b.Controls(t.Context(), "chat")
		if err != nil {
			t.Fatal(err)
		}
		return c.Controls.Version
	}
	before := version()
	page.change("stats")
	save()
	if version() != before {
		t.Error("a form that changes nothing changed the controls")
	}
	if rows := page.rows("followers"); !strings.HasPrefix(rows, "vm-1|5eed|") {
		t.Errorf("the worker's row is %s, want its policy version 5eed", rows)
	}
}

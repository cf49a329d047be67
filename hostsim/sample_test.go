package hostsim_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"chatcache/hostsim"
	"chatcache/hostsim/internal/toolchain"
)

// samples are the languages of internal/testdata/sample, whose README says what they do.
var samples = []string{"go", "c", "assemblyscript", "rust"}

// TestSampleFilter asserts the same of one filter in each language.
func TestSampleFilter(t *testing.T) {
	for _, language := range samples {
		t.Run(language, func(t *testing.T) { testSample(t, language, toolchain.Module(t, "sample/"+language)) })
	}
}

func testSample(t *testing.T, language string, module []byte) {
	clock := hostsim.NewClock(time.Time{})
	sim := hostsim.RunT(t, hostsim.Options{
		Module: module, VMConfig: []byte("the vm"), PluginConfig: []byte("the plugin"), Workers: 2,
		Clock: clock, Clusters: clusters(sampleUpstream), Route: hostsim.RouteTo("backend"),
	})
	const start = "start vm=the vm plugin=the plugin"
	if got := workerLogs(sim, start); len(got) != 1 {
		t.Fatalf("worker 1 started with the log lines %q of %v", got, sim.Logs())
	}
	for i, c := range []struct {
		request *hostsim.Request
		status  int
		body    string // without x-count
		after   time.Duration
	}{
		{hostsim.Get("/plain"), 200, "GET /plain", 0},
		{hostsim.Get("/deny"), 403, "denied\n", 0},
		{hostsim.Get("/ask"), 200, "GET /ask asked=200 12", 0},
		{hostsim.Get("/ask-nobody"), 200, "GET /ask-nobody asked=refused", 0},
		{hostsim.Get("/later"), 200, "GET /later woken=tick", 50 * time.Millisecond},
		{hostsim.Get("/old"), 200, "GET /new", 0},
		{hostsim.Post("/wrap", "some text"), 200, "POST /wrap [some text]!", 0},
		{hostsim.Post("/plain", "some text"), 200, "POST /plain some text", 0},
	} {
		path, began, worker := c.request.Path, clock.Now(), i%2+1
		got := sim.Do(worker, c.request)
		want := c.body
		if c.status == 200 {
			want = fmt.Sprintf("%d: %s", i+1, c.body)
		}
		if got.Status != c.status || string(got.Body) != want {
			t.Errorf("%s: %d %q, want %d %q", path, got.Status, got.Body, c.status, want)
		}
		if got.Get("x-sample") != language {
			t.Errorf("%s: response header x-sample %q, want %q", path, got.Get("x-sample"), language)
		}
		if took := clock.Now().Sub(began); took > c.after {
			t.Errorf("%s took %v, want at most %v", path, took, c.after)
		}
		sim.Settle()
		wantLog(t, sim, worker, fmt.Sprintf("done %s %d", path, c.status))
		wantLog(t, sim, queueWorker, "queue "+path)
	}
	if got := sim.Do(1, hostsim.Get("/deny")).Get("x-reason"); got != "policy" {
		t.Errorf("the local reply's x-reason is %q", got)
	}
	if n, active, paths := sim.Counter("sample.requests"), sim.Gauge("sample.active"), sim.Histogram("sample.path"); n != 9 || active != 0 || len(paths) != 9 || paths[0] != uint64(len("/plain")) {
		t.Errorf("counter %d, gauge %d, histogram %v after 9 requests", n, active, paths)
	}
}

// queueWorker is the one whose root context registered the queue last.
const queueWorker = 2

func wantLog(t *testing.T, sim *hostsim.Sim, worker int, want string) {
	t.Helper()
	for _, l := range sim.Logs() {
		if l.Worker == worker && strings.TrimSpace(l.Message) == want {
			return
		}
	}
	t.Errorf("worker %d didn't log %q, in %v", worker, want, sim.Logs())
}

// sampleUpstream answers with what the filter made of the request; /answer is
// what the filter asks for.
func sampleUpstream(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/answer" {
		io.WriteString(w, "the answer\n\n")
		return
	}
	body, _ := io.ReadAll(r.Body)
	text := fmt.Sprintf("%s: %s %s %s", r.Header.Get("X-Count"), r.Method, r.URL.Path, body)
	for _, name := range []string{"Asked", "Woken"} {
		if v := r.Header.Get("X-" + name); v != "" {
			text += strings.ToLower(name) + "=" + v
		}
	}
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, strings.TrimSpace(text))
}

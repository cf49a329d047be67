package hostsim_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"chatcache/hostsim"
	"chatcache/hostsim/internal/toolchain"
)

// probe starts a proxy with the probe module and a cluster "backend" that answers with what it got.
func probe(t testing.TB, change func(*hostsim.Options)) *hostsim.Sim {
	t.Helper()
	o := hostsim.Options{
		Module:   toolchain.Module(t, "probe"),
		Clusters: map[string]http.Handler{"backend": http.HandlerFunc(echo)},
		Route:    hostsim.RouteTo("backend"),
	}
	if change != nil {
		change(&o)
	}
	return hostsim.RunT(t, o)
}

// rebuilt is the module in other bytes: with a custom section more.
func rebuilt(module []byte) []byte { return append(slices.Clone(module), 0, 3, 1, 'x', 0) }

func echo(w http.ResponseWriter, r *http.Request) {
	var body bytes.Buffer
	body.ReadFrom(r.Body)
	fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, body.String())
}

// do is a GET whose headers are the script.
func do(s *hostsim.Sim, script ...string) *hostsim.Response {
	return s.Do(1, hostsim.Get("/x", script...))
}

// wantLogs compares what worker 1 logged since its start.
func wantLogs(t *testing.T, s *hostsim.Sim, want ...string) {
	t.Helper()
	var got []string
	for _, l := range s.Logs() {
		if l.Worker == 1 && !strings.HasPrefix(l.Message, "start ") {
			got = append(got, strings.TrimSpace(l.Message))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("module's log:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// failing is a hostsim.T that notes errors instead of failing the test.
type failing struct {
	testing.TB
	cleanups []func()
	errors   []string
	logs     []string
}

func (f *failing) Cleanup(c func()) { f.cleanups = append(f.cleanups, c) }
func (f *failing) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}
func (f *failing) Failed() bool { return len(f.errors) > 0 }
func (f *failing) Logf(format string, args ...any) {
	f.logs = append(f.logs, fmt.Sprintf(format, args...))
}
func (f *failing) finish() {
	for _, c := range slices.Backward(f.cleanups) {
		c()
	}
}

func clusters(backend http.HandlerFunc) map[string]http.Handler {
	return map[string]http.Handler{"backend": backend}
}

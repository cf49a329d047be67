package hostsim_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"chatcache/hostsim"
	"chatcache/hostsim/internal/toolchain"
)

// besidePlugin starts a further plugin of the proxy, with configuration.
func besidePlugin(t testing.TB, s *hostsim.Sim, config string, change func(*hostsim.Options)) *hostsim.Sim {
	return probe(t, func(o *hostsim.Options) {
		o.Beside, o.PluginConfig = s, []byte(config)
		if change != nil {
			change(o)
		}
	})
}

// seenBy is what worker 1 logs of commands that run in a request, but for what a reload's start logs.
func seenBy(s *hostsim.Sim, commands string) string {
	s.TakeLogs()
	do(s, "x-on-quiet", "1", "x-on-request-headers", commands)
	return fmt.Sprint(slices.DeleteFunc(workerLogs(s, ""), func(line string) bool { return strings.HasPrefix(line, "start ") }))
}

func wantSeen(t *testing.T, s *hostsim.Sim, commands, want string) {
	t.Helper()
	if got := seenBy(s, commands); got != want {
		t.Errorf("%s: log %s, want %s", commands, got, want)
	}
}

func TestPluginsOfOneVMKeyShareAVM(t *testing.T) {
	a := probe(t, nil)
	b := besidePlugin(t, a, "log two", nil)
	wantSeen(t, a, "grow 1; kept; starts; plugin", "[kept 1 starts 2 plugin 1]")
	wantSeen(t, b, "kept; starts; plugin; prop plugin_name", `[kept 1 starts 2 plugin 2 prop plugin_name = ""]`)
	for what, change := range map[string]func(*hostsim.Options){
		"a vm_id":           func(o *hostsim.Options) { o.VMID = "another" },
		"a configuration":   func(o *hostsim.Options) { o.VMConfig = []byte("another") },
		"an environment":    func(o *hostsim.Options) { o.Env = map[string]string{"PROBE": "another"} },
		"a module":          func(o *hostsim.Options) { o.Module = rebuilt(o.Module) },
		"a limit of memory": func(o *hostsim.Options) { o.MemoryLimit = 64 << 20 },
	} {
		if got := seenBy(besidePlugin(t, a, "", change), "kept"); got != "[kept 0]" {
			t.Errorf("another plugin with %s of its own has the same VM: %s", what, got)
		}
	}
}

func TestPluginsOfOneVMHaveTheirOwnHost(t *testing.T) {
	a := probe(t, func(o *hostsim.Options) {
		o.PluginName, o.PluginConfig = "a", []byte("tick 1000; on-tick call backend /a 100")
	})
	b := besidePlugin(t, a, "tick 400; on-tick log b", func(o *hostsim.Options) {
		o.PluginName, o.LogLevel = "b", hostsim.LevelWarn
		o.ForeignFunctions = map[string]func([]byte) ([]byte, error){"own": func([]byte) ([]byte, error) { return []byte("b"), nil }}
	})
	a.Advance(time.Second)
	if got := fmt.Sprint(workerLogs(a, "tick", "call", "b")); got != `[tick call answered 200 "GET /a "]` {
		t.Errorf("the first plugin's log %s", got)
	}
	if got := b.Logs(); len(got) != 0 {
		t.Errorf("the second plugin logs from LevelWarn on, got %v", got)
	}
	wantSeen(t, a, "prop plugin_name; foreign own x", `[prop plugin_name = "a" foreign: error status returned by host: not found]`)
	if resp := do(b, "x-on-request-headers", "foreign own x; count of-b; reply 200 by-b; pause"); string(resp.Body) != "by-b" || a.Counter("of-b") != 1 {
		t.Errorf("got %q, counter %d", resp.Body, a.Counter("of-b"))
	}
}

func TestEqualPluginsShareTheirRootContext(t *testing.T) {
	a := probe(t, func(o *hostsim.Options) { o.PluginConfig = []byte("log one") })
	b := besidePlugin(t, a, "log one", nil)
	wantSeen(t, b, "starts; plugin", "[starts 1 plugin 1]")
	if err := a.Reconfigure([]byte("log two")); err != nil {
		t.Fatal(err)
	}
	wantSeen(t, a, "starts; plugin", "[starts 2 plugin 3]")
	a.Advance(601 * time.Second)
	wantSeen(t, b, "plugin", "[plugin 1]")
	if err := a.Reconfigure([]byte("log one")); err != nil {
		t.Fatal(err)
	}
	wantSeen(t, a, "starts; plugin", "[starts 2 plugin 1]")
	b.Remove()
	a.TakeLogs()
	a.Advance(601 * time.Second)
	if got := fmt.Sprint(workerLogs(a, "plugin done"), workerLogs(b, "plugin done")); got != "[plugin done] []" {
		t.Errorf("the plugins' ends were %s, want only that of the configuration that nobody has", got)
	}
	wantSeen(t, a, "plugin", "[plugin 1]")
}

func TestASharedVMDiesForAllAndIsReloadedOnce(t *testing.T) {
	reload := func(o *hostsim.Options) { o.Policy, o.ReloadBackoff = hostsim.FailReload, time.Second }
	a := probe(t, reload)
	b := besidePlugin(t, a, "log two", reload)
	closed := besidePlugin(t, a, "log three", nil)
	bypassed := besidePlugin(t, a, "log four", func(o *hostsim.Options) { o.Policy = hostsim.FailOpen })
	a.Advance(time.Second)
	do(a, "x-on-request-headers", "panic")
	if len(a.Expect(hostsim.VMDied)) != 1 || len(b.Failures())+len(closed.Failures())+len(bypassed.Failures()) != 0 {
		t.Errorf("one death is one failure, of the plugin whose stream it was")
	}
	wantSeen(t, b, "grow 1; kept; starts; plugin", "[kept 1 starts 1 plugin 1]")
	wantSeen(t, a, "kept; starts; plugin", "[kept 1 starts 2 plugin 3]")
	if resp := do(closed); resp.Status != 503 {
		t.Errorf("FAIL_CLOSED has another plugin's new VM: %d", resp.Status)
	}
	wantSeen(t, bypassed, "kept", "[]")
	if err := closed.Reconfigure([]byte("log five")); err != nil {
		t.Fatal(err)
	}
	wantSeen(t, closed, "kept; starts", "[kept 1 starts 3]")
}

func TestTheEndOfOneOfTwoPlugins(t *testing.T) {
	const waits = "on-done call backend /end 100; on-call plugin-done"
	a := probe(t, func(o *hostsim.Options) { o.PluginConfig = []byte(waits) })
	b := besidePlugin(t, a, waits+"; log two", nil)
	seenBy(a, "grow 1; shared key value")
	ends := func(s *hostsim.Sim) string { return fmt.Sprint(workerLogs(s, "plugin done", "call")) }
	a.Remove()
	b.Advance(601 * time.Second)
	if got := ends(a); got != `[plugin done call answered 200 "GET /end "]` {
		t.Errorf("the first plugin's end %s", got)
	}
	wantSeen(t, b, "kept", "[kept 1]")
	b.Remove()
	b.Advance(601 * time.Second)
	if got := ends(b); got != "[plugin done]" {
		t.Errorf("the end of the VM's last plugin %s: Envoy doesn't wait for what it put off", got)
	}
	if _, ok := b.SharedData("key"); ok {
		t.Error("the last VM is gone, but not its shared data")
	}
	defer func() {
		if recover() == nil {
			t.Error("a removed plugin took a stream")
		}
	}()
	b.Start(1, hostsim.Get("/x"))
}

func TestAQueueOfPluginsOfOneVM(t *testing.T) {
	a := probe(t, func(o *hostsim.Options) { o.PluginConfig = []byte("queue q; on-queue plugin") })
	b := besidePlugin(t, a, "queue q; on-queue plugin; log two", func(o *hostsim.Options) { o.VMConfig = []byte("another VM") })
	do(a, "x-on-request-headers", "enqueue hello")
	if got := fmt.Sprint(workerLogs(a, "queue"), workerLogs(b, "queue", "plugin")); got != `[] [queue "hello" plugin 1]` {
		t.Errorf("the plugin that registered last wasn't woken: %s", got)
	}
	b.Remove()
	a.Advance(601 * time.Second)
	do(a, "x-on-request-headers", "enqueue hello")
	if got := fmt.Sprint(workerLogs(a, "queue"), workerLogs(b, "queue")); got != `[] [queue "hello"]` {
		t.Errorf("with that plugin gone: %s", got)
	}
}

func TestRemovalDropsStreamsAfterTheDrain(t *testing.T) {
	a := probe(t, nil)
	b := besidePlugin(t, a, "log two", nil)
	waiting := hostsim.Get("/x", "x-on-request-headers", "pause")
	ofA, ofB := a.Start(1, waiting), b.Start(1, waiting)
	a.Remove()
	a.Advance(599 * time.Second)
	if ofA.Done() {
		t.Error("a stream ended before the drain")
	}
	a.Advance(2 * time.Second)
	if !ofA.Done() || ofB.Done() {
		t.Errorf("after the drain: the removed plugin's stream has ended %v, the other's %v", ofA.Done(), ofB.Done())
	}
	ofB.Disconnect()
	b.Settle()
}

func TestClosingOnePluginLeavesTheOther(t *testing.T) {
	a := probe(t, nil)
	b := besidePlugin(t, a, "tick 100; log two", nil)
	seenBy(a, "grow 1")
	a.Close()
	b.Advance(100 * time.Millisecond)
	if got := workerLogs(b, "tick"); len(got) != 1 {
		t.Errorf("ticks %v", got)
	}
	wantSeen(t, b, "kept", "[kept 1]")
}

// A stream may have been started and not begun when its plugin is closed.
func TestClosingEndsAStreamThatHasNotBegun(t *testing.T) {
	a := probe(t, nil)
	fresh := a.Start(1, hostsim.Get("/x"))
	a.Close()
	if !fresh.Done() {
		t.Error("it goes on")
	}
}

func TestAPluginThatIsRefusedLeavesTheSharedVMAlone(t *testing.T) {
	a := probe(t, nil)
	o := hostsim.Options{Module: toolchain.Module(t, "probe"), Beside: a, PluginConfig: []byte("refuse")}
	if _, err := hostsim.New(o); !errors.Is(err, hostsim.ErrConfig) {
		t.Errorf("got %v", err)
	}
	o.PluginConfig, o.Workers = nil, 2
	if _, err := hostsim.New(o); !errors.Is(err, hostsim.ErrConfig) || !strings.Contains(fmt.Sprint(err), "Workers is 2, but 1") {
		t.Errorf("another number of workers: %v", err)
	}
	wantSeen(t, a, "starts", "[starts 1]")
}

package istio

import (
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"chatcache/test/chatapi"
	"chatcache/test/stack"

	corev1 "k8s.io/api/core/v1"
)

// chatHost is the host name that the shipped Gateway serves.
const chatHost = "chat.example.com"

// What the pods of a world are reached by.
const (
	bridgeIP  = "10.77.0.2"
	gatewayIP = "10.77.0.3"
	canaryIP  = "10.77.0.4"
)

// world is a mesh with the chat API, a registry that has the filter's image, and the bridge, but no gateway yet. The shipped files are
// applied, with what must differ: addresses, digests, and timeouts that a loaded machine can keep.
type world struct {
	Origin   *chatapi.API
	Registry *imageRegistry
	Istio    *controlPlane
	// Plugin is the WasmPlugin that is applied.
	Plugin wasmPlugin

	t         *testing.T
	dir       string
	programs  programs
	authority *authority
	wasm      []byte
}

// programs are paths.
type programs struct{ root, envoy, agent, bridge, istio string }

// newWorld starts a world. Where that can't be, the test is skipped with the reason, or fails with CHATCACHE_REQUIRE=1.
func newWorld(t *testing.T) *world {
	t.Helper()
	stack.RequireT(t)
	stack.Require(t, notIsolated)
	w := &world{t: t, dir: t.TempDir(), programs: build(t), authority: newAuthority(t)}
	var err error
	if w.wasm, err = os.ReadFile(filepath.Join(w.programs.root, "build", "chatcache.wasm")); err != nil {
		t.Fatal(err)
	}
	w.Registry = startRegistry(t)
	w.Istio = startControlPlane(t, w.dir)
	shipped := readManifests(t, shippedFile(t, "kubernetes/bridge.yaml"), shippedFile(t, "istio/bridge.yaml"), shippedFile(t, "istio/gateway.yaml"))
	chat := readManifests(t, filepath.Join("testdata", "chat.yaml"))
	w.startOrigin(chat.Services[0])
	w.startBridge(shipped)
	w.Istio.Apply(slices.Concat(shipped.others(), chat.Istio)...)
	url, digest := w.Registry.Push(w.wasm, "1.0.0")
	w.Plugin = shipped.plugin(t).with(func(p *wasmPlugin) {
		p.image(url, digest)
		p.set(t, "1s", "bridge", "timeout")
	})
	w.Istio.Apply(w.Plugin.Config)
	return w
}

// build makes the programs; that of Istio's parts takes minutes the first time.
func build(t *testing.T) programs {
	t.Helper()
	root, err := stack.Root()
	if err == nil {
		err = stack.Build(t.Context(), root, "build/chatcache.wasm", "build/redisbridge", "build/pilot-agent")
	}
	if err != nil {
		t.Fatal(err)
	}
	envoy, err := stack.EnvoyPath(root)
	if err != nil {
		t.Fatal(err)
	}
	return programs{
		root: root, envoy: envoy, istio: istioSource(t),
		agent: filepath.Join(root, "build", "pilot-agent"), bridge: filepath.Join(root, "build", "redisbridge"),
	}
}

// startOrigin serves the chat API as a Service.
func (w *world) startOrigin(service *corev1.Service) {
	w.Origin = chatapi.New(chatapi.Options{})
	server := httptest.NewUnstartedServer(w.Origin)
	server.Listener.Close()
	server.Listener = listen(w.t)
	server.Start()
	w.t.Cleanup(server.Close)
	w.Istio.Expose(service, hostAddress, server.Listener.Addr().(*net.TCPAddr).Port)
}

// startBridge starts what the bridge's Deployment says, and creates its Service.
func (w *world) startBridge(shipped manifests) {
	w.t.Helper()
	dir := filepath.Join(w.dir, "redisbridge")
	if err := os.Mkdir(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	c := containerOf(w.t, shipped.Deployments[0], w.programs.bridge, dir, secret{
		"partition-secret": stack.PartitionSecret,
		"redis-url":        "unix://" + stack.ScratchValkeyT(w.t).Socket,
		"bridge-tokens":    "gateway " + stack.BridgeToken + "\n",
		"admin-tokens":     "test " + stack.AdminToken + "\n",
	})
	// No proxy runs yet; and a loaded machine must not turn a hit into a bypass.
	c.command = append(c.command, "--bootstrap", "--timeout=900ms")
	startPod(w.t, "redisbridge", bridgeIP, c)
	w.Istio.Expose(shipped.Services[0], bridgeIP, 8470)
}

// until repeats a condition until it holds; on the way it may ask the gateways.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("after a minute, still not: %s", what)
		}
	}
}

// untilHit reads until the answer comes from the cache, and gives it.
func untilHit(t *testing.T, g *gateway, user, path string) (r response) {
	t.Helper()
	until(t, "a hit on "+path, func() bool {
		r = g.Get(user, path)
		return r.Hit()
	})
	return r
}

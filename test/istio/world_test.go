package istio

import (
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chatcache/test/chatapi"
	"chatcache/test/stack"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// chatHost is the host name that the shipped Gateway serves.
const chatHost = "chat.example.com"

// What the pods of a world are reached by.
const (
	bridgeIP  = "10.77.0.2"
	gatewayIP = "10.77.0.3"
	canaryIP  = "10.77.0.4"
	sidecarIP = "10.77.0.5"
)

// Which of the shipped files are applied together, below envoy/.
var (
	gatewayFiles = []string{"kubernetes/bridge.yaml", "istio/bridge.yaml", "istio/gateway.yaml"}
	sidecarFiles = []string{"kubernetes/bridge.yaml", "istio/bridge.yaml", "istio/sidecar.yaml"}
	bodiesFiles  = []string{"kubernetes/bridge.yaml", "istio/bridge.yaml", "istio/bodies.yaml"}
	outsideFiles = []string{"istio/bridge-external.yaml", "istio/gateway.yaml"}
)

// outsideIPs are the endpoints of bridge-external.yaml.
var outsideIPs = []string{"192.0.2.10", "192.0.2.11"}

// world is a mesh with the chat API, a registry that has the filter's image, and the bridge, but no proxy yet. The shipped files are
// applied, with what must differ: the image, and timeouts that a loaded machine can keep.
type world struct {
	Origin   *chatapi.API
	Registry *imageRegistry
	Istio    *controlPlane
	// Plugin is the WasmPlugin that is applied, if one is.
	Plugin wasmPlugin

	chat      *corev1.Service
	exposed   bool   // chat has its endpoint
	bridge    string // URL
	t         *testing.T
	dir       string
	programs  programs
	authority *authority
	wasm      []byte
}

// programs are paths.
type programs struct{ root, envoy, agent, bridge, istio string }

// newWorld starts a world with shipped files. Where that can't be, the test is skipped with the reason, or fails with CHATCACHE_REQUIRE=1.
func newWorld(t *testing.T, files ...string) *world {
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
	url, digest := w.Registry.Push(w.wasm, "1.0.0")
	edit := strings.NewReplacer(
		"oci://registry.example/chatcache@sha256:"+strings.Repeat("0", 64), url, strings.Repeat("0", 64), digest,
		"timeout: 50ms", "timeout: 1s", `"timeout": "50ms"`, `"timeout": "1s"`,
	)
	shipped, chat := readManifests(t, edit, shippedFiles(t, files...)...), readManifests(t, edit, filepath.Join("testdata", "chat.yaml"))
	w.Origin, w.chat, w.Plugin = chatapi.New(chatapi.Options{}), chat.Services[0], shipped.plugin()
	w.startBridges(shipped)
	w.Istio.Apply(slices.Concat(shipped.Istio, chat.Istio)...)
	return w
}

// shippedFiles gives the paths of files below envoy/.
func shippedFiles(t testing.TB, files ...string) (paths []string) {
	t.Helper()
	for _, file := range files {
		paths = append(paths, shippedFile(t, file))
	}
	return paths
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

// exposeOrigin serves the chat API outside of all pods, for gateways.
func (w *world) exposeOrigin() {
	if !w.exposed {
		listener := listen(w.t)
		w.serveOrigin(listener)
		w.Istio.Expose(w.chat, hostAddress, listener.Addr().(*net.TCPAddr).Port)
		w.exposed = true
	}
}

func (w *world) serveOrigin(listener net.Listener) {
	server := httptest.NewUnstartedServer(w.Origin)
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	w.t.Cleanup(server.Close)
}

// startBridges starts what the bridge's Deployment says, and creates its Service; or two bridges where the files have neither, since they
// stand outside of Kubernetes then.
func (w *world) startBridges(shipped manifests) {
	w.t.Helper()
	values := secret{
		"partition-secret": stack.PartitionSecret,
		"redis-url":        "unix://" + stack.ScratchValkeyT(w.t).Socket,
		"bridge-tokens":    "gateway " + stack.BridgeToken + "\n",
		"admin-tokens":     "test " + stack.AdminToken + "\n",
	}
	if len(shipped.Services) > 0 {
		w.startBridge(shipped.Deployments[0], bridgeIP, values)
		w.Istio.Expose(shipped.Services[0], bridgeIP, 8470)
		return
	}
	deployment := readManifests(w.t, strings.NewReplacer(), shippedFile(w.t, "kubernetes/bridge.yaml")).Deployments[0]
	for _, ip := range outsideIPs {
		w.startBridge(deployment, ip, values)
	}
}

func (w *world) startBridge(d *appsv1.Deployment, ip string, values secret) {
	w.t.Helper()
	dir := filepath.Join(w.dir, "redisbridge-"+ip)
	if err := os.Mkdir(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	c := containerOf(w.t, d, w.programs.bridge, dir, values)
	// No proxy runs yet; a loaded machine must not turn a hit into a bypass; and at the end nobody is left who has to notice.
	c.command = append(c.command, "--bootstrap", "--timeout=900ms", "--drain-delay=0s")
	startPod(w.t, "redisbridge", ip, c)
	w.bridge = "http://" + ip + ":8470"
}

// redisbridge runs the command as an administrator of the bridge.
func (w *world) redisbridge(args ...string) {
	w.t.Helper()
	cmd := exec.Command(w.programs.bridge, append(args, "--bridge", w.bridge)...)
	cmd.Env = append(os.Environ(), "CHATCACHE_ADMIN_TOKEN="+stack.AdminToken)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("redisbridge %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// untilHit reads until the answer comes from the cache, and gives it.
func untilHit(t *testing.T, g *proxy, user, path string) (r response) {
	t.Helper()
	stack.UntilT(t, "a hit on "+path, func() bool {
		r = g.Get(user, path)
		return r.Hit()
	})
	return r
}

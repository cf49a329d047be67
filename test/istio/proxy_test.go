package istio

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chatcache/test/stack"
)

// proxyOptions say what tells one proxy from another.
type proxyOptions struct {
	Name      string // of the pod
	IP        string
	Namespace string
	Labels    map[string]string // by which Gateways, WasmPlugins and EnvoyFilters choose it
	Workers   int               // threads that serve
	// Beside is the port of the chat API in the same pod, whose sidecar the proxy is; 0: it is a gateway.
	Beside int
}

// proxy is a pilot-agent with its Envoy, as the pod of a gateway, or of an application with a sidecar, has them.
type proxy struct {
	*pod
	port int // that clients ask
}

// startProxy starts a proxy and returns when Istio's own probe says that it is ready: it has its listeners and clusters.
func startProxy(t testing.TB, w *world, o proxyOptions) *proxy {
	t.Helper()
	dir := filepath.Join(w.dir, o.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w.authority.Certify(t, dir, o.Namespace)
	proxyConfig := mustJSON(t, map[string]any{
		"discoveryAddress":           w.Istio.Address,
		"controlPlaneAuthPolicy":     "NONE",
		"binaryPath":                 w.programs.envoy,
		"proxyBootstrapTemplatePath": filepath.Join(w.programs.istio, "tools", "packaging", "common", "envoy_bootstrap.json"),
		"concurrency":                o.Workers,
		"terminationDrainDuration":   "0.1s",
		// An old plugin lives on this long after a change of the policy.
		"drainDuration": "5s",
	})
	c := container{
		command: []string{w.programs.agent, "proxy", o.kind(), "--domain", o.Namespace + ".svc.cluster.local", "--proxyLogLevel=warning"},
		dir:     dir,
		ready:   ":15021/healthz/ready",
		env: slices.Concat(os.Environ(), proxySecrets(t), []string{
			"PROXY_CONFIG=" + proxyConfig,
			"INSTANCE_IP=" + o.IP, "POD_NAME=" + o.Name, "POD_NAMESPACE=" + o.Namespace,
			"ISTIO_META_CLUSTER_ID=Kubernetes", "ISTIO_METAJSON_LABELS=" + mustJSON(t, o.Labels),
			"MINIMUM_DRAIN_DURATION=0s",
			"WASM_INSECURE_REGISTRIES=" + w.Registry.Host,
		}),
	}
	if o.Beside == 0 {
		w.exposeOrigin()
		return &proxy{startPod(t, o.Name, o.IP, c), 80}
	}
	_, err := exec.LookPath("iptables")
	stack.Require(t, err)
	c.init = interception(w.programs.agent)
	w.Istio.Expose(w.chat, o.IP, o.Beside)
	p := startPod(t, o.Name, o.IP, c)
	w.serveOrigin(p.Listen(t, o.Beside))
	return &proxy{p, o.Beside}
}

// proxySecrets are the variables that operators patch into the container of a proxy.
func proxySecrets(t testing.TB) []string {
	t.Helper()
	patch := readManifests(t, strings.NewReplacer(), shippedFile(t, "istio/proxy-secrets.patch.yaml")).Deployments[0]
	return environment(patch.Spec.Template.Spec.Containers[0].Env, secret{
		"partition-secret": stack.PartitionSecret, "bridge-token": stack.BridgeToken,
	})
}

// kind is what pilot-agent calls such a proxy.
func (o proxyOptions) kind() string {
	if o.Beside == 0 {
		return "router"
	}
	return "sidecar"
}

// interception is what the container istio-init runs, as Istio's injector writes it: whatever comes to a pod passes its sidecar. But the
// sidecar runs as root here.
func interception(agent string) []string {
	return []string{
		agent, "istio-iptables", "-p", "15001", "-z", "15006", "-u", "0", "-g", "0", "-m", "REDIRECT",
		"-i", "*", "-x", "", "-b", "*", "-d", "15090,15021,15020",
	}
}

// request is what a client sends. Each goes over a connection of its own.
type request struct {
	Method, Path, User, Body string
}

// response is what it got.
type response struct {
	Status      int
	CacheStatus string
	Body        string
}

// Hit tells whether the response came from the cache.
func (r response) Hit() bool { return strings.HasPrefix(r.CacheStatus, "chatcache; hit") }

func (r response) String() string {
	return fmt.Sprintf("%d, cache-status %q: %.120q", r.Status, r.CacheStatus, r.Body)
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// Do sends a request through the proxy. One that gets no answer has status 0.
func (g *proxy) Do(r request) response {
	req, err := http.NewRequest(r.Method, fmt.Sprintf("http://%s:%d%s", g.IP, g.port, r.Path), strings.NewReader(r.Body))
	if err != nil {
		return response{Body: err.Error()}
	}
	req.Host = chatHost
	if r.User != "" {
		req.Header.Set("Authorization", "Bearer "+r.User)
	}
	if r.Body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return response{Body: err.Error()}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return response{Body: err.Error()}
	}
	return response{resp.StatusCode, resp.Header.Get("Cache-Status"), string(body)}
}

// Get reads as a user.
func (g *proxy) Get(user, path string) response {
	return g.Do(request{Method: http.MethodGet, Path: path, User: user})
}

func mustJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// istioSource gives the directory of Istio's source, which holds the template of Envoy's bootstrap.
func istioSource(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "istio.io/istio").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

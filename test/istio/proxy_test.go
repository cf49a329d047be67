package istio

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"chatcache/test/stack"
)

// gatewayOptions say what tells one gateway from another.
type gatewayOptions struct {
	Name      string // of the pod
	IP        string
	Namespace string
	Labels    map[string]string // by which Gateways and WasmPlugins choose it
	Workers   int               // threads that serve
}

// gateway is a pilot-agent with its Envoy, as the pod of an Istio gateway has them.
type gateway struct {
	*pod
	host string // of its requests
}

// startGateway starts a gateway and returns when Istio's own probe says that it is ready: it has its listeners and clusters.
func startGateway(t testing.TB, w *world, o gatewayOptions) *gateway {
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
	p := startPod(t, o.Name, o.IP, container{
		command: []string{w.programs.agent, "proxy", "router", "--domain", o.Namespace + ".svc.cluster.local", "--proxyLogLevel=warning"},
		dir:     dir,
		ready:   ":15021/healthz/ready",
		env: append(os.Environ(),
			"PROXY_CONFIG="+proxyConfig,
			"INSTANCE_IP="+o.IP, "POD_NAME="+o.Name, "POD_NAMESPACE="+o.Namespace,
			"ISTIO_META_CLUSTER_ID=Kubernetes", "ISTIO_METAJSON_LABELS="+mustJSON(t, o.Labels),
			"MINIMUM_DRAIN_DURATION=0s",
			"WASM_INSECURE_REGISTRIES="+w.Registry.Host,
			"CHATCACHE_PARTITION_SECRET="+stack.PartitionSecret, "CHATCACHE_BRIDGE_TOKEN="+stack.BridgeToken),
	})
	return &gateway{pod: p, host: chatHost}
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

// Do sends a request through the gateway. One that gets no answer has status 0.
func (g *gateway) Do(r request) response {
	req, err := http.NewRequest(r.Method, "http://"+g.IP+r.Path, strings.NewReader(r.Body))
	if err != nil {
		return response{Body: err.Error()}
	}
	req.Host = g.host
	if r.User != "" {
		req.Header.Set("Authorization", "Bearer "+r.User)
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
func (g *gateway) Get(user, path string) response {
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

package stack_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"chatcache/test/stack"
)

// Envoy takes what `policy render` writes for it, and what the files for Istio and Envoy Gateway hand to it as a text of its own.
func TestEnvoyAcceptsWhatIsDeployed(t *testing.T) {
	stack.RequireT(t)
	root := repositoryRoot(t)
	if err := stack.Build(t.Context(), root, "build/chatcache.wasm", "build/policy"); err != nil {
		t.Fatal(err)
	}
	rendered := func(args ...string) func(*testing.T) []byte {
		return func(t *testing.T) []byte {
			cmd := exec.Command(filepath.Join(root, "build/policy"), append([]string{"render", "--for", "envoy"}, args...)...)
			cmd.Dir = root
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %v", cmd, err)
			}
			return out
		}
	}
	// Envoy's own word on code from elsewhere, which the command's help repeats.
	elsewhere := rendered("--url", "https://files.example:8443/chatcache.wasm", "--sha256", strings.Repeat("0", 64),
		"--fail", "open", "--origin", "chat.example:80", "--bridge", "bridge.example:8470", "envoy/chat.policy.json")
	t.Run("render, code from elsewhere", func(t *testing.T) {
		validate(t, root, elsewhere(t), "Wasm remote code fetch is unstable and may cause a crash")
	})
	prefetching := filepath.Join(t.TempDir(), "prefetching.json")
	if err := os.WriteFile(prefetching, []byte(`{"version": 1, "name": "p", "bridge": {"cluster": "redis-bridge"}, "host": {"loopback_cluster": "self: 1"},
		"caches": {"c": {"match": ["GET /c"], "ttl": "60s", "shared": true, "prefetch": {"parameter": "page", "more": "/more"}}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, configuration := range map[string]func(*testing.T) []byte{
		"render":                    rendered("envoy/chat.policy.json"),
		"render, prefetching":       rendered(prefetching),
		"render, routes elsewhere":  rendered("--disable-elsewhere", prefetching),
		"render, Istio's policy":    rendered("--fail", "close", "envoy/istio/bodies.policy.json"),
		"Istio's EnvoyFilter":       func(t *testing.T) []byte { return envoyFilterAlone(t, root) },
		"Envoy Gateway's bootstrap": func(t *testing.T) []byte { return gatewayBootstrap(t, root) },
	} {
		t.Run(name, func(t *testing.T) { validate(t, root, configuration(t)) })
	}
}

// customMethods is what Envoy warns of in every configuration that is made of the shipped one: requests with
// unknown methods (QUERY, PURGE) are let through by an option that Envoy has marked so in 1.40.
const customMethods = "Http1ProtocolOptions.allow_custom_methods' is marked as work-in-progress"

// validate lets Envoy read a configuration as it would at its start, from the repository's root.
// It may warn of nothing but what is named, and of customMethods.
func validate(t *testing.T, root string, configuration []byte, warnings ...string) {
	t.Helper()
	envoy, err := stack.EnvoyPath(root)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "envoy.yaml")
	if err := os.WriteFile(path, configuration, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(envoy, "--mode", "validate", "-c", path)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CHATCACHE_PARTITION_SECRET="+stack.PartitionSecret, "CHATCACHE_BRIDGE_TOKEN="+stack.BridgeToken)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("envoy --mode validate: %v\n%s\n%s", err, out, configuration)
	}
	warnings = append(warnings, customMethods)
	for line := range strings.Lines(string(out)) {
		known := slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(line, w) })
		if (strings.Contains(line, "[warning]") || strings.Contains(line, "[error]")) && !known {
			t.Errorf("Envoy has something to say: %s", line)
		}
	}
}

// envoyFilterAlone is the shipped configuration with the filter of envoy/istio/bodies.yaml in place of its own. Istio's agent would
// put a file in place of the image; so does this.
func envoyFilterAlone(t *testing.T, root string) []byte {
	t.Helper()
	var resource struct {
		Spec struct {
			ConfigPatches []struct {
				ApplyTo string `yaml:"applyTo"`
				Patch   struct{ Value map[string]any }
			} `yaml:"configPatches"`
		}
	}
	parse(t, readFile(t, filepath.Join(root, "envoy/istio/bodies.yaml")), &resource)
	var configuration map[string]any
	parse(t, readFile(t, filepath.Join(root, "envoy/envoy.yaml")), &configuration)
	for _, patch := range resource.Spec.ConfigPatches {
		if patch.ApplyTo != "EXTENSION_CONFIG" {
			continue
		}
		plugin := at(t, patch.Patch.Value, "typed_config", "config", "vm_config").(map[string]any)
		plugin["code"] = map[string]any{"local": map[string]any{"filename": "build/chatcache.wasm"}}
		filters := at(t, configuration, "static_resources", "listeners", 0, "filter_chains", 0, "filters", 0, "typed_config", "http_filters").([]any)
		filters[0] = patch.Patch.Value
	}
	out, err := yaml.Marshal(configuration)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// gatewayBootstrap is what envoy/envoy-gateway/proxy.yaml merges into the bootstrap of Envoy Gateway.
func gatewayBootstrap(t *testing.T, root string) []byte {
	t.Helper()
	var resource map[string]any
	parse(t, readFile(t, filepath.Join(root, "envoy/envoy-gateway/proxy.yaml")), &resource)
	return []byte(at(t, resource, "spec", "bootstrap", "value").(string))
}

// parse reads the first document.
func parse(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(into); err != nil {
		t.Fatal(err)
	}
}

// at follows names and indices.
func at(t *testing.T, v any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[step]
		case int:
			list, _ := v.([]any)
			if step >= len(list) {
				t.Fatalf("nothing at %v", path)
			}
			v = list[step]
		}
	}
	if v == nil {
		t.Fatalf("nothing at %v", path)
	}
	return v
}

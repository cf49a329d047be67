package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"chatcache/envoy"
)

// sampleImage is the image in what is shipped: everybody has another one.
var sampleImage = []string{"--image", "registry.example/chatcache", "--digest", "sha256:" + strings.Repeat("0", 64)}

// The YAML files that load the filter are what the command makes of the policies beside them. UPDATE=1 writes them anew.
func TestShippedManifests(t *testing.T) {
	for _, c := range []struct{ file, args string }{
		{"istio/sidecar.yaml", "--for istio --namespace chat --selector app=chat-api --port 3000 ../../../envoy/istio/chat.policy.json"},
		{"istio/gateway.yaml", "--for istio --namespace istio-ingress --selector istio=ingressgateway --gateway ../../../envoy/istio/chat.policy.json"},
		{"istio/bodies.yaml", "--for istio --namespace chat --selector app=chat-api --port 3000 ../../../envoy/istio/bodies.policy.json"},
		{"envoy-gateway/filter.yaml", "--for envoy-gateway --namespace chat --target Gateway/chat ../../../envoy/envoy-gateway/chat.policy.json"},
	} {
		t.Run(c.file, func(t *testing.T) {
			var out, problems bytes.Buffer
			args := append(append([]string{"render"}, sampleImage...), strings.Fields(c.args)...)
			if code := run(args, streams{nil, &out, &problems, os.Getenv}); code != exitOK || problems.Len() > 0 {
				t.Fatalf("exit code %d, want 0 without a warning:\n%s", code, &problems)
			}
			path := filepath.Join("../../../envoy", c.file)
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			shipped, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(shipped, out.Bytes()) {
				t.Errorf("envoy/%s isn't what the command writes; UPDATE=1 go test ./policy/cmd/policy", c.file)
			}
		})
	}
}

// The samples for Istio and Envoy Gateway are envoy/chat.policy.json, but for what the target has otherwise.
func TestSamplePoliciesSayTheSame(t *testing.T) {
	read := func(name string) map[string]any {
		text, err := os.ReadFile("../../../envoy/" + name)
		if err != nil {
			t.Fatal(err)
		}
		var p map[string]any
		if err := json.Unmarshal(text, &p); err != nil {
			t.Fatal(err)
		}
		delete(p["bridge"].(map[string]any), "cluster")
		delete(p["identity"].([]any)[0].(map[string]any), "payload")
		return p
	}
	want := read("chat.policy.json")
	if diff := cmp.Diff(want, read("istio/bodies.policy.json")); diff != "" {
		t.Errorf("envoy/istio/bodies.policy.json:\n%s", diff)
	}
	delete(want, "host")
	delete(want["caches"].(map[string]any), "flags")
	for _, name := range []string{"istio/chat.policy.json", "envoy-gateway/chat.policy.json"} {
		if diff := cmp.Diff(want, read(name)); diff != "" {
			t.Errorf("envoy/%s:\n%s", name, diff)
		}
	}
}

// The commands in the READMEs work, with somebody's digest and policy.
func TestCommandsOfTheReadmes(t *testing.T) {
	command := regexp.MustCompile(`(?m)^ *policy ((?:[^\n|>\\]|\\\n)+)`)
	for _, dir := range []string{"istio", "envoy-gateway", "helm/chatcache"} {
		text, err := os.ReadFile("../../../envoy/" + dir + "/README.md")
		if err != nil {
			t.Fatal(err)
		}
		found := command.FindAllStringSubmatch(string(text), -1)
		if len(found) == 0 && dir != "helm/chatcache" {
			t.Errorf("envoy/%s/README.md has no command", dir)
		}
		for _, m := range found {
			line := strings.NewReplacer("\\\n", " ", "sha256:…", sampleImage[3], "mine.policy.json", "../../../envoy/"+dir+"/chat.policy.json").Replace(m[1])
			var out, problems bytes.Buffer
			if code := run(strings.Fields(line), streams{nil, &out, &problems, os.Getenv}); code != exitOK || problems.Len() > 0 {
				t.Errorf("envoy/%s/README.md: policy %s: exit code %d\n%s", dir, line, code, &problems)
			}
		}
	}
}

// Without other flags the configuration is the shipped one, but for what it says of itself.
func TestShippedConfiguration(t *testing.T) {
	var out, problems bytes.Buffer
	code := run([]string{"render", "--for", "envoy", "../../../envoy/chat.policy.json"}, streams{nil, &out, &problems, os.Getenv})
	if code != exitOK || problems.Len() > 0 {
		t.Fatalf("exit code %d\n%s", code, &problems)
	}
	_, got, _ := strings.Cut(out.String(), "\n\n")
	_, want, _ := strings.Cut(envoy.Configuration, "\n\n")
	if got != want {
		t.Errorf("got another configuration than envoy/envoy.yaml:\n%s", got)
	}
}

// A bridge that is found by its name is called as the one of Envoy Gateway's proxies is.
func TestBridgeByName(t *testing.T) {
	var out, problems bytes.Buffer
	code := run([]string{"render", "--for", "envoy", "--bridge", "redis-bridge-pods.chatcache.svc.cluster.local:8470", "../../../envoy/chat.policy.json"}, streams{nil, &out, &problems, os.Getenv})
	if code != exitOK || problems.Len() > 0 {
		t.Fatalf("exit code %d\n%s", code, &problems)
	}
	text, err := os.ReadFile("../../../envoy/envoy-gateway/proxy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var proxy struct {
		Spec struct{ Bootstrap struct{ Value string } }
	}
	if err := yaml.Unmarshal(text, &proxy); err != nil {
		t.Fatal(err)
	}
	want := bridgeCluster(t, proxy.Spec.Bootstrap.Value)
	dns := want["cluster_type"].(map[string]any)["typed_config"].(map[string]any)
	dns["dns_lookup_family"] = "AUTO" // outside of Kubernetes names may have addresses of IPv6 alone
	if diff := cmp.Diff(want, bridgeCluster(t, out.String())); diff != "" {
		t.Errorf("envoy-gateway/proxy.yaml (-), `policy render --for envoy` (+):\n%s", diff)
	}
}

// bridgeCluster finds redis-bridge in a configuration of Envoy.
func bridgeCluster(t *testing.T, text string) map[string]any {
	t.Helper()
	var configuration struct {
		Resources struct{ Clusters []map[string]any } `yaml:"static_resources"`
	}
	if err := yaml.Unmarshal([]byte(text), &configuration); err != nil {
		t.Fatal(err)
	}
	for _, c := range configuration.Resources.Clusters {
		if c["name"] == "redis-bridge" {
			return c
		}
	}
	t.Fatal("no cluster redis-bridge")
	return nil
}

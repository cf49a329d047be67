package stack_test

import (
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"chatcache/test/stack"

	"github.com/google/go-cmp/cmp"
)

// The rendered configuration differs from the shipped one only where it must.
func TestRenderReplacesOnlyAddressesFilterAndPolicy(t *testing.T) {
	shipped := readFile(t, filepath.Join(repositoryRoot(t), "envoy", "envoy.yaml"))
	render := func(c stack.Configuration) map[string]string {
		got, err := stack.Render(shipped, c)
		if err != nil {
			t.Fatal(err)
		}
		leaves := map[string]string{}
		flatten(t, "bootstrap", got.Bootstrap, leaves)
		flatten(t, "listeners", got.Listeners, leaves)
		return leaves
	}
	before := render(stack.Configuration{})
	after := render(stack.Configuration{
		Listener: 1, Admin: 2, Origin: 3, Bridge: 4, Filter: "f.wasm", Policy: []byte("{not json"),
		ListenersPath: "l.json", Version: "7",
	})
	changed := map[string]string{}
	for path, value := range after {
		if before[path] != value {
			changed[path] = value
		}
	}
	const plugin = "listeners/resources/0/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config/config/"
	const cluster = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/port_value"
	want := map[string]string{
		"bootstrap/admin/address/socket_address/port_value":              "2",
		"bootstrap/static_resources/clusters/0" + cluster:                "3",
		"bootstrap/static_resources/clusters/1" + cluster:                "4",
		"bootstrap/dynamic_resources/lds_config/path_config_source/path": `"l.json"`,
		"listeners/version_info":                                         `"7"`,
		"listeners/resources/0/address/socket_address/port_value":        "1",
		plugin + "vm_config/code/local/filename":                         `"f.wasm"`,
		plugin + "configuration/value":                                   `"{not json"`,
	}
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Error(diff)
	}
	if len(before) != len(after) {
		t.Errorf("%d settings became %d", len(before), len(after))
	}
	bySocket := render(stack.Configuration{BridgeSocket: "/run/bridge.sock"})
	const address = "bootstrap/static_resources/clusters/1/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address"
	if bySocket[address+"/pipe/path"] != `"/run/bridge.sock"` || bySocket[address+"/socket_address/address"] != "" {
		t.Errorf("the bridge's address by a socket: %v", bySocket)
	}
}

// flatten puts every leaf of a JSON document under its path.
func flatten(t *testing.T, name string, text []byte, into map[string]string) {
	t.Helper()
	var root any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, member := range v {
				walk(path+"/"+name, member)
			}
		case []any:
			for i, member := range v {
				walk(path+"/"+strconv.Itoa(i), member)
			}
		default:
			leaf, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			into[path] = string(leaf)
		}
	}
	walk(name, root)
}

func TestRenderSaysWhatIsMissing(t *testing.T) {
	shipped := string(readFile(t, filepath.Join(repositoryRoot(t), "envoy", "envoy.yaml")))
	for _, c := range []struct{ old, new, want string }{
		{"name: chatcache\n            typed_config", "name: other\n            typed_config", "envoy configuration: nothing at /static_resources/listeners[name=chat]/filter_chains[0]/filters[0]/typed_config/http_filters[name=chatcache]"},
		{"- name: redis-bridge", "- name: bridge", "envoy configuration: nothing at /static_resources/clusters[name=redis-bridge]"},
		{"admin:", "admin: [", "envoy configuration: yaml: "},
	} {
		if !strings.Contains(shipped, c.old) {
			t.Fatalf("envoy.yaml no longer has %q", c.old)
		}
		got, err := stack.Render([]byte(strings.Replace(shipped, c.old, c.new, 1)), stack.Configuration{})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || got.Bootstrap != nil {
			t.Errorf("%s: got %v", c.new, err)
		}
	}
}

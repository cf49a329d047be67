package stack

import (
	"encoding/json"
	"slices"
)

// Configuration says what [Render] puts into the shipped one.
type Configuration struct {
	Listener, Admin int    // Envoy's own ports on 127.0.0.1
	Origin, Bridge  int    // the ports that its clusters lead to
	BridgeSocket    string // the path of a Unix socket in place of the bridge's port, unless it is empty
	Filter          string // path of the .wasm
	Policy          []byte // any text: a bad one is for Envoy to refuse
	Front           []any  // HTTP filters before the cache, as parsed JSON has them
	// Manager changes the listener's HTTP connection manager, as parsed YAML has it, after all
	// the rest: benchmarks compare with proxies that lack the filter.
	Manager func(typedConfig map[string]any)
	// Upstream changes the cluster that leads to the origin, likewise.
	Upstream func(cluster map[string]any)
	// ToBridge changes the one that leads to the bridge.
	ToBridge      func(cluster map[string]any)
	Loopback      string // a cluster that leads to Envoy's own listener; none if empty
	ListenersPath string // where Rendered.Listeners will stand
	Version       string // tells one rendering of the listeners from the next
}

// Rendered is a configuration of Envoy: the bootstrap, and the listeners apart,
// so that a new policy can be put in place while Envoy runs.
type Rendered struct {
	Bootstrap []byte // JSON
	Listeners []byte // a DiscoveryResponse in JSON, for the file that the bootstrap names
}

// Render takes the shipped configuration (YAML) and replaces what c names. The
// listeners move to a file of their own.
func Render(shipped []byte, c Configuration) (Rendered, error) {
	doc, err := parseDocument(shipped)
	if err != nil {
		return Rendered{}, err
	}
	doc.set(c.Admin, "admin", "address", "socket_address", "port_value")
	doc.set(c.Listener, "static_resources", "listeners", named("chat"), "address", "socket_address", "port_value")
	doc.set(c.Origin, clusterAddress("chat", "socket_address", "port_value")...)
	if c.BridgeSocket == "" {
		doc.set(c.Bridge, clusterAddress("redis-bridge", "socket_address", "port_value")...)
	} else {
		doc.set(map[string]any{"pipe": map[string]any{"path": c.BridgeSocket}}, clusterAddress("redis-bridge")...)
	}
	doc.set(c.Filter, pluginPath("vm_config", "code", "local", "filename")...)
	doc.set(string(c.Policy), pluginPath("configuration", "value")...)
	doc.set(append(slices.Clone(c.Front), doc.list(httpFilters()...)...), httpFilters()...)
	if c.Loopback != "" {
		clusters := []any{"static_resources", "clusters"}
		doc.set(append(slices.Clone(doc.list(clusters...)), localCluster(c.Loopback, c.Listener)), clusters...)
	}

	if manager, ok := doc.get(managerPath()...).(map[string]any); ok && c.Manager != nil {
		c.Manager(manager)
	}
	for name, change := range map[string]func(cluster map[string]any){"chat": c.Upstream, "redis-bridge": c.ToBridge} {
		if cluster, ok := doc.get("static_resources", "clusters", named(name)).(map[string]any); ok && change != nil {
			change(cluster)
		}
	}
	listeners := doc.cut("static_resources", "listeners")
	doc.add("node", map[string]any{"id": "stack", "cluster": "stack"})
	doc.add("dynamic_resources", map[string]any{
		"lds_config": map[string]any{
			"resource_api_version": "V3",
			"path_config_source":   map[string]any{"path": c.ListenersPath},
		},
	})
	if doc.err != nil {
		return Rendered{}, doc.err
	}
	return encode(doc.root, discoveryResponse(listeners, c.Version))
}

// ShippedPolicy gives the policy that the shipped configuration holds.
func ShippedPolicy(shipped []byte) ([]byte, error) {
	value, err := within(shipped, pluginPath("configuration", "value"))
	text, _ := value.(string)
	return []byte(text), err
}

// Routes gives the route configuration of one that was made of the shipped configuration.
func Routes(configuration []byte) (map[string]any, error) {
	value, err := within(configuration, append(managerPath(), "route_config"))
	routes, _ := value.(map[string]any)
	return routes, err
}

// within gives what stands at a place of a configuration.
func within(configuration []byte, path []any) (any, error) {
	doc, err := parseDocument(configuration)
	if err != nil {
		return nil, err
	}
	return doc.get(path...), doc.err
}

func clusterAddress(name string, rest ...any) []any {
	return append([]any{"static_resources", "clusters", named(name), "load_assignment", "endpoints", 0,
		"lb_endpoints", 0, "endpoint", "address"}, rest...)
}

func managerPath() []any {
	return []any{"static_resources", "listeners", named("chat"), "filter_chains", 0, "filters", 0, "typed_config"}
}

// localCluster leads to a port of this machine.
func localCluster(name string, port int) map[string]any {
	address := map[string]any{"socket_address": map[string]any{"address": "127.0.0.1", "port_value": port}}
	return map[string]any{
		"name": name, "type": "STATIC", "connect_timeout": "1s",
		"load_assignment": map[string]any{"cluster_name": name, "endpoints": []any{
			map[string]any{"lb_endpoints": []any{map[string]any{"endpoint": map[string]any{"address": address}}}},
		}},
	}
}

// EnvoysCache is Envoy's own cache filter, to compare with.
func EnvoysCache() map[string]any {
	return map[string]any{"name": "cache", "typed_config": map[string]any{
		"@type":        "type.googleapis.com/envoy.extensions.filters.http.cache.v3.CacheConfig",
		"typed_config": map[string]any{"@type": "type.googleapis.com/envoy.extensions.http.cache.simple_http_cache.v3.SimpleHttpCacheConfig"},
	}}
}

func httpFilters() []any { return append(managerPath(), "http_filters") }

func pluginPath(rest ...any) []any {
	return append(append(httpFilters(), named("chatcache"), "typed_config", "config"), rest...)
}

func discoveryResponse(listeners any, version string) map[string]any {
	list, _ := listeners.([]any)
	for _, l := range list {
		if m, ok := l.(map[string]any); ok {
			m["@type"] = "type.googleapis.com/envoy.config.listener.v3.Listener"
		}
	}
	return map[string]any{"version_info": version, "resources": list}
}

func encode(bootstrap, listeners any) (Rendered, error) {
	b, err := json.MarshalIndent(bootstrap, "", " ")
	if err != nil {
		return Rendered{}, err
	}
	l, err := json.MarshalIndent(listeners, "", " ")
	return Rendered{Bootstrap: b, Listeners: l}, err
}

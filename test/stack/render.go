package stack

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Addresses are the ports on 127.0.0.1 that a rendered configuration uses.
type Addresses struct {
	Listener, Admin int // Envoy's own
	Origin, Bridge  int // where its clusters point
}

// Rendered is a configuration of Envoy: the bootstrap, and the listeners apart,
// so that a new policy can be put in place while Envoy runs.
type Rendered struct {
	Bootstrap []byte // JSON
	Listeners []byte // a DiscoveryResponse in JSON, for the file that the bootstrap names
}

// Render takes the shipped configuration (YAML) and replaces its ports, the
// path of the filter and the policy (any text: a bad one is for Envoy to
// refuse). The listeners move to the file listenersPath; version tells one
// rendering of them from the next. The HTTP filters in front, as parsed YAML or
// JSON has them, come before the cache.
func Render(shipped []byte, a Addresses, filter string, policy []byte, front []any, listenersPath, version string) (Rendered, error) {
	doc, err := parseDocument(shipped)
	if err != nil {
		return Rendered{}, err
	}
	doc.set(a.Admin, "admin", "address", "socket_address", "port_value")
	doc.set(a.Listener, "static_resources", "listeners", named("chat"), "address", "socket_address", "port_value")
	doc.set(a.Origin, clusterPort("chat")...)
	doc.set(a.Bridge, clusterPort("redis-bridge")...)
	doc.set(filter, pluginPath("vm_config", "code", "local", "filename")...)
	doc.set(string(policy), pluginPath("configuration", "value")...)

	doc.set(append(slices.Clone(front), doc.list(httpFilters()...)...), httpFilters()...)

	listeners := doc.cut("static_resources", "listeners")
	doc.add("node", map[string]any{"id": "stack", "cluster": "stack"})
	doc.add("dynamic_resources", map[string]any{
		"lds_config": map[string]any{
			"resource_api_version": "V3",
			"path_config_source":   map[string]any{"path": listenersPath},
		},
	})
	if doc.err != nil {
		return Rendered{}, doc.err
	}
	return encode(doc.root, discoveryResponse(listeners, version))
}

// ShippedPolicy gives the policy that the shipped configuration holds.
func ShippedPolicy(shipped []byte) ([]byte, error) {
	doc, err := parseDocument(shipped)
	if err != nil {
		return nil, err
	}
	text, _ := doc.get(pluginPath("configuration", "value")...).(string)
	return []byte(text), doc.err
}

func clusterPort(name string) []any {
	return []any{"static_resources", "clusters", named(name), "load_assignment", "endpoints", 0,
		"lb_endpoints", 0, "endpoint", "address", "socket_address", "port_value"}
}

func httpFilters() []any {
	return []any{"static_resources", "listeners", named("chat"), "filter_chains", 0, "filters", 0, "typed_config", "http_filters"}
}

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

// document is a YAML tree that is edited by path. The first path that doesn't
// exist is kept in err; edits after it do nothing.
type document struct {
	root map[string]any
	err  error
}

// named is a step of a path: the member of a list whose "name" it is.
type named string

func parseDocument(text []byte) (*document, error) {
	doc := &document{}
	if err := yaml.Unmarshal(text, &doc.root); err != nil {
		return nil, fmt.Errorf("envoy configuration: %w", err)
	}
	return doc, nil
}

func (d *document) get(path ...any) any {
	var at any = d.root
	for i, step := range path {
		next, ok := child(at, step)
		if !ok && d.err == nil {
			d.err = fmt.Errorf("envoy configuration: nothing at %s", pathString(path[:i+1]))
		}
		if !ok {
			return nil
		}
		at = next
	}
	return at
}

func (d *document) list(path ...any) []any {
	list, _ := d.get(path...).([]any)
	return list
}

func child(at, step any) (any, bool) {
	switch step := step.(type) {
	case string:
		m, _ := at.(map[string]any)
		v, ok := m[step]
		return v, ok
	case int:
		list, _ := at.([]any)
		if step >= len(list) {
			return nil, false
		}
		return list[step], true
	case named:
		list, _ := at.([]any)
		for _, v := range list {
			if m, ok := v.(map[string]any); ok && m["name"] == string(step) {
				return v, true
			}
		}
	}
	return nil, false
}

// set replaces the value at path, which must exist; its last step is a name.
func (d *document) set(value any, path ...any) {
	d.get(path...)
	parent, _ := d.get(path[:len(path)-1]...).(map[string]any)
	if d.err == nil {
		parent[path[len(path)-1].(string)] = value
	}
}

// cut removes and gives the value at path; its last step is a name.
func (d *document) cut(path ...any) any {
	value := d.get(path...)
	parent, _ := d.get(path[:len(path)-1]...).(map[string]any)
	if d.err == nil {
		delete(parent, path[len(path)-1].(string))
	}
	return value
}

// add sets a top-level field.
func (d *document) add(name string, value any) {
	if d.err == nil {
		d.root[name] = value
	}
}

func pathString(path []any) string {
	var b strings.Builder
	for _, step := range path {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", step)
		case named:
			fmt.Fprintf(&b, "[name=%s]", string(step))
		default:
			fmt.Fprintf(&b, "/%v", step)
		}
	}
	return b.String()
}

package stack

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

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

package deploy

import (
	"errors"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// What Decode refuses, and by which words.
func TestDecodeIsStrict(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no YAML":         {"a: [", "did not find expected"},
		"no kind":         {"metadata: {name: x}", "'Kind' is missing"},
		"unknown kind":    {"{apiVersion: v1, kind: Service2}", `no kind "Service2"`},
		"duplicate field": {"apiVersion: v1\nkind: Secret\nkind: Secret", `key "kind" already set`},
		"unknown field":   {"{apiVersion: v1, kind: Service, spec: {port: 1}}", `unknown field "spec.port"`},
		"wrong type":      {`{apiVersion: v1, kind: Service, spec: {ports: [{port: "x"}]}}`, "cannot unmarshal string"},
		"Istio's field":   {"{apiVersion: networking.istio.io/v1, kind: ServiceEntry, spec: {host: [a]}}", `unknown field "host"`},
		"Istio's value":   {"{apiVersion: networking.istio.io/v1, kind: ServiceEntry, spec: {location: MESH}}", "unknown value \"\\\"MESH"},
	} {
		list, err := Decode([]byte(c.text))
		if !errors.Is(err, ErrManifest) || !strings.Contains(err.Error(), c.want) || list != nil {
			t.Errorf("%s: got %v, %v, want %q", name, list, err, c.want)
		}
	}
	if list, err := Decode([]byte("# nothing\n---\n")); err != nil || len(list) != 0 {
		t.Errorf("comments alone: %v, %v", list, err)
	}
}

// Strictness reaches every kind that is shipped: with a field more in its spec, or beside it, each document is refused.
func TestDecodeIsStrictForEveryShippedKind(t *testing.T) {
	for _, f := range shipped(t) {
		for _, document := range f.documents() {
			for _, at := range []string{"", "spec"} {
				var object map[string]any
				if err := yaml.Unmarshal(document, &object); err != nil {
					t.Fatal(err)
				}
				within := object
				if at != "" {
					var ok bool
					if within, ok = object[at].(map[string]any); !ok {
						continue
					}
				}
				within["surplus"] = 1
				text, err := yaml.Marshal(object)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := Decode(text); err == nil || !strings.Contains(err.Error(), "surplus") {
					t.Errorf("%s: %v with a field more: %v", f.name, object["kind"], err)
				}
			}
		}
	}
}

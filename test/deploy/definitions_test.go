package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// definitions are what Istio, Envoy Gateway and the Gateway API install, from the modules whose types Decode uses.
var definitions = sync.OnceValues(func() (Definitions, error) {
	d := Definitions{}
	for _, from := range []struct{ module, files string }{
		{"istio.io/api", "kubernetes/*.yaml"},
		{"github.com/envoyproxy/gateway", "charts/gateway-crds-helm/templates/generated/*.yaml"},
		{"sigs.k8s.io/gateway-api", "config/crd/standard/*.yaml"},
	} {
		dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", from.module).Output()
		if err != nil {
			return nil, err
		}
		files, err := filepath.Glob(filepath.Join(string(bytes.TrimSpace(dir)), from.files))
		if err != nil || len(files) == 0 {
			return nil, fmt.Errorf("%s has no %s: %v", from.module, from.files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err == nil {
				err = d.Add(text)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return d, nil
})

// The files and what the chart makes fit the definitions that the control planes install.
func TestResourcesFitTheirDefinitions(t *testing.T) {
	d, err := definitions()
	if err != nil {
		t.Fatal(err)
	}
	files := shipped(t)
	for _, i := range installations {
		text, err := os.ReadFile(filepath.Join("testdata", i.name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file{"helm, " + i.name, text})
	}
	for _, f := range files {
		for _, document := range f.documents() {
			known, err := d.Validate(document)
			if err != nil {
				t.Errorf("%s: %v", f.name, err)
			}
			custom := bytes.Contains(document, []byte("istio.io/v1")) || bytes.Contains(document, []byte("gateway.networking.k8s.io/v1")) ||
				bytes.Contains(document, []byte("gateway.envoyproxy.io/v1"))
			if custom && !known {
				t.Errorf("%s: no definition of\n%s", f.name, document)
			}
		}
	}
}

// A definition refuses what the types let through.
func TestDefinitionsRefuse(t *testing.T) {
	d, err := definitions()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ file, old, new, want string }{
		"no URL":              {"istio/sidecar.yaml", "\n  url: oci", "\n  imagePullSecret: oci", "missing property 'url'"},
		"a strategy":          {"istio/sidecar.yaml", "FAIL_OPEN", "FAIL_SOFT", "value must be one of"},
		"a digest cut short":  {"istio/sidecar.yaml", `sha256: "00`, `sha256: "0`, "does not match pattern"},
		"a target's kind":     {"envoy-gateway/filter.yaml", "type: Image", "type: Picture", "value must be one of"},
		"a type of bootstrap": {"envoy-gateway/proxy.yaml", "type: Merge", "type: Patch", "value must be one of"},
		"a listener's port":   {"envoy-gateway/gateway.yaml", "port: 80,", "port: 0,", "minimum"},
	} {
		text := string(read(t, c.file).text)
		if strings.Count(text, c.old) == 0 {
			t.Fatalf("%s: envoy/%s has no %q", name, c.file, c.old)
		}
		changed := file{c.file, []byte(strings.Replace(text, c.old, c.new, 1))}
		_, err := d.Validate(changed.documents()[0])
		if !errors.Is(err, ErrManifest) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

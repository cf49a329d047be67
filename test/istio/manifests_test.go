package istio

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	extensions "istio.io/api/extensions/v1alpha1"
	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pkg/config"
)

// manifests is what files that operators apply hold. Kinds that only a real Kubernetes could act on are left out.
type manifests struct {
	Istio       []config.Config
	Services    []*corev1.Service
	Deployments []*appsv1.Deployment
}

// readManifests reads files, edited, as Istio reads what Kubernetes has: what it wouldn't take fails the test.
func readManifests(t testing.TB, edit *strings.Replacer, files ...string) manifests {
	t.Helper()
	var m manifests
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		resources, others, err := crd.ParseInputs(edit.Replace(string(text)))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		m.Istio = append(m.Istio, resources...)
		for _, other := range others {
			m.add(t, file, other)
		}
	}
	return m
}

func (m *manifests) add(t testing.TB, file string, other crd.IstioKind) {
	t.Helper()
	text, err := json.Marshal(other)
	if err != nil {
		t.Fatal(err)
	}
	switch other.Kind {
	case "Service":
		m.Services = append(m.Services, new(corev1.Service))
		err = json.Unmarshal(text, m.Services[len(m.Services)-1])
	case "Deployment":
		m.Deployments = append(m.Deployments, new(appsv1.Deployment))
		err = json.Unmarshal(text, m.Deployments[len(m.Deployments)-1])
	}
	if err != nil {
		t.Fatalf("%s: %s %s: %v", file, other.Kind, other.Name, err)
	}
}

// plugin gives a copy of the WasmPlugin; nothing if there is none.
func (m manifests) plugin() (p wasmPlugin) {
	for _, r := range m.Istio {
		if spec, ok := r.DeepCopy().Spec.(*extensions.WasmPlugin); ok {
			r.Spec = spec
			p = wasmPlugin{r, spec}
		}
	}
	return p
}

// wasmPlugin is a WasmPlugin that a test changes.
type wasmPlugin struct {
	config.Config
	Spec *extensions.WasmPlugin // Config's own
}

// with gives a changed copy.
func (p wasmPlugin) with(change func(*wasmPlugin)) wasmPlugin {
	c := p.Config.DeepCopy()
	p = wasmPlugin{c, c.Spec.(*extensions.WasmPlugin)}
	change(&p)
	return p
}

// image makes the plugin load another image.
func (p *wasmPlugin) image(url, sha256 string) { p.Spec.Url, p.Spec.Sha256 = url, sha256 }

// set changes a member of the policy, at a path of names.
func (p *wasmPlugin) set(t testing.TB, value any, path ...string) {
	t.Helper()
	at, last := p.Spec.PluginConfig, len(path)-1
	for _, name := range path[:last] {
		at = at.Fields[name].GetStructValue()
	}
	v, err := structpb.NewValue(value)
	if err != nil || at == nil {
		t.Fatalf("setting %v of the policy: %v", path, err)
	}
	at.Fields[path[last]] = v
}

// secret is the Secret that a Deployment names.
type secret map[string]string

// environment gives a container's variables.
func environment(vars []corev1.EnvVar, values secret) (env []string) {
	for _, v := range vars {
		if v.ValueFrom != nil {
			v.Value = values[v.ValueFrom.SecretKeyRef.Key]
		}
		env = append(env, v.Name+"="+v.Value)
	}
	return env
}

// containerOf gives what a Deployment's one container runs: program with the Deployment's arguments and variables, with the secret's
// files in dir.
func containerOf(t testing.TB, d *appsv1.Deployment, program, dir string, values secret) container {
	t.Helper()
	spec := d.Spec.Template.Spec
	c := spec.Containers[0]
	made := container{command: []string{program}, dir: dir, env: os.Environ()}
	for _, arg := range c.Args {
		for _, m := range c.VolumeMounts {
			arg = strings.ReplaceAll(arg, m.MountPath, dir)
		}
		made.command = append(made.command, arg)
	}
	made.env = append(made.env, environment(c.Env, values)...)
	for _, v := range spec.Volumes {
		if v.Secret == nil {
			continue // the policies, which may be missing
		}
		for _, item := range v.Secret.Items {
			if err := os.WriteFile(filepath.Join(dir, item.Path), []byte(values[item.Key]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	made.ready = ":8470" + c.ReadinessProbe.HTTPGet.Path
	return made
}

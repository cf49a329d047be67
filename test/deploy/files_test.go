package deploy

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	gateway "github.com/envoyproxy/gateway/api/v1alpha1"
	extensions "istio.io/client-go/pkg/apis/extensions/v1alpha1"
	networking "istio.io/client-go/pkg/apis/networking/v1"
	security "istio.io/client-go/pkg/apis/security/v1"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	network "k8s.io/api/networking/v1"
	disruption "k8s.io/api/policy/v1"
)

const root = "../../envoy"

// file is a YAML file with resources of Kubernetes.
type file struct {
	name string // below envoy/
	text []byte
}

// shipped lists those under envoy/, but for the chart's templates and patches.
func shipped(t *testing.T) (list []file) {
	t.Helper()
	for _, dir := range []string{"kubernetes", "istio", "envoy-gateway"} {
		err := fs.WalkDir(os.DirFS(root), dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" || strings.HasSuffix(path, ".patch.yaml") {
				return err
			}
			text, err := os.ReadFile(filepath.Join(root, path))
			list = append(list, file{path, text})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(list) == 0 {
		t.Fatal("no files")
	}
	return list
}

func (f file) documents() [][]byte { return bytes.Split(f.text, []byte("\n---\n")) }

func (f file) objects(t *testing.T) []runtime.Object {
	t.Helper()
	list, err := Decode(f.text)
	if err != nil {
		t.Fatalf("envoy/%s: %v", f.name, err)
	}
	return list
}

func read(t *testing.T, name string) file {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return file{name, text}
}

// only gives the one object of a type.
func only[T runtime.Object](t *testing.T, list []runtime.Object) T {
	t.Helper()
	var found []T
	for _, o := range list {
		if o, ok := o.(T); ok {
			found = append(found, o)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects of type %T, want 1", len(found), *new(T))
	}
	return found[0]
}

// Every file that operators apply fits the schemas.
func TestFilesFitTheSchemas(t *testing.T) {
	for _, f := range shipped(t) {
		objects := f.objects(t)
		if len(objects) != len(f.documents()) {
			t.Errorf("envoy/%s: %d documents, %d resources", f.name, len(f.documents()), len(objects))
		}
		for _, o := range objects {
			meta, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
			if err != nil {
				t.Fatal(err)
			}
			u := unstructured.Unstructured{Object: meta}
			if u.GetName() == "" || u.GetNamespace() == "" && u.GetKind() != "Namespace" {
				t.Errorf("envoy/%s: %s has name %q and namespace %q", f.name, u.GetKind(), u.GetName(), u.GetNamespace())
			}
		}
	}
	patch := read(t, "istio/proxy-secrets.patch.yaml")
	if err := yaml.UnmarshalStrict(patch.text, new(apps.Deployment)); err != nil {
		t.Errorf("envoy/%s: %v", patch.name, err)
	}
}

// What selects the bridge's pods finds them, and names that one resource takes from another are there.
func TestTheBridgeHangsTogether(t *testing.T) {
	objects := read(t, "kubernetes/bridge.yaml").objects(t)
	deployment := only[*apps.Deployment](t, objects)
	pod := deployment.Spec.Template
	container := pod.Spec.Containers[0]
	service := only[*core.Service](t, objects)
	headless := only[*core.Service](t, read(t, "envoy-gateway/proxy.yaml").objects(t))

	selectors := map[string]map[string]string{
		"Deployment":          deployment.Spec.Selector.MatchLabels,
		"Service":             service.Spec.Selector,
		"headless Service":    headless.Spec.Selector,
		"PodDisruptionBudget": only[*disruption.PodDisruptionBudget](t, objects).Spec.Selector.MatchLabels,
		"NetworkPolicy":       only[*network.NetworkPolicy](t, objects).Spec.PodSelector.MatchLabels,
		"PeerAuthentication":  only[*security.PeerAuthentication](t, read(t, "istio/bridge.yaml").objects(t)).Spec.Selector.MatchLabels,
		"spread":              pod.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
	}
	for name, selector := range selectors {
		if len(selector) == 0 || !labels.SelectorFromSet(selector).Matches(labels.Set(pod.Labels)) {
			t.Errorf("%s selects %v, the pods have %v", name, selector, pod.Labels)
		}
	}
	if target := only[*autoscaling.HorizontalPodAutoscaler](t, objects).Spec.ScaleTargetRef; target.Name != deployment.Name || deployment.Spec.Replicas != nil {
		t.Errorf("the autoscaler scales %s; the Deployment %s sets replicas to %v", target.Name, deployment.Name, deployment.Spec.Replicas)
	}
	if account := only[*core.ServiceAccount](t, objects); account.Name != pod.Spec.ServiceAccountName {
		t.Errorf("the pods run as %s, the account is %s", pod.Spec.ServiceAccountName, account.Name)
	}
	for _, port := range []core.ServicePort{service.Spec.Ports[0], headless.Spec.Ports[0]} {
		if port.TargetPort.StrVal != container.Ports[0].Name || port.Port != container.Ports[0].ContainerPort || *port.AppProtocol != "kubernetes.io/h2c" {
			t.Errorf("Service port %+v, container port %+v", port, container.Ports[0])
		}
	}
	if !slices.Contains(container.Args, "--listen=:8470") || container.Ports[0].ContainerPort != 8470 || pod.Annotations["prometheus.io/port"] != "8470" {
		t.Errorf("ports differ: %v, %v, %v", container.Args, container.Ports, pod.Annotations)
	}
}

// In Istio's ambient mode probes come from 169.254.7.127, and are dropped like everybody's calls where the
// NetworkPolicy doesn't name it (istio.io, "Ambient and Kubernetes NetworkPolicy").
func TestProbesReachTheBridge(t *testing.T) {
	objects := read(t, "kubernetes/bridge.yaml").objects(t)
	container := only[*apps.Deployment](t, objects).Spec.Template.Spec.Containers[0]
	for _, rule := range only[*network.NetworkPolicy](t, objects).Spec.Ingress {
		if len(rule.From) == 1 && rule.From[0].IPBlock != nil && rule.From[0].IPBlock.CIDR == "169.254.7.127/32" {
			if len(rule.Ports) != 1 || rule.Ports[0].Port.IntVal != container.Ports[0].ContainerPort {
				t.Errorf("the probes may ask at %v, the bridge listens at %v", rule.Ports, container.Ports)
			}
			return
		}
	}
	t.Error("the NetworkPolicy keeps the probes out")
}

// A bridge that ends answers until the proxies have noticed, those of Envoy Gateway by DNS, and isn't killed before.
func TestABridgeEndsAfterTheProxiesHaveNoticed(t *testing.T) {
	const (
		servers  = 30 * time.Second // how long DNS servers keep an answer at most: the ttl of kubeadm's Corefile, and NodeLocal DNSCache's success
		inFlight = 5 * time.Second  // how long the bridge waits for calls at its end
	)
	kind, _ := gatewayCluster(t)["cluster_type"].(map[string]any)
	dns, _ := kind["typed_config"].(map[string]any)
	rate, _ := dns["dns_refresh_rate"].(string) // Envoy's default is 5 s, and more where respect_dns_ttl is set
	refresh, err := time.ParseDuration(rate)
	if err != nil || dns["respect_dns_ttl"] != nil {
		t.Errorf("dns_refresh_rate %q, respect_dns_ttl %v (%v)", rate, dns["respect_dns_ttl"], err)
	}
	pod := only[*apps.Deployment](t, read(t, "kubernetes/bridge.yaml").objects(t)).Spec.Template.Spec
	var drain time.Duration
	for _, argument := range pod.Containers[0].Args {
		if value, ok := strings.CutPrefix(argument, "--drain-delay="); ok {
			if drain, err = time.ParseDuration(value); err != nil {
				t.Fatal(err)
			}
		}
	}
	if drain <= servers+refresh {
		t.Errorf("the bridge goes on for %v, and a proxy may take %v to notice", drain, servers+refresh)
	}
	if grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second; grace <= drain+inFlight {
		t.Errorf("the bridge is killed after %v, and may take %v", grace, drain+inFlight)
	}
}

// Proxies of Envoy Gateway stop asking a bridge that has vanished as those of Istio do.
func TestOutlierDetectionIsTheSame(t *testing.T) {
	of := only[*networking.DestinationRule](t, read(t, "istio/bridge.yaml").objects(t)).Spec.TrafficPolicy.OutlierDetection
	if !of.SplitExternalLocalOriginErrors || of.Consecutive_5XxErrors.GetValue() != 0 || of.ConsecutiveGatewayErrors.GetValue() != 0 {
		t.Errorf("Istio's DestinationRule has %v, want what a bridge answers not to count", of)
	}
	want := map[string]any{ // as Istio translates it: it never goes by success rates, and Envoy's default for gateway errors is 0
		"split_external_local_origin_errors": true, "consecutive_local_origin_failure": float64(of.ConsecutiveLocalOriginFailures.GetValue()),
		"enforcing_consecutive_5xx": 0.0, "enforcing_success_rate": 0.0, "enforcing_local_origin_success_rate": 0.0,
		"interval": of.Interval.AsDuration().String(), "base_ejection_time": of.BaseEjectionTime.AsDuration().String(),
		"max_ejection_percent": float64(of.MaxEjectionPercent),
	}
	if diff := cmp.Diff(want, gatewayCluster(t)["outlier_detection"]); diff != "" {
		t.Error(diff)
	}
}

// gatewayCluster is the bridge's in what proxy.yaml merges into the bootstrap.
func gatewayCluster(t *testing.T) map[string]any {
	t.Helper()
	var bootstrap struct {
		Static struct {
			Clusters []map[string]any `json:"clusters"`
		} `json:"static_resources"`
	}
	text := only[*gateway.EnvoyProxy](t, read(t, "envoy-gateway/proxy.yaml").objects(t)).Spec.Bootstrap.Value
	if err := yaml.Unmarshal([]byte(*text), &bootstrap); err != nil || len(bootstrap.Static.Clusters) != 1 {
		t.Fatalf("%d clusters, want 1 (%v)", len(bootstrap.Static.Clusters), err)
	}
	return bootstrap.Static.Clusters[0]
}

// Nobody is answered whom Envoy Gateway's other filters refuse: of those that it has, in its own order as the definition of EnvoyProxy
// tells it, only what can be asked of an answer, or belongs to the origin's side, stands behind the cache.
func TestGatewaysFilterStandsBehindWhatRefuses(t *testing.T) {
	definitions, err := definitions()
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := bytes.Cut(definitions["gateway.envoyproxy.io/v1alpha1 EnvoyProxy"].text, []byte("Default filter order is:"))
	text, _, _ = bytes.Cut(text, []byte("Note:"))
	var order []string
	for _, name := range regexp.MustCompile(`envoy\.filters\.http\.\w+`).FindAllString(string(text), -1) {
		order = append(order, strings.TrimPrefix(name, "envoy.filters.http."))
	}
	if !slices.Contains(order, "wasm") || order[len(order)-1] != "router" {
		t.Fatalf("the definition tells the order %v", order)
	}
	for _, p := range only[*gateway.EnvoyProxy](t, read(t, "envoy-gateway/proxy.yaml").objects(t)).Spec.FilterOrder {
		beside, offset := p.After, 1
		if p.Before != nil {
			beside, offset = p.Before, 0
		}
		moved := strings.TrimPrefix(string(p.Name), "envoy.filters.http.")
		order = slices.DeleteFunc(order, func(name string) bool { return name == moved })
		at := slices.Index(order, strings.TrimPrefix(string(*beside), "envoy.filters.http."))
		order = slices.Insert(order, at+offset, moved)
	}
	want := []string{"wasm", "bandwidth_limit", "grpc_web", "grpc_stats", "credential_injector", "dynamic_forward_proxy", "router"}
	if got := order[slices.Index(order, "wasm"):]; !slices.Equal(got, want) {
		t.Errorf("from the cache on the filters are %v, want %v", got, want)
	}
}

// The policies name the cluster that the Service becomes.
func TestPoliciesNameTheBridgesCluster(t *testing.T) {
	service := only[*core.Service](t, read(t, "kubernetes/bridge.yaml").objects(t))
	host := service.Name + "." + service.Namespace + ".svc.cluster.local"
	for _, name := range []string{"istio/bridge.yaml", "istio/bridge-external.yaml"} {
		if rule := only[*networking.DestinationRule](t, read(t, name).objects(t)); rule.Spec.Host != host {
			t.Errorf("envoy/%s is about %s, the Service is %s", name, rule.Spec.Host, host)
		}
	}
	if entry := only[*networking.ServiceEntry](t, read(t, "istio/bridge-external.yaml").objects(t)); !slices.Contains(entry.Spec.Hosts, host) {
		t.Errorf("the ServiceEntry is about %v", entry.Spec.Hosts)
	}
	for name, want := range map[string]string{
		"istio/chat.policy.json":         "outbound|8470||" + host,
		"istio/bodies.policy.json":       "outbound|8470||" + host,
		"envoy-gateway/chat.policy.json": "redis-bridge",
	} {
		var policy struct{ Bridge struct{ Cluster string } }
		if err := json.Unmarshal(read(t, name).text, &policy); err != nil {
			t.Fatal(err)
		}
		if policy.Bridge.Cluster != want {
			t.Errorf("envoy/%s names the cluster %q, want %q", name, policy.Bridge.Cluster, want)
		}
	}
}

// Secrets are never written out: the filter's come from the proxy's environment, and there from the Secret whose keys the READMEs make.
func TestSecretsAreReferences(t *testing.T) {
	for _, name := range []string{"istio/sidecar.yaml", "istio/gateway.yaml"} {
		var host []string
		for _, variable := range only[*extensions.WasmPlugin](t, read(t, name).objects(t)).Spec.VmConfig.Env {
			if variable.ValueFrom.String() == "HOST" && variable.Value == "" {
				host = append(host, variable.Name)
			}
		}
		if want := []string{"CHATCACHE_PARTITION_SECRET", "CHATCACHE_BRIDGE_TOKEN"}; !slices.Equal(host, want) {
			t.Errorf("envoy/%s takes %v from the proxy's environment, want %v", name, host, want)
		}
	}
	var patch apps.Deployment
	if err := yaml.UnmarshalStrict(read(t, "istio/proxy-secrets.patch.yaml").text, &patch); err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for _, spec := range []core.PodSpec{patch.Spec.Template.Spec, only[*apps.Deployment](t, read(t, "kubernetes/bridge.yaml").objects(t)).Spec.Template.Spec} {
		for _, variable := range spec.Containers[0].Env {
			if variable.ValueFrom != nil {
				keys[variable.ValueFrom.SecretKeyRef.Key] = true
			}
		}
		for _, volume := range spec.Volumes {
			if volume.Secret == nil {
				continue
			}
			for _, item := range volume.Secret.Items {
				keys[item.Key] = true
			}
		}
	}
	for _, name := range []string{"istio/README.md", "envoy-gateway/README.md"} {
		for key := range keys {
			if !bytes.Contains(read(t, name).text, []byte("--from-literal="+key+"=")) {
				t.Errorf("envoy/%s doesn't say how the Secret gets its key %s", name, key)
			}
		}
	}
}

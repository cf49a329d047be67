package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/strvals"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	network "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

const (
	chart  = root + "/helm/chatcache"
	digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
)

// installation is one way to install the chart.
type installation struct {
	name      string
	namespace string
	policy    string // file under envoy/, or empty
	values    string // YAML, beside the policy
	same      []string
}

// The values with which the chart says what the files say, and others.
var installations = []installation{
	{name: "istio-sidecar", namespace: "chatcache", policy: "istio/chat.policy.json",
		values: "{filter: {digest: DIGEST, namespace: chat, selector: {app: chat-api}, port: 3000}, bridge: {digest: DIGEST}}",
		same:   []string{"kubernetes/bridge.yaml", "istio/bridge.yaml", "istio/sidecar.yaml"}},
	{name: "istio-gateway", namespace: "chatcache", policy: "istio/chat.policy.json",
		values: "{filter: {digest: DIGEST, namespace: istio-ingress, selector: {istio: ingressgateway}, gateway: true}, bridge: {digest: DIGEST}}",
		same:   []string{"kubernetes/bridge.yaml", "istio/bridge.yaml", "istio/gateway.yaml"}},
	{name: "istio-bodies", namespace: "chatcache", policy: "istio/bodies.policy.json",
		values: "{filter: {digest: DIGEST, namespace: chat, selector: {app: chat-api}, port: 3000}, bridge: {digest: DIGEST}}",
		same:   []string{"kubernetes/bridge.yaml", "istio/bridge.yaml", "istio/bodies.yaml"}},
	{name: "envoy-gateway", namespace: "chatcache", policy: "envoy-gateway/chat.policy.json",
		values: "{target: envoy-gateway, filter: {digest: DIGEST, namespace: chat, targetRef: {kind: Gateway, name: chat}}, bridge: {digest: DIGEST}}",
		same:   []string{"kubernetes/bridge.yaml", "envoy-gateway/proxy.yaml", "envoy-gateway/filter.yaml"}},
	{name: "bridge-alone", namespace: "chatcache", values: "{target: none, bridge: {digest: DIGEST}}",
		same: []string{"kubernetes/bridge.yaml"}},
	{name: "everything-else", namespace: "cache", policy: "istio/bodies.policy.json", values: `
secret: other
clusterDomain: example.internal
filter:
  image: registry.example:5000/team/chatcache:1.4.0
  digest: DIGEST
  targetRef: { kind: Gateway, name: edge }
  port: 8443
  fail: reload
  memoryLimit: 896MiB
bridge:
  image: registry.example:5000/team/bridge:1.4.0
  digest: DIGEST
  pullSecrets: [{ name: registry }]
  replicas: { min: 3, max: 9, cpu: 50 }
  resources: { limits: { memory: 1Gi } }
  memoryLimit: 800MiB
  args: [--replicas=2]
  env: [{ name: REDIS_CLUSTER, value: "a:6379,b:6379" }]
  redisURL: false
  annotations: { example.com/team: "1" }
  podSpec: { nodeSelector: { pool: infra }, tolerations: [{ key: infra, operator: Exists }], priorityClassName: high }
  volumes: [{ name: ca, secret: { secretName: redis-ca } }]
  volumeMounts: [{ name: ca, mountPath: /etc/redis-ca, readOnly: true }]
networkPolicy:
  clients: [{ team: web }, { team: shop, stage: live }]
  monitoring: [{ team: sre }]
`},
}

func (i installation) all(t *testing.T) map[string]any {
	t.Helper()
	var values map[string]any
	if err := yaml.UnmarshalStrict([]byte(strings.ReplaceAll(i.values, "DIGEST", digest)), &values); err != nil {
		t.Fatal(err)
	}
	if i.policy != "" {
		text := string(read(t, i.policy).text)
		if i.namespace != "chatcache" {
			text = strings.ReplaceAll(text, "redis-bridge.chatcache.svc.cluster.local", "redis-bridge."+i.namespace+".svc.example.internal")
		}
		values["filter"].(map[string]any)["policy"] = text
	}
	return values
}

// What the chart makes is in testdata, fits the schemas, and is what the files say. UPDATE=1 writes testdata anew.
func TestChart(t *testing.T) {
	for _, i := range installations {
		t.Run(i.name, func(t *testing.T) {
			manifests, notes, err := Template(chart, i.namespace, i.all(t))
			if err != nil {
				t.Fatal(err)
			}
			golden(t, i.name+".yaml", manifests)
			golden(t, i.name+".notes.txt", notes)
			objects, err := Decode([]byte(manifests))
			if err != nil {
				t.Fatal(err)
			}
			if i.same == nil {
				return
			}
			want := map[string]any{}
			for _, name := range i.same {
				for _, o := range read(t, name).objects(t) {
					add(t, want, o)
				}
			}
			delete(want, "Namespace chatcache") // helm install --create-namespace
			got := map[string]any{}
			for _, o := range objects {
				if d, ok := o.(*apps.Deployment); ok {
					delete(d.Spec.Template.Annotations, "chatcache/policy") // a policy's digest
				}
				add(t, got, o)
			}
			delete(got, "ConfigMap chatcache-policies") // with the files it is made by kubectl
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the chart says something else than %v:\n%s", i.same, diff)
			}
		})
	}
}

// add keeps an object under its kind and name, as plain values.
func add(t *testing.T, to map[string]any, o runtime.Object) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var plain struct {
		Kind     string
		Metadata struct{ Name string }
	}
	var value map[string]any
	if err := json.Unmarshal(text, &plain); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	to[plain.Kind+" "+plain.Metadata.Name] = uncommented(value)
}

// uncommented parses texts that are YAML documents themselves, so that comments in them don't count.
func uncommented(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			v[name] = uncommented(member)
		}
	case []any:
		for i, item := range v {
			v[i] = uncommented(item)
		}
	case string:
		if strings.Contains(v, "\n") {
			var document map[string]any
			if yaml.Unmarshal([]byte(v), &document) == nil {
				return document
			}
		}
	}
	return v
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs; UPDATE=1 writes it anew:\n%s", path, diff)
	}
}

// Helm's linter has nothing to say, of any installation.
func TestChartIsClean(t *testing.T) {
	for _, i := range append(installations, installation{name: "defaults", namespace: "chatcache", values: "{}"}) {
		for _, m := range lint.RunAll(chart, i.all(t), i.namespace).Messages {
			if !strings.Contains(m.Error(), "icon is recommended") {
				t.Errorf("%s: %v", i.name, m)
			}
		}
	}
}

// The command of the chart's README installs it.
func TestCommandOfTheReadme(t *testing.T) {
	_, rest, _ := strings.Cut(string(read(t, "helm/chatcache/README.md").text), "helm upgrade --install chatcache envoy/helm/chatcache ")
	command, _, ok := strings.Cut(rest, "\n```")
	if !ok {
		t.Fatal("no command")
	}
	values := map[string]any{}
	words := strings.Fields(strings.NewReplacer("\\\n", " ", "sha256:…", digest, "'", "").Replace(command))
	for i := 0; i+1 < len(words); i++ {
		var err error
		switch words[i] {
		case "--set":
			err = strvals.ParseInto(words[i+1], values)
		case "--set-file":
			name, path, _ := strings.Cut(words[i+1], "=")
			err = strvals.ParseIntoFile(name+"="+path, values, func(path []rune) (any, error) {
				return string(read(t, strings.TrimPrefix(string(path), "envoy/")).text), nil
			})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	manifests, _, err := Template(chart, "chatcache", values)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(manifests, "kind: WasmPlugin") || !strings.Contains(manifests, `- "--bootstrap"`) {
		t.Errorf("the command of the README makes no filter, or no bridge that begins:\n%s", manifests)
	}
}

// Helm refuses to install over what somebody else has made: whatever the READMEs leave to kubectl beside the chart, the chart doesn't make.
func TestNothingIsMadeTwice(t *testing.T) {
	made := map[string]any{}
	for _, i := range installations {
		manifests, _, err := Template(chart, i.namespace, i.all(t))
		if err != nil {
			t.Fatal(err)
		}
		objects, err := Decode([]byte(manifests))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			add(t, made, o)
		}
	}
	for _, dir := range []string{"istio", "envoy-gateway"} {
		text := string(read(t, dir+"/README.md").text)
		does := regexp.MustCompile("`envoy/helm/chatcache` does steps (.*) with one command").FindString(text)
		steps := regexp.MustCompile(`(?m)^(?:## )?(\d)\. `)
		starts := steps.FindAllStringIndex(text, -1)
		if does == "" || len(starts) < 5 {
			t.Fatalf("%s/README.md has %d steps, of which %q", dir, len(starts), does)
		}
		for i, at := range starts {
			end := append(starts, []int{len(text)})[i+1][0]
			number := steps.FindStringSubmatch(text[at[0]:])[1]
			if regexp.MustCompile(`\b` + number + `\b`).MatchString(does) {
				continue
			}
			for _, f := range shipped(t) {
				inRoot, besideREADME := "envoy/"+f.name, strings.TrimPrefix(f.name, dir+"/")
				if !strings.Contains(text[at[0]:end], " "+inRoot) && !strings.Contains(text[at[0]:end], "`"+besideREADME+"`") {
					continue
				}
				objects := map[string]any{}
				for _, o := range f.objects(t) {
					add(t, objects, o)
				}
				for name := range objects {
					if made[name] != nil {
						t.Errorf("%s/README.md, step %s: envoy/%s has the %s, which the chart makes, too", dir, number, f.name, name)
					}
				}
			}
		}
	}
}

// What can't work is refused when it is rendered, with what is wrong.
func TestChartRefuses(t *testing.T) {
	const policy = `{\"bridge\": {\"cluster\": \"outbound|8470||redis-bridge.chatcache.svc.cluster.local\"}}`
	const istio = `{filter: {policy: "` + policy + `", digest: DIGEST, selector: {a: b}}, bridge: {digest: DIGEST}}`
	for name, c := range map[string]struct{ values, want string }{
		"no digest of the bridge":  {"{}", "bridge.digest is missing"},
		"no digest of the filter":  {strings.Replace(istio, "digest: DIGEST, ", "", 1), "filter.digest is missing"},
		"a digest of another kind": {strings.ReplaceAll(istio, "DIGEST", "sha1:0"), "does not match pattern"},
		"everybody's proxies":      {strings.Replace(istio, ", selector: {a: b}", "", 1), "every proxy of the namespace"},
		"a route of Istio's":       {strings.Replace(istio, "selector: {a: b}", "targetRef: {kind: HTTPRoute, name: a}", 1), "filter.targetRef.kind is HTTPRoute, want Gateway"},
		"two attachments":          {strings.Replace(istio, "selector: {a: b}", "selector: {a: b}, targetRef: {kind: Gateway, name: a}", 1), "are both there"},
		"another cluster":          {strings.Replace(istio, "8470", "8471", 1), `bridge.cluster is "outbound|8471||redis-bridge.chatcache.svc.cluster.local", but here the bridge's cluster is "outbound|8470||`},
		"no JSON":                  {strings.Replace(istio, policy, "{", 1), "filter.policy is no JSON object"},
		"an unknown value":         {"{filter: {police: x}}", "'police'"},
		"bodies on Envoy Gateway": {`{target: envoy-gateway, filter: {policy: "{\"bridge\": {\"cluster\": \"redis-bridge\"}, \"host\": {\"allow_on_headers_stop_iteration\": true}}", digest: DIGEST, targetRef: {kind: Gateway, name: a}}, bridge: {digest: DIGEST}}`,
			"would wait forever"},
		"reload on Envoy Gateway": {`{target: envoy-gateway, filter: {policy: "{\"bridge\": {\"cluster\": \"redis-bridge\"}}", digest: DIGEST, fail: reload, targetRef: {kind: Gateway, name: a}}, bridge: {digest: DIGEST}}`,
			"replaces no VM that died"},
		"a Secret that Istio doesn't read": {strings.NewReplacer("local\\\"}", `local\"}, \"host\": {\"allow_on_headers_stop_iteration\": true}`, "selector:", "pullSecret: registry, selector:").Replace(istio),
			"filter.pullSecret: Istio takes it from a WasmPlugin alone"},
		"fewer replicas than the least": {"{bridge: {digest: DIGEST, replicas: {max: 1}}}", "bridge.replicas.min is 2, more than bridge.replicas.max, which is 1"},
		"nothing to attach to": {`{target: envoy-gateway, filter: {policy: "{\"bridge\": {\"cluster\": \"redis-bridge\"}}", digest: DIGEST}, bridge: {digest: DIGEST}}`,
			"filter.targetRef is empty"},
		"more memory than a VM has":  {strings.Replace(istio, "selector:", "memoryLimit: 4GiB, selector:", 1), "filter.memoryLimit is 4GiB, want less than 1GiB"},
		"all the memory of a VM":     {strings.Replace(istio, "selector:", "memoryLimit: 1024MiB, selector:", 1), "filter.memoryLimit is 1024MiB, want less than 1GiB"},
		"as much in another unit":    {strings.Replace(istio, "selector:", "memoryLimit: 1048576KiB, selector:", 1), "filter.memoryLimit is 1048576KiB, want less than 1GiB"},
		"a secret in the ConfigMap":  {strings.Replace(istio, "local\\\"}", `local\"}, \"partition_secret\": \"0123456789abcdef\"`, 1), "filter.policy: partition_secret would stand in a ConfigMap"},
		"a token in the ConfigMap":   {strings.Replace(istio, "local\\\"}", `local\", \"token\": \"0123456789abcdef\"}`, 1), "filter.policy: bridge.token would stand in a ConfigMap"},
		"a secret, and no filter":    {`{target: none, filter: {policy: "{\"partition_secret\": \"0123456789abcdef\"}"}, bridge: {digest: DIGEST}}`, "filter.policy: partition_secret would stand in a ConfigMap"},
		"no JSON for the bridge":     {`{target: none, filter: {policy: "{"}, bridge: {digest: DIGEST}}`, "filter.policy is no JSON object"},
		"what the chart sets itself": {"{bridge: {digest: DIGEST, podSpec: {hostNetwork: true}}}", "'hostNetwork'"},
		"one port on Envoy Gateway": {`{target: envoy-gateway, filter: {policy: "{\"bridge\": {\"cluster\": \"redis-bridge\"}}", digest: DIGEST, port: 3000, targetRef: {kind: Gateway, name: a}}, bridge: {digest: DIGEST}}`,
			"filter.port are for Istio"},
		"a target without a name": {"{filter: {targetRef: {kind: Gateway}}}", "properties 'name' required"},
	} {
		_, _, err := Template(chart, "chatcache", installation{values: c.values}.all(t))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// The bridge gets the filter's policy, as it was written, and another policy starts it anew.
func TestTheBridgeGetsThePolicy(t *testing.T) {
	i := installations[0]
	values := i.all(t)
	given := values["filter"].(map[string]any)["policy"].(string)
	rendered := func() (core.ConfigMap, apps.Deployment) {
		manifests, _, err := Template(chart, i.namespace, values)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := Decode([]byte(manifests))
		if err != nil {
			t.Fatal(err)
		}
		return *only[*core.ConfigMap](t, objects), *only[*apps.Deployment](t, objects)
	}
	policies, bridge := rendered()
	volumes := bridge.Spec.Template.Spec.Volumes
	if diff := cmp.Diff(map[string]string{"policy.json": strings.TrimSpace(given) + "\n"}, policies.Data); diff != "" {
		t.Error(diff)
	}
	if v := volumes[len(volumes)-1].ConfigMap; v == nil || v.Name != policies.Name || policies.Namespace != bridge.Namespace {
		t.Errorf("the ConfigMap is %s in %s, the volumes are %+v", policies.Name, policies.Namespace, volumes)
	}
	values["filter"].(map[string]any)["policy"] = strings.Replace(given, "600s", "60s", 1)
	if _, other := rendered(); cmp.Equal(bridge.Spec.Template, other.Spec.Template) {
		t.Error("with another policy the pods stay as they are")
	}
}

// What an operator sets takes the place of the chart's own annotation, which would stand there twice otherwise: strict readers refuse that.
func TestAnnotationsOfAnOperator(t *testing.T) {
	values := "{target: none, bridge: {digest: DIGEST, annotations: {prometheus.io/scrape: 'false', a: b}}}"
	manifests, _, err := Template(chart, "chatcache", installation{values: values}.all(t))
	if err != nil {
		t.Fatal(err)
	}
	objects, err := Decode([]byte(manifests))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"prometheus.io/scrape": "false", "prometheus.io/port": "8470", "prometheus.io/path": "/metrics", "a": "b"}
	if diff := cmp.Diff(want, only[*apps.Deployment](t, objects).Spec.Template.Annotations); diff != "" {
		t.Error(diff)
	}
}

// The Secret with which the image is pulled is named where the control plane reads one.
func TestPullSecret(t *testing.T) {
	for _, i := range installations {
		want := map[string]string{"istio-sidecar": `imagePullSecret: "registry"`, "envoy-gateway": `pullSecretRef: { name: "registry" }`}[i.name]
		if want == "" {
			continue
		}
		values := i.all(t)
		values["filter"].(map[string]any)["pullSecret"] = "registry"
		manifests, _, err := Template(chart, i.namespace, values)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode([]byte(manifests)); err != nil || !strings.Contains(manifests, want) {
			t.Errorf("%s: no %q (%v)", i.name, want, err)
		}
	}
}

// Names that YAML takes for something else than a text stay names: read strictly, a number or a boolean is refused.
func TestNamesAreTexts(t *testing.T) {
	for _, i := range installations {
		i.namespace = "123"
		i.values = strings.NewReplacer("namespace: chat,", "namespace: 'yes',", "namespace: istio-ingress,", "namespace: 'no',", "name: chat}", "name: '0x1f'}", "name: edge }", "name: '0x1f' }").Replace(i.values)
		values := i.all(t)
		values["secret"] = "1e3"
		values["clusterDomain"] = "example.internal"
		if i.policy != "" && i.policy != "istio/bodies.policy.json" {
			values["filter"].(map[string]any)["pullSecret"] = "true"
		}
		manifests, _, err := Template(chart, i.namespace, values)
		if err != nil {
			t.Errorf("%s: %v", i.name, err)
			continue
		}
		if _, err := Decode([]byte(manifests)); err != nil {
			t.Errorf("%s: %v", i.name, err)
		}
		if line := regexp.MustCompile(`(?m)^.*(?i:name|namespace|secret): (123|yes|no|0x1f|1e3|true)( .*)?$`).FindString(manifests); line != "" {
			t.Errorf("%s: not a text: %s", i.name, line)
		}
	}
}

// A VM's heap has room beside what its policy lets L1 hold.
func TestMemoryLimitFollowsThePolicy(t *testing.T) {
	for l1, want := range map[string]string{
		`{"max_bytes": "256MiB", "max_staleness": "3s"}`:   "416MiB",
		`{"max_bytes": "4096", "max_staleness": "3s"}`:     "160MiB",
		`{"max_bytes": "65536KiB", "max_staleness": "3s"}`: "224MiB",
		`{"max_staleness": "3s"}`:                          "192MiB",
		`true`:                                             "192MiB",
		`false`:                                            "160MiB",
	} {
		values := installations[0].all(t)
		filter := values["filter"].(map[string]any)
		given := filter["policy"].(string)
		filter["policy"] = strings.Replace(given, `{"max_bytes": "32MiB", "max_staleness": "3s"}`, l1, 1)
		manifests, _, err := Template(chart, "chatcache", values)
		if err != nil {
			t.Fatal(err)
		}
		if line := "{ name: GOMEMLIMIT, value: " + want + " }"; !strings.Contains(manifests, line) {
			t.Errorf("l1 %s: no %s", l1, line)
		}
		filter["memoryLimit"] = "1000MiB"
		if manifests, _, err = Template(chart, "chatcache", values); err != nil || !strings.Contains(manifests, "{ name: GOMEMLIMIT, value: 1000MiB }") {
			t.Errorf("l1 %s: what was given isn't taken (%v)", l1, err)
		}
	}
}

// A list of the NetworkPolicy without any labels lets nobody in: a rule of no sources would let everybody in.
func TestNetworkPolicyOfNobody(t *testing.T) {
	for values, want := range map[string]int{
		"{monitoring: []}":              2,
		"{clients: []}":                 2,
		"{clients: [], monitoring: []}": 1, // the probes
	} {
		manifests, _, err := Template(chart, "chatcache", installation{values: "{target: none, bridge: {digest: DIGEST}, networkPolicy: " + values + "}"}.all(t))
		if err != nil {
			t.Fatal(err)
		}
		objects, err := Decode([]byte(manifests))
		if err != nil {
			t.Fatal(err)
		}
		spec := only[*network.NetworkPolicy](t, objects).Spec
		for _, rule := range spec.Ingress {
			if len(rule.From) == 0 {
				t.Errorf("%s: everybody may connect to %v", values, rule.Ports)
			}
		}
		if len(spec.Ingress) != want || len(spec.PolicyTypes) != 1 {
			t.Errorf("%s: %+v", values, spec)
		}
	}
}

// Every value has its line in the chart's README, with the default, and every one of the README is there.
func TestValuesAreDocumented(t *testing.T) {
	var values map[string]any
	if err := yaml.UnmarshalStrict(read(t, "helm/chatcache/values.yaml").text, &values); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	flatten("", values, want)
	got := map[string]string{}
	row := regexp.MustCompile("(?m)^\\| `([A-Za-z.]+)` \\| `(.*?)` \\|")
	for _, m := range row.FindAllStringSubmatch(string(read(t, "helm/chatcache/README.md").text), -1) {
		got[m[1]] = m[2]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values.yaml (-) and README.md (+):\n%s", diff)
	}
	// values.yaml has a comment for each too.
	for name := range want {
		last := name[strings.LastIndex(name, ".")+1:]
		if !bytes.Contains(read(t, "helm/chatcache/values.yaml").text, []byte(last+":")) {
			t.Errorf("values.yaml: %s", name)
		}
	}
}

// flatten lists values that operators set as one, with their defaults as JSON.
func flatten(prefix string, values map[string]any, into map[string]string) {
	for name, v := range values {
		group, ok := v.(map[string]any)
		if ok && (prefix == "" && name != "global") {
			flatten(name+".", group, into)
			continue
		}
		text, err := json.Marshal(v)
		if err != nil {
			text = fmt.Append(nil, err)
		}
		into[prefix+name] = string(text)
	}
}

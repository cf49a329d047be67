package main

import (
	"bytes"
	"embed"
	"fmt"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"

	"chatcache/policy"
	"chatcache/policy/internal/strictjson"
)

//go:embed template/*.yaml
var templates embed.FS

// manifest gives a Kubernetes resource that loads the filter with the policy.
func (dep deployment) manifest(name string, p *policy.Policy, d document) (string, error) {
	functions := template.FuncMap{
		"yaml": func() (string, error) { return yamlOf(d) },
		"json": func() (string, error) { return literal(d) },
	}
	return execute(name, functions, map[string]any{
		"Policy": p.Name, "Name": yamlText(dep.name), "Namespace": yamlText(dep.namespace), "Both": yamlText(dep.namespace + "." + dep.name),
		"Image": dep.image, "Digest": dep.digest, "SHA256": strings.TrimPrefix(dep.digest, "sha256:"), "PullSecret": dep.secret(),
		"Labels": dep.labels(), "Target": dep.attachment(), "Gateway": dep.gateway || dep.attach != "", "Port": dep.port,
		"Fail": dep.fail, "MemoryLimit": memoryLimit(p),
	})
}

func execute(name string, functions template.FuncMap, values map[string]any) (string, error) {
	t, err := template.New(name).Funcs(template.FuncMap{"indent": indent}).Funcs(functions).ParseFS(templates, "template/"+name)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, values)
	return b.String(), err
}

// labels gives the selector's, as YAML.
func (dep deployment) labels() (lines []string) {
	for _, l := range dep.selector {
		name, value, _ := strings.Cut(l, "=")
		lines = append(lines, yamlText(name)+": "+yamlText(value))
	}
	return lines
}

// attachment gives kind and name of what the filter is attached to, as YAML, nil where pods are selected.
func (dep deployment) attachment() []string {
	kind, name, found := strings.Cut(dep.attach, "/")
	if !found {
		return nil
	}
	return []string{kind, yamlText(name)}
}

// secret gives the name of the one with which the image is pulled, as YAML, "" where there is none.
func (dep deployment) secret() string {
	if dep.pullSecret == "" {
		return ""
	}
	return yamlText(dep.pullSecret)
}

// memoryLimit is the Go heap's of a VM: what L1 may hold and room for work, far below the 1 GiB at which a VM dies.
func memoryLimit(p *policy.Policy) string {
	const work = 160 << 20
	l1 := 0
	if p.L1.Enabled {
		l1 = p.L1.MaxBytes
	}
	return fmt.Sprintf("%dMiB", (l1+work)>>20)
}

func indent(spaces int, text string) string {
	return strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", spaces))
}

// literal gives the document's own text for a block of YAML. What YAML would read as the end of a line, or not at all, is an error,
// which matches errRender.
func literal(d document) (string, error) {
	for offset, r := range string(d.text) {
		if r >= 0x7f && r <= 0x9f || r == '\u2028' || r == '\u2029' || r == '\ufeff' || r == '\ufffe' || r == '\uffff' {
			at := d.position(offset)
			return "", fmt.Errorf("%w: %d:%d: the character U+%04X can't stand in YAML; write it as an escape of JSON", errRender, at.line, at.column, r)
		}
	}
	// Outside of strings, where JSON has no raw line ends, one is as good as another.
	return strings.TrimSpace(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(d.text))), nil
}

// yamlOf writes a document of JSON as YAML, its members in their order.
func yamlOf(d document) (string, error) {
	root, err := strictjson.Parse(d.text)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	err = e.Encode(yamlNode(root))
	return strings.TrimSpace(b.String()), err
}

func yamlNode(v strictjson.Value) *yaml.Node {
	n := new(yaml.Node)
	switch v.Kind {
	case strictjson.Object:
		n.Kind = yaml.MappingNode
		inLine := true
		for _, m := range v.Members {
			n.Content = append(n.Content, yamlString(m.Name), yamlNode(m.Value))
			inLine = inLine && m.Value.Kind != strictjson.Object
		}
		n.Style = flowIf(inLine)
	case strictjson.Array:
		n.Kind = yaml.SequenceNode
		inLine := true
		for _, item := range v.Items {
			n.Content = append(n.Content, yamlNode(item))
			inLine = inLine && item.Kind != strictjson.Object
		}
		n.Style = flowIf(inLine)
	case strictjson.String:
		n = yamlString(v.Text)
	default:
		n.Kind, n.Value = yaml.ScalarNode, v.Text
	}
	return n
}

// flowIf lets an object or a list stand in one line, which reads well where there is no object in it.
func flowIf(inLine bool) yaml.Style {
	if inLine {
		return yaml.FlowStyle
	}
	return 0
}

// yamlString quotes where a reader of YAML 1.1 or 1.2 would take the text for something else.
func yamlString(text string) *yaml.Node {
	n := new(yaml.Node)
	if err := n.Encode(text); err != nil {
		panic(err) // a string has no error
	}
	return n
}

// yamlText gives a string as YAML in one line, that may stand in a flow.
func yamlText(text string) string {
	n := yamlString(text)
	if strings.ContainsAny(text, "\n\r,[]{}:") {
		n.Style = yaml.DoubleQuotedStyle
	}
	b, err := yaml.Marshal(n)
	if err != nil {
		panic(err) // a string has no error
	}
	return strings.TrimSpace(string(b))
}

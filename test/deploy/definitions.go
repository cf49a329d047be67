package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

// Definitions are the schemas of CustomResourceDefinitions, by "GROUP/VERSION KIND". They know what the Go types don't: which fields must be
// there, which values an enumeration has, patterns and bounds. Their rules in CEL are not evaluated.
type Definitions map[string]*definedKind

// definedKind is one schema, compiled when it is needed first: some are large.
type definedKind struct {
	text     []byte
	compiled *jsonschema.Schema
}

// definition is as much of a CustomResourceDefinition as is needed.
type definition struct {
	Kind string
	Spec struct {
		Group    string
		Names    struct{ Kind string }
		Versions []struct {
			Name   string
			Schema struct{ OpenAPIV3Schema json.RawMessage }
		}
	}
}

// Add takes the definitions in YAML documents; lines of a Helm template's own language are left out.
func (d Definitions) Add(text []byte) error {
	var plain []byte
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(bytes.TrimSpace(line), []byte("{{")) {
			plain = append(plain, line...)
		}
	}
	for _, document := range bytes.Split(plain, []byte("\n---")) {
		var def definition
		if err := yaml.Unmarshal(document, &def); err != nil {
			return err
		}
		if def.Kind != "CustomResourceDefinition" {
			continue
		}
		for _, version := range def.Spec.Versions {
			d[def.Spec.Group+"/"+version.Name+" "+def.Spec.Names.Kind] = &definedKind{text: version.Schema.OpenAPIV3Schema}
		}
	}
	return nil
}

func (k *definedKind) schema() (*jsonschema.Schema, error) {
	if k.compiled != nil {
		return k.compiled, nil
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(k.text))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", value); err != nil {
		return nil, err
	}
	k.compiled, err = compiler.Compile("schema.json")
	return k.compiled, err
}

// Validate compares a resource in YAML with its definition. known is false where there is none. The error matches ErrManifest.
func (d Definitions) Validate(document []byte) (known bool, err error) {
	text, err := yaml.YAMLToJSON(document)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	var head struct{ APIVersion, Kind string }
	if err := json.Unmarshal(text, &head); err != nil {
		return false, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	kind, known := d[head.APIVersion+" "+head.Kind]
	if !known {
		return false, nil
	}
	schema, err := kind.schema()
	if err != nil {
		return true, fmt.Errorf("the definition of %s: %w", head.Kind, err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err == nil {
		err = schema.Validate(value)
	}
	if err != nil {
		return true, fmt.Errorf("%w: %s: %w", ErrManifest, head.Kind, err)
	}
	return true, nil
}

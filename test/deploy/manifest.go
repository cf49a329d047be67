package deploy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	gateway "github.com/envoyproxy/gateway/api/v1alpha1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	extensions "istio.io/client-go/pkg/apis/extensions/v1alpha1"
	networking "istio.io/client-go/pkg/apis/networking/v1"
	envoyfilter "istio.io/client-go/pkg/apis/networking/v1alpha3"
	security "istio.io/client-go/pkg/apis/security/v1"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	network "k8s.io/api/networking/v1"
	disruption "k8s.io/api/policy/v1"
	gatewayapi "sigs.k8s.io/gateway-api/apis/v1"
)

// ErrManifest says that a document isn't a resource that the API servers would take as it stands.
var ErrManifest = errors.New("manifest")

// decoder knows the kinds that the files may hold.
var decoder = func() runtime.Decoder {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		apps.AddToScheme, autoscaling.AddToScheme, core.AddToScheme, network.AddToScheme, disruption.AddToScheme,
		extensions.AddToScheme, networking.AddToScheme, envoyfilter.AddToScheme, security.AddToScheme,
		gateway.AddToScheme, gatewayapi.Install, monitoring.AddToScheme,
	} {
		utilruntime.Must(add(scheme))
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
}()

// Decode reads YAML documents strictly: an unknown kind, an unknown or duplicate field and a value of a wrong type are errors, which match
// ErrManifest. Documents without anything but comments are left out.
func Decode(text []byte) (list []runtime.Object, err error) {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrManifest, err)
		}
		asJSON, err := yaml.YAMLToJSONStrict(document)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrManifest, err)
		}
		if string(asJSON) == "null" {
			continue
		}
		object, err := decode(asJSON)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrManifest, err)
		}
		list = append(list, object)
	}
}

func decode(document []byte) (runtime.Object, error) {
	object, kind, err := decoder.Decode(document, nil, nil)
	if err != nil {
		return nil, err
	}
	// Istio's specs are protocol buffers, which read themselves and forgive unknown fields.
	spec, ok := protoSpec(object)
	if !ok {
		return object, nil
	}
	var parts struct{ Spec json.RawMessage }
	if err := json.Unmarshal(document, &parts); err != nil {
		return nil, err
	}
	if err := protojson.Unmarshal(parts.Spec, spec.ProtoReflect().New().Interface()); err != nil {
		return nil, fmt.Errorf("%s: spec: %w", kind.Kind, err)
	}
	return object, nil
}

func protoSpec(object runtime.Object) (proto.Message, bool) {
	spec := reflect.ValueOf(object).Elem().FieldByName("Spec")
	if !spec.IsValid() {
		return nil, false
	}
	message, ok := spec.Addr().Interface().(proto.Message)
	return message, ok
}

package image

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// ErrInput says that a file isn't what the image needs.
var ErrInput = errors.New("image input")

// Annotations of chatcache's own. The others are those of the OCI image specification.
const (
	AnnotationABI        = "chatcache.proxy-wasm.abi" // what the filter exports: "0.2.0"
	AnnotationFileSHA256 = "chatcache.wasm.sha256"    // of plugin.wasm, hexadecimal
	AnnotationVariant    = "module.wasm.image/variant"
)

// Description is what an image says of where it comes from. Empty fields are left out.
type Description struct {
	Version  string // "1.4.0"
	Revision string // the commit
	Source   string // URL of the repository
}

func (d Description) annotations(title, description string, more ...string) map[string]string {
	a := map[string]string{
		"org.opencontainers.image.title":       title,
		"org.opencontainers.image.description": description,
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.version":     d.Version,
		"org.opencontainers.image.revision":    d.Revision,
		"org.opencontainers.image.source":      d.Source,
	}
	for i := 0; i < len(more); i += 2 {
		a[more[i]] = more[i+1]
	}
	for name, value := range a {
		if value == "" {
			delete(a, name)
		}
	}
	return a
}

// FileSHA256 gives the digest by which an http(s):// URL of the file is pinned, hexadecimal.
func FileSHA256(file []byte) string {
	sum := sha256.Sum256(file)
	return hex.EncodeToString(sum[:])
}

// assemble makes an image of one layer.
func assemble(config v1.ConfigFile, files []file, annotations map[string]string) (v1.Image, error) {
	layer, err := newLayer(files)
	if err != nil {
		return nil, fmt.Errorf("making the layer: %w", err)
	}
	config.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	config.RootFS = v1.RootFS{Type: "layers"}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.ConfigFile(base, &config)
	if err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	if img, err = mutate.AppendLayers(img, layer); err != nil {
		return nil, fmt.Errorf("appending the layer: %w", err)
	}
	return mutate.Annotations(img, annotations).(v1.Image), nil
}

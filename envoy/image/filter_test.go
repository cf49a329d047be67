package image_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"chatcache/envoy/image"
)

// module is a WebAssembly module that does nothing but export the function name.
func module(name string) []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	b = append(b, 1, 4, 1, 0x60, 0, 0) // one type: no parameters, no results
	b = append(b, 3, 2, 1, 0)          // one function of it
	b = append(b, 7, byte(len(name)+4), 1, byte(len(name)))
	b = append(append(b, name...), 0, 0)
	return append(b, 10, 4, 1, 2, 0, 0x0b) // its body
}

func plugin() []byte { return module("proxy_abi_version_0_2_0") }

// fetch does what Istio's and Envoy Gateway's fetchers do with the image of an oci:// URL.
func fetch(t *testing.T, reference string) (wasm []byte, digest string) {
	t.Helper()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	descriptor, err := remote.Get(ref)
	if err != nil {
		t.Fatal(err)
	}
	img, err := descriptor.Image()
	if err != nil {
		t.Fatal(err)
	}
	return unpack(t, img)
}

func unpack(t *testing.T, img v1.Image) (wasm []byte, digest string) {
	t.Helper()
	hash, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if manifest.MediaType != types.OCIManifestSchema1 || manifest.Config.MediaType != types.OCIConfigJSON {
		t.Errorf("media types %s and %s", manifest.MediaType, manifest.Config.MediaType)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	last := layers[len(layers)-1]
	if mt, err := last.MediaType(); err != nil || mt != "application/vnd.oci.image.layer.v1.tar+gzip" {
		t.Fatalf("the layer is %s, %v", mt, err)
	}
	return layerFile(t, last, "plugin.wasm"), hash.Hex
}

func layerFile(t *testing.T, layer v1.Layer, path string) []byte {
	t.Helper()
	compressed, err := layer.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer compressed.Close()
	unzipped, err := gzip.NewReader(compressed)
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(unzipped); ; {
		header, err := archive.Next()
		if err != nil {
			t.Fatalf("no %s in the layer: %v", path, err)
		}
		if header.ModTime.Unix() != 0 || header.Uid != 0 || header.Uname != "" {
			t.Errorf("%s tells of %v and %d %q", header.Name, header.ModTime, header.Uid, header.Uname)
		}
		if filepath.Base(header.Name) == path {
			content, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			return content
		}
	}
}

func newRegistry(t *testing.T) (host string) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestFilterIsWhatControlPlanesFetch(t *testing.T) {
	img, err := image.Filter(plugin(), image.Description{Version: "1.2.3", Revision: "abc"})
	if err != nil {
		t.Fatal(err)
	}
	reference := newRegistry(t) + "/chatcache:1.2.3"
	if err := image.Push(t.Context(), reference, false, img); err != nil {
		t.Fatal(err)
	}
	wasm, digest := fetch(t, reference)
	if !bytes.Equal(wasm, plugin()) {
		t.Errorf("fetched %q", wasm)
	}
	want, err := image.Digest(img)
	if err != nil || "sha256:"+digest != want {
		t.Errorf("the registry has %s, Digest says %s, %v", digest, want, err)
	}
	if byDigest, _ := fetch(t, strings.TrimSuffix(reference, ":1.2.3")+"@"+want); !bytes.Equal(byDigest, plugin()) {
		t.Error("another file by digest")
	}
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"org.opencontainers.image.version":  "1.2.3",
		"org.opencontainers.image.revision": "abc",
		"module.wasm.image/variant":         "compat",
		image.AnnotationABI:                 "0.2.0",
		image.AnnotationFileSHA256:          image.FileSHA256(plugin()),
	} {
		if got := manifest.Annotations[name]; got != want {
			t.Errorf("annotation %s is %q, want %q", name, got, want)
		}
	}
	if source, ok := manifest.Annotations["org.opencontainers.image.source"]; ok {
		t.Errorf("an unknown source became %q", source)
	}
}

func TestFilterOfSomethingElse(t *testing.T) {
	for _, tt := range []struct{ wasm, want string }{
		{"", "0 bytes that don't begin as a WebAssembly module"},
		{"\x7fELF", "4 bytes that don't begin as a WebAssembly module"},
		{"\x00asm\x01\x00\x00\x00\x01\xff", "not a valid WebAssembly module"},
		{string(module("run")), "exports no proxy_abi_version_"},
	} {
		_, err := image.Filter([]byte(tt.wasm), image.Description{})
		if !errors.Is(err, image.ErrInput) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %s", tt.wasm, err, tt.want)
		}
	}
}

func TestLayoutAndArchive(t *testing.T) {
	img, err := image.Filter(plugin(), image.Description{})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "layout")
	for range 2 { // the second replaces the first
		if err := image.Layout(dir, img); err != nil {
			t.Fatal(err)
		}
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("the layout holds %v, %v", manifest, err)
	}
	read, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if wasm, _ := unpack(t, read); !bytes.Equal(wasm, plugin()) {
		t.Errorf("the layout holds %q", wasm)
	}
	var one, other bytes.Buffer
	if err := errors.Join(image.Tar(&one, img), image.Tar(&other, img)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), other.Bytes()) || !bytes.Contains(one.Bytes(), []byte("oci-layout")) {
		t.Error("two archives of one image differ, or aren't layouts")
	}
}

func TestOutputsThatAreRefused(t *testing.T) {
	img, err := image.Filter(plugin(), image.Description{})
	if err != nil {
		t.Fatal(err)
	}
	if err := image.Layout(".", img); !errors.Is(err, image.ErrOutput) || !strings.Contains(err.Error(), "isn't empty") {
		t.Errorf("a layout over these sources: %v", err)
	}
	for _, reference := range []string{"", "chatcache", "registry.example/chatcache", "https://registry.example/chatcache:1", "registry.example/Chat:1"} {
		if err := image.Push(t.Context(), reference, false, img); !errors.Is(err, image.ErrReference) {
			t.Errorf("%q: %v", reference, err)
		}
	}
	server := httptest.NewServer(nil)
	gone := strings.TrimPrefix(server.URL, "http://")
	server.Close()
	if err := image.Push(t.Context(), gone+"/chatcache:1", false, img); !errors.Is(err, image.ErrOutput) {
		t.Errorf("nobody listens: %v", err)
	}
}

package istio

import (
	"io"
	"log"
	"net/http/httptest"
	"testing"

	"chatcache/envoy/image"

	"github.com/google/go-containerregistry/pkg/registry"
)

// imageRegistry is a registry without TLS that pods reach.
type imageRegistry struct {
	t    testing.TB
	Host string // host:port
}

func startRegistry(t testing.TB) *imageRegistry {
	t.Helper()
	server := httptest.NewUnstartedServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	server.Listener.Close()
	server.Listener = listen(t)
	server.Start()
	t.Cleanup(server.Close)
	return &imageRegistry{t: t, Host: server.Listener.Addr().String()}
}

// Push makes an image of the filter, as `make image` does, and uploads it as HOST/chatcache:VERSION. It gives what a WasmPlugin
// pins it by: its URL and the digest of its manifest, in hexadecimal.
func (r *imageRegistry) Push(wasm []byte, version string) (url, sha256 string) {
	r.t.Helper()
	img, err := image.Filter(wasm, image.Description{Version: version})
	if err != nil {
		r.t.Fatal(err)
	}
	reference := r.Host + "/chatcache:" + version
	if err := image.Push(r.t.Context(), reference, true, img); err != nil {
		r.t.Fatal(err)
	}
	hash, err := img.Digest()
	if err != nil {
		r.t.Fatal(err)
	}
	return "oci://" + r.Host + "/chatcache@" + hash.String(), hash.Hex
}

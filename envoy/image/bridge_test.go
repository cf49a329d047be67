package image_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"chatcache/envoy/image"
	"chatcache/test/stack"
)

// built gives a file of build/, as make makes it.
func built(t *testing.T, root, target string) []byte {
	t.Helper()
	if err := stack.Build(t.Context(), root, target); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(root, target))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func bridge(t *testing.T, root string, architectures ...string) v1.ImageIndex {
	t.Helper()
	binaries := make(map[string][]byte)
	for _, arch := range architectures {
		binaries[arch] = built(t, root, "build/linux-"+arch+"/redisbridge")
	}
	index, err := image.Bridge(binaries, image.Description{Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// What a node pulls from a registry starts, in an empty environment, as the image says.
func TestBridgeRunsFromItsImage(t *testing.T) {
	index := bridge(t, root(t), "amd64", "arm64")
	reference := newRegistry(t) + "/chatcache-redisbridge:1.2.3"
	if err := image.Push(t.Context(), reference, false, index); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		img, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: arch}))
		if err != nil {
			t.Fatal(err)
		}
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		want := v1.Config{
			User: "65532:65532", Entrypoint: []string{"/redisbridge"}, Cmd: []string{"serve", "--listen", ":8470"},
			ExposedPorts: map[string]struct{}{"8470/tcp": {}}, WorkingDir: "/",
		}
		if config.Architecture != arch || !reflect.DeepEqual(config.Config, want) {
			t.Errorf("%s: %s, %+v", arch, config.Architecture, config.Config)
		}
		if arch == runtime.GOARCH && runtime.GOOS == "linux" {
			layers, err := img.Layers()
			if err != nil {
				t.Fatal(err)
			}
			serves(t, layerFile(t, layers[0], "redisbridge"))
		}
	}
}

// serves starts the binary and waits until it says that it is ready.
func serves(t *testing.T, binary []byte) {
	t.Helper()
	dir, err := os.MkdirTemp("", "image") // a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program, socket := filepath.Join(dir, "redisbridge"), filepath.Join(dir, "s")
	if err := os.WriteFile(program, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(program, "serve", "--memory", "--insecure", "--listen", "unix:"+socket)
	cmd.Dir, cmd.Env, cmd.Stderr = "/", []string{}, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the bridge ended with %v\n%s", err, &log)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	for ; ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		request, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://bridge/readyz", nil)
		if response, err := client.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
	}
	t.Errorf("the bridge didn't become ready")
}

func TestBridgeOfSomethingElse(t *testing.T) {
	amd64 := built(t, root(t), "build/linux-amd64/redisbridge")
	for _, tt := range []struct {
		binaries map[string][]byte
		want     string
	}{
		{nil, "no binary"},
		{map[string][]byte{"riscv64": amd64}, `architecture "riscv64", want amd64 or arm64`},
		{map[string][]byte{"arm64": amd64}, "the binary for arm64 is for EM_X86_64"},
		{map[string][]byte{"amd64": plugin()}, "the binary for amd64 is no ELF program"},
	} {
		_, err := image.Bridge(tt.binaries, image.Description{})
		if !errors.Is(err, image.ErrInput) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %s", err, tt.want)
		}
	}
}

// A copy of the sources in another directory gives the same digests.
func TestImagesAreReproducible(t *testing.T) {
	t.Setenv("VERSION", "1.2.3")
	here, there := root(t), filepath.Join(t.TempDir(), "somewhere", "else")
	copySources(t, here, there)
	if one, other := digest(t, filterOf(t, here)), digest(t, filterOf(t, there)); one != other {
		t.Errorf("the filter's image is %s here and %s in another directory", one, other)
	}
	if one, other := digest(t, bridge(t, here, runtime.GOARCH)), digest(t, bridge(t, there, runtime.GOARCH)); one != other {
		t.Errorf("the bridge's image is %s here and %s in another directory", one, other)
	}
}

func filterOf(t *testing.T, root string) v1.Image {
	t.Helper()
	img, err := image.Filter(built(t, root, "build/chatcache.wasm"), image.Description{Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func digest(t *testing.T, i image.Image) string {
	t.Helper()
	d, err := image.Digest(i)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// copySources copies what the images are built from.
func copySources(t *testing.T, from, to string) {
	t.Helper()
	for _, dir := range []string{"filter", "gowasm", "policy", "redisbridge"} {
		if err := os.CopyFS(filepath.Join(to, dir), os.DirFS(filepath.Join(from, dir))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum", "Makefile"} {
		content, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), content, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

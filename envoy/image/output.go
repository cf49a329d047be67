package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

var (
	// ErrOutput says that an image can't be written where it was asked for.
	ErrOutput = errors.New("image output")
	// ErrReference says that a name isn't one of an image in a registry.
	ErrReference = errors.New("image reference")
)

// Image is a [v1.Image] or a [v1.ImageIndex].
type Image interface {
	MediaType() (types.MediaType, error)
	Digest() (v1.Hash, error)
	Size() (int64, error)
	RawManifest() ([]byte, error)
}

// Digest gives the digest of the image's manifest, "sha256:…": what an oci:// URL is pinned by.
func Digest(i Image) (string, error) {
	hash, err := i.Digest()
	return hash.String(), err
}

// Layout writes an OCI image layout into dir. A layout that is there is replaced; a directory with anything else
// in it is left alone and an error, which matches [ErrOutput].
func Layout(dir string, i Image) error {
	found, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrOutput, err)
	}
	if len(found) > 0 {
		if _, err := os.Stat(filepath.Join(dir, "oci-layout")); err != nil {
			return fmt.Errorf("%w: %s isn't empty and isn't an image layout either; name another directory", ErrOutput, dir)
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("%w: %w", ErrOutput, err)
		}
	}
	addendum := mutate.IndexAddendum{Add: i}
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), addendum)
	if _, err := layout.Write(dir, index); err != nil {
		return fmt.Errorf("%w: %w", ErrOutput, err)
	}
	return nil
}

// Tar writes the image layout as one archive, as `podman load`, `docker load` (25 and later), `ctr images import` and
// skopeo's oci-archive: read it.
func Tar(w io.Writer, i Image) error {
	dir, err := os.MkdirTemp("", "image")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOutput, err)
	}
	defer os.RemoveAll(dir)
	if err := Layout(dir, i); err != nil {
		return err
	}
	var files []file
	// WalkDir goes in the order of the names.
	err = fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, path))
		files = append(files, file{path, 0o644, content})
		return err
	})
	if err == nil {
		err = writeTar(w, files)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOutput, err)
	}
	return nil
}

// Push uploads the image to a registry under reference ("registry.example/chatcache:1.4.0"), with the credentials that
// docker, podman or crane have stored. Registries on this machine, and others where insecure is true, are spoken to
// without TLS. The error matches [ErrReference] or [ErrOutput].
func Push(ctx context.Context, reference string, insecure bool, i Image) error {
	options := []name.Option{name.StrictValidation}
	if insecure {
		options = append(options, name.Insecure)
	}
	ref, err := name.NewTag(reference, options...)
	if err == nil && strings.Contains(reference, "://") {
		err = errors.New("no scheme is wanted")
	}
	if err != nil {
		return fmt.Errorf("%w: %q, want REGISTRY/NAME:TAG: %w", ErrReference, reference, err)
	}
	err = remote.Push(ref, i, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return fmt.Errorf("%w: pushing to %s: %w", ErrOutput, reference, err)
	}
	return nil
}

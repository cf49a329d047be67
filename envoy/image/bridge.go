package image

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// BridgePath is where the bridge stands in its image.
	BridgePath = "/redisbridge"
	// BridgePort is where it listens there.
	BridgePort = "8470"
	// BridgeUser is who it runs as. Numbers, so that Kubernetes can tell that it isn't root.
	BridgeUser = "65532:65532"
)

var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// Bridge makes the bridge's image: an index of one image for each architecture (amd64, arm64) of which there is a
// binary, by its name in Go. A binary is a static ELF program. The error matches [ErrInput] where it isn't.
//
// The images hold the binary and nothing else: no shell, no user database, and no CA certificates, for those that Mozilla trusts are
// compiled into the binary; what is mounted at /etc/ssl/certs, or named by SSL_CERT_FILE, wins over them.
func Bridge(binaries map[string][]byte, d Description) (v1.ImageIndex, error) {
	if len(binaries) == 0 {
		return nil, fmt.Errorf("%w: no binary of the bridge was given", ErrInput)
	}
	annotations := d.annotations("chatcache-redisbridge", "The bridge between chatcache's filters and Redis")
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range slices.Sorted(maps.Keys(binaries)) {
		if err := checkStatic(binaries[arch], arch); err != nil {
			return nil, err
		}
		img, err := assemble(bridgeConfig(arch), []file{{BridgePath[1:], 0o755, binaries[arch]}}, annotations)
		if err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        img,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	return mutate.Annotations(index, annotations).(v1.ImageIndex), nil
}

func bridgeConfig(arch string) v1.ConfigFile {
	return v1.ConfigFile{OS: "linux", Architecture: arch, Config: v1.Config{
		User:         BridgeUser,
		Entrypoint:   []string{BridgePath},
		Cmd:          []string{"serve", "--listen", ":" + BridgePort},
		ExposedPorts: map[string]struct{}{BridgePort + "/tcp": {}},
		WorkingDir:   "/",
	}}
}

// checkStatic tells whether the image, which has no dynamic loader, could start the binary.
func checkStatic(binary []byte, arch string) error {
	machine, ok := machines[arch]
	if !ok {
		return fmt.Errorf("%w: architecture %q, want amd64 or arm64", ErrInput, arch)
	}
	program, err := elf.NewFile(bytes.NewReader(binary))
	if err != nil {
		return fmt.Errorf("%w: the binary for %s is no ELF program: %w", ErrInput, arch, err)
	}
	if program.Machine != machine {
		return fmt.Errorf("%w: the binary for %s is for %v", ErrInput, arch, program.Machine)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%w: the binary for %s needs a dynamic loader, which the image doesn't have: build it with CGO_ENABLED=0", ErrInput, arch)
		}
	}
	if _, err := buildinfo.Read(bytes.NewReader(binary)); err != nil {
		return fmt.Errorf("%w: the binary for %s is no Go program: %w", ErrInput, arch, err)
	}
	return nil
}

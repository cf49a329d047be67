package image

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/tetratelabs/wazero"
)

// PluginFile is the name under which control planes look for the module in the layer.
const PluginFile = "plugin.wasm"

// Filter makes the image of a proxy-wasm module. The error matches [ErrInput] where wasm isn't one.
func Filter(wasm []byte, d Description) (v1.Image, error) {
	abi, err := moduleABI(wasm)
	if err != nil {
		return nil, err
	}
	annotations := d.annotations("chatcache", "A cache for APIs: a proxy-wasm filter for Envoy",
		AnnotationVariant, "compat", AnnotationABI, abi, AnnotationFileSHA256, FileSHA256(wasm))
	config := v1.ConfigFile{OS: "wasip1", Architecture: "wasm"}
	return assemble(config, []file{{PluginFile, 0o644, wasm}}, annotations)
}

// moduleABI finds the version of the proxy-wasm ABI that the module exports: "0.2.0".
func moduleABI(wasm []byte) (string, error) {
	if !bytes.HasPrefix(wasm, []byte("\x00asm\x01\x00\x00\x00")) {
		return "", fmt.Errorf("%w: found %d bytes that don't begin as a WebAssembly module, want the filter's .wasm (`make build`)", ErrInput, len(wasm))
	}
	ctx := context.Background()
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer runtime.Close(ctx)
	module, err := runtime.CompileModule(ctx, wasm)
	if err != nil {
		return "", fmt.Errorf("%w: not a valid WebAssembly module: %w", ErrInput, err)
	}
	for name := range module.ExportedFunctions() {
		if version, ok := strings.CutPrefix(name, "proxy_abi_version_"); ok {
			return strings.ReplaceAll(version, "_", "."), nil
		}
	}
	return "", fmt.Errorf("%w: the module exports no proxy_abi_version_…, so no proxy would load it", ErrInput)
}

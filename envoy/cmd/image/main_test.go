package main

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"image": main})
}

// plugin is a WebAssembly module that exports proxy_abi_version_0_2_0 and nothing else.
const plugin = "\x00asm\x01\x00\x00\x00" + "\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" +
	"\x07\x1b\x01\x17proxy_abi_version_0_2_0\x00\x00" + "\x0a\x04\x01\x02\x00\x0b"

// TestScripts runs the command as users do, with a registry at $REGISTRY.
func TestScripts(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	// The scripts run in parallel to each other, after this function.
	t.Cleanup(server.Close)
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: os.Getenv("UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("REGISTRY", strings.TrimPrefix(server.URL, "http://"))
			return os.WriteFile(e.Cd+"/plugin.wasm", []byte(plugin), 0o644)
		},
	})
}

package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"policy": main})
}

// TestScripts runs the command as users do. UPDATE=1 writes the expected outputs anew.
func TestScripts(t *testing.T) {
	chat, err := os.ReadFile("../../../envoy/chat.policy.json")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: os.Getenv("UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			return os.WriteFile(e.Cd+"/chat.json", chat, 0o644)
		},
	})
}

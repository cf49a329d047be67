package istio

import (
	"os"
	"testing"
)

// The test program is three programs: the one that go test starts makes namespaces and starts itself in them, where the
// tests run; and each pod begins as one that makes its own network.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == podCommand:
		runPod(os.Args[2])
	case os.Getenv(isolatedVariable) != "":
		if err := enterIsolation(); err != nil {
			panic(err)
		}
		os.Exit(m.Run())
	default:
		code, err := runIsolated()
		if err == nil {
			os.Exit(code)
		}
		notIsolated = err
		os.Exit(m.Run())
	}
}

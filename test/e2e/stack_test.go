package e2e

import (
	"io"
	"net/http"
	"testing"

	"chatcache/test/mesh"
	"chatcache/test/stack"
)

// patient lets filter and bridge wait as a loaded machine needs it, so that it makes no hit a bypass: by the chat policy
// where the options have none.
func patient(t *testing.T, o stack.Options) stack.Options {
	t.Helper()
	if o.Policy == nil {
		o.Policy = []byte(mesh.ChatPolicy(t))
	}
	o.BridgeArgs = append(o.BridgeArgs, "--timeout", mesh.BridgePatience.String())
	return o
}

// patientStack runs such a mesh for a test.
func patientStack(t *testing.T, o stack.Options) *stack.Stack {
	t.Helper()
	return stack.RunT(t, patient(t, o))
}

// send gives the answer to a request, and its body.
func send(t *testing.T, client http.RoundTripper, request *http.Request) (*http.Response, string) {
	t.Helper()
	response, err := client.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

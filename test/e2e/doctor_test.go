package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"chatcache/test/chatapi"
	"chatcache/test/stack"
)

// On a mesh in which nothing is wrong doctor finds nothing; with the bridge's Redis gone it says so.
func TestDoctorOnARealMesh(t *testing.T) {
	s := patientStack(t, stack.Options{Origin: chatapi.New(chatapi.Options{})})
	response, err := http.Get(s.Envoys[0].URL() + "/api/models")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	wantMetrics(t, s, `chatcache_feed_resets{} 1`) // the worker follows the feed
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	doctor := func() (string, error) {
		cmd := exec.Command(filepath.Join(root, "build", "redisbridge"), "doctor", "--bridge", s.Bridge.URL(), "--envoy", s.Envoys[0].AdminURL())
		cmd.Env = append(os.Environ(), "CHATCACHE_ADMIN_TOKEN="+stack.AdminToken)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := doctor(); err != nil || strings.Contains(out, "PROBLEM") || !strings.Contains(out, "it is loaded") {
		t.Errorf("a healthy mesh: %v\n%s", err, out)
	}
	if err := s.Valkey.Stop(); err != nil {
		t.Fatal(err)
	}
	if out, err := doctor(); err == nil || !strings.Contains(out, "PROBLEM  redis") {
		t.Errorf("without Redis: %v\n%s", err, out)
	}
}

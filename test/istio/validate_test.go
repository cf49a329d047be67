package istio

import (
	"path/filepath"
	"strings"
	"testing"

	"chatcache/test/stack"

	"github.com/spf13/cobra"

	"istio.io/istio/istioctl/pkg/analyze"
	"istio.io/istio/istioctl/pkg/cli"
	"istio.io/istio/istioctl/pkg/validate"
)

// istioctl runs Istio's command line: the two commands of it that need no cluster.
func istioctl(args ...string) (output string, err error) {
	root := &cobra.Command{Use: "istioctl", SilenceUsage: true}
	ctx := cli.NewCLIContext(cli.AddRootFlags(root.PersistentFlags()))
	root.AddCommand(validate.NewValidateCommand(ctx), analyze.Analyze(ctx))
	var out strings.Builder
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err = root.Execute()
	return out.String(), err
}

// shippedFile gives the path of a file that operators apply.
func shippedFile(t testing.TB, file string) string {
	t.Helper()
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "envoy", file)
}

// Every file is one that Istio takes.
func TestIstioctlValidatesEachFile(t *testing.T) {
	files, err := filepath.Glob(shippedFile(t, "istio/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("files in envoy/istio: %d, %v", len(files), err)
	}
	for _, file := range files {
		out, err := istioctl("validate", "--filename", file)
		t.Logf("%s: %s", filepath.Base(file), out)
		if err != nil {
			t.Errorf("istioctl validate %s: %v", filepath.Base(file), err)
		}
	}
}

// Files that are applied together fit to each other.
func TestIstioctlAnalyzesWhatIsAppliedTogether(t *testing.T) {
	for name, files := range map[string][]string{
		"gateway": gatewayFiles, "sidecar": sidecarFiles, "bodies": bodiesFiles, "bridge outside": outsideFiles,
	} {
		t.Run(name, func(t *testing.T) {
			out, err := istioctl(append([]string{"analyze", "--use-kube=false"}, shippedFiles(t, files...)...)...)
			t.Log(out)
			if err != nil {
				t.Errorf("istioctl analyze: %v", err)
			}
		})
	}
}

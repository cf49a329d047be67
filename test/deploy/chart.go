package deploy

import (
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
)

// Template gives what `helm template` prints for the chart in dir, installed as release "chatcache" into the namespace: its resources in the
// order of their files. notes is what an installation prints.
func Template(dir, namespace string, values map[string]any) (manifests, notes string, err error) {
	chart, err := loader.Load(dir)
	if err != nil {
		return "", "", err
	}
	release := common.ReleaseOptions{Name: "chatcache", Namespace: namespace, IsInstall: true, Revision: 1}
	all, err := util.ToRenderValues(chart, values, release, common.DefaultCapabilities)
	if err != nil {
		return "", "", err
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return "", "", err
	}
	var out strings.Builder
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text := strings.TrimSpace(files[name])
		switch {
		case path.Base(name) == "NOTES.txt":
			notes = text + "\n"
		case text != "":
			out.WriteString("---\n# Source: " + name + "\n" + text + "\n")
		}
	}
	return out.String(), notes, nil
}

package redisbridge

import "runtime/debug"

// version is set by the linker: VERSION= of make image.
var version string

// Version tells what this program was built as: VERSION= of make image; without it the version of its commit, as go build has noted
// it, or "(devel)".
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(devel)"
	}
	return info.Main.Version
}

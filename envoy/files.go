// Package envoy holds what operators deploy, for programs that write it.
package envoy

import _ "embed"

// Configuration is envoy.yaml, as it ships.
//
//go:embed envoy.yaml
var Configuration string

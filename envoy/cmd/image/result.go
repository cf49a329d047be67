package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"chatcache/envoy/image"
)

// result is what the command prints.
type result struct {
	Image     string   `json:"image"`                // filter or bridge
	Manifest  string   `json:"manifest"`             // digest, "sha256:…"
	File      string   `json:"fileSha256,omitempty"` // the filter's, hexadecimal
	Reference string   `json:"reference,omitempty"`  // where it was pushed to
	Written   []string `json:"written,omitempty"`
}

func (r result) print(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s image\n", r.Image)
	for _, place := range r.Written {
		fmt.Fprintf(&b, "  %s\n", place)
	}
	if r.Image == "filter" {
		fmt.Fprintf(&b, "  manifest %s\n           pins an oci:// URL (policy render --digest; a WasmPlugin's and an EnvoyExtensionPolicy's sha256, without \"sha256:\")\n", r.Manifest)
		fmt.Fprintf(&b, "  file     %s\n           pins an http(s):// URL of %s, and Envoy's own remote code (policy render --sha256)\n", r.File, image.PluginFile)
	} else {
		fmt.Fprintf(&b, "  manifest %s\n           pins the container's image: NAME@%s\n", r.Manifest, r.Manifest)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

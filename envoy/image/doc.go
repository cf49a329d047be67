// Package image makes the OCI images that operators deploy: the filter's, which Istio, Envoy Gateway and other control planes fetch
// as a plugin, and the bridge's, which runs as a container. It needs no Docker and no base image.
//
// [Filter] and [Bridge] make an image in memory, [Layout], [Tar] and [Push] put it somewhere. The same input gives the same digest:
// no time, no owner and no order of a directory enters an image. The command is chatcache/envoy/cmd/image; `make image` builds
// what goes into the images, reproducibly too.
//
// # Two digests
//
// Whoever pins a plugin pins one of two. An oci:// URL is pinned by the digest of the image's manifest ([Digest]), an http:// or
// https:// URL, and Envoy's own remote code source, by the SHA-256 of the .wasm file ([FileSHA256]). A control plane that is given the one
// for the other refuses the plugin.
//
// # The filter's layout
//
// It is the "compat" variant of the Wasm image specification, which is what control planes have in common: an OCI image whose last
// layer, application/vnd.oci.image.layer.v1.tar+gzip, holds the file plugin.wasm. It is one manifest and no index: there
// is nothing to choose by architecture, and Istio would look for linux/amd64 in an index.
package image

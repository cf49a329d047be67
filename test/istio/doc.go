// Package istio runs the filter as Istio runs it: Istio's own xDS server hands the files of envoy/istio to real
// pilot-agents, which pull the filter's image from a registry and start the real Envoy. `make test-istio` runs it.
//
// It is a Go module of its own, so that Istio's dependencies stay out of chatcache's.
//
// What is real and what isn't:
//
//	control plane  Istio's discovery server and its code for every resource, in the test's process. Kubernetes is client-go's
//	               fake: nothing schedules pods, so the tests start what a Deployment says and tell Istio where it is.
//	proxies        gateways and sidecars: pilot-agent, built from Istio's source, and Envoy as `make tools` fetches it. That Envoy
//	               isn't Istio's build of it, so Istio's own filters (its metrics, the exchange of metadata, ALPN) are switched off.
//	interception   pilot-agent's own, by iptables, as the container istio-init runs it before a sidecar
//	filter         an OCI image as `make image` makes it, in a registry that the tests serve
//	bridge         the real one, started as its Deployment says, before a real Valkey
//
// A proxy and a bridge each run in a pod, and the API in its sidecar's: namespaces for network, mounts and processes, as a container has them, so that they listen where
// they always listen. The pods' network ends in the namespace of the test, which leads nowhere. Making it takes Linux, and root or
// unprivileged user namespaces.
package istio

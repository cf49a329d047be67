// Package deploy checks what operators apply: the YAML files under envoy/ and what the Helm chart makes are decoded strictly into the
// types of Kubernetes, Istio, Envoy Gateway, the Gateway API and the Prometheus Operator, so that an unknown field or a wrong type is an
// error; they fit the CustomResourceDefinitions that Istio and Envoy Gateway install; they fit each other; and the chart says the same as the files.
//
// It knows the resources' schemas, not what a cluster or a control plane does with them. Istio's control plane runs its files in test/istio.
// Envoy Gateway's runs none of its own here, as of 1.8:
//
//   - `egctl x translate` translates no Wasm: it has no cache of modules, and EnvoyExtensionPolicy ends with "wasm cache is not initialized".
//   - envoy-gateway itself can read files and start Envoy on the host, without Kubernetes. It compiles some 700 packages beside those of
//     Istio with the same versions, which is minutes of every first build; its Envoy fetches the module from a server that it finds by the name
//     envoy-gateway.NAMESPACE.svc.cluster.local alone; and a Service has no endpoints in files, so that routes must lead to Backends.
//
// It is a Go module of its own, so that those dependencies stay out of the main one.
package deploy

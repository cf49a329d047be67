// Package deploy checks what operators apply: the YAML files under envoy/ and what the Helm chart makes are decoded strictly into the
// types of Kubernetes, Istio, Envoy Gateway, the Gateway API and the Prometheus Operator, so that an unknown field or a wrong type is an
// error; they fit the CustomResourceDefinitions that Istio and Envoy Gateway install; they fit each other; and the chart says the same as the files.
//
// It knows the resources' schemas, not what a cluster or a control plane does with them. It is a Go module of its own, so that those
// dependencies stay out of the main one.
package deploy

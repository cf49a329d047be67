// Package monitoring tests envoy/monitoring with Prometheus' own parser and engine. It is a
// module of its own: Prometheus stays out of the product's dependencies.
package monitoring

// Package stack runs a whole mesh on loopback: a Redis server, the bridge, an
// origin and real Envoys with the filter, each as a process of its own that can
// be stopped, killed, paused and started again.
//
// End-to-end tests start one with [RunT]; `make run` starts one through
// test/stack/cmd/run. Envoy runs the shipped envoy/envoy.yaml; only its
// addresses, the path of the .wasm and the policy are replaced (see [Render]).
//
// Where the programs come from:
//
//	Envoy         $ENVOY, else .tools/envoy           (make tools)
//	Redis server  $VALKEY, else .tools/valkey-server  (make tools)
//	filter, bridge  built by make into build/
//
// Children can't outlive the process that started them: on Linux the kernel
// kills them with it.
package stack

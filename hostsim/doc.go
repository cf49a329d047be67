// Package hostsim runs a proxy-wasm module in a plain Go test, on wazero, as
// Envoy 1.40 would run it: worker threads with a VM each, HTTP streams that
// pause and resume, calls to clusters, local replies that re-enter the module,
// shared data and queues, metrics, properties, ticks — in virtual time.
//
//	sim := hostsim.RunT(t, hostsim.Options{
//		Path:     "filter.wasm",
//		Clusters: map[string]http.Handler{"backend": backend},
//		Route:    hostsim.RouteTo("backend"),
//	})
//	resp := sim.Do(1, hostsim.Get("/hello"))
//	sim.Advance(time.Minute)
//
// # Time
//
// Nothing sleeps. A [Clock] holds virtual time and an event loop that runs
// only inside [Sim.Do], [Sim.Advance] and [Sim.Settle], on the goroutine that
// calls them; VM code runs nowhere else. Several simulated proxies may share
// one Clock. Handlers of clusters run on goroutines of their own, one at a time:
// the loop waits in real time until the running one has finished or waits
// itself through [Clock.Wait], which is how a handler takes virtual time.
//
// # What fails a test
//
// Where Envoy would crash, hang or kill the VM, the simulator records a
// [Failure] with the stream's call trace, and [RunT] reports it at the end of
// the test unless [Sim.Expect] took it.
//
// The package knows nothing of Go modules in particular: any module with
// proxy-wasm ABI 0.2.0 or 0.2.1 runs.
package hostsim

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
//
// # Files
//
// A simulated proxy, and what tests do with it:
//
//	sim, options, proxy                    the simulator, with its threads and clusters; several of them as plugins of one proxy
//	request, stream, trace                 what is sent and comes back; one stream, and what it did
//	failure, log, metric                   what a test fails for; what modules have logged and counted
//	update                                 new configurations, and streams that outlive them
//	fault                                  handlers of clusters that fail
//
// Time:
//
//	clock, timer, job                      virtual time, what is due, and handlers that wait in it
//	order                                  which of several things comes first
//
// The module:
//
//	module, compiled, signature            what Envoy checks before it runs one; compiled once a process
//	vm, memory, worker, root               a VM and its contexts; its memory; a thread's VMs; its root contexts
//	abi, status                            which host calls there are, and their statuses
//	hostcall_general, hostcall_stream      log, ticks and the like; resuming and replying
//	hostcall_header, hostcall_buffer       header maps; bodies
//	call, grpc, foreign, shared, property  calls to clusters; foreign functions; shared data and queues; properties
//	filterstate                            what filter state may hold
//
// A stream, in the order in which it goes through them:
//
//	downstream, path                       the client's side; the path as Envoy normalizes it
//	chain, filter, flow                    where it stands at the module, and the module's callbacks; what waits at full buffers
//	router, routerreset, uploadbody        the router with its retries, resets and timeouts; the body on its way
//	exchange, responsewriter               a handler's exchange with whoever asks it
//	clientside, reply, grpcreply           what comes back; local replies, also to gRPC
//	headers, responseflag                  header sections; response.flags
package hostsim

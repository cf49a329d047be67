package parity_test

// look tells which VM and which root context a plugin has.
const look = "kept; starts; plugin"

var (
	one, two  = variant{name: "a", config: "log one"}, variant{name: "b", config: "log two"}
	different = []variant{one, two}

	waits   = variant{name: "a", config: "on-done call backend /other 5000; on-call plugin-done"}
	reloads = variant{name: "b", config: "log two", policy: "FAIL_RELOAD", backoff: "0.002s"}
)

var sharingCases = []sharingCase{
	{name: "plugins of one VM key share a VM, each with a root context", plugins: different,
		steps: []step{ask("a", "grow 1; "+look), ask("b", look)}},
	{name: "another vm configuration makes another VM", plugins: []variant{{name: "a", vmConfig: "x"}, {name: "b", vmConfig: "y"}},
		steps: []step{ask("a", "grow 1; shared key one; "+look), ask("b", "shared key two; "+look)}},
	{name: "another vm_id makes another VM", plugins: []variant{{name: "a", vmID: "x"}, {name: "b", vmID: "y"}},
		steps: []step{ask("a", "grow 1; shared key one; "+look), ask("b", "shared key two; "+look)}},
	{name: "another environment makes another VM",
		plugins: []variant{{name: "a", env: map[string]string{"PROBE": "one"}}, {name: "b", env: map[string]string{"PROBE": "two"}}},
		steps:   []step{ask("a", "grow 1; env; "+look), ask("b", "env; "+look)}},
	{name: "equal plugins share their root context, until both are gone", plugins: []variant{{name: "a"}, {name: "b"}},
		steps: []step{ask("a", "grow 1; "+look), ask("b", look), configure("a", "log one"), ask("a", look), drained, ask("b", look),
			configure("a", ""), ask("a", look), drained}},

	{name: "a configuration change of one of two plugins", plugins: different,
		steps: []step{ask("a", "grow 1; "+look), configure("a", "log three"), ask("a", look), ask("b", look), drained, ask("a", look), ask("b", look)}},
	{name: "the removal of one of two plugins", plugins: different,
		steps: []step{ask("a", "grow 1; "+look), remove("a"), ask("b", look), drained, ask("b", look)}},
	{name: "a plugin that isn't done goes on while another has its VM", plugins: []variant{waits, two},
		steps: []step{ask("a", "grow 1; "+look), remove("a"), drained, ask("b", look)}},
	{name: "the last plugin of a VM isn't waited for", plugins: []variant{waits, {name: "b", vmConfig: "y"}},
		steps: []step{ask("a", "grow 1; "+look), remove("a"), drained, ask("b", look)}},
	{name: "shared data ends with the last VM of its vm_id", plugins: []variant{{name: "a", vmID: "x"}, {name: "b", vmID: "y"}},
		steps: []step{ask("a", "shared key one"), ask("a", "shared key two"), remove("a"), drained, add(variant{name: "a", vmID: "x"}), ask("a", "shared key three")}},
	{name: "shared data stays while another VM has its vm_id", plugins: []variant{{name: "a", vmConfig: "x"}, {name: "b", vmConfig: "y"}},
		steps: []step{ask("a", "shared key one"), remove("a"), drained, add(variant{name: "a", vmConfig: "x"}), ask("a", "shared key three")}},

	{name: "a shared VM dies for all its plugins, whatever their failure policies", dies: "a", plugins: []variant{one, {name: "b", config: "log two", policy: "FAIL_OPEN"}},
		steps: []step{open("b", parityCase{upstream: "hang"}), ask("a", "panic"), answered("b"), ask("a", look), ask("b", look)}},
	{name: "a paused stream of another plugin hangs when the shared VM dies", dies: "a", plugins: different,
		steps: []step{open("b", parityCase{script: []string{onRequest, "call backend /?upstream=opened 5000; pause", onCall, "resume-request"}}), ask("a", "panic"), opened("b"), hanging("b")}},
	{name: "a shared VM is reloaded once", dies: "a", plugins: []variant{{name: "a", config: "log one", policy: "FAIL_RELOAD", backoff: "0.002s"}, reloads},
		steps: []step{ask("a", "panic"), ask("b", "grow 1; "+look), ask("a", look), ask("b", look)}},
	{name: "only the plugin that reloads gets a new VM, another with its next configuration", dies: "a", plugins: []variant{one, reloads},
		steps: []step{ask("a", "panic"), ask("b", "grow 1; "+look), ask("a", look), configure("a", "log three"), ask("a", look), drained, ask("b", look)}},

	{name: "a queue wakes the plugin that registered it last, and nobody once that is gone",
		plugins: []variant{{name: "a", config: "queue q; on-queue plugin"}, {name: "b", config: "queue q; on-queue plugin; log two"}},
		steps:   []step{ask("a", "enqueue hello"), configure("b", "log three"), drained, ask("a", "enqueue hello")}},
	{name: "a reply to another plugin's stream", plugins: different,
		steps: []step{open("b", parityCase{script: []string{onRequest, "hold; pause"}}), ending("a", "release reply"), answered("b")}},
}

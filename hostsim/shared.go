package hostsim

// sharedCalls: shared data and queues.
var sharedCalls = []hostcall{
	{"proxy_get_shared_data", "iiiii", callGetSharedData},
	{"proxy_set_shared_data", "iiiii", callSetSharedData},
	{"proxy_register_shared_queue", "iii", callRegisterQueue},
	{"proxy_resolve_shared_queue", "iiiii", callResolveQueue},
	{"proxy_enqueue_shared_queue", "iii", callEnqueue},
	{"proxy_dequeue_shared_queue", "iii", callDequeue},
}

// sharedValue is an entry of shared data with its compare-and-swap number.
type sharedValue struct {
	data []byte
	cas  uint32
}

// queue is a shared queue; the VM that registered it last hears of what comes in.
type queue struct {
	items [][]byte
	root  *vmContext
}

// shared is what all VMs of a proxy have in common. Names are looked up under
// a vm_id.
type shared struct {
	data   map[sharedName]sharedValue
	cas    uint32
	queues map[uint32]*queue
	tokens map[sharedName]uint32
}

type sharedName struct{ vmID, name string }

func newShared() *shared {
	return &shared{data: map[sharedName]sharedValue{}, queues: map[uint32]*queue{}, tokens: map[sharedName]uint32{}}
}

func (a *callArgs) sharedName(name string) sharedName {
	return sharedName{a.vm.worker.sim.opts.VMID, name}
}

func callGetSharedData(a *callArgs) status {
	key := a.str(0)
	value, ok := a.vm.worker.sim.shared.data[a.sharedName(key)]
	if a.bad || !ok {
		return statusNotFound
	}
	if !a.vm.putUint32(a.ptr(4), value.cas) {
		return statusInvalidMemory
	}
	return a.give(value.data, 2, 3)
}

// callSetSharedData compares only when the key exists and cas isn't 0, as in shared_data.cc.
func callSetSharedData(a *callArgs) status {
	key, data, cas := a.str(0), a.bytes(2), a.num(4)
	if a.bad {
		return statusInvalidMemory
	}
	sh := a.vm.worker.sim.shared
	if old, ok := sh.data[a.sharedName(key)]; ok && cas != 0 && cas != old.cas {
		return statusCasMismatch
	}
	sh.cas++
	sh.data[a.sharedName(key)] = sharedValue{data, sh.cas}
	return statusOK
}

// callRegisterQueue keeps what is queued already; the last one to register is woken.
func callRegisterQueue(a *callArgs) status {
	name := a.str(0)
	if a.bad {
		return statusInvalidMemory
	}
	sh := a.vm.worker.sim.shared
	token, ok := sh.tokens[a.sharedName(name)]
	if !ok {
		token = uint32(len(sh.tokens) + 1)
		sh.tokens[a.sharedName(name)] = token
		sh.queues[token] = &queue{}
	}
	sh.queues[token].root = a.ctx.rootContext()
	return a.giveUint32(token, 2)
}

func callResolveQueue(a *callArgs) status {
	vmID, name := a.str(0), a.str(2)
	if a.bad {
		return statusInvalidMemory
	}
	s := a.vm.worker.sim
	token, ok := s.shared.tokens[sharedName{firstNonEmpty(vmID, s.opts.VMID), name}]
	if !ok {
		return statusNotFound
	}
	return a.giveUint32(token, 4)
}

// callEnqueue wakes the registered VM by an event of its own worker.
func callEnqueue(a *callArgs) status {
	token, data := a.num(0), a.bytes(1)
	if a.bad {
		return statusInvalidMemory
	}
	s := a.vm.worker.sim
	q := s.shared.queues[token]
	if q == nil {
		return statusNotFound
	}
	q.items = append(q.items, data)
	root := q.root
	s.clock.post(root.vm.worker, func() {
		if root.vm.contexts[root.id] != root {
			return // drained meanwhile
		}
		root.vm.callback(root, "proxy_on_queue_ready", nil, uint64(root.id), uint64(token))
	})
	return statusOK
}

func callDequeue(a *callArgs) status {
	q := a.vm.worker.sim.shared.queues[a.num(0)]
	if q == nil {
		return statusNotFound
	}
	if len(q.items) == 0 {
		return statusEmpty
	}
	data := q.items[0]
	q.items = q.items[1:]
	return a.give(data, 1, 2)
}

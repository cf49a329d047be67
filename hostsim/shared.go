package hostsim

import (
	"cmp"
	"maps"
)

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

// queue is a shared queue; the root context that registered it last hears of
// what comes in. Envoy finds it by VM key and number when an item has come.
type queue struct {
	items [][]byte
	lane  any
	vm    vmKey
	root  uint32
}

// shared is what all VMs of a proxy have in common. Names are looked up under
// a vm_id.
type shared struct {
	data   map[sharedName]sharedValue
	cas    uint32
	queues map[uint32]*queue
	tokens map[sharedName]uint32
	last   uint32 // token
}

type sharedName struct{ vmID, name string }

func newShared() *shared {
	return &shared{data: map[sharedName]sharedValue{}, queues: map[uint32]*queue{}, tokens: map[sharedName]uint32{}}
}

func (a *callArgs) sharedName(name string) sharedName {
	return sharedName{a.vm.key.vmID, name}
}

func callGetSharedData(a *callArgs) status {
	key := a.str(0)
	value, ok := a.vm.proxy.shared.data[a.sharedName(key)]
	if a.bad || !ok {
		return statusNotFound
	}
	if !a.vm.putUint32(a.ptr(4), value.cas) {
		return statusInvalidMemory
	}
	return a.give(value.data, 2, 3)
}

// forget ends what the VMs of a vm_id shared.
func (sh *shared) forget(vmID string) {
	maps.DeleteFunc(sh.data, func(name sharedName, _ sharedValue) bool { return name.vmID == vmID })
	maps.DeleteFunc(sh.tokens, func(name sharedName, token uint32) bool {
		if name.vmID == vmID {
			delete(sh.queues, token)
		}
		return name.vmID == vmID
	})
}

// callSetSharedData compares only when the key exists and cas isn't 0, as in shared_data.cc.
func callSetSharedData(a *callArgs) status {
	key, data, cas := a.str(0), a.bytes(2), a.num(4)
	if a.bad {
		return statusInvalidMemory
	}
	sh := a.vm.proxy.shared
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
	sh := a.vm.proxy.shared
	token, ok := sh.tokens[a.sharedName(name)]
	if !ok {
		sh.last++
		token = sh.last
		sh.tokens[a.sharedName(name)] = token
		sh.queues[token] = &queue{}
	}
	q := sh.queues[token]
	q.lane, q.vm, q.root = a.ctx.worker(), a.vm.key, a.ctx.rootContext().id
	return a.giveUint32(token, 2)
}

func callResolveQueue(a *callArgs) status {
	vmID, name := a.str(0), a.str(2)
	if a.bad {
		return statusInvalidMemory
	}
	token, ok := a.vm.proxy.shared.tokens[sharedName{cmp.Or(vmID, a.vm.key.vmID), name}]
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
	p := a.vm.proxy
	q := p.shared.queues[token]
	if q == nil {
		return statusNotFound
	}
	q.items = append(q.items, data)
	key, id := q.vm, q.root
	a.vm.clock.post(q.lane, func() {
		v := p.vms[key]
		if v == nil || v.contexts[id] == nil {
			return // ended meanwhile
		}
		v.callback(v.contexts[id], "proxy_on_queue_ready", nil, uint64(id), uint64(token))
	})
	return statusOK
}

func callDequeue(a *callArgs) status {
	q := a.vm.proxy.shared.queues[a.num(0)]
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

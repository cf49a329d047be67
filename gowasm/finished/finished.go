// Package finished is a proxy-wasm module's set of streams that it has nothing more to do with. In a module that package gowasm has rewritten, what the proxy
// calls for such a stream returns before it enters Go, as if the filter had nothing to say: [Callbacks] lists that, and the answers. In other modules the set is of no use, and no harm.
//
// So a filter may add a stream when all that its methods would do from then on is to let the stream go on. Contexts are created and deleted as ever.
package finished

// Slots is how many streams there is room for; a stream takes the place of one whose id has the same rest, whose callbacks enter Go again.
const Slots = 256

// Set is laid out as the module's memory has it: 32 bits for each number, the least byte first.
type Set struct {
	Mark  [20]byte      // by which package gowasm finds it
	Slots [Slots]uint32 // ids; 0: none. A stream's lies at its id modulo Slots
}

// set is in the module's data, since it isn't all zeros. Its mark is written as bytes so that no constant string has the same.
var set = Set{Mark: [20]byte{'g', 'o', 'w', 'a', 's', 'm', ':', ' ', 'f', 'i', 'n', 'i', 's', 'h', 'e', 'd', ' ', 's', 'e', 't'}}

// Mark is what the set of a module begins with.
func Mark() []byte { return set.Mark[:] }

// Add adds a stream, by the id of its context.
func Add(id uint32) { set.Slots[id%Slots] = id }

// Remove is for the creation of a context: ids begin again after 2³² of them, and one that the stream of the same id has left is not to end the new one.
func Remove(id uint32) {
	if set.Slots[id%Slots] == id {
		set.Slots[id%Slots] = 0
	}
}

// Callback is something that the proxy calls for a stream: an export of the module, see the ABI (proxy-wasm 0.2.1).
type Callback struct {
	Export     string
	Parameters int   // each of 32 bits; the first is the context's id
	Results    int   // 0 or 1, of 32 bits
	Answer     int64 // of a finished stream
}

// Answers: Continue of an action, and that a context may be deleted.
const (
	actionContinue = 0
	mayBeDeleted   = 1
)

// Callbacks are those that finished streams answer.
var Callbacks = []Callback{
	{"proxy_on_request_body", 3, 1, actionContinue},
	{"proxy_on_request_trailers", 2, 1, actionContinue},
	{"proxy_on_response_headers", 3, 1, actionContinue},
	{"proxy_on_response_body", 3, 1, actionContinue},
	{"proxy_on_response_trailers", 2, 1, actionContinue},
	{"proxy_on_log", 1, 0, 0},
	{"proxy_on_done", 1, 1, mayBeDeleted},
}

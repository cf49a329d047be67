package hostsim

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"
)

// ErrConfig says that the module refused its configuration, or that Options can't work.
var ErrConfig = errors.New("hostsim: configuration refused")

// FailurePolicy is what happens to streams once a VM has died.
type FailurePolicy int

const (
	// FailClosed answers 503 from then on (Envoy's default).
	FailClosed FailurePolicy = iota
	// FailOpen bypasses the module.
	FailOpen
	// FailReload starts a new VM with the next stream, unless the one that died
	// was itself started less than ReloadBackoff ago: until then it answers 503.
	FailReload
)

// Options describe one simulated proxy. Only the module is required.
type Options struct {
	// Module is the wasm module's bytes; Path is where to read them from otherwise.
	Module []byte
	Path   string

	PluginConfig []byte
	VMConfig     []byte
	Env          map[string]string // environment of the module
	PluginName   string            // property plugin_name
	RootID       string            // property plugin_root_id
	VMID         string            // property plugin_vm_id, namespace of shared data and queues

	// Workers is the number of worker threads, 1 if 0; each has a VM of its
	// own, and so has the main thread, whose VM never sees a stream.
	Workers int

	// Clusters are what calls and routes reach, by name.
	Clusters map[string]http.Handler
	// HTTP2Clusters names the clusters that speak HTTP/2: no transfer-encoding,
	// the end comes with the last data, a cut is a stream reset.
	HTTP2Clusters []string
	// Route names the cluster for a request's headers; "" is 404. RouteTo
	// makes one; without it every request is answered 404.
	Route func(request Headers) string
	// Direct answers at the route without any cluster (direct_response); status 0 goes on to Route.
	Direct func(request Headers) (status int, body string)
	// RouteTimeout bounds the upstream's whole response; 15 s if 0, none if negative.
	RouteTimeout time.Duration

	// NormalizePath and MergeSlashes are the connection manager's options; without
	// them paths reach the module as they came.
	NormalizePath, MergeSlashes bool
	// UseRemoteAddress is the connection manager's use_remote_address, of a proxy that clients reach first: what they say
	// of another scheme, or of another client before them, doesn't count.
	UseRemoteAddress bool

	// Retries is how often the route tries again after a 5xx or a reset before headers.
	Retries int
	// AttemptCountInResponse adds x-envoy-attempt-count to responses
	// (include_attempt_count_in_response).
	AttemptCountInResponse bool

	Policy FailurePolicy
	// ReloadBackoff is the least time between two starts of a worker's VM; 1 s if 0.
	// Envoy makes it up to half as long again, by chance.
	ReloadBackoff time.Duration

	// DrainTime is how long an old root context lives beside the new one after
	// Reconfigure or Replace; 600 s if 0, as in Envoy.
	DrainTime time.Duration

	// AllowOnHeadersStopIteration is the field of Envoy's plugin configuration:
	// with it, a plain Pause in headers lets body callbacks through.
	AllowOnHeadersStopIteration bool
	// BufferLimit bounds buffered bodies in bytes (per_connection_buffer_limit_bytes);
	// 1 MiB if 0. It is for HTTP/1 clients: with HTTP/2 ones it is StreamWindow.
	BufferLimit int
	// StreamWindow is how much an HTTP/2 client, or cluster, sends without being
	// asked for more (initial_stream_window_size); DefaultStreamWindow if 0.
	StreamWindow int
	// MemoryLimit bounds a VM's linear memory in bytes, and what one callback can hand
	// to the host; 1 GiB if 0, as in Envoy.
	MemoryLimit int64

	// Beside is another plugin of the same proxy, which this one becomes part of:
	// shared data, queues, metrics, Clock and the threads are common, and so are the
	// VMs, one a thread, of plugins with equal VMID, VMConfig, Env and module.
	// Each has streams, logs, clusters and failures of its own.
	Beside *Sim

	// Clock is shared by proxies of one virtual time; a new one if nil.
	Clock *Clock
	// Seed makes random numbers (and the request ids) reproducible.
	Seed uint64
	// LogLevel drops what is below it; LevelInfo is the zero value's meaning (LevelTrace is -1).
	LogLevel LogLevel

	// OnCall, if it isn't nil, is told of every call of one of the module's functions or of a host call, by
	// its name in the module's name section (Go's linker leaves that out with -s). Such a module is compiled for
	// this simulator alone, at each Replace anew, and runs many times slower.
	OnCall func(function string)

	// ForeignFunctions are added to, or replace, those of Envoy; an error is BadArgument.
	ForeignFunctions map[string]func(argument []byte) ([]byte, error)

	// Patience is how much virtual time Do gives a stream; 60 s if 0.
	Patience time.Duration
	// CallbackTimeout is how much real time one callback, or the module's start, may take; 20 s if 0.
	CallbackTimeout time.Duration
	// HandlerTimeout is how much real time a handler may take between two waits; 30 s if 0.
	HandlerTimeout time.Duration
}

// DefaultStreamWindow is how much an HTTP/2 peer may send unasked, in bytes.
const DefaultStreamWindow = 16 << 20

// RouteTo routes every request to one cluster.
func RouteTo(cluster string) func(Headers) string {
	return func(Headers) string { return cluster }
}

// complete fills what is left out.
func (o Options) complete() (Options, error) {
	if o.Module == nil {
		if o.Path == "" {
			return o, fmt.Errorf("%w: neither Module nor Path is set", ErrConfig)
		}
		code, err := os.ReadFile(o.Path)
		if err != nil {
			return o, fmt.Errorf("%w: %w", ErrModule, err)
		}
		o.Module = code
	}
	if o.Route == nil {
		o.Route = RouteTo("")
	}
	if o.Beside != nil {
		o.Clock = o.Beside.clock
		o.Workers = cmp.Or(o.Workers, o.Beside.opts.Workers)
		if o.Workers != o.Beside.opts.Workers {
			return o, fmt.Errorf("%w: Workers is %d, but %d in the proxy that Beside is part of", ErrConfig, o.Workers, o.Beside.opts.Workers)
		}
	}
	if o.Clock == nil {
		o.Clock = NewClock(time.Time{})
	}
	o.Workers = cmp.Or(o.Workers, 1)
	o.RouteTimeout = cmp.Or(o.RouteTimeout, 15*time.Second)
	o.ReloadBackoff = cmp.Or(o.ReloadBackoff, time.Second)
	o.DrainTime = cmp.Or(o.DrainTime, 600*time.Second)
	o.BufferLimit = cmp.Or(o.BufferLimit, 1<<20)
	o.StreamWindow = cmp.Or(o.StreamWindow, DefaultStreamWindow)
	o.MemoryLimit = cmp.Or(o.MemoryLimit, 1<<30)
	o.Patience = cmp.Or(o.Patience, time.Minute)
	o.CallbackTimeout = cmp.Or(o.CallbackTimeout, 20*time.Second)
	o.HandlerTimeout = cmp.Or(o.HandlerTimeout, 30*time.Second)
	switch o.LogLevel {
	case 0:
		o.LogLevel = LevelInfo
	case -1:
		o.LogLevel = LevelTrace
	}
	return o, nil
}

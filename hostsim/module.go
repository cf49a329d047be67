package hostsim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// ErrModule says that bytes can't be run as a proxy-wasm module.
var ErrModule = errors.New("hostsim: not a usable proxy-wasm module")

// pageSize is a wasm memory page in bytes.
const pageSize = 64 << 10

// checkSections refuses a section that claims more entries than it has bytes:
// the compiler makes room for all of them before it reads the first. Whatever
// else is wrong the compiler finds.
func checkSections(code []byte) error {
	const preamble, custom, start, dataCount = 8, 0, 8, 12
	for rest := code[min(preamble, len(code)):]; len(rest) > 0; {
		id := rest[0]
		size, n := binary.Uvarint(rest[1:])
		if n <= 0 {
			return nil
		}
		content := rest[1+n:]
		content = content[:min(size, uint64(len(content)))]
		rest = rest[1+n+len(content):]
		if id == custom || id == start || id == dataCount {
			continue
		}
		if entries, n := binary.Uvarint(content); n <= 0 || entries > uint64(len(content)) {
			return fmt.Errorf("section %d claims %d entries in %d bytes", id, entries, len(content))
		}
	}
	return nil
}

// exportHost makes the modules that a proxy-wasm module imports from.
func exportHost(ctx context.Context, r wazero.Runtime) error {
	if _, err := exportABI(r.NewHostModuleBuilder("env")).Instantiate(ctx); err != nil {
		return err
	}
	for _, name := range []string{wasi_snapshot_preview1.ModuleName, "wasi_unstable"} {
		b := r.NewHostModuleBuilder(name)
		wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(b)
		// Envoy doesn't implement it: the module goes on.
		b.NewFunctionBuilder().WithFunc(func(uint32) {}).Export("proc_exit")
		if _, err := b.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

// checkModule finds what Envoy refuses at load, before anything runs.
func checkModule(m wazero.CompiledModule) error {
	exports := m.ExportedFunctions()
	if exports["proxy_abi_version_0_2_0"] == nil && exports["proxy_abi_version_0_2_1"] == nil {
		return fmt.Errorf("%w: it exports no function proxy_abi_version_0_2_0 or proxy_abi_version_0_2_1; build it with a proxy-wasm SDK of ABI 0.2", ErrModule)
	}
	if len(m.ExportedMemories()) == 0 {
		return fmt.Errorf("%w: it exports no memory", ErrModule)
	}
	if exports["malloc"] == nil && exports["proxy_on_memory_allocate"] == nil {
		return fmt.Errorf("%w: it exports neither proxy_on_memory_allocate nor malloc, so the host can't hand anything to it", ErrModule)
	}
	if err := checkSignatures(exports); err != nil {
		return err
	}
	for _, f := range m.ImportedFunctions() {
		if err := checkImport(f, exports["proxy_abi_version_0_2_1"] != nil); err != nil {
			return err
		}
	}
	return nil
}

// checkSignatures compares what the host will call with the ABI.
func checkSignatures(exports map[string]api.FunctionDefinition) error {
	for _, name := range slices.Sorted(maps.Keys(callbackSignatures)) {
		f, want := exports[name], callbackSignatures[name]
		if f == nil {
			continue
		}
		if got := (signature{len(f.ParamTypes()), len(f.ResultTypes())}); got != want || slices.ContainsFunc(
			append(f.ParamTypes(), f.ResultTypes()...), func(t api.ValueType) bool { return t != api.ValueTypeI32 }) {
			return fmt.Errorf("%w: it exports %s with parameters (%s) and results (%s); the ABI has %d and %d, each i32",
				ErrModule, name, typeNames(f.ParamTypes()), typeNames(f.ResultTypes()), want.params, want.results)
		}
	}
	return nil
}

func typeNames(types []api.ValueType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = api.ValueTypeName(t)
	}
	return strings.Join(names, ", ")
}

func checkImport(f api.FunctionDefinition, has21 bool) error {
	module, name, _ := f.Import()
	switch module {
	case wasi_snapshot_preview1.ModuleName, "wasi_unstable":
		return nil
	case "env":
		if name == growthNotice {
			return nil
		}
		if name == "proxy_get_log_level" && !has21 {
			return fmt.Errorf("%w: it imports env.proxy_get_log_level, which belongs to ABI 0.2.1, but exports proxy_abi_version_0_2_0", ErrModule)
		}
		if hostcallByName[name] == nil {
			return fmt.Errorf("%w: it imports env.%s, which Envoy doesn't have", ErrModule, name)
		}
		return nil
	}
	return fmt.Errorf("%w: it imports %s.%s; Envoy offers only env, wasi_snapshot_preview1 and wasi_unstable", ErrModule, module, name)
}

// newVM instantiates the module and runs its start function (_initialize,
// or _start for a command module).
func (w *worker) newVM(c *compiled) (*vm, error) {
	s := w.sim
	v := &vm{proxy: s.proxy, key: w.vmKey(), opts: &s.opts, clock: s.clock, funcs: map[string]api.Function{}, contexts: map[uint32]*vmContext{},
		roots: map[pluginKey]*vmContext{}, metrics: map[uint32]*metric{}}
	v.base = &vmContext{vm: v, owner: w}
	v.inner = context.WithValue(context.Background(), runningVM{}, v)
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions().
		WithWalltime(func() (int64, int32) { n := s.clock.Now(); return n.Unix(), int32(n.Nanosecond()) }, 1).
		WithNanotime(func() int64 { return int64(s.clock.Since()) + 1 }, 1).
		WithRandSource(s.random()).
		WithStdout(&logWriter{vm: v, level: LevelInfo}).WithStderr(&logWriter{vm: v, level: LevelError})
	for _, name := range slices.Sorted(maps.Keys(s.opts.Env)) {
		config = config.WithEnv(name, s.opts.Env[name])
	}
	ctx, cancel := context.WithTimeout(v.inner, s.opts.CallbackTimeout)
	defer cancel()
	mod, err := c.runtime.InstantiateModule(ctx, c.module, config)
	if err != nil {
		return nil, fmt.Errorf("%w: it can't be instantiated: %w", ErrModule, v.explain(err))
	}
	v.mod = mod
	s.proxy.hold(v.key.vmID)
	v.restricted = "a start function"
	defer func() { v.restricted = "" }()
	for _, start := range v.startFunctions() {
		args := make([]uint64, len(v.function(start).Definition().ParamTypes()))
		if _, ok := v.enter(v.base, start, args); !ok {
			v.close()
			return nil, fmt.Errorf("%w: %s", ErrModule, v.cause)
		}
	}
	return v, nil
}

// startFunctions are what Envoy calls first: of a reactor _initialize and then
// main, if there is one; of a command _start.
func (v *vm) startFunctions() []string {
	if !v.exports("_initialize") {
		if v.exports("_start") {
			return []string{"_start"}
		}
		return nil
	}
	for _, name := range []string{"main", "__main_void"} {
		if v.exports(name) {
			return []string{"_initialize", name}
		}
	}
	return []string{"_initialize"}
}

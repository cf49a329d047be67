package hostsim

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// compiled is a module made ready to be instantiated, kept for the life of
// the process: a further VM of the same bytes starts in milliseconds.
type compiled struct {
	runtime wazero.Runtime
	module  wazero.CompiledModule
}

type compiledKey struct {
	sum   [sha256.Size]byte
	pages uint32
}

var (
	compiledMu sync.Mutex
	compiledBy = map[compiledKey]*compiled{}
)

// compileModule compiles code with a limit on linear memory, once a process; where each call of a function
// is told, for one simulator alone.
func compileModule(code []byte, memoryLimit int64, onCall func(function string)) (*compiled, error) {
	pages := uint32(memoryLimit / pageSize)
	if onCall != nil {
		return newCompiled(listening(onCall), code, pages, nil)
	}
	key := compiledKey{sha256.Sum256(code), pages}
	compiledMu.Lock()
	defer compiledMu.Unlock()
	if c := compiledBy[key]; c != nil {
		return c, nil
	}
	c, err := newCompiled(context.Background(), code, pages, diskCache())
	if err != nil {
		return nil, err
	}
	compiledBy[key] = c
	return c, nil
}

// listening makes what is compiled with the context tell of each call.
func listening(onCall func(function string)) context.Context {
	before := func(_ context.Context, _ api.Module, called api.FunctionDefinition, _ []uint64, _ experimental.StackIterator) {
		onCall(called.DebugName())
	}
	return experimental.WithFunctionListenerFactory(context.Background(),
		experimental.FunctionListenerFactoryFunc(func(api.FunctionDefinition) experimental.FunctionListener {
			return experimental.FunctionListenerFunc(before)
		}))
}

func newCompiled(ctx context.Context, code []byte, pages uint32, cache wazero.CompilationCache) (*compiled, error) {
	config := wazero.NewRuntimeConfig().WithMemoryLimitPages(pages).WithCloseOnContextDone(true)
	if cache != nil && len(code) >= worthKeeping {
		config = config.WithCompilationCache(cache)
	}
	r := wazero.NewRuntimeWithConfig(ctx, config)
	var m wazero.CompiledModule
	err := checkSections(code)
	if err == nil {
		m, err = r.CompileModule(ctx, code)
	}
	if err != nil {
		err = fmt.Errorf("%w: it doesn't compile: %w", ErrModule, err)
	} else {
		err = checkModule(m)
	}
	if err == nil {
		err = exportHost(ctx, r)
	}
	if err != nil {
		r.Close(ctx)
		return nil, err
	}
	return &compiled{r, m}, nil
}

const (
	// worthKeeping is from how many bytes of wasm on compiled code is kept on disk:
	// a module of Go takes a second to compile, one of C milliseconds.
	worthKeeping = 256 << 10
	// keptFor is when it is removed: a filter under work leaves a module behind with each build.
	keptFor = 5 * 24 * time.Hour
)

// diskCache keeps compiled code between processes, in the user's cache
// directory; nil where there is none.
var diskCache = sync.OnceValue(func() wazero.CompilationCache {
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil
	}
	dir = filepath.Join(dir, "hostsim")
	prune(dir, time.Now().Add(-keptFor))
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil
	}
	return cache
})

// prune removes the files below dir that are older; what can't be removed stays.
func prune(dir string, older time.Time) {
	filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil
		}
		if info, err := entry.Info(); err == nil && info.ModTime().Before(older) {
			os.Remove(path)
		}
		return nil
	})
}

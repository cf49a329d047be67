package redisbridge

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
)

//go:embed script/*.lua
var scriptFiles embed.FS

// scripts are the operations on a policy's validity and on entries. All of them are
// safe to repeat: a suspension is renewed, a raise takes one more number, a claim
// finds its own lease.
type scripts struct {
	lookup, suspend, close, raise, feed, controls, receipts, confirm *redis.Script
	entry, claim, store, piece, release                              *redis.Script // of one entry, and so on its node
}

// scriptsOf are the scripts as a server takes them, and as miniredis does.
var scriptsOf = map[bool]func() scripts{
	false: sync.OnceValue(func() scripts { return newScripts(false) }),
	true:  sync.OnceValue(func() scripts { return newScripts(true) }),
}

// newScripts puts the scripts together. The first line makes a server refuse a
// script as a whole (out of memory, a read-only replica) instead of stopping it
// half way. What ends or bounds staleness runs even out of memory: its state is
// bounded. miniredis knows neither that line nor the sections of INFO that
// identify a server.
func newScripts(miniredis bool) scripts {
	const plain, allowOOM, readOnly = "#!lua", "#!lua flags=allow-oom", "#!lua flags=no-writes"
	prelude := fmt.Sprintf("local anonymous = %t\n", miniredis) + scriptFile("prelude")
	start := scriptFile("operations") + scriptFile("standing") + scriptFile("start")
	validity := prelude + start
	script := func(shebang, source string) *redis.Script {
		if !miniredis {
			source = shebang + "\n" + source
		}
		return redis.NewScript(source)
	}
	return scripts{
		lookup:   script(plain, prelude+scriptFile("lookup")+start+"return look()\n"),
		suspend:  script(allowOOM, validity+scriptFile("suspend")),
		close:    script(allowOOM, validity+scriptFile("close")),
		raise:    script(allowOOM, validity+scriptFile("raise")),
		feed:     script(allowOOM, validity+scriptFile("feed")),
		controls: script(allowOOM, validity+scriptFile("controls")),
		receipts: script(allowOOM, validity+scriptFile("receipts")),
		confirm:  script(allowOOM, validity+scriptFile("confirm")),
		entry:    script(readOnly, scriptFile("entry")),
		claim:    script(plain, scriptFile("claim")),
		store:    script(plain, scriptFile("store")),
		piece:    script(plain, scriptFile("piece")),
		release:  script(allowOOM, scriptFile("release")), // puts a mark in a lease's place at most
	}
}

func (s scripts) all() []*redis.Script {
	return []*redis.Script{
		s.lookup, s.suspend, s.close, s.raise, s.feed, s.controls, s.receipts, s.confirm,
		s.entry, s.claim, s.store, s.piece, s.release,
	}
}

// load hands Redis every script, each server of a Cluster, before a call needs them: a call
// whose script is unknown there sends it and waits until it is compiled, which a busy machine
// has taken longer for than a filter waits. It is no error if it fails: calls then do that.
func (b *Bridge) load(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, b.adminTimeout)
	defer cancel()
	var err error
	for _, s := range b.scripts.all() {
		err = errors.Join(err, s.Load(ctx, b.redis).Err())
	}
	b.log.Debug("scripts loaded", "error", err)
}

func scriptFile(name string) string {
	b, err := scriptFiles.ReadFile("script/" + name + ".lua")
	if err != nil {
		panic(err) // the files are part of the binary
	}
	return string(b)
}

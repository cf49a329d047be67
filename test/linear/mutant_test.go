package linear

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"chatcache/test/mutant"
	"chatcache/test/stack"
)

// brokenProduct is a mutant that changes one file.
type brokenProduct struct {
	name, mode string // the mode in which it should show
	file       string
	from, to   string // to replaces from, which occurs once
}

var mutants = []brokenProduct{
	{"the ticket isn't compared", "no L1", "redisbridge/validity.go",
		"return v.newest <= ticket.Sequence", "return true"},
	{"no suspension", "no L1", "redisbridge/script/suspend.lua",
		"if redis.call('EXISTS', KEYS[3]) == 0 then", "if false then"},
	{"one suspension per group instead of per write", "slow writes", "redisbridge/script/operations.lua",
		"if redis.call('HINCRBY', state, 'g:' .. group, more) <= 0 then", "if redis.call('HINCRBY', state, 'g:' .. group, more) <= 0 or more < 0 then"},
	{"a purge clears suspensions", "slow writes", "redisbridge/script/raise.lua",
		"raise(ARGV[own + 1])", "for _, f in ipairs(redis.call('HKEYS', state)) do if string.sub(f, 1, 2) == 'g:' then redis.call('HDEL', state, f) end end\nraise(ARGV[own + 1])"},
	{"an unknown outcome is closed at once", "slow writes", "filter/internal/exchange/journal.go",
		"if e.outcome == unknown {", "if e.outcome == unknown { e.outcome = changed }; if false {"},
	{"a deadline passes without a raise", "refuse", "redisbridge/script/operations.lua",
		"    raise(suspension.groups)\n", ""},
	{"a new epoch without its quarantine", "slow writes", "redisbridge/script/operations.lua",
		"if quarantine > 0 and", "if false and"},
	{"a long write isn't renewed", "slow writes", "filter/internal/exchange/openwrites.go",
		"if now >= o.renewAt {", "if false {"},
	{"the journal is delivered before the response has ended", "no L1", "filter/internal/exchange/write.go",
		"	w.state.journal.block(w.groups)\n	return true", "	w.state.journal.block(w.groups)\n	w.state.journal.add(&journalEntry{id: w.id, groups: w.groups, outcome: changed, blocks: true})\n	w.pending = false\n	return true"},
	{"the journal gives up", "no L1", "filter/internal/exchange/journal.go",
		"if !a.acknowledges() {", "if false {"},
	{"slots move only at raises", "L1 with late polls", "filter/internal/exchange/follower.go",
		"			f.state.move(e.Groups)", "			if e.Kind == wire.EventRaise {\n				f.state.move(e.Groups)\n			}"},
	{"a gap in the feed is ignored", "L1", "filter/internal/exchange/follower.go",
		"if answer.Continues(f.cursor) {", "if answer.Continues(f.cursor) || f.cursor.Epoch != 0 {"},
	{"the lease counts from the answer", "L1 with late polls", "filter/internal/exchange/follower.go",
		"f.heard, f.term = this.sent,", "f.heard, f.term = p.host.Now(),"},
}

var failedSeed = regexp.MustCompile(`--- FAIL: TestSimulated/[^/]+/seed_\d+`)

// mutantSeeds is how often each gets a chance: some show in one seed of twenty.
func mutantSeeds() uint64 { return max(seedsOfSixVMs(), 30) }

// The test must be able to fail: it does, for each of these. With CHATCACHE_LONG=1; more
// seeds with CHATCACHE_SEEDS.
func TestMutants(t *testing.T) {
	if os.Getenv("CHATCACHE_LONG") != "1" {
		t.Skip("builds the product once for each mutant: set CHATCACHE_LONG=1")
	}
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			mode := strings.ReplaceAll(m.mode, " ", "_")
			cmd := exec.Command("go", "test", "-count=1", "-run", "TestSimulated/^"+mode+"$", "./test/linear")
			cmd.Dir = root
			// The tests of the mutant build its filter themselves: with the same flags.
			cmd.Env = append(os.Environ(), "GOFLAGS=-overlay="+m.overlay(t), "CHATCACHE_LONG=", fmt.Sprint("CHATCACHE_SEEDS=", mutantSeeds()))
			out, err := cmd.CombinedOutput()
			seedsFailed := len(failedSeed.FindAll(out, -1))
			t.Logf("caught in %d of %d seeds", seedsFailed, mutantSeeds())
			if err == nil || seedsFailed == 0 {
				t.Errorf("not caught: %v\n%s", err, out)
			} else if !strings.Contains(string(out), "not linearizable") {
				t.Errorf("caught otherwise than by a history:\n%.3000s", out)
			}
		})
	}
}

// overlay writes the mutant's file, and what tells the go command to use it.
func (m brokenProduct) overlay(t *testing.T) string {
	t.Helper()
	path, err := m.asMutant().Overlay(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMutantsStillApply sees that each mutant's text is in the product, and so that it would
// be tried.
func TestMutantsStillApply(t *testing.T) {
	for _, m := range mutants {
		if _, err := m.asMutant().Apply(); err != nil {
			t.Error(err)
		}
	}
}

func (m brokenProduct) asMutant() mutant.Mutant {
	return mutant.Mutant{Name: m.name, Edits: []mutant.Edit{{File: m.file, Old: m.from, New: m.to}}}
}

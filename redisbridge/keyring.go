package redisbridge

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// tokenFileAge is how long token files are believed without a look at them.
const tokenFileAge = time.Second

// keyring has the tokens of all kinds of callers. No two kinds may have one in common, since a filter must not be able to
// purge. So it looks at all files at once.
type keyring struct {
	filters, admins, viewers tokens

	log  *slog.Logger
	read func(file string) ([]Token, error)

	mu      sync.Mutex // guards what the tokens have of their files, too
	looked  time.Time
	problem string // tokens that kinds had in common at the last look, as the log has it
}

// newKeyring reads the files for the first time. The error matches ErrOptions.
func newKeyring(o Options, log *slog.Logger, now time.Time) (*keyring, error) {
	k := &keyring{
		filters: tokens{whose: "filters", fixed: o.Token, file: o.TokenFile},
		admins:  tokens{whose: "administrators", fixed: o.AdminToken, file: o.AdminTokenFile},
		viewers: tokens{whose: "viewers", fixed: o.ViewerToken, file: o.ViewerTokenFile},
		log:     log, read: ReadTokens, looked: now,
	}
	for _, t := range k.kinds() {
		t.keyring = k
		if err := t.begin(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrOptions, err)
		}
		t.next = t.list
	}
	if a, b := k.common(); a != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, errCommon(a, b))
	}
	return k, nil
}

func (k *keyring) kinds() []*tokens { return []*tokens{&k.filters, &k.admins, &k.viewers} }

// look reads the files that have changed, once in tokenFileAge at most. Kinds whose new tokens would have one in common keep
// the old ones, as does a kind whose file can't be read: nobody is shut out by a mistake, and nobody is let in as somebody else.
// What a kind without a file has is never written: current reads it without the lock.
func (k *keyring) look(now time.Time) {
	if now.Sub(k.looked) < tokenFileAge {
		return
	}
	k.looked = now
	for _, t := range k.kinds() {
		if t.file != "" {
			t.next, t.nextSeen = t.changed()
		}
	}
	var problems []error
	for a, b := k.common(); a != nil; a, b = k.common() {
		problems = append(problems, errCommon(a, b))
		// What they had before has nothing in common.
		a.next, a.nextSeen, b.next, b.nextSeen = a.list, a.seen, b.list, b.seen
	}
	if text := fmt.Sprint(problems); text != k.problem {
		for _, problem := range problems {
			k.log.Error("the tokens stay as they were", "error", problem)
		}
		k.problem = text
	}
	for _, t := range k.kinds() {
		if t.file != "" {
			t.take()
		}
	}
}

// common finds two kinds that would have a token in common, nil if there are none.
func (k *keyring) common() (a, b *tokens) {
	whose := make(map[string]*tokens)
	for _, t := range k.kinds() {
		for _, token := range t.next {
			if other := whose[token.Value]; other != nil && other != t {
				return other, t
			}
			whose[token.Value] = t
		}
	}
	return nil, nil
}

func errCommon(a, b *tokens) error {
	return fmt.Errorf("%s and %s have the same token, want different ones", a.whose, b.whose)
}

// changed gives the tokens that the file has now, and the state of the file that they are from. A file that can't be read
// leaves those that there were: a secret that is being replaced must shut nobody out.
func (t *tokens) changed() ([]Token, os.FileInfo) {
	info, err := os.Stat(t.file)
	if err == nil && unchanged(t.seen, info) {
		return t.list, t.seen
	}
	list, err := t.keyring.read(t.file)
	if err != nil {
		if text := err.Error(); text != t.problem {
			t.keyring.log.Warn("the tokens stay as they were", "error", err)
			t.problem = text
		}
		return t.list, t.seen // the next look tries again: perhaps it failed for a moment only (too many open files)
	}
	t.problem = ""
	return list, info
}

// take makes what was read the tokens that are accepted.
func (t *tokens) take() {
	if t.nextSeen != t.seen {
		t.keyring.log.Info("tokens read again", "file", t.file, "tokens", len(t.next))
	}
	t.list, t.seen = t.next, t.nextSeen
}

func unchanged(a, b os.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

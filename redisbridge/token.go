package redisbridge

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// maxTokenFile bounds a token file, bytes.
	maxTokenFile = 64 << 10
	// tokenFileAge is how long a token file is believed without a look at it.
	tokenFileAge = time.Second
)

// ErrTokens says that a token file can't be used.
var ErrTokens = errors.New("token file")

// Token is what a caller shows, and whose it is.
type Token struct {
	Name  string // for the audit log; may be empty
	Value string
}

// ParseTokens reads a token file: on each line a token, or a name, a space and the
// token of that name. Any of them lets a caller in, so that one can be replaced
// without a gap. Empty lines don't count; no token at all is an error, which
// matches ErrTokens and holds no token.
func ParseTokens(text []byte) (list []Token, err error) {
	number := 0
	for line := range bytes.Lines(text) {
		number++
		words := strings.Fields(string(line))
		switch len(words) {
		case 0:
		case 1:
			list = append(list, Token{Value: words[0]})
		case 2:
			list = append(list, Token{Name: words[0], Value: words[1]})
		default:
			return nil, fmt.Errorf("%w: line %d has %d words, want a token, or a name and a token", ErrTokens, number, len(words))
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w has no token", ErrTokens)
	}
	return list, nil
}

// ReadTokens reads a file as ParseTokens says. The error matches ErrTokens.
func ReadTokens(file string) ([]Token, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTokens, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrTokens, err)
	case len(text) > maxTokenFile:
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrTokens, file, maxTokenFile)
	}
	list, err := ParseTokens(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return list, nil
}

// tokens are those that callers of one kind may show: a fixed one, or those of a
// file that is read again when it has changed. Without either everybody is let in.
type tokens struct {
	fixed, file string
	log         *slog.Logger
	read        func(file string) ([]Token, error)

	mu      sync.Mutex
	looked  time.Time
	seen    fs.FileInfo // what the list was read from
	list    []Token
	problem string // that the last read ended in, and that was logged
}

// newTokens reads the file for the first time. The error matches ErrTokens.
func newTokens(fixed, file string, log *slog.Logger, now time.Time) (*tokens, error) {
	t := &tokens{fixed: fixed, file: file, log: log, looked: now, read: ReadTokens}
	if file == "" {
		if fixed != "" {
			t.list = []Token{{Value: fixed}}
		}
		return t, nil
	}
	t.seen, _ = os.Stat(file)
	var err error
	t.list, err = ReadTokens(file)
	return t, err
}

// current gives the tokens of now. A file that can't be read any more leaves those
// that it had: a secret that is being replaced must shut nobody out.
func (t *tokens) current(now time.Time) []Token {
	if t.file == "" {
		return t.list
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.looked) < tokenFileAge {
		return t.list
	}
	t.looked = now
	info, err := os.Stat(t.file)
	if err == nil && unchanged(t.seen, info) {
		return t.list
	}
	list, err := t.read(t.file)
	if err != nil {
		if text := err.Error(); text != t.problem {
			t.log.Warn("the tokens stay as they were", "error", err)
			t.problem = text
		}
		return t.list
	}
	// Only now: what couldn't be read for a moment (too many open files) is tried again.
	t.seen, t.list, t.problem = info, list, ""
	t.log.Info("tokens read again", "file", t.file, "tokens", len(list))
	return t.list
}

func unchanged(a, b fs.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// none tells whether no token lets anybody in, nor a missing one everybody.
func (t *tokens) none() bool { return t.fixed == "" && t.file == "" }

// admit finds the name of the token that a caller shows in the Authorization field. It
// compares in constant time, and all of them. The error matches ErrUnauthorized.
func (t *tokens) admit(authorization string, now time.Time) (name string, err error) {
	list := t.current(now)
	if len(list) == 0 && t.file == "" {
		return "", nil
	}
	shown, ok := strings.CutPrefix(authorization, "Bearer ")
	if !ok {
		return "", fmt.Errorf(`%w: want "authorization: Bearer TOKEN"`, ErrUnauthorized)
	}
	found := -1
	for i, known := range list {
		if subtle.ConstantTimeCompare([]byte(shown), []byte(known.Value)) == 1 {
			found = i
		}
	}
	if found < 0 {
		return "", fmt.Errorf("%w: wrong token", ErrUnauthorized)
	}
	return list[found].Name, nil
}

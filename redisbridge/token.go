package redisbridge

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// maxTokenFile bounds a token file, bytes.
const maxTokenFile = 64 << 10

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
	whose       string
	fixed, file string
	keyring     *keyring

	// Guarded by the keyring's mutex where there is a file. Without one the list never changes.
	list     []Token     // those that are accepted
	seen     fs.FileInfo // the file when the list was read
	next     []Token     // while the keyring looks: what the file has now, and nextSeen the file then
	nextSeen fs.FileInfo
	problem  string // why the file couldn't be read the last time, as the log has it
}

// begin reads the tokens for the first time. The error matches ErrTokens.
func (t *tokens) begin() (err error) {
	switch {
	case t.file != "":
		t.seen, _ = os.Stat(t.file)
		t.list, err = ReadTokens(t.file)
	case t.fixed != "":
		t.list = []Token{{Value: t.fixed}}
	}
	return err
}

// current gives the tokens of now.
func (t *tokens) current(now time.Time) []Token {
	if t.file == "" {
		return t.list
	}
	t.keyring.mu.Lock()
	defer t.keyring.mu.Unlock()
	t.keyring.look(now)
	return t.list
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

package redisbridge

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"chatcache/redisbridge/wire"
)

func TestParseTokens(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"s1", `[{"" "s1"}] <nil>`},
		{"s1\n\n  alice\ts2 \r\n", `[{"" "s1"} {"alice" "s2"}] <nil>`},
		{"", "[] token file has no token"},
		{" \n\n", "[] token file has no token"},
		{"s1\nalice in s3cret", "[] token file: line 2 has 3 words, want a token, or a name and a token"},
	} {
		list, err := ParseTokens([]byte(tt.text))
		if got := fmt.Sprintf("%q %v", list, err); got != tt.want {
			t.Errorf("%q gives %s, want %s", tt.text, got, tt.want)
		}
	}
}

// handClock is a clock that the test moves.
type handClock struct {
	systemClock
	now time.Time
}

func (c *handClock) Now() time.Time { return c.now }

// replace writes a file as secrets are replaced: another file takes its name.
func replace(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// A token is replaced while the bridge runs: first both let callers in, then the new one.
func TestTokenFilesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	filters, admins := filepath.Join(dir, "filters"), filepath.Join(dir, "admins")
	replace(t, filters, "f1\n")
	replace(t, admins, "alice a1\n")
	clock := &handClock{now: time.Unix(1_790_000_000, 0)}
	var out bytes.Buffer
	w := newMemoryWorld(t, func(o *Options) {
		o.Insecure, o.TokenFile, o.AdminTokenFile, o.Clock = false, filters, admins, clock
		o.Log = slog.New(slog.NewTextHandler(&out, nil))
	})
	want := func(when, path, token string, status int) {
		t.Helper()
		method := "POST"
		if path == "/v1/status" {
			method = "GET"
		}
		body := wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups}.Encode()
		if got, text := call(w, method, path, token, body); got != status {
			t.Errorf("%s: %s with %q: %d %s, want %d", when, path, token, got, text, status)
		}
	}
	want("at first", wire.PathLookup, "f1", 200)
	want("at first", wire.PathLookup, "a1", 401)
	want("at first", "/v1/status", "a1", 200)
	want("at first", "/v1/status", "f1", 401)

	replace(t, filters, "f1\nf2\n")
	replace(t, admins, "alice a2\n")
	want("before the files are looked at again", "/v1/status", "a2", 401)
	clock.now = clock.now.Add(tokenFileAge)
	want("both", wire.PathLookup, "f1", 200)
	want("both", wire.PathLookup, "f2", 200)
	want("replaced", "/v1/status", "a2", 200)
	want("replaced", "/v1/status", "a1", 401)

	for _, text := range []string{"", "three words here"} {
		replace(t, admins, text)
		clock.now = clock.now.Add(tokenFileAge)
		want("a file that can't be used", "/v1/status", "a2", 200)
		want("a file that can't be used", "/v1/status", "", 401)
	}
	if err := os.Remove(admins); err != nil {
		t.Fatal(err)
	}
	clock.now = clock.now.Add(tokenFileAge)
	want("no file", "/v1/status", "a2", 200)
	replace(t, admins, "a3")
	clock.now = clock.now.Add(tokenFileAge)
	want("a file again", "/v1/status", "a3", 200)
	for _, secret := range []string{"f1", "f2", "a1", "a2", "a3", "three"} {
		if strings.Contains(out.String(), "="+secret) || strings.Contains(out.String(), " "+secret) {
			t.Errorf("the log has token %s:\n%s", secret, out.String())
		}
	}
	if !strings.Contains(out.String(), "tokens stay as they were") {
		t.Errorf("the log doesn't tell of the bad file:\n%s", out.String())
	}
}

// A file may also be written in place, with a token that is as long as the one before.
func TestTokenFileWrittenInPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	replace(t, file, "one")
	now := time.Unix(1000, 0)
	keys := must(newKeyring(Options{TokenFile: file}, slog.New(slog.DiscardHandler), now))
	if err := os.WriteFile(file, []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(file, later, later); err != nil { // however coarse the file system's times are
		t.Fatal(err)
	}
	now = now.Add(tokenFileAge)
	for token, want := range map[string]bool{"one": false, "two": true} {
		if _, err := keys.filters.admit("Bearer "+token, now); (err == nil) != want {
			t.Errorf("%s: %v", token, err)
		}
	}
}

// A file that can't be read for a moment is read again, although it hasn't changed since: the new
// token lets in, and the old one no more. The log says once what was wrong.
func TestTokenFileIsReadAgainAfterAFailure(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	replace(t, file, "old")
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	keys := must(newKeyring(Options{TokenFile: file}, slog.New(slog.NewTextHandler(&out, nil)), now))
	replace(t, file, "new")
	admits := func(token string) bool {
		now = now.Add(tokenFileAge)
		_, err := keys.filters.admit("Bearer "+token, now)
		return err == nil
	}
	keys.read = func(string) ([]Token, error) { return nil, errors.New("too many open files") }
	if !admits("old") || !admits("old") || admits("new") {
		t.Error("the tokens don't stay while the file can't be read")
	}
	keys.read = ReadTokens
	if !admits("new") || admits("old") {
		t.Error("the file isn't read again")
	}
	if n := strings.Count(out.String(), "too many open files"); n != 1 {
		t.Errorf("%d lines about it:\n%s", n, out.String())
	}
}

// A call by a token of a file may look at the files while another one shows a token that has none: for the race detector.
func TestATokenBesideTokenFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	replace(t, file, "f1")
	now := time.Unix(1000, 0)
	keys := must(newKeyring(Options{TokenFile: file, AdminToken: "a1"}, slog.New(slog.DiscardHandler), now))
	now = now.Add(tokenFileAge)
	var calls sync.WaitGroup
	for token, kind := range map[string]*tokens{"f1": &keys.filters, "a1": &keys.admins} {
		calls.Go(func() {
			if _, err := kind.admit("Bearer "+token, now); err != nil {
				t.Errorf("%s: %v", token, err)
			}
		})
	}
	calls.Wait()
}

// What would let callers of one kind in as another is refused while the bridge runs, too: both kinds keep the tokens that they
// had, and the log says why, once until that changes. A token that moves from one file to another is in common for a moment only.
func TestFilesWithATokenInCommonAreNotTaken(t *testing.T) {
	dir := t.TempDir()
	filters, admins, viewers := filepath.Join(dir, "filters"), filepath.Join(dir, "admins"), filepath.Join(dir, "viewers")
	replace(t, filters, "f1")
	replace(t, admins, "alice a1")
	replace(t, viewers, "bob v1")
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	keys := must(newKeyring(Options{TokenFile: filters, AdminTokenFile: admins, ViewerTokenFile: viewers}, slog.New(slog.NewTextHandler(&out, nil)), now))
	want := func(when, accepted string) {
		t.Helper()
		now = now.Add(tokenFileAge)
		var got []string
		for _, kind := range keys.kinds() {
			for _, token := range []string{"f1", "f2", "a1", "a2", "v1", "v2"} {
				if _, err := kind.admit("Bearer "+token, now); err == nil {
					got = append(got, kind.whose+":"+token)
				}
			}
		}
		if text := strings.Join(got, " "); text != accepted {
			t.Errorf("%s: accepted are %s, want %s", when, text, accepted)
		}
	}
	want("at first", "filters:f1 administrators:a1 viewers:v1")
	replace(t, filters, "f1\nf2")
	replace(t, viewers, "bob v2\nbob a1")
	want("a viewer has an administrator's token", "filters:f1 filters:f2 administrators:a1 viewers:v1")
	replace(t, admins, "alice a1\ncarol f2")
	want("and an administrator a filter's", "filters:f1 filters:f2 administrators:a1 viewers:v1")
	want("still", "filters:f1 filters:f2 administrators:a1 viewers:v1")
	replace(t, admins, "alice a2")
	want("the administrator's token has moved", "filters:f1 filters:f2 administrators:a2 viewers:a1 viewers:v2")
	line := func(one, other string) string {
		return `level=ERROR msg="the tokens stay as they were" error="` + one + " and " + other + ` have the same token, want different ones"`
	}
	for text, n := range map[string]int{line("administrators", "viewers"): 2, line("filters", "administrators"): 1, "level=ERROR": 3} {
		if got := strings.Count(out.String(), text); got != n {
			t.Errorf("%d lines with %s, want %d:\n%s", got, text, n, out.String())
		}
	}
	if strings.Contains(out.String(), "a1") {
		t.Errorf("the log has a token:\n%s", out.String())
	}
}

// What would let in the wrong callers is refused at the start.
func TestTokenOptions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	replace(t, file, "same")
	for _, tt := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"no file", func(o *Options) { o.TokenFile = file + ".none" }, "no such file"},
		{"both", func(o *Options) { o.Token, o.TokenFile = "t", file }, "both a token and a token file"},
		{"a viewer who could purge", func(o *Options) { o.Token, o.ViewerTokenFile, o.AdminToken = "t", file, "same" }, "administrators and viewers have the same token"},
		{"one secret for both", func(o *Options) { o.TokenFile, o.AdminToken = file, "same" }, "have the same token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{AdminToken: "a", Redis: newMemoryWorld(t, nil).options.Redis}
			tt.change(&o)
			b, err := New(o)
			if b != nil {
				b.Close()
			}
			wantError(t, err, ErrOptions)
			if !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("error %q, want %q in it", err, tt.want)
			}
		})
	}
}

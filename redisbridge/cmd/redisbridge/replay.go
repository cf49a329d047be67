package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"
)

// Bounds of a file of reads.
const (
	maxReplayLine = 64 << 10 // bytes
	maxReplays    = 1_000_000
	maxBadLines   = 10 // that are told of
)

// replay is a read that is sent again.
type replay struct {
	line      int    // of the file, from 1
	target    string // path and query
	authority string // "" where the file doesn't say
	header    map[string]string
}

// errReplay says that a file isn't one of reads.
var errReplay = errors.New("not a file of reads")

// parseReplay reads a file of reads, as warm's usage describes it, from a line on. Every bad
// line is told of, up to a bound; then nothing is given.
func parseReplay(in io.Reader, from int) (reads []replay, leftOut int, err error) {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, maxReplayLine)
	var bad []error
	line := 1
	for ; scanner.Scan() && len(bad) < maxBadLines; line++ {
		text := bytes.TrimSpace(scanner.Bytes())
		if line < from || len(text) == 0 || text[0] == '#' {
			continue
		}
		read, isRead, err := parseLine(text)
		switch {
		case err != nil:
			bad = append(bad, fmt.Errorf("line %d: %w", line, err))
		case !isRead:
			leftOut++
		case len(reads) == maxReplays:
			return nil, 0, fmt.Errorf("%w: more than %d; split it", errReplay, maxReplays)
		default:
			read.line = line
			reads = append(reads, read)
		}
	}
	if err := scanner.Err(); err != nil {
		bad = append(bad, fmt.Errorf("line %d: %w (a line has at most %d bytes)", line, err, maxReplayLine))
	}
	if len(bad) > 0 {
		return nil, 0, fmt.Errorf("%w:\n%w", errReplay, errors.Join(bad...))
	}
	return reads, leftOut, nil
}

// logged finds the request line in a line of an access log.
var logged = regexp.MustCompile(`"([A-Z-]+) (\S+) HTTP/[0-9.]+"`)

// odd finds what stands in its place where clients have sent something else, and its status.
var odd = regexp.MustCompile(`"[^"]*" [1-5][0-9][0-9]\b`)

// parseLine reads one line; isRead tells whether its method is GET. What is odd in an access log is none: anybody can have sent it.
func parseLine(text []byte) (r replay, isRead bool, err error) {
	if text[0] == '{' {
		return parseJSONLine(text)
	}
	method, target := "", ""
	if m := logged.FindSubmatch(text); m != nil {
		if isRead = string(m[1]) == "GET" && r.setTarget(string(m[2])) == nil; !isRead {
			r = replay{}
		}
		return r, isRead, nil
	} else if words := strings.Fields(string(text)); len(words) >= 2 && isMethod(words[0]) {
		method, target = words[0], words[1]
	} else if odd.Match(text) {
		return r, false, nil
	} else {
		return r, false, errors.New(`want {"path": …}, GET /path, or an access log's "GET /path HTTP/1.1"`)
	}
	if method != "GET" {
		return r, false, nil
	}
	err = r.setTarget(target)
	return r, true, err
}

func isMethod(word string) bool {
	return word != "" && strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

func parseJSONLine(text []byte) (r replay, isRead bool, err error) {
	var line struct {
		Method    string            `json:"method"`
		Path      *string           `json:"path"`
		Authority string            `json:"authority"`
		Header    map[string]string `json:"header"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&line); err != nil {
		return r, false, err
	}
	if _, err := d.Token(); err != io.EOF {
		return r, false, errors.New("it goes on behind its JSON value")
	}
	if line.Method != "" && line.Method != "GET" {
		return r, false, nil
	}
	if line.Path == nil {
		return r, false, errors.New(`"path" is missing`)
	}
	if err := r.setTarget(*line.Path); err != nil {
		return r, false, err
	}
	if line.Authority != "" {
		r.authority = line.Authority
	}
	for name := range line.Header {
		if strings.EqualFold(name, "host") {
			return r, false, errors.New(`"header" has "host": name it by "authority"`)
		}
	}
	r.header = line.Header
	return r, true, nil
}

// setTarget takes a path with its query, or a whole URL.
func (r *replay) setTarget(target string) error {
	parse := url.Parse
	if strings.HasPrefix(target, "/") {
		parse = url.ParseRequestURI // two slashes begin no authority
	}
	u, err := parse(target)
	switch {
	case err != nil:
		reason, _, _ := strings.Cut(errors.Unwrap(err).Error(), ` "`) // and then a piece of it
		return fmt.Errorf("%.80q is no path: %s", withoutSecrets(target), reason)
	case u.Scheme != "" && u.Host != "":
		r.authority = u.Host
	case !strings.HasPrefix(target, "/"):
		return fmt.Errorf("found %.80q, want a path that begins with /", withoutSecrets(target))
	}
	r.target = u.RequestURI()
	return nil
}

// withoutSecrets is what may be shown of a target that is wrong: logs keep tokens (access_token=…) in queries and fragments, and what
// is no path may have a password before an "@", with any character in it.
func withoutSecrets(target string) string {
	shown := target
	if i := strings.IndexAny(target, "?#="); i >= 0 {
		shown = target[:i+1] + "…"
	}
	if strings.HasPrefix(target, "/") || !strings.Contains(target, "@") {
		return shown
	}
	if i := strings.LastIndexByte(shown, '@'); i >= 0 {
		return "…" + shown[i:]
	}
	return "…" // all before the "@" may be the password, and all behind it a token
}

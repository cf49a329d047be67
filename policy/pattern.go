package policy

import (
	"errors"
	"iter"
	"path"
	"strings"
	"unicode"
)

// pattern is a request pattern in the syntax of Go's http.ServeMux:
// METHOD [HOST]/PATH, the method being mandatory here.
type pattern struct {
	text     string
	method   string
	host     string // lower case, empty for any
	segments []segment
}

// segment is one element of a pattern's path: a literal (decoded), {name}, or at the end
// {name...} (also what a trailing slash stands for) or {$} (a trailing slash and nothing more).
type segment struct {
	kind    segmentKind
	literal string
}

type segmentKind byte

const (
	literalSegment segmentKind = iota
	wildSegment                // one segment, not empty
	multiSegment               // everything that is left
	endSegment                 // a trailing slash
)

func (p *pattern) multi() bool {
	return p.segments[len(p.segments)-1].kind == multiSegment
}

// parsedPatterns gives texts that were patterns when the policy was read, with what they say.
func parsedPatterns(texts []string) iter.Seq2[string, *pattern] {
	return func(yield func(string, *pattern) bool) {
		for _, text := range texts {
			if parsed, err := parsePattern(text); err == nil && !yield(text, parsed) {
				return
			}
		}
	}
}

func parsePattern(s string) (*pattern, error) {
	method, rest, found := strings.Cut(s, " ")
	if !found {
		return nil, errors.New(`the method is missing: write it as in "GET /path" or "POST /path"`)
	}
	if strings.ContainsAny(method, ",|") {
		return nil, errors.New("a pattern has one method: write a pattern for each")
	}
	if !isToken(method) {
		return nil, errors.New("the method isn't an HTTP token")
	}
	if method != strings.ToUpper(method) {
		return nil, errors.New("methods are case-sensitive: write it in upper case")
	}
	rest = strings.TrimLeft(rest, " ")
	slash := strings.IndexByte(rest, '/')
	if slash < 0 {
		return nil, errors.New(`the path is missing: it begins with "/"`)
	}
	host, raw := rest[:slash], rest[slash:]
	if err := checkHost(host); err != nil {
		return nil, err
	}
	if strings.ContainsAny(raw, "?#") {
		return nil, errors.New("a pattern has no query: every query matches, and is part of the key")
	}
	if raw != cleanPath(raw) {
		return nil, errors.New(`the path can never match: requests are cleaned of "//", "." and ".." first`)
	}
	segments, err := parseSegments(raw)
	if err != nil {
		return nil, err
	}
	return &pattern{text: s, method: method, host: strings.ToLower(host), segments: segments}, nil
}

// checkHost refuses what no request's host can be, so that a pattern that never matches isn't taken for a rule.
func checkHost(host string) error {
	address, isAddress := strings.CutPrefix(host, "[")
	switch {
	case strings.ContainsAny(host, "{}"):
		return errors.New(`the host can't have wildcards (or the path's first "/" is missing)`)
	case strings.Contains(host, "*"):
		return errors.New("the host can't have wildcards: leave it out, or write a pattern for each host")
	case strings.ContainsAny(host, " \t"):
		return errors.New("a space within the pattern")
	case strings.EqualFold(host, "http:") || strings.EqualFold(host, "https:"):
		return errors.New("a pattern has no scheme: leave https:// out")
	case stripPort(host) != host:
		return errors.New("the host can't have a port: requests are matched without theirs")
	case strings.HasSuffix(host, "."):
		return errors.New("the host can't have a final dot: requests are matched without theirs")
	case isAddress:
		if digits, closed := strings.CutSuffix(address, "]"); !closed || digits == "" || !hasOnly(digits, "0123456789abcdefABCDEF:.") {
			return errors.New("brackets are for an IPv6 address: [2001:db8::1]")
		}
	case !hasOnly(host, hostCharacters):
		return errors.New(`a host is made of letters, digits, ".", "-" and "_": write an international name as xn--…, and an IPv6 address in brackets`)
	}
	return nil
}

const hostCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

func hasOnly(s, characters string) bool { return strings.Trim(s, characters) == "" }

func parseSegments(rest string) (segments []segment, err error) {
	names := map[string]bool{}
	for rest != "" {
		rest = rest[1:]
		if rest == "" {
			return append(segments, segment{kind: multiSegment}), nil
		}
		end := strings.IndexByte(rest, '/')
		if end < 0 {
			end = len(rest)
		}
		var text string
		text, rest = rest[:end], rest[end:]
		seg, err := parseSegment(text, rest == "", names)
		if err != nil {
			return nil, err
		}
		segments = append(segments, seg)
	}
	return segments, nil
}

func parseSegment(text string, last bool, names map[string]bool) (segment, error) {
	if strings.ContainsRune(text, '*') {
		return segment{}, errors.New(`write {name} for a segment, and {name...} at the end for all that follow; a "*" that is meant is %2A`)
	}
	if name, colon := strings.CutPrefix(text, ":"); colon {
		if !isIdentifier(name) {
			name = "name"
		}
		return segment{}, errors.New("write {" + name + `} for a segment; a ":" that is meant is %3A`)
	}
	if !strings.ContainsRune(text, '{') {
		literal, valid := unescape(text)
		if !valid || strings.ContainsAny(literal, "/\\;%") || literal == "." || literal == ".." {
			return segment{}, errors.New(`a literal segment can't hold an encoded "/", "\", ";", "%" or dot segment`)
		}
		return segment{literal: literal}, nil
	}
	if text[0] != '{' || text[len(text)-1] != '}' {
		return segment{}, errors.New("a wildcard must be a whole path segment: /{name}/")
	}
	name := text[1 : len(text)-1]
	if name == "$" {
		if !last {
			return segment{}, errors.New("{$} is only allowed at the end")
		}
		return segment{kind: endSegment}, nil
	}
	name, multi := strings.CutSuffix(name, "...")
	switch {
	case multi && !last:
		return segment{}, errors.New("{name...} is only allowed at the end")
	case !isIdentifier(name):
		return segment{}, errors.New("a wildcard's name must be a letter followed by letters, digits or _")
	case names[name]:
		return segment{}, errors.New("the wildcard name " + name + " stands twice")
	}
	names[name] = true
	if multi {
		return segment{kind: multiSegment}, nil
	}
	return segment{kind: wildSegment}, nil
}

func isIdentifier(s string) bool {
	for i, c := range s {
		if !unicode.IsLetter(c) && c != '_' && (i == 0 || !unicode.IsDigit(c)) {
			return false
		}
	}
	return s != ""
}

// isToken is RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("()<>@,;:\\\"/[]?={}", c) >= 0 {
			return false
		}
	}
	return s != ""
}

// cleanPath is what ServeMux does to a path before it matches: no "//", "." and "..", a
// trailing slash kept.
func cleanPath(p string) string {
	if p == "" || p[0] != '/' {
		p = "/" + p
	}
	clean := path.Clean(p)
	if p[len(p)-1] == '/' && clean != "/" {
		clean += "/"
	}
	return clean
}

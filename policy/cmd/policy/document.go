package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"chatcache/policy"
	"chatcache/policy/internal/strictjson"
)

// document is a policy as it was read, for messages that point into it.
type document struct {
	name string
	text []byte
}

func readDocument(name string, stdin io.Reader) (document, error) {
	// A policy has at most 1 MiB; one byte more is enough to be told so.
	const limit = 1<<20 + 1
	if name == "-" {
		text, err := io.ReadAll(io.LimitReader(stdin, limit))
		return document{"stdin", text}, err
	}
	f, err := os.Open(name)
	if err != nil {
		return document{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		err = fmt.Errorf("read %s: %w", name, err)
	}
	return document{name, text}, err
}

// readPolicy reads and parses a policy. What is wrong has been written; code is the exit code then, otherwise -1.
func readPolicy(name string, s streams) (p *policy.Policy, d document, code int) {
	d, err := readDocument(name, s.in)
	if err != nil {
		fmt.Fprintln(s.err, "policy:", err)
		return nil, d, exitUsage
	}
	p, problems := policy.Parse(d.text)
	if problems != nil {
		writeFindings(s.err, d.findings("error", problems))
		return nil, d, exitNo
	}
	return p, d, -1
}

// position is a place in a document; both numbers begin at 1, columns count characters.
type position struct{ line, column int }

func (d document) position(offset int) position {
	before := d.text[:min(offset, len(d.text))]
	start := bytes.LastIndexByte(before, '\n') + 1
	return position{
		line:   bytes.Count(before, []byte{'\n'}) + 1,
		column: utf8.RuneCount(before[start:]) + 1,
	}
}

// locate sets the problems' offsets from their paths, which the document has.
func (d document) locate(problems policy.Problems) policy.Problems {
	root, err := strictjson.Parse(d.text)
	if err != nil {
		return problems
	}
	for i := range problems {
		v := &root
		for name := range strings.SplitSeq(problems[i].Path[1:], "/") {
			if v.Kind == strictjson.Array {
				index, _ := strconv.Atoi(name)
				v = &v.Items[index]
			} else {
				v = v.Get(name)
			}
		}
		problems[i].Offset = v.Offset
	}
	return problems
}

// excerpt gives the line around offset and a line with a caret under it. A long line is cut to
// what surrounds the place.
func (d document) excerpt(offset int) string {
	const before, after = 60, 60
	offset = min(offset, len(d.text))
	start := bytes.LastIndexByte(d.text[:offset], '\n') + 1
	end := len(d.text)
	if i := bytes.IndexByte(d.text[offset:], '\n'); i >= 0 {
		end = offset + i
	}
	left, right := []rune(string(d.text[start:offset])), []rune(string(d.text[offset:end]))
	head, tail := "", ""
	if len(left) > before {
		head, left = "… ", left[len(left)-before:]
	}
	if len(right) > after {
		tail, right = " …", right[:after]
	}
	caret := strings.Map(func(r rune) rune {
		if r == '\t' {
			return '\t'
		}
		return ' '
	}, head+string(left))
	return strings.TrimRight(head+string(left)+string(right)+tail, "\r") + "\n" + caret + "^"
}

// withoutSecrets hides what is a secret, or could be one under a misspelled name, at its full
// length, so that excerpts can be shown in logs and positions stay as they are. Of a document that isn't
// JSON, lines that speak of a token or a secret are hidden whole.
func (d document) withoutSecrets() document {
	masked := document{d.name, bytes.Clone(d.text)}
	root, err := strictjson.Parse(d.text)
	if err != nil {
		masked.maskLines("token", "secret")
		return masked
	}
	masked.maskMembers(&root, "name", "max_response", "stream_above", "version", "l1", "identity", "host", "caches", "invalidations")
	for i := range root.Members {
		if m := &root.Members[i]; m.Name == "bridge" {
			masked.maskMembers(&m.Value, "cluster", "authority", "timeout")
		}
	}
	return masked
}

// maskMembers hides the strings of an object, but for those of the harmless fields.
func (d document) maskMembers(object *strictjson.Value, harmless ...string) {
	for i := range object.Members {
		m := &object.Members[i]
		if m.Value.Kind == strictjson.String && !slices.Contains(harmless, m.Name) {
			d.maskString(m.Value.Offset + 1)
		}
	}
}

// maskString hides what stands from offset up to the closing quote.
func (d document) maskString(offset int) {
	for i := offset; i < len(d.text) && d.text[i] != '"'; i++ {
		if d.text[i] == '\\' {
			d.text[i] = '*'
			i++
		}
		d.text[i] = '*'
	}
}

// maskLines hides whole lines that hold one of the words.
func (d document) maskLines(words ...string) {
	for start := 0; start < len(d.text); {
		end := len(d.text)
		if i := bytes.IndexByte(d.text[start:], '\n'); i >= 0 {
			end = start + i
		}
		line := d.text[start:end]
		for _, w := range words {
			if bytes.Contains(line, []byte(w)) {
				copy(line, bytes.Repeat([]byte{'*'}, len(line)))
			}
		}
		start = end + 1
	}
}

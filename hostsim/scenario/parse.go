package scenario

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"chatcache/hostsim"
)

// ErrSyntax says that a scenario file can't be read; the message names file,
// line, what was found and what was wanted.
var ErrSyntax = errors.New("scenario")

// Scenario is a file's steps.
type Scenario struct {
	Name  string
	Steps []Step
	// Counters are those that the module may define only when it first counts, sorted, as [Counters] gives them.
	Counters []string
	id       string // of Isolated
}

// Step is one line that isn't indented, with those that belong to it.
type Step struct {
	Line int
	Text string
	do   func(r *runner, s *Step)

	// Of requests and calls:
	request *hostsim.Request
	worker  int
	expects []expectation
	cut     bool
	virtual bool // "virtual time only"
	// Of origin:
	answer *Answer
}

type expectation struct {
	line  int
	text  string
	check func(r *result) (got string, ok bool)
}

// Parse reads a scenario; name is the file's, for errors.
func Parse(name, text string) (*Scenario, error) {
	s := &Scenario{Name: name}
	var errs []error
	for i, line := range strings.Split(text, "\n") {
		content := strings.TrimSpace(stripComment(line))
		if content == "" {
			continue
		}
		var err error
		if line[0] == ' ' || line[0] == '\t' {
			err = s.detail(i+1, content)
		} else {
			err = s.step(i+1, content)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%w: %s:%d: %w", ErrSyntax, name, i+1, err))
		}
	}
	return s, errors.Join(errs...)
}

func stripComment(line string) string {
	if strings.HasPrefix(line, "#") {
		return ""
	}
	content, _, _ := strings.Cut(line, " #")
	return content
}

func (s *Scenario) step(line int, text string) error {
	word, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	step := Step{Line: line, Text: text}
	var err error
	switch {
	case word == "user":
		step.do = func(r *runner, s *Step) { r.user = rest }
	case word == "origin":
		err = step.origin(rest)
	case word == "advance":
		var d time.Duration
		d, err = duration(rest)
		step.do = func(r *runner, s *Step) { r.target.Advance(d) }
	case word == "cluster":
		err = step.cluster(rest)
	case word == "call":
		err = step.call(rest)
	case text == "virtual time only":
		step.virtual, step.do = true, func(*runner, *Step) {}
	case isMethod(word):
		err = step.send(word, rest)
	default:
		err = fmt.Errorf("found %q, want a METHOD in capitals, user, origin, advance, cluster, call or \"virtual time only\"", word)
	}
	if err != nil {
		step.do = func(*runner, *Step) {}
	}
	s.Steps = append(s.Steps, step)
	return err
}

func isMethod(word string) bool {
	return word != "" && strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

func (s *Step) send(method, path string) error {
	if !strings.HasPrefix(path, "/") {
		return fmt.Errorf("found path %q, want one that begins with /", path)
	}
	s.request, s.worker = &hostsim.Request{Method: method, Path: path}, 1
	s.do = func(r *runner, s *Step) { r.request(s) }
	return nil
}

func (s *Step) call(rest string) error {
	f := strings.SplitN(rest, " ", 4)
	if len(f) < 3 {
		return fmt.Errorf("found %q, want: call CLUSTER METHOD PATH [BODY]", rest)
	}
	if !isMethod(f[1]) {
		return fmt.Errorf("found method %q, want one in capitals", f[1])
	}
	if _, err := url.ParseRequestURI(f[2]); err != nil || f[2][0] != '/' {
		return fmt.Errorf("found path %q, want one that begins with / and could be of a URL", f[2])
	}
	cluster := f[0]
	s.request = &hostsim.Request{Method: f[1], Path: f[2], Headers: hostsim.Headers{}}
	if len(f) == 4 {
		s.request.Body = []byte(f[3])
	}
	s.do = func(r *runner, s *Step) { r.call(s, cluster) }
	return nil
}

func (s *Step) cluster(rest string) error {
	name, state, _ := strings.Cut(rest, " ")
	if _, ok := clusterStates[state]; !ok {
		return fmt.Errorf("found state %q, want up, refusing, no-hosts or hanging", state)
	}
	s.do = func(r *runner, s *Step) { r.setCluster(s, name, state) }
	return nil
}

func (s *Step) origin(rest string) error {
	f := strings.SplitN(rest, " ", 4)
	if len(f) < 3 {
		return fmt.Errorf("found %q, want: origin METHOD PATH STATUS [BODY]", rest)
	}
	if f[0] != "*" && !isMethod(f[0]) {
		return fmt.Errorf("found method %q, want one in capitals, or *", f[0])
	}
	if f[1] != "*" && (!strings.HasPrefix(f[1], "/") || strings.ContainsAny(f[1], "?#")) {
		return fmt.Errorf("found path %q, want one that begins with /, without a query, or *", f[1])
	}
	status, err := strconv.Atoi(f[2])
	if err != nil || status < 200 || status > 599 {
		return fmt.Errorf("found status %q, want 200 to 599", f[2])
	}
	s.answer = &Answer{Method: f[0], Path: f[1], Status: status}
	if len(f) == 4 {
		s.answer.Body = f[3]
	}
	s.do = func(r *runner, s *Step) { r.origin.Set(*s.answer) }
	return nil
}

// detail reads an indented line.
func (s *Scenario) detail(line int, text string) error {
	if len(s.Steps) == 0 {
		return errors.New("an indented line needs a step above it")
	}
	step := &s.Steps[len(s.Steps)-1]
	word, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	switch {
	case step.answer != nil:
		return step.answer.detail(word, rest)
	case step.request == nil:
		return fmt.Errorf("nothing can stand under %q", step.Text)
	case word == "expect":
		return step.expect(line, rest)
	}
	return step.requestDetail(word, rest)
}

func (s *Step) requestDetail(word, rest string) error {
	var err error
	switch word {
	case "header":
		err = addField(&s.request.Headers, rest)
	case "body":
		s.request.Body = []byte(rest)
	case "size":
		s.request.Body, err = filler(rest)
	case "worker":
		if s.worker, err = strconv.Atoi(rest); err != nil || s.worker < 1 {
			err = fmt.Errorf("found worker %q, want a number from 1", rest)
		}
	case "http2":
		if s.request.HTTP2 = true; rest != "" {
			err = fmt.Errorf("found %q, want http2 alone", word+" "+rest)
		}
	case "metadata":
		if err = json.Unmarshal([]byte(rest), &s.request.Metadata); err != nil {
			err = fmt.Errorf("found metadata %q, want a JSON object by filter name: %w", rest, err)
		}
	default:
		err = fmt.Errorf("found %q, want header, body, size, worker, http2, metadata or expect", word)
	}
	return err
}

// filler makes a body of so many bytes.
func filler(text string) ([]byte, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > maxFiller {
		return nil, fmt.Errorf("found size %q, want 0 to %d bytes", text, maxFiller)
	}
	return bytes.Repeat([]byte("x"), n), nil
}

const maxFiller = 16 << 20

// duration reads how long something takes. Time doesn't go back.
func duration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("found duration %q, want one like 90s or 1h30m", text)
	}
	return d, nil
}

func (s *Step) expect(line int, text string) error {
	if text == "cut" {
		s.cut = true
		return nil
	}
	check, err := parseExpectation(text)
	if err != nil {
		return err
	}
	s.expects = append(s.expects, expectation{line, text, check})
	return nil
}

func parseExpectation(text string) (func(*result) (string, bool), error) {
	word, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	switch word {
	case "status":
		return number(word, rest, func(r *result) uint64 { return uint64(r.Status) })
	case "origin":
		return number(word, rest, func(r *result) uint64 { return uint64(r.origin) })
	case "body":
		return matcher(rest, func(r *result) string { return string(r.Body) })
	case "no":
		name, ok := strings.CutPrefix(rest, "header ")
		if !ok {
			return nil, fmt.Errorf("found %q, want: no header NAME", text)
		}
		name, err := fieldName(name)
		return func(r *result) (string, bool) { return joined(r, name), !r.Headers.Has(name) }, err
	case "header":
		return headerExpectation(rest)
	case "cache-status":
		return cacheStatusExpectation(strings.Fields(rest))
	case "counter":
		name, want, _ := strings.Cut(rest, " ")
		n, err := parseNumber("counter "+name, strings.TrimSpace(want))
		return func(r *result) (string, bool) { return r.counter(name, n) }, err
	}
	return nil, fmt.Errorf("found %q, want status, header, no header, body, cache-status, origin, counter or cut", word)
}

// number compares with a number.
func number(what, want string, get func(*result) uint64) (func(*result) (string, bool), error) {
	n, err := parseNumber(what, want)
	return func(r *result) (string, bool) { got := get(r); return strconv.FormatUint(got, 10), got == n }, err
}

func parseNumber(what, want string) (uint64, error) {
	n, err := strconv.ParseUint(want, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("found %q, want: %s N", strings.TrimSpace(what+" "+want), what)
	}
	return n, nil
}

func headerExpectation(rest string) (func(*result) (string, bool), error) {
	name, want, ok := strings.Cut(rest, " ~ ")
	if want = "~ " + want; !ok || strings.Contains(name, ":") {
		if name, want, ok = strings.Cut(rest, ":"); !ok {
			return nil, fmt.Errorf("found %q, want: header NAME: VALUE, or header NAME ~ REGEXP", rest)
		}
	}
	name, err := fieldName(name)
	if err != nil {
		return nil, err
	}
	matches, err := matcher(strings.TrimSpace(want), func(r *result) string { return joined(r, name) })
	return present(name, matches), err
}

// present is a check of a field that must be there.
func present(name string, check func(*result) (string, bool)) func(*result) (string, bool) {
	return func(r *result) (string, bool) {
		if !r.Headers.Has(name) {
			return missing(name), false
		}
		return check(r)
	}
}

func missing(name string) string { return "no header " + name }

// matcher compares with a text, or after "~ " with a regular expression.
func matcher(want string, get func(*result) string) (func(*result) (string, bool), error) {
	pattern, ok := strings.CutPrefix(want, "~ ")
	if !ok {
		return func(r *result) (string, bool) { got := get(r); return got, got == want }, nil
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	return func(r *result) (string, bool) { got := get(r); return got, re.MatchString(got) }, nil
}

func joined(r *result, name string) string { return strings.Join(r.Headers.Values(name), ", ") }

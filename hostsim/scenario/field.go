package scenario

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/net/http/httpguts"

	"chatcache/hostsim"
)

// fieldName refuses what can't be one (RFC 9110 section 5.1): no response has it, so that "no header" would always hold.
func fieldName(text string) (string, error) {
	name := strings.TrimSpace(text)
	if !httpguts.ValidHeaderFieldName(name) {
		return "", fmt.Errorf("found %q, want a header field's name: letters, digits and -", name)
	}
	return name, nil
}

// addField adds NAME: VALUE.
func addField(h *hostsim.Headers, text string) error {
	name, value, ok := strings.Cut(text, ":")
	if !ok {
		return fmt.Errorf("found %q, want NAME: VALUE", text)
	}
	name, err := fieldName(name)
	if err == nil {
		h.Add(name, strings.TrimSpace(value))
	}
	return err
}

// isParameter knows a parameter of Cache-Status (RFC 9211), perhaps with its value.
var isParameter = regexp.MustCompile(`^[a-z*][-a-z0-9_.*]*(=[^,;]+)?$`).MatchString

// cacheStatusExpectation wants a field, whatever its words: one that isn't there has none of those that mustn't be, either.
func cacheStatusExpectation(words []string) (func(*result) (string, bool), error) {
	if len(words) == 0 {
		return nil, errors.New(`found "cache-status" alone, want: cache-status PARAM…, or no header cache-status`)
	}
	for _, w := range words {
		if !isParameter(strings.TrimPrefix(w, "!")) {
			return nil, fmt.Errorf("found %q, want a parameter like hit, fwd=uri-miss or !stored", w)
		}
	}
	holds := func(r *result) (string, bool) {
		got := joined(r, "cache-status")
		return got, cacheStatusHas(got, words)
	}
	return present("cache-status", holds), nil
}

// cacheStatusHas reports whether there is a last member and its parameters are as wanted.
func cacheStatusHas(field string, want []string) bool {
	members := strings.Split(field, ",")
	last := strings.Split(members[len(members)-1], ";")
	if strings.TrimSpace(last[0]) == "" {
		return false
	}
	has := map[string]bool{}
	for _, p := range last[1:] {
		p = strings.TrimSpace(p)
		has[p] = true
		if name, _, ok := strings.Cut(p, "="); ok {
			has[name] = true
		}
	}
	for _, w := range want {
		if name, no := strings.CutPrefix(w, "!"); has[name] == no {
			return false
		}
	}
	return true
}

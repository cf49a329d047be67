package main

import (
	"strings"
	"testing"

	"chatcache/policy"
)

// The filter asks no cache with a longer key, see exchange.TestBypass.
func TestKeysThatAreTooLongBypass(t *testing.T) {
	p, problems := policy.Parse([]byte(`{"version": 1, "name": "p", "bridge": {"cluster": "b"},
		"caches": {"c": {"match": ["GET /a/{b}"], "ttl": "1s", "shared": true}}}`))
	if p == nil {
		t.Fatal(problems)
	}
	explained := func(length int) explanation {
		url := "/a/" + strings.Repeat("b", length)
		r, err := newRequest("GET", url)
		if err != nil {
			t.Fatal(err)
		}
		e, err := explainRequest(p, options{url: url, request: r})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	longest := 0
	for length := policy.MaxKey - 100; length < policy.MaxKey; length++ {
		if r, _ := newRequest("GET", "/a/"+strings.Repeat("b", length)); len(p.AppendKey(nil, p.Caches[0], r, "", nil)) <= policy.MaxKey {
			longest = length
		}
	}
	if e := explained(longest); e.Bypass != "" || len(e.Read.Key) == 0 {
		t.Errorf("the longest key: bypass %q, %d parts", e.Bypass, len(e.Read.Key))
	}
	if e := explained(longest + 1); e.Bypass != "its key has 16385 bytes, more than 16KiB" || e.Read.Key != nil || e.Groups != nil {
		t.Errorf("one byte more: bypass %q, key %v, groups %q", e.Bypass, e.Read.Key, e.Groups)
	}
}

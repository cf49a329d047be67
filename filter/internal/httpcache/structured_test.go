package httpcache_test

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"chatcache/filter/internal/httpcache"
)

// vector is one of https://github.com/httpwg/structured-field-tests (commit 1e280c3), the HTTP working group's own
// examples of what structured fields (RFC 9651) mean; testdata has those that a cache could meet.
type vector struct {
	Name       string
	HeaderType string `json:"header_type"`
	Raw        []string
	MustFail   bool `json:"must_fail"`
	Expected   any
}

func vectors(t *testing.T, headerType string, atLeast int) (some []vector) {
	t.Helper()
	text, err := os.ReadFile("testdata/structured-field-tests/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		if v.HeaderType == headerType {
			some = append(some, v)
		}
	}
	if len(some) < atLeast {
		t.Fatalf("only %d vectors of type %s", len(some), headerType)
	}
	return some
}

func (v vector) fields(name string) (f httpcache.Fields) {
	for _, line := range v.Raw {
		f = append(f, [2]string{name, line})
	}
	return f
}

// bare is the value of an Item as the vectors have it: itself and its parameters.
func bare(item any) any {
	if pair, ok := item.([]any); ok && len(pair) == 2 {
		return pair[0]
	}
	return nil
}

// Groups are Lists of Strings, and nothing else is.
func TestGroupsAgainstVectors(t *testing.T) {
	for _, v := range vectors(t, "list", 300) {
		want, ok := []string(nil), !v.MustFail
		members, _ := v.Expected.([]any)
		for _, member := range members {
			text, isString := bare(member).(string)
			ok = ok && isString
			want = append(want, text)
		}
		v.check(t, want, ok)
	}
	for _, v := range vectors(t, "item", 400) { // one Item is a List of one member
		if text, isString := bare(v.Expected).(string); len(v.Raw) == 1 && (isString || v.MustFail && strings.HasPrefix(v.Raw[0], `"`)) {
			v.check(t, []string{text}, isString)
		}
	}
}

func (v vector) check(t *testing.T, want []string, ok bool) {
	t.Helper()
	groups, readable := v.fields("cache-groups").Groups("cache-groups")
	if readable != ok || ok && !slices.Equal(groups, slices.Compact(want)) {
		t.Errorf("%s: %q are %q, %v, want %q, %v", v.Name, v.Raw, groups, readable, want, ok)
	}
}

// A targeted field counts if it is a Dictionary with a member, whatever members it has that nobody knows.
func TestTargetedAgainstVectors(t *testing.T) {
	for _, v := range vectors(t, "dictionary", 300) {
		members, _ := v.Expected.([]any)
		if got, want := v.fields("mine").Control([]string{"mine"}).Targeted, !v.MustFail && len(members) > 0; got != want {
			t.Errorf("%s: %q counts: %v, want %v", v.Name, v.Raw, got, want)
		}
	}
}

// A number in a targeted field is an Integer, a flag a Boolean; anything else takes the field's effect.
func TestTypesOfDirectivesAgainstVectors(t *testing.T) {
	numbers, flags := 0, 0
	for _, v := range vectors(t, "item", 400) {
		if len(v.Raw) != 1 || strings.TrimSpace(v.Raw[0]) != v.Raw[0] {
			continue
		}
		number, isNumber := bare(v.Expected).(float64)
		isNumber = isNumber && !strings.Contains(v.Raw[0], ".")
		flag, isFlag := bare(v.Expected).(bool)
		for _, test := range []struct {
			directive string
			ok        bool
		}{{"max-age", isNumber}, {"no-store", isFlag}} {
			f := httpcache.Fields{{"mine", "unknown, " + test.directive + "=" + v.Raw[0]}, {"cache-control", "max-age=7"}}
			c := f.Control([]string{"mine"})
			switch {
			case c.Targeted != test.ok:
				t.Errorf("%s: %s=%s counts: %v, want %v", v.Name, test.directive, v.Raw[0], c.Targeted, test.ok)
			case isNumber && test.ok:
				numbers++
				if want := httpcache.Seconds(min(max(number, 0), math.Exp2(31))); c.MaxAge != want {
					t.Errorf("%s: max-age=%s is %d, want %d", v.Name, v.Raw[0], c.MaxAge, want)
				}
			case isFlag && test.ok:
				flags++
				if c.NoStore != flag {
					t.Errorf("%s: no-store=%s is %v", v.Name, v.Raw[0], c.NoStore)
				}
			}
		}
	}
	if numbers < 30 || flags < 2 {
		t.Errorf("only %d numbers and %d flags compared", numbers, flags)
	}
}

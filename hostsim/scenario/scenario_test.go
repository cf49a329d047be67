package scenario_test

import (
	"errors"
	"strings"
	"testing"

	"chatcache/hostsim/scenario"
)

func TestSyntaxErrorsAreAllToldWithTheirLines(t *testing.T) {
	_, err := scenario.Parse("f.scenario", strings.Join([]string{
		"  expect status 200",
		"get /x",
		"GET x",
		"GET /x",
		"  expect statu 200",
		"  expect header etag",
		"  expect body ~ (",
		"  colour red",
		"origin GET / 99",
		"origin GET / 200 ok",
		"  fault fire",
		"advance soon",
		"cluster a down",
		"call bridge",
		"user alice",
		"  header a: b",
	}, "\n"))
	want := `scenario: f.scenario:1: an indented line needs a step above it
scenario: f.scenario:2: found "get", want a METHOD in capitals, user, origin, advance, cluster or call
scenario: f.scenario:3: found path "x", want one that begins with /
scenario: f.scenario:5: found "statu", want status, header, no header, body, cache-status, origin, counter or cut
scenario: f.scenario:6: found "etag", want: header NAME: VALUE, or header NAME ~ REGEXP
scenario: f.scenario:7: error parsing regexp: missing closing ): ` + "`(`" + `
scenario: f.scenario:8: found "colour", want header, body, worker, http2, metadata or expect
scenario: f.scenario:9: found status "99", want 200 to 599
scenario: f.scenario:11: found fault "fire", want truncated, cut, close-delimited, no-answer or hang
scenario: f.scenario:12: time: invalid duration "soon"
scenario: f.scenario:13: found state "down", want up, refusing or no-hosts
scenario: f.scenario:14: found "bridge", want: call CLUSTER METHOD PATH [BODY]
scenario: f.scenario:16: nothing can stand under "user alice"`
	if !errors.Is(err, scenario.ErrSyntax) || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("GET /x\n  expect status 200\n")
	f.Add("origin * * 200 {}\n  fault hang\n  delay 1s\ncall a POST /p {}\n  expect header a ~ b\n\tbody x # y")
	f.Fuzz(func(t *testing.T, text string) { scenario.Parse("f", text) })
}

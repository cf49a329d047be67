package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A cache's pattern with what some origins take for a path's end is a warning. Rules go by any reading of a path, so theirs match.
func TestPatternsThatNeverMatch(t *testing.T) {
	p, problems := Parse([]byte(`{"version": 1, "name": "p", "bridge": {"cluster": "b"}, "caches": {"c": {"match": ["GET /c", "GET /tags/c%23", "GET /why%3f/{id}"], "ttl": "1s", "shared": true}},
		"invalidations": [{"name": "r", "match": ["POST /tags/c%23"], "invalidate": ["c"]}]}`))
	if problems != nil {
		t.Fatal(problems)
	}
	var got []string
	for _, w := range p.Warnings() {
		got = append(got, w.String())
	}
	const why = ` (c): no request is answered by %q: to some origins %%3F begins a query, and %%23 a fragment; take it out: nothing of such a path is cached [never-matches]`
	want := []string{"/caches/c/match" + fmt.Sprintf(why, "GET /tags/c%23"), "/caches/c/match" + fmt.Sprintf(why, "GET /why%3f/{id}")}
	if !slices.Equal(got, want) {
		t.Errorf("warnings %q, want %q", got, want)
	}
	if c, _ := p.Match("GET", "h", "/tags/c%23"); c != nil {
		t.Error("it matches all the same")
	}
	if _, rule := p.Match("POST", "h", "/tags/c%23"); rule == nil {
		t.Error("the rule doesn't match")
	}
}

// warned gives the warnings of a policy whose identity, caches and rules are these.
func warned(t *testing.T, identity, caches, rules string) (list []string) {
	t.Helper()
	for _, w := range mustParse(t, `{"version": 1, "name": "p", "bridge": {"cluster": "b"}, "identity": [`+identity+`], "caches": {`+caches+`}, "invalidations": [`+rules+`]}`).Warnings() {
		list = append(list, w.String())
	}
	return list
}

const bearer = `{"header": "authorization"}`

// TestIdentitiesThatAnybodyCanClaim: of two users with tokens of their own, one who sends the other's X-User-Id would get what was stored for that one.
func TestIdentitiesThatAnybodyCanClaim(t *testing.T) {
	for identity, unproven := range map[string]bool{
		`{"header": "X-User-Id"}`:                              true,
		`{"header": "X-User-Id"}, {"cookie": "rc_uid_user"}`:   true,
		`{"header": "X-Tenant"}, {"header": "X-Account-Name"}`: true,
		`{"header": "X-User-Id"}, {"header": "X-Auth-Token"}`:  false,
		`{"header": "X-User-Id"}, {"jwt_authn_claim": "sub"}`:  false,
		`{"cookie": "user_session"}`:                           false,
		`{"header": "X-User-Token"}`:                           false,
		`{"header": "X-Api-Key"}`:                              false,
		`{"property": ["metadata", "user"]}`:                   false,
		bearer:                                                 false,
	} {
		got := warned(t, identity, `"c": {"match": ["GET /c"], "ttl": "1s"}`, ``)
		if len(got) > 1 || (len(got) == 1) != unproven {
			t.Errorf("%s: %q", identity, got)
		}
	}
	const want = `/identity: whoever sends "x-user-id" with somebody else's name gets what was stored for that one; add the header or cookie with the token that the origin goes by, ` +
		`or name what a filter before this one has verified: "jwt_authn_claim" or "property" [unproven]`
	if got := warned(t, `{"header": "X-User-Id"}`, `"c": {"match": ["GET /c"], "ttl": "1s"}`, ``); !slices.Equal(got, []string{want}) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestSharedCachesOfWhoeverAsks: /users/me is one by /users/{user} to everybody but the origin.
func TestSharedCachesOfWhoeverAsks(t *testing.T) {
	for caches, path := range map[string]string{
		`"c": {"match": ["GET /users/{user}"], "ttl": "1s", "shared": true}`:                                                                   "/users/me",
		`"c": {"match": ["GET h/v1/{org}/Members/{id}/status"], "ttl": "1s", "shared": true}`:                                                  "/v1/~/Members/me/status",
		`"c": {"match": ["GET /users/{rest...}"], "ttl": "origin", "shared": true}`:                                                            "/users/me",
		`"c": {"match": ["GET /api/me"], "ttl": "1s", "shared": true}`:                                                                         "/api/me",
		`"c": {"match": ["GET /users/@me/rooms/{room}"], "ttl": "1s", "shared": true}`:                                                         "/users/@me/rooms/~",
		`"c": {"match": ["GET /users/{user}"], "ttl": "1s"}`:                                                                                   "",
		`"c": {"match": ["GET /users/{user}"], "ttl": "0s", "shared": true}`:                                                                   "",
		`"c": {"match": ["GET /models/{model}"], "ttl": "1s", "shared": true}`:                                                                 "",
		`"c": {"match": ["GET /users/{user}"], "ttl": "1s", "shared": true}, "own": {"match": ["GET /users/me"], "ttl": "1s"}`:                 "",
		`"c": {"match": ["GET /users/{user}"], "ttl": "1s", "shared": true}, "off": {"match": ["GET /users/self"], "ttl": "0s"}`:               "",
		`"c": {"match": ["GET /users/{user}"], "ttl": "1s", "shared": true}, "all": {"match": ["GET /users/me"], "shared": true, "ttl": "1s"}`: "/users/me",
	} {
		want := []string(nil)
		if path != "" {
			want = []string{`/caches/c/shared (c): where GET ` + path + ` is about whoever asks, one user's answer to it is everybody's; give that path a pattern of its own in a private cache, or in one with "ttl": "0s" [shared-user]`}
		}
		if strings.Contains(caches, `"all"`) {
			want[0] = strings.ReplaceAll(strings.ReplaceAll(want[0], "/caches/c/", "/caches/all/"), "(c)", "(all)")
		}
		if got := warned(t, bearer, caches, ``); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", caches, got, want)
		}
	}
}

// TestSharedRefusals: one user's 401 isn't another's.
func TestSharedRefusals(t *testing.T) {
	const statuses = `"status_ttl": {"401": "1s", "403": "0s", "404": "1s", "429": "1s"}`
	got := warned(t, bearer, `"c": {"match": ["GET /c"], "ttl": "1s", "shared": true, `+statuses+`}, "own": {"match": ["GET /own"], "ttl": "1s", `+statuses+`}`, ``)
	const why = `/caches/c/status_ttl/%d (c): what the origin refuses one client with would be everybody's answer; take it out: a %[1]d is about who asks [shared-refusal]`
	if want := []string{fmt.Sprintf(why, 401), fmt.Sprintf(why, 429)}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestCredentialsInKeys: a credential belongs into identity, and where the origin reads it in the query the key has to have it.
func TestCredentialsInKeys(t *testing.T) {
	const identity = `{"header": "X-Chat-Session"}, {"header": "X-User-Id"}, {"cookie": "rc_token"}, {"jwt_claim": "sub", "header": "X-Jwt-Token", "unverified": true}`
	for field, want := range map[string]string{
		`"headers": ["X-Chat-Session"]`:       "keyed-secret",
		`"headers": ["x-jwt-token"]`:          "keyed-secret",
		`"headers": ["X-Api-Key"]`:            "keyed-secret",
		`"headers": ["X-User-Id", "Accept"]`:  "",
		`"ignore_query": ["rc_token"]`:        "ignored-secret",
		`"ignore_query": ["access_token"]`:    "ignored-secret",
		`"ignore_query": ["X-Amz-Signature"]`: "ignored-secret",
		`"ignore_query": ["_ts", "token"]`:    "",
	} {
		got := warned(t, identity, `"c": {"match": ["GET /c"], "ttl": "1s", `+field+`}`, ``)
		if len(got) > 1 || (len(got) == 1) != (want != "") || len(got) == 1 && !strings.HasSuffix(got[0], "["+want+"]") {
			t.Errorf("%s: %q, want %q", field, got, want)
		}
	}
}

// TestWritesThatLeaveTheirOwnPath: what a write changes is mostly what a GET of the same path has.
func TestWritesThatLeaveTheirOwnPath(t *testing.T) {
	const caches = `"repos": {"match": ["GET /orgs/{org}/{rest...}"], "ttl": "60s"}, "repo": {"match": ["GET /repos/{owner}/{repo}"], "ttl": "60s"},
		"user": {"match": ["GET /user"], "ttl": "60s"}, "off": {"match": ["GET /off"], "ttl": "0s"}, "theirs": {"match": ["GET /theirs"], "ttl": "origin"}`
	for match, cache := range map[string]string{
		`"POST /orgs/{org}/repos"`:                    "repos",
		`"PUT /orgs/{org}/a", "DELETE /orgs/{org}/a"`: "repos",
		`"PATCH /repos/{o}/{r}"`:                      "repo",
		`"PUT /repos/{o}/{r}/topics"`:                 "",
		`"POST /{rest...}"`:                           "",
		`"PATCH /user"`:                               "",
		`"PATCH /off"`:                                "",
		`"PATCH /theirs"`:                             "",
		`"POST /repos/{o}/{r}", "POST /user", "POST /orgs/{org}"`: "repo",
	} {
		want := []string(nil)
		first, _, _ := strings.Cut(match, ",")
		if cache != "" {
			want = []string{`/invalidations/1/invalidate (w): what a GET has of the path of ` + first + ` is in the cache ` + cache + `, and is stale after such a write until it expires; add "` + cache + `" [not-invalidated]`}
		}
		if got := warned(t, bearer, caches, `{"name": "other", "match": ["LINK /user"], "invalidate": ["user"]}, {"name": "w", "match": [`+match+`], "invalidate": ["user"], "scope": "partition"}`); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", match, got, want)
		}
	}
}

// TestBodyKeyedCachesOfWrites: a POST of theirs is a read, whatever it does at the origin.
func TestBodyKeyedCachesOfWrites(t *testing.T) {
	for match, found := range map[string]string{
		`"POST /v1/embeddings", "POST /v1/{rest...}"`: `"POST /v1/{rest...}"`,
		`"POST /v1/"`:         `"POST /v1/"`,
		`"POST /api/GraphQL"`: `"POST /api/GraphQL"`,
		`"POST /v1/{what}", "QUERY /v1/{rest...}"`: "",
		`"POST /v1/search/{$}"`:                    "",
	} {
		want := []string(nil)
		if found != "" {
			want = []string{`/caches/c/match (c): a write that ` + found + ` matches would be answered from the cache the second time, and never reach the origin; list the paths of POSTs that only read [cached-writes]`}
		}
		got := slices.DeleteFunc(warned(t, bearer, `"c": {"match": [`+match+`], "ttl": "1s", "body": {}}`, ``), func(w string) bool { return strings.HasSuffix(w, "["+string(NoBodies)+"]") })
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", match, got, want)
		}
	}
}

// TestWritesThatOthersRead: one member's message is news to all members of the room.
func TestWritesThatOthersRead(t *testing.T) {
	const caches = `"own": {"match": ["GET /own"], "ttl": "1s"}, "theirs": {"match": ["GET /theirs"], "ttl": "1s", "shared": true}`
	for rule, found := range map[string]string{
		`"match": ["PUT /me", "POST /Rooms/{room}/messages"], "invalidate": ["theirs", "own"]`: `"POST /Rooms/{room}/messages"`,
		`"match": ["POST /api/v1/channels.invite"], "invalidate": ["own"]`:                     `"POST /api/v1/channels.invite"`,
		`"match": ["POST /rooms"], "invalidate": ["own"], "scope": "all"`:                      "",
		`"match": ["POST /rooms"], "invalidate": ["own"], "scope": "partition"`:                "",
		`"match": ["POST /rooms"], "invalidate": ["theirs"]`:                                   "",
		`"match": ["POST /{rooms}/messages"], "invalidate": ["own"]`:                           "",
	} {
		want := []string(nil)
		if found != "" {
			want = []string{`/invalidations/0/invalidate (w): several people may read what ` + found + ` writes to, and what private caches have of it for others than the writer stays as it is; ` +
				`say "scope": "all" where that is so, and otherwise "scope": "partition" [others-stale]`}
		}
		if got := warned(t, bearer, caches, `{"name": "w", `+rule+`}`); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", rule, got, want)
		}
	}
}

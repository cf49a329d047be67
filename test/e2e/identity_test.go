package e2e

import (
	"testing"

	"chatcache/test/jwt"
	"chatcache/test/mesh"
)

// A verified claim is the identity, whatever token carries it; a client can't pose as one.
func TestVerifiedClaimIsTheIdentity(t *testing.T) {
	claims := func(document map[string]any) {
		document["identity"] = []any{map[string]any{"jwt_authn_claim": "sub"}, map[string]any{"header": "x-user"}}
	}
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, claims), JWT: true}, func(t *testing.T, m mesh.Mesh) {
		ask := func(subject, id string, fields ...[2]string) mesh.Response {
			r := mesh.Request{Method: "GET", Path: "/api/chat/stats", Fields: fields, Claims: map[string]any{"iss": jwt.Issuer, "jti": id}}
			if subject != "" {
				r.Claims["sub"] = subject
			}
			return m.Do(0, r)
		}
		wantStored(t, "ann's first token", ask("ann", "1"))
		m.Settle()
		wantHit(t, "ann's second token", ask("ann", "2"))
		wantStored(t, "bob's token", ask("bob", "3"))
		wantStored(t, "a header with the subject's value", ask("", "4", [2]string{"x-user", "ann"}))
		m.Settle()
		wantHit(t, "that header again", ask("", "5", [2]string{"x-user", "ann"}))
		if nobody := ask("", "6"); nobody.CacheStatus() != "chatcache; fwd=bypass; detail=no-identity" {
			t.Errorf("a token without a subject: %v", nobody)
		}
	})
}

// Numbers from 2^53 on, which Envoy has only rounded, make nobody of several users.
func TestClaimsThatAreRounded(t *testing.T) {
	claims := func(document map[string]any) { document["identity"] = []any{map[string]any{"jwt_authn_claim": "uid"}} }
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, claims), JWT: true}, func(t *testing.T, m mesh.Mesh) {
		ask := func(uid int64) mesh.Response {
			return m.Do(0, mesh.Request{Method: "GET", Path: "/api/chat/stats", Claims: map[string]any{"iss": jwt.Issuer, "uid": uid}})
		}
		const exact = 1<<53 - 1
		wantStored(t, "a number that a double can be", ask(exact))
		m.Settle()
		wantHit(t, "that again", ask(exact))
		for _, uid := range []int64{1 << 53, 1<<53 + 1} {
			if r := ask(uid); r.CacheStatus() != "chatcache; fwd=bypass; detail=no-identity" {
				t.Errorf("user %d: %v", uid, r)
			}
		}
	})
}

// Package jwt signs tokens for tests, and gives the keys that verify them.
package jwt

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
)

// Issuer is whom a token's "iss" must name.
const Issuer = "mesh"

const (
	secret = "0123456789abcdef0123456789abcdef"
	keyID  = "mesh"
)

// Sign gives a token (RFC 7519, HS256) with these claims, which must be what JSON can hold.
func Sign(claims map[string]any) string {
	payload, _ := json.Marshal(claims)
	text := encoded(`{"alg":"HS256","typ":"JWT","kid":"`+keyID+`"}`) + "." + encoded(string(payload))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + encoded(string(mac.Sum(nil)))
}

// Keys is the key set (RFC 7517) that verifies what Sign gives.
func Keys() string {
	return `{"keys":[{"kty":"oct","alg":"HS256","kid":"` + keyID + `","k":"` + encoded(secret) + `"}]}`
}

func encoded(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

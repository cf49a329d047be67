package mesh

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
)

// jwtSecret signs the tokens that the mesh's jwt_authn verifies.
const jwtSecret = "0123456789abcdef0123456789abcdef"

// token signs claims (HS256, RFC 7519). The claims must name the issuer "mesh".
func token(claims map[string]any) string {
	payload, _ := json.Marshal(claims) // strings and numbers
	text := encoded(`{"alg":"HS256","typ":"JWT","kid":"mesh"}`) + "." + encoded(string(payload))
	mac := hmac.New(sha256.New, []byte(jwtSecret))
	mac.Write([]byte(text))
	return text + "." + encoded(string(mac.Sum(nil)))
}

func encoded(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// jwtAuthn is Envoy's filter that verifies those tokens and leaves their claims as
// metadata under "jwt_payload".
func jwtAuthn() any {
	keys := `{"keys":[{"kty":"oct","alg":"HS256","kid":"mesh","k":"` + encoded(jwtSecret) + `"}]}`
	return map[string]any{
		"name": "envoy.filters.http.jwt_authn",
		"typed_config": map[string]any{
			"@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
			"providers": map[string]any{"mesh": map[string]any{
				"issuer": "mesh", "forward": true, "payload_in_metadata": "jwt_payload",
				"local_jwks": map[string]any{"inline_string": keys},
			}},
			"rules": []any{map[string]any{
				"match":    map[string]any{"prefix": "/"},
				"requires": map[string]any{"provider_name": "mesh"},
			}},
		},
	}
}

package mesh

import "chatcache/test/jwt"

// jwtAuthn is Envoy's filter that verifies the tokens of package jwt and leaves their claims as
// metadata under "jwt_payload".
func jwtAuthn() any {
	return map[string]any{
		"name": "envoy.filters.http.jwt_authn",
		"typed_config": map[string]any{
			"@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
			"providers": map[string]any{"mesh": map[string]any{
				"issuer": jwt.Issuer, "forward": true, "payload_in_metadata": "jwt_payload",
				"local_jwks": map[string]any{"inline_string": jwt.Keys()},
			}},
			"rules": []any{map[string]any{
				"match":    map[string]any{"prefix": "/"},
				"requires": map[string]any{"provider_name": "mesh"},
			}},
		},
	}
}

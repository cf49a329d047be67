package policy

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"chatcache/policy/internal/strictjson"
)

// credential is what a source found in a request.
type credential struct {
	values  []string // none: no identity here
	issuer  string
	expires int64 // seconds since 1970, 0: doesn't say
	// nameless: it doesn't have what the source looks for, but the origin may go by it.
	nameless bool
}

// field is the request field that the source is read from, "" if it is what the proxy knows beside the
// header section.
func (s *Source) field() string {
	switch s.Kind {
	case SourceHeader:
		return s.Name
	case SourceCookie:
		return "cookie"
	case SourceClaim:
		return s.Header
	}
	return ""
}

// distinct gives the values that aren't empty, each once, and of those the first so many.
func (c credential) distinct(most int) (values []string) {
	for _, v := range c.values {
		if len(values) >= most {
			break
		}
		if v != "" && !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values
}

// credential reads what the source has of the request.
func (s *Source) credential(r Request) credential {
	if field := s.field(); field != "" {
		return s.fromFields(r.Header(field))
	}
	return s.fromProxy(r)
}

// fromFields reads the credential out of the lines of the source's field.
func (s *Source) fromFields(lines []string) credential {
	switch s.Kind {
	case SourceHeader:
		return fromHeader(lines, s.schemed())
	case SourceCookie:
		return withExpiry(cookieValues(lines, s.Name))
	}
	return s.unverified(lines)
}

// fromProxy reads the credential out of what the proxy knows.
func (s *Source) fromProxy(r Request) credential {
	if s.Kind == SourceVerified {
		return s.verified(r)
	}
	if value, ok := r.Property(s.Path...); ok && len(value) > 0 {
		return credential{values: []string{string(value)}, nameless: s.Path[0] == "metadata" && mayBeOthers(string(value))}
	}
	return credential{}
}

// schemed tells of the headers whose values begin with a credential's scheme (RFC 9110 section 11). Any other may have a
// name: somebody who is called "Token ada" isn't ada.
func (s *Source) schemed() bool {
	return s.Name == "authorization" || s.Name == "proxy-authorization"
}

func fromHeader(fields []string, schemed bool) credential {
	values := make([]string, 0, 1)
	for _, f := range fields {
		v := trim(f)
		if schemed {
			v = stripScheme(v)
		}
		if v != "" {
			values = append(values, v)
		}
	}
	return withExpiry(values)
}

// trim removes the white space of HTTP's grammar (RFC 9110 section 5.6.3); any other is part of a value.
func trim(s string) string { return strings.Trim(s, " \t") }

// stripScheme removes the credential scheme (RFC 9110 section 11.4) where it is one whose
// credential is worth the same under any.
func stripScheme(value string) string {
	scheme, rest, _ := strings.Cut(value, " ")
	for _, known := range [...]string{"Bearer", "Basic", "Token"} {
		if strings.EqualFold(scheme, known) {
			return trim(rest)
		}
	}
	return value
}

// cookieValues lists all values of a cookie: origins differ in which of them counts. So an empty one is listed beside others, since to some origins the request
// is then nobody's, but not where there is nothing else.
func cookieValues(fields []string, name string) (values []string) {
	found := false
	for _, field := range fields {
		for field != "" {
			var pair string
			pair, field, _ = strings.Cut(field, ";")
			key, value, _ := strings.Cut(pair, "=")
			if trim(key) == name {
				value = trim(value)
				values = append(values, value)
				found = found || value != ""
			}
		}
	}
	if !found {
		return nil
	}
	return values
}

// withExpiry adds the earliest expiry of those values that are JSON Web Tokens, whatever scheme stands before them (RFC 9110
// section 11.4: JWT, DPoP), and though the whole stands in quotation marks, as some servers write a cookie with a space.
func withExpiry(values []string) credential {
	c := credential{values: values}
	for _, v := range values {
		token := strings.Trim(v[strings.LastIndexAny(v, " \t")+1:], `"`)
		if claims, isToken := tokenClaims(token); isToken {
			if exp := expiry(claims); exp != 0 && (c.expires == 0 || exp < c.expires) {
				c.expires = exp
			}
		}
	}
	return c
}

// verified reads what Envoy's jwt_authn filter left in the dynamic metadata after it verified the token.
func (s *Source) verified(r Request) credential {
	claim := func(name string) string {
		value, _ := r.Property("metadata", "filter_metadata", "envoy.filters.http.jwt_authn", s.Payload, name)
		return string(value)
	}
	value := claim(s.Name)
	if value == "" {
		return credential{}
	}
	return credential{values: []string{value}, issuer: claim("iss"), nameless: mayBeOthers(value)}
}

// mayBeOthers tells whether a claim's property, or another one of metadata, may be several users'. Envoy has a number as the eight bytes of the nearest double (see
// asProperty), and nothing tells these from a text:
//
//   - From 2^53 on numbers have a double in common. One of more than 64 bits is taken for a text, where its bytes are valid as that.
//   - A smaller one is a text's as well where its bytes could be one: alice_0C is 4608488691559521. No text has the byte 0, which every whole number below 2^45 has, and
//     no user's number is a fraction, as what most other texts of eight bytes would be.
func mayBeOthers(value string) bool {
	if len(value) != 8 {
		return false
	}
	n := math.Abs(math.Float64frombits(binary.LittleEndian.Uint64([]byte(value))))
	isText := utf8.ValidString(value) && strings.IndexByte(value, 0) < 0
	switch {
	case n > 1<<64:
		return !isText
	case n >= 1<<53:
		return true
	}
	return isText && n == math.Trunc(n)
}

// unverified reads a claim that anybody could have written. So the whole token enters:
// who doesn't hold it can't reach the partition, and a forged one is only a partition of its own.
func (s *Source) unverified(fields []string) credential {
	c := fromHeader(fields, true)
	c.nameless = true
	if len(fields) != 1 || len(c.values) == 0 {
		return c
	}
	if claims, _ := tokenClaims(c.values[0]); claims != nil {
		claim := claims.Get(s.Name)
		c.nameless = claim == nil || claim.Text == "" || claim.Kind == strictjson.Null
	}
	return c
}

// asProperty gives a claim as Envoy's property has it (source/extensions/common/wasm/context.cc, serializeValue), "" where it isn't known how.
func asProperty(claim *strictjson.Value) string {
	switch {
	case claim == nil:
		return ""
	case claim.Kind == strictjson.String:
		return strings.Clone(claim.Text)
	case claim.Kind == strictjson.Number:
		if n, err := strconv.ParseFloat(claim.Text, 64); err == nil {
			return string(binary.LittleEndian.AppendUint64(nil, math.Float64bits(n)))
		}
	}
	return ""
}

// maxToken bounds the tokens that are looked into, in bytes: what long credentials give isn't remembered (maxKnownLine), so each request would decode its own.
const maxToken = 16 << 10

// tokenClaims reads the payload of a JSON Web Token (RFC 7519 section 3) without verifying anything. Of a token that is too long
// or isn't strict JSON, which others may read, the claims are nil.
func tokenClaims(token string) (claims *strictjson.Value, isToken bool) {
	if !strings.HasPrefix(token, "e") { // base64url of "{"
		return nil, false
	}
	_, rest, _ := strings.Cut(token, ".")
	payload, signature, found := strings.Cut(rest, ".")
	switch {
	case !found || strings.Contains(signature, "."):
		return nil, false
	case len(token) > maxToken:
		return nil, true
	}
	decoded, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return nil, false
	}
	if value, err := strictjson.Parse(decoded); err == nil {
		return &value, value.Kind == strictjson.Object
	}
	return nil, strings.HasPrefix(trim(string(decoded)), "{")
}

// expiry is the claim exp (RFC 7519 section 4.1.4), 0 where there is none. One that can't be read, nor can the claims, or
// has passed long ago is 1, which is in the past for everybody.
func expiry(claims *strictjson.Value) int64 {
	if claims == nil {
		return 1
	}
	exp := claims.Get("exp")
	if exp == nil || exp.Kind == strictjson.Null {
		return 0
	}
	seconds, err := strconv.ParseFloat(exp.Text, 64)
	if err != nil || exp.Kind != strictjson.Number || !(seconds >= 1) {
		return 1
	}
	return int64(math.Min(seconds, 1<<53))
}

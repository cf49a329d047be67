package policy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"chatcache/policy/internal/strictjson"
)

const testSecret = "0123456789abcdef"

func identifier(tb testing.TB, sources ...Source) *Identifier {
	tb.Helper()
	id, err := NewIdentifier(sources, []byte(testSecret))
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

func token(claims string) string {
	return "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

func withHeader(name string, values ...string) *fakeRequest {
	return &fakeRequest{headers: map[string][]string{name: values}}
}

func verified(payload string, claims map[string]string) *fakeRequest {
	r := &fakeRequest{properties: map[string]string{}}
	for name, value := range claims {
		r.properties["metadata/filter_metadata/envoy.filters.http.jwt_authn/"+payload+"/"+name] = value
	}
	return r
}

var (
	fromAuthorization = Source{Kind: SourceHeader, Name: "authorization"}
	fromSub           = Source{Kind: SourceVerified, Name: "sub", Payload: "jwt_payload"}
	fromSID           = Source{Kind: SourceCookie, Name: "sid"}
)

// TestPartitionDigest pins the digest: the bridge and every release of the filter must agree on it.
func TestPartitionDigest(t *testing.T) {
	p, ok := identifier(t, fromAuthorization).Identify(withHeader("authorization", "Bearer alice"))
	mac := hmac.New(sha256.New, []byte(testSecret))
	mac.Write([]byte("\x15\x06header\x0dauthorization\x00\x05alice"))
	want := hex.EncodeToString(mac.Sum(nil)[:16])
	if !ok || p.ID != want {
		t.Errorf("partition %q, %v; want %q", p.ID, ok, want)
	}
}

// TestSameIdentity: what is the same credential gives the same partition.
func TestSameIdentity(t *testing.T) {
	id := identifier(t, fromAuthorization, fromSID)
	for _, pair := range [][2]*fakeRequest{
		{withHeader("authorization", "Bearer x"), withHeader("authorization", " bearer  x ")},
		{withHeader("authorization", "Bearer x"), withHeader("authorization", "x")},
		{withHeader("authorization", "TOKEN x"), withHeader("authorization", "", "Basic x")},
		{withHeader("cookie", "sid=x"), withHeader("cookie", "a=b; sid=x;c")},
		{withHeader("cookie", "sid=x"), withHeader("cookie", "a=b", " sid = x ")},
	} {
		a, okA := id.Identify(pair[0])
		b, okB := id.Identify(pair[1])
		if !okA || !okB || !reflect.DeepEqual(a, b) {
			t.Errorf("%v and %v: %v %v, %v %v", pair[0].headers, pair[1].headers, a, okA, b, okB)
		}
	}
}

// TestOtherIdentity: no value of one source, and no arrangement of values, poses as another.
func TestOtherIdentity(t *testing.T) {
	type namedRequest struct {
		source Source
		r      *fakeRequest
	}
	claim := Source{Kind: SourceClaim, Name: "sub", Header: "authorization"}
	property := Source{Kind: SourceProperty, Path: []string{"connection", "sub"}}
	seen := map[string]int{}
	for i, n := range []namedRequest{
		{fromAuthorization, withHeader("authorization", "Bearer x")},
		{fromAuthorization, withHeader("authorization", "Bearer y")},
		{fromAuthorization, withHeader("authorization", "Bearer x", "Bearer y")},
		{fromAuthorization, withHeader("authorization", "Bearer y", "Bearer x")},
		{fromAuthorization, withHeader("authorization", "Bearer x,Bearer y")},
		{fromAuthorization, withHeader("authorization", "Digest x")},
		{Source{Kind: SourceHeader, Name: "sub"}, withHeader("sub", "x")},
		{Source{Kind: SourceHeader, Name: "sid"}, withHeader("sid", "x")},
		{fromSID, withHeader("cookie", "sid=x")},
		{fromSID, withHeader("cookie", "sid=x; sid=y")},
		{fromSID, withHeader("cookie", "sid=; sid=x")}, // to an origin that takes the first one nobody's
		{fromSID, withHeader("cookie", "sid=x", "sid=")},
		{fromSID, withHeader("cookie", "sid; sid=; sid=x")},
		{fromSID, withHeader("cookie", "sid=x; sid=x")},
		{fromSub, verified("jwt_payload", map[string]string{"sub": "x"})},
		{fromSub, verified("jwt_payload", map[string]string{"sub": "x", "iss": "a"})},
		{fromSub, verified("jwt_payload", map[string]string{"sub": "x", "iss": "b"})},
		{claim, withHeader("authorization", token(`{"sub":"x"}`))},
		{claim, withHeader("authorization", token(`{"sub":"x","forged":1}`))},
		{Source{Kind: SourceClaim, Name: "sub", Header: "x-token"}, withHeader("x-token", token(`{"sub":"x"}`))},
		{property, &fakeRequest{properties: map[string]string{"connection/sub": "x"}}},
	} {
		p, ok := identifier(t, n.source).Identify(n.r)
		if !ok {
			t.Errorf("request %d has no identity", i)
		}
		if other, ok := seen[p.ID]; ok {
			t.Errorf("requests %d and %d have the same partition", i, other)
		}
		seen[p.ID] = i
	}
	other, err := NewIdentifier([]Source{fromAuthorization}, []byte("another secret 16"))
	if err != nil {
		t.Fatal(err)
	}
	p, _ := other.Identify(withHeader("authorization", "Bearer x"))
	if _, same := seen[p.ID]; same {
		t.Error("another secret gives the same partition")
	}
}

// TestNamesThatLookAlike: a header may have somebody's name, which others may have chosen to look like a credential's scheme, or like
// nothing at all, before or behind it.
func TestNamesThatLookAlike(t *testing.T) {
	id := identifier(t, Source{Kind: SourceHeader, Name: "x-user"}, fromSID)
	for _, header := range []string{"x-user", "cookie"} {
		seen := map[string]string{}
		for _, name := range []string{"ada", "Token ada", "bearer ada", "Basic ada", "ada\u00a0", "\u2003ada", "\u0085ada", "Token", "ADA"} {
			value := name
			if header == "cookie" {
				value = "sid=" + name
			}
			p, ok := id.Identify(withHeader(header, value))
			if other := seen[p.ID]; !ok || other != "" {
				t.Errorf("%s: %q has the partition of %q, %t", header, name, other, ok)
			}
			seen[p.ID] = name
		}
	}
	claim := identifier(t, fromSub, Source{Kind: SourceHeader, Name: "x-token"})
	r := verified("jwt_payload", map[string]string{"sub": "x"})
	one, _ := claim.Identify(r)
	r.headers = map[string][]string{"x-token": {"Bearer " + token(`{"sub":"x"}`)}}
	if same, _ := claim.Identify(r); same.ID != one.ID {
		t.Error("in a field of its own the token that was verified makes it another's")
	}
}

// TestPayloads: what one provider has verified is no other's, since one without an issuer doesn't look at iss.
func TestPayloads(t *testing.T) {
	partner := Source{Kind: SourceVerified, Name: "sub", Payload: "partner"}
	says := map[string]string{"sub": "x", "iss": "https://idp"}
	id := identifier(t, fromSub, partner)
	own, _ := id.Identify(verified("jwt_payload", says))
	others, _ := id.Identify(verified("partner", says))
	if own.ID == others.ID || own.ID == "" {
		t.Errorf("partitions %q and %q", own.ID, others.ID)
	}
	one, _ := identifier(t, fromSub).Identify(verified("jwt_payload", says))
	renamed, _ := identifier(t, partner).Identify(verified("partner", says))
	if one.ID != renamed.ID {
		t.Error("another name for the only payload gives another partition")
	}
}

func TestNoIdentity(t *testing.T) {
	id := identifier(t, fromSub, fromAuthorization, fromSID, Source{Kind: SourceClaim, Name: "sub", Header: "x-token"},
		Source{Kind: SourceProperty, Path: []string{"connection", "uri_san_peer_certificate"}})
	for _, r := range []*fakeRequest{
		{}, withHeader("authorization", ""), withHeader("authorization", "Bearer", "Basic "), withHeader("cookie", "sid=; sid; other=1; SID=2"),
		verified("other", map[string]string{"sub": "x"}), verified("jwt_payload", map[string]string{"sub": "", "iss": "a"}),
		withHeader("x-token", "not a token"), withHeader("x-token", token(`{"other":1}`)), withHeader("x-token", token(`{"sub":""}`)),
		withHeader("x-token", token(`{"sub":null}`)), withHeader("x-token", token(`[]`)), withHeader("x-token", "eyJ.%%%.x"),
		withHeader("x-token", token(`{"sub":"x"}`), token(`{"sub":"x"}`)),
		{properties: map[string]string{"connection/uri_san_peer_certificate": ""}},
	} {
		if p, ok := id.Identify(r); ok {
			t.Errorf("%v %v: partition %v", r.headers, r.properties, p)
		}
	}
}

// TestSourcesThatCount: all that have a value, but for a token that says no more than a verified claim before it.
func TestSourcesThatCount(t *testing.T) {
	certificate := Source{Kind: SourceProperty, Path: []string{"connection", "id"}}
	unverified := Source{Kind: SourceClaim, Name: "sub", Header: "x-token"}
	id := identifier(t, fromSID, fromSub, fromAuthorization, Source{Kind: SourceVerified, Name: "org", Payload: "jwt_payload"},
		Source{Kind: SourceVerified, Name: "sub", Payload: "other"}, certificate, unverified)
	cookie, claim, opaque := [2]string{"cookie", "sid=x"}, [2]string{"jwt_payload/sub", "x"}, [2]string{"authorization", "Bearer x"}
	issuer := [2]string{"jwt_payload/iss", "https://idp"}
	says := func(claims string) [2]string { return [2]string{"authorization", "Bearer " + token(claims)} }
	for _, test := range []struct {
		has  [][2]string
		want SourceSet
	}{
		{[][2]string{cookie}, 0b1},
		{[][2]string{claim}, 0b10},
		{[][2]string{opaque}, 0b100},
		{[][2]string{cookie, opaque}, 0b101},
		{[][2]string{claim, opaque}, 0b110}, // the origin may go by either
		{[][2]string{cookie, claim, says(`{"sub":"x"}`)}, 0b11},
		{[][2]string{claim, says(`{"sub":"x","exp":5,"jti":7}`)}, 0b10},
		{[][2]string{claim, issuer, says(`{"sub":"x","iss":"https://idp"}`)}, 0b10},
		{[][2]string{claim, issuer, says(`{"sub":"x"}`)}, 0b110},
		{[][2]string{claim, says(`{"sub":"x","iss":"https://idp"}`)}, 0b110},
		{[][2]string{claim, says(`{"sub":"y"}`)}, 0b110},
		{[][2]string{claim, says(`{}`)}, 0b110},
		{[][2]string{{"jwt_payload/sub", "\x00\x00\x00\x00\x00\x00\x1c\x40"}, says(`{"sub":7}`)}, 0b10}, // a number, as Envoy has it
		{[][2]string{claim, {"jwt_payload/org", "o"}}, 0b1010},
		{[][2]string{claim, {"other/sub", "x"}}, 0b10},
		{[][2]string{claim, {"other/sub", "y"}}, 0b10010},
		{[][2]string{claim, {"connection/id", "7"}}, 0b100010},
		{[][2]string{claim, {"x-token", token(`{"sub":"x"}`)}}, 0b10},
		{[][2]string{cookie, {"x-token", token(`{"sub":"x"}`)}}, 0b1000001},
		{[][2]string{cookie, {"x-token", token(`{}`)}}, 0b1000001}, // it names nobody, but the origin may
		{[][2]string{cookie, {"x-token", "opaque"}}, 0b1000001},
	} {
		r := &fakeRequest{headers: map[string][]string{}, properties: map[string]string{}}
		for _, f := range test.has {
			switch payload, claim, isProperty := strings.Cut(f[0], "/"); {
			case payload == "connection":
				r.properties[f[0]] = f[1]
			case isProperty:
				maps.Copy(r.properties, verified(payload, map[string]string{claim: f[1]}).properties)
			default:
				r.headers[f[0]] = []string{f[1]}
			}
		}
		for range 2 { // what is remembered says the same
			if p, ok := id.Identify(r); !ok || p.Sources != test.want {
				t.Errorf("%q: sources %b, want %b", test.has, p.Sources, test.want)
			}
		}
	}
}

// TestPartitionHasEveryCredential: in whatever order the sources stand, two requests share a partition only if they have the same
// credentials, but for tokens that say what a verified claim before them says.
func TestPartitionHasEveryCredential(t *testing.T) {
	sources := []Source{fromSub, fromSID, fromAuthorization, {Kind: SourceClaim, Name: "sub", Header: "x-token"}, {Kind: SourceProperty, Path: []string{"connection", "id"}}}
	ofX, ofNobody := token(`{"sub":"x"}`), token(`{}`)
	values := [][]string{{"", "x", "y"}, {"", "a", ofX}, {"", "a", ofX}, {"", "a", ofX, ofNobody}, {"", "1"}}
	var check func(order []int)
	check = func(order []int) {
		if len(order) < len(sources) {
			for i := range sources {
				if !slices.Contains(order, i) {
					check(append(order[:len(order):len(order)], i))
				}
			}
			return
		}
		checkPartitions(t, sources, values, order)
	}
	check(nil)
}

func checkPartitions(t *testing.T, sources []Source, values [][]string, order []int) {
	var sorted []Source
	for _, i := range order {
		sorted = append(sorted, sources[i])
	}
	id := identifier(t, sorted...)
	partitions, credentials := map[string]string{}, map[string]string{}
	for n := range 3 * 3 * 3 * 4 * 2 {
		has := make([]string, len(values))
		for i := range values {
			has[i], n = values[i][n%len(values[i])], n/len(values[i])
		}
		r := verified("jwt_payload", map[string]string{"sub": has[0]})
		r.properties["connection/id"] = has[4]
		r.headers = map[string][]string{"cookie": {"sid=" + has[1]}, "authorization": {has[2]}, "x-token": {has[3]}}
		what := ""
		for at, i := range order {
			says := i > 0 && has[0] == "x" && has[i] == values[2][2] && slices.Contains(order[:at], 0)
			if has[i] != "" && !says {
				what += fmt.Sprintf("%d=%s ", i, has[i])
			}
		}
		p, ok := id.Identify(r)
		if alone := what == "3=a " || what == "3="+values[3][3]+" "; ok != (what != "" && !alone) {
			t.Fatalf("order %v: %q has an identity: %t", order, what, ok)
		}
		if !ok {
			continue
		}
		if other, found := partitions[p.ID]; found && other != what {
			t.Fatalf("order %v: %q and %q share a partition", order, what, other)
		}
		if other, found := credentials[what]; found && other != p.ID {
			t.Fatalf("order %v: %q has two partitions", order, what)
		}
		partitions[p.ID], credentials[what] = what, p.ID
	}
}

// TestTokenOfAnotherSubject: a token that says only some of what was verified is somebody else's, and the origin may go by it.
func TestTokenOfAnotherSubject(t *testing.T) {
	fromOrg := Source{Kind: SourceVerified, Name: "org", Payload: "jwt_payload"}
	own, colleague := token(`{"sub":"x","org":"o"}`), token(`{"sub":"y","org":"o"}`)
	for _, sources := range [][]Source{
		{fromSub, fromOrg, fromAuthorization}, {fromOrg, fromAuthorization, fromSub}, {fromSub, fromAuthorization, fromOrg},
	} {
		id := identifier(t, sources...)
		with := func(authorization ...string) Partition {
			r := verified("jwt_payload", map[string]string{"sub": "x", "org": "o"})
			r.headers = map[string][]string{"authorization": authorization}
			p, _ := id.Identify(r)
			return p
		}
		if none, same := with(), with("Bearer "+own); none.ID != same.ID {
			t.Errorf("%v: the token that was verified makes it another's", sources)
		}
		if none, other := with(), with("Bearer "+colleague); none.ID == other.ID {
			t.Errorf("%v: the token of a colleague doesn't count", sources)
		}
	}
}

// TestRoundedClaims: Envoy has a claim's number as a double, so from 2^53 on several users have the same one, and some below have one with a text. Each still has what its token says.
func TestRoundedClaims(t *testing.T) {
	asEnvoyHasIt := func(claims string) string {
		doc, err := strictjson.Parse([]byte(claims))
		if err != nil {
			t.Fatal(err)
		}
		return asProperty(doc.Get("sub"))
	}
	id := identifier(t, fromSub, fromAuthorization)
	of := func(claims string, authorization ...string) (Partition, bool) {
		r := verified("jwt_payload", map[string]string{"sub": asEnvoyHasIt(claims)})
		r.headers = map[string][]string{"authorization": authorization}
		return id.Identify(r)
	}
	for _, test := range []struct {
		claims string
		named  bool
	}{
		{`{"sub":9007199254740991}`, true}, {`{"sub":-9007199254740991}`, true}, {`{"sub":0}`, true}, {`{"sub":"9007199254740993"}`, true},
		{`{"sub":"alice@me"}`, true}, {`{"sub":"ada"}`, true}, {`{"sub":"DEADBEEF"}`, true}, {`{"sub":"aliceLtd"}`, true},
		{`{"sub":9007199254740992}`, false}, {`{"sub":9007199254740993}`, false}, {`{"sub":-9007199254740993}`, false}, {`{"sub":18446744073709551615}`, false},
		{`{"sub":340282366920938463463374607431768211455}`, false}, {`{"sub":"could bC"}`, false}, {`{"sub":36893488147419103232}`, false},
		{`{"sub":"alice_0C"}`, false}, {`{"sub":4608488691559521}`, false}, {`{"sub":"blice_ C"}`, false}, // each is a text's and a number's
		{`{"sub":"alice_ C"}`, true}, {`{"sub":"12345678"}`, true}, {`{"sub":4503599627370496}`, true}, {`{"sub":4608488691559522}`, false}, {`{"sub":4608488691559424}`, true}, {`{"sub":35184372088832}`, true}, {`{"sub":42}`, true},
	} {
		if _, ok := of(test.claims); ok != test.named {
			t.Errorf("%s names somebody: %t, want %t", test.claims, ok, test.named)
		}
		property := &fakeRequest{properties: map[string]string{"metadata/filter_metadata/authz/user": asEnvoyHasIt(test.claims)}}
		if _, ok := identifier(t, Source{Kind: SourceProperty, Path: []string{"metadata", "filter_metadata", "authz", "user"}}).Identify(property); ok != test.named {
			t.Errorf("%s as another filter's metadata names somebody: %t, want %t", test.claims, ok, test.named)
		}
		a, okA := of(test.claims, "Bearer "+token(test.claims))
		b, okB := of(test.claims, "Bearer "+token(strings.Replace(test.claims, "}", `,"jti":"another"}`, 1)))
		if !okA || !okB || (a.ID == b.ID) != test.named {
			t.Errorf("%s: its two tokens have partitions %q %t and %q %t", test.claims, a.ID, okA, b.ID, okB)
		}
	}
}

// TestSeveralValues: what several cookies of a name read belongs to each of them, and what they write invalidates what each alone has read.
func TestSeveralValues(t *testing.T) {
	id := identifier(t, fromSID, fromAuthorization)
	of := func(r *fakeRequest) Partition {
		p, ok := id.Identify(r)
		if !ok {
			t.Fatalf("%v: no identity", r.headers)
		}
		return p
	}
	x, y, token := of(withHeader("cookie", "sid=x")), of(withHeader("cookie", "sid=y")), of(withHeader("authorization", "Bearer t"))
	both := of(withHeader("cookie", "sid=y; sid=; sid=x", "sid=y"))
	if !slices.Equal(both.Parts(), []string{y.ID, x.ID, both.ID}) || both.ID == x.ID || both.ID == y.ID {
		t.Errorf("parts %v, want %s, %s and its own", both.Parts(), y.ID, x.ID)
	}
	want := "[* c:me p:me:" + y.ID + " p:me:" + x.ID + " p:me:" + both.ID + "]"
	if got := fmt.Sprint(both.ReadGroups("me")); got != want {
		t.Errorf("what they read belongs to %s, want %s", got, want)
	}
	r := withHeader("cookie", "sid=y; sid=x")
	r.headers["authorization"] = []string{"Bearer t"}
	pair := of(withHeader("cookie", "sid=y; sid=x"))
	if got := of(r).Parts(); !slices.Equal(got, []string{y.ID, x.ID, pair.ID, token.ID}) {
		t.Errorf("parts of these and a token %v", got)
	}
	r = withHeader("cookie", "sid=1; sid=2; sid=3; sid=4; sid=5")
	if p, ok := id.Identify(r); ok {
		t.Errorf("five cookies of a name are %+v", p)
	}
	r.headers["authorization"] = []string{"Bearer t"}
	if p, ok := id.Identify(r); ok {
		t.Errorf("with a token they are %+v", p)
	}
}

// TestLinesAreApart: what is remembered of some lines is no other's, though these be the same text in other pieces.
func TestLinesAreApart(t *testing.T) {
	id := identifier(t, fromAuthorization)
	seen := map[string]int{}
	for i, lines := range [][]string{{"ab"}, {"a", "b"}, {"abc"}, {"a", "bc"}, {"ab", "c"}, {"a", "b", "c"}} {
		p, ok := id.Identify(withHeader("authorization", lines...))
		if other, found := seen[p.ID]; !ok || found {
			t.Errorf("lines %d, %q, have the partition of %d, %v", i, lines, other, ok)
		}
		seen[p.ID] = i
	}
}

// TestClaimsWithOneValue: two claims that happen to have the same value are two identities. Whoever has one of them alone doesn't reach what both have.
func TestClaimsWithOneValue(t *testing.T) {
	id := identifier(t, Source{Kind: SourceVerified, Name: "org", Payload: "jwt_payload"}, fromSub)
	org, okOrg := id.Identify(verified("jwt_payload", map[string]string{"org": "7"}))
	both, okBoth := id.Identify(verified("jwt_payload", map[string]string{"org": "7", "sub": "7"}))
	if !okOrg || !okBoth || both.ID == org.ID || both.Sources != 0b11 {
		t.Errorf("organisation %+v, %v; with a subject of the same value %+v, %v", org, okOrg, both, okBoth)
	}
}

// TestManyCredentials: whoever has more credentials than a write's groups could name is nobody.
func TestManyCredentials(t *testing.T) {
	var sources []Source
	var cookies []string
	const each = maxValues + 1 // with all of a source together
	for i := range maxCredentials/each + 1 {
		name := fmt.Sprint("c", i)
		sources = append(sources, Source{Kind: SourceCookie, Name: name})
		for v := range maxValues {
			cookies = append(cookies, fmt.Sprintf("%s=%d", name, v))
		}
	}
	id := identifier(t, sources...)
	within := cookies[:maxCredentials/each*maxValues]
	if p, ok := id.Identify(withHeader("cookie", strings.Join(within, "; "))); !ok || len(p.Parts()) > maxCredentials {
		t.Errorf("%d cookies: %d parts, %v", len(within), len(p.Parts()), ok)
	}
	if p, ok := id.Identify(withHeader("cookie", strings.Join(cookies, "; "))); ok || p.ID != "" {
		t.Errorf("%d cookies are %d parts, %v", len(cookies), len(p.Parts()), ok)
	}
}

// TestSeveralCredentials: a request with two credentials has a partition that neither of them reaches alone, and that
// belongs to both.
func TestSeveralCredentials(t *testing.T) {
	id := identifier(t, fromSID, fromAuthorization, Source{Kind: SourceHeader, Name: "x-api-key"})
	of := func(cookie, authorization, key string) Partition {
		r := &fakeRequest{headers: map[string][]string{}}
		for name, value := range map[string]string{"cookie": cookie, "authorization": authorization, "x-api-key": key} {
			if value != "" {
				r.headers[name] = []string{value}
			}
		}
		p, ok := id.Identify(r)
		if !ok {
			t.Fatalf("%v: no identity", r.headers)
		}
		return p
	}
	cookie, token, both := of("sid=planted", "", ""), of("", "Bearer victim", ""), of("sid=planted", "Bearer victim", "")
	if !slices.Equal(both.Parts(), []string{cookie.ID, token.ID}) {
		t.Errorf("parts %v, want %s and %s", both.Parts(), cookie.ID, token.ID)
	}
	if !slices.Equal(cookie.Parts(), []string{cookie.ID}) || (Partition{}).Parts() != nil {
		t.Errorf("parts of one source %v, of none %v", cookie.Parts(), Partition{}.Parts())
	}
	want := "[* c:me p:me:" + cookie.ID + " p:me:" + token.ID + " p:me:" + both.ID + "]"
	if got := fmt.Sprint(both.ReadGroups("me")); got != want {
		t.Errorf("read groups %s, want %s", got, want)
	}
	seen := map[string]string{}
	for _, who := range [][3]string{
		{"sid=a"}, {"", "a"}, {"", "", "a"}, {"sid=a", "a"}, {"sid=a", "b"}, {"sid=b", "a"}, {"sid=a", "", "a"}, {"", "a", "a"}, {"sid=a", "a", "a"},
		{"sid=" + cookie.ID, token.ID}, {"sid=" + both.ID},
	} {
		p := of(who[0], who[1], who[2])
		if other := seen[p.ID]; other != "" || len(p.ID) != 32 {
			t.Errorf("%v has the partition %s of %s", who, p.ID, other)
		}
		seen[p.ID] = fmt.Sprint(who)
	}
	if again := of("sid=planted", "token victim", ""); !reflect.DeepEqual(again, both) {
		t.Errorf("once %+v, then %+v", both, again)
	}
	early, late := expiring(1790000000), expiring(1800000000)
	for _, p := range []Partition{of("sid="+late, "Bearer "+early, ""), of("sid="+early, "Bearer "+late, ""), of("sid=opaque", "Bearer "+early, ""), of("sid="+late, "Bearer "+early, "")} {
		if p.Expires != 1790000000 {
			t.Errorf("expires %d, want when the first of them does", p.Expires)
		}
	}
}

// expiring is a token that expires then.
func expiring(exp int64) string { return token(fmt.Sprintf(`{"exp":%d}`, exp)) }

// TestSeveralCredentialsAreBounded: what is remembered doesn't grow with who asks, and forgetting changes nobody's partition.
func TestSeveralCredentialsAreBounded(t *testing.T) {
	id := identifier(t, fromSID, fromAuthorization)
	of := func(i int) Partition {
		p, _ := id.Identify(&fakeRequest{headers: map[string][]string{"cookie": {fmt.Sprint("sid=", i)}, "authorization": {fmt.Sprint(i)}}})
		return p
	}
	first := of(0)
	for i := range 2 * maxKnown {
		of(i)
	}
	if len(id.known) > maxKnown || id.knownBytes > maxKnownBytes {
		t.Errorf("%d are remembered in %d bytes", len(id.known), id.knownBytes)
	}
	if again := of(0); !reflect.DeepEqual(first, again) {
		t.Errorf("first %+v, then %+v", first, again)
	}
}

// TestLongCredentialsAreBounded: nor does it with how long credentials are.
func TestLongCredentialsAreBounded(t *testing.T) {
	id := identifier(t, fromAuthorization)
	remembered := func() (bytes int) {
		for key := range id.known {
			bytes += len(key)
		}
		return bytes
	}
	const long = maxKnownLine - 64
	for i := range 2 * maxKnownBytes / long {
		id.Identify(withHeader("authorization", fmt.Sprintf("%0*d", long, i)))
		if n := remembered(); n > maxKnownBytes || n == 0 {
			t.Fatalf("after %d of %d bytes: %d bytes are remembered", i+1, long, n)
		}
	}
	before := len(id.known)
	id.Identify(withHeader("authorization", strings.Repeat("x", maxKnownLine)))
	if len(id.known) != before {
		t.Errorf("a credential of %d bytes is remembered", maxKnownLine)
	}
}

// A request whose identities are known costs no memory, be it one or several.
func TestKnownIdentitiesCostNothing(t *testing.T) {
	id := identifier(t, fromSID, fromAuthorization)
	both := &fakeRequest{headers: map[string][]string{"cookie": {"sid=x"}, "authorization": {"Bearer x"}}}
	for _, r := range []*fakeRequest{both, withHeader("cookie", "sid=x")} {
		if n := testing.AllocsPerRun(100, func() { id.Identify(r) }); n != 0 {
			t.Errorf("%v: %v allocations", r.headers, n)
		}
	}
}

func TestExpires(t *testing.T) {
	id := identifier(t, fromSub, fromAuthorization, fromSID)
	for _, test := range []struct {
		r    *fakeRequest
		want int64
	}{
		{withHeader("authorization", "Bearer opaque"), 0},
		{withHeader("authorization", "Bearer "+token(`{"sub":"x"}`)), 0},
		{withHeader("authorization", "Bearer "+token(`{"exp":1790000000}`)), 1790000000},
		{withHeader("authorization", "Bearer "+token(`{"exp":1.79e9}`)), 1790000000},
		{withHeader("authorization", "Bearer ewogImFsZyI6Im5vbmUifQ."+strings.SplitN(token(`{"exp":5}`), ".", 2)[1]), 5},
		{withHeader("authorization", "Bearer "+token(`{"exp":1790000000.9}`)), 1790000000},
		{withHeader("authorization", "Bearer "+token(`{"exp":1e300}`)), 1 << 53},
		{withHeader("authorization", "Bearer "+token(`{"exp":-5}`)), 1},
		{withHeader("authorization", "Bearer "+token(`{"exp":"soon"}`)), 1},
		{withHeader("authorization", "Bearer "+token(`{"exp":"1790000000"}`)), 1},               // no number: readers differ in what they make of it
		{withHeader("authorization", "Bearer "+token(`{"exp":1790000000,"name":"\ud83d"}`)), 1}, // half a surrogate pair, which other readers let pass
		{withHeader("authorization", "Bearer "+longToken(maxToken)), 1790000000},
		{withHeader("authorization", "Bearer "+longToken(maxToken+1)), 1},
		{withHeader("authorization", "Bearer "+strings.Repeat("e", maxToken+1)), 0},
		{withHeader("authorization", "Bearer "+longToken(maxToken+1)+".of.five.parts"), 0},
		{withHeader("cookie", `sid="`+longToken(60<<10)+`"`), 1},
		{withHeader("authorization", token(`{"exp":1800000000}`), token(`{"exp":1790000000}`)), 1790000000},
		{withHeader("authorization", "JWT "+token(`{"exp":1790000000}`)), 1790000000},
		{withHeader("authorization", "DPoP\t"+token(`{"exp":1790000000}`)), 1790000000},
		{withHeader("cookie", "sid="+token(`{"exp":1790000000}`)), 1790000000},
		{withHeader("cookie", `a=b; sid="`+token(`{"exp":1790000000}`)+`"`), 1790000000},
		{withHeader("cookie", `sid="Bearer `+token(`{"exp":1790000000}`)+`"`), 1790000000},
		{verified("jwt_payload", map[string]string{"sub": "x", "exp": "1790000000"}), 0},
	} {
		if p, ok := id.Identify(test.r); !ok || p.Expires != test.want {
			t.Errorf("%v %v: expires %d, want %d", test.r.headers, test.r.properties, p.Expires, test.want)
		}
	}
}

// longToken is a token of so many bytes that expires in 2026.
func longToken(size int) string {
	t := expiring(1790000000)
	return t + strings.Repeat("x", size-len(t))
}

func TestShortSecret(t *testing.T) {
	if _, err := NewIdentifier(nil, []byte("0123456789abcde")); !errors.Is(err, ErrSecret) {
		t.Errorf("15 bytes: %v", err)
	}
}

func FuzzIdentify(f *testing.F) {
	id := identifier(f, Source{Kind: SourceClaim, Name: "sub", Header: "authorization"}, fromAuthorization, fromSID)
	f.Add("Bearer "+token(`{"sub":"x","exp":1}`), "sid=x; sid=y")
	f.Fuzz(func(t *testing.T, authorization, cookie string) {
		r := &fakeRequest{headers: map[string][]string{"authorization": {authorization}, "cookie": {cookie}}}
		if p, ok := id.Identify(r); ok && (len(p.ID) != 32 || p.Expires < 0) {
			t.Errorf("partition %+v", p)
		}
	})
}

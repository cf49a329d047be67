package exchange

import (
	"slices"
	"strings"
	"testing"
	"time"

	"chatcache/redisbridge/wire"
)

// severalSources takes identities from a cookie, a header and a token that nobody verified.
var severalSources = []string{
	`"identity": [{"header": "authorization"}]`,
	`"identity": [{"cookie": "sid"}, {"header": "authorization"}, {"jwt_claim": "sub", "header": "x-token", "unverified": true}]`,
}

// What is stored for two credentials is neither one's alone, and a write with either invalidates it.
func TestTwoCredentials(t *testing.T) {
	w := newWorld(t, severalSources...)
	w.lease()
	cookie := [2]string{"cookie", "sid=planted"}
	read := func(user string, extra ...[2]string) *fakeStream {
		s := w.stream("GET", "/stats", user, extra...)
		s.exchange.RequestHeaders(true)
		return s
	}
	s := read("ann", cookie)
	w.take(wire.PathLookup).miss(1)
	s.respond("200", "of ann")
	m := w.stored()
	if s := read("ann", cookie); string(s.reply) != "of ann" {
		t.Errorf("she gets %q", s.reply)
	}
	for _, s := range []*fakeStream{read("", cookie), read("ann"), read("ben", cookie)} {
		if s.status != 0 {
			t.Errorf("%v gets %q", s.request, s.reply)
		}
	}
	for user, with := range map[string][][2]string{"ann": nil, "": {cookie}} {
		s := w.stream("POST", "/messages", user, with...)
		s.exchange.RequestHeaders(true)
		suspended, err := wire.DecodeSuspendRequest(w.take(wire.PathSuspend).frame)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(suspended.Groups, func(g string) bool { return slices.Contains(groupsOf(t, m), g) }) {
			t.Errorf("a write with %v suspends %q, what was read belongs to %q", s.request, suspended.Groups, groupsOf(t, m))
		}
		if s := read("ann", cookie); s.status != 0 {
			t.Error("answered from L1 while a write with one of the credentials is under way")
		}
		w.calls = nil
	}
}

// A response that varies on a credential is stored where the key has it, or its absence.
func TestVaryOnCredentials(t *testing.T) {
	token := [2]string{"x-token", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln"} // {"sub":"x"}
	cookie := [2]string{"cookie", "sid=x"}
	for _, test := range []struct {
		vary, user string
		fields     [][2]string
		stored     bool
	}{
		{"authorization", "ann", [][2]string{cookie}, true},
		{"authorization", "", [][2]string{cookie}, true},
		{"authorization, x-token", "ann", [][2]string{cookie, token}, true},
		{"x-token", "", [][2]string{cookie, token}, true},
		{"cookie", "ann", [][2]string{cookie}, false}, // others may be in it
	} {
		w := newWorld(t, severalSources...)
		w.lease()
		s := w.stream("GET", "/stats", test.user, test.fields...)
		s.exchange.RequestHeaders(true)
		w.take(wire.PathLookup).miss(1)
		s.respond("200", "one", [2]string{"vary", test.vary})
		if stored := strings.HasSuffix(s.cacheStatus(), "; stored"); stored != test.stored {
			t.Errorf("vary: %s, to %v: %s", test.vary, s.request, s.cacheStatus())
		}
	}
	// Tokens without the claim are told apart, too.
	w := newWorld(t, severalSources...)
	w.lease()
	read := func(token string) *fakeStream {
		s := w.stream("GET", "/stats", "ann", [2]string{"x-token", token})
		s.exchange.RequestHeaders(true)
		return s
	}
	s := read("opaque")
	w.take(wire.PathLookup).miss(1)
	s.respond("200", "one", [2]string{"vary", "x-token"})
	if s := read("another"); s.status != 0 {
		t.Errorf("another token gets %q", s.reply)
	}
	// And so are those that don't count, since they say no more than what was verified.
	w = newWorld(t, severalSources[0], `"identity": [{"jwt_authn_claim": "sub"}, {"jwt_claim": "sub", "header": "x-token", "unverified": true}]`)
	w.lease()
	for i, claims := range []string{"eyJzdWIiOiJ4In0", "eyJzdWIiOiJ4IiwiYSI6MX0"} { // {"sub":"x"} and {"sub":"x","a":1}
		s := w.stream("GET", "/stats", "", [2]string{"x-token", "eyJhbGciOiJub25lIn0." + claims + ".c2ln"})
		s.properties["metadata.filter_metadata.envoy.filters.http.jwt_authn.jwt_payload.sub"] = []byte("x")
		if s.exchange.RequestHeaders(true); s.status != 0 {
			t.Errorf("token %d gets %q, %s", i, s.reply, s.cacheStatus())
			continue
		}
		w.take(wire.PathLookup).miss(1)
		s.respond("200", "one", [2]string{"vary", "x-token"})
		s.wants("chatcache; fwd=uri-miss; stored")
	}
}

// A verified claim may be of a token that isn't the client's own: a page of somebody else's has asked for /stats?access_token=…, the browser
// has added the cookie, and jwt_authn has taken the token away. Whoever owns it doesn't get what the cookie got.
func TestVerifiedClaimOfAnother(t *testing.T) {
	token := "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln" // {"sub":"x"}
	victim, fresh := [2]string{"cookie", "sid=victim"}, [2]string{"cache-control", "max-age=60"}
	var w *world
	begin := func() {
		w = newWorld(t, `"identity": [{"header": "authorization"}]`, `"identity": [{"jwt_authn_claim": "sub"}, {"cookie": "sid"}, {"header": "authorization"}]`)
		w.lease()
	}
	read := func(user string, extra ...[2]string) *fakeStream {
		s := w.stream("GET", "/stats", user, extra...)
		s.properties["metadata.filter_metadata.envoy.filters.http.jwt_authn.jwt_payload.sub"] = []byte("x")
		s.exchange.RequestHeaders(true)
		return s
	}
	answer := func(s *fakeStream, body string, field [2]string) string {
		w.take(wire.PathLookup).miss(1)
		s.respond("200", body, field)
		return s.cacheStatus()
	}
	for user, field := range map[string][2]string{"": fresh, "basic": fresh, "digest": {"vary", "authorization"}} {
		begin()
		if got := answer(read(user, victim), "the victim's", field); got != "chatcache; fwd=uri-miss; stored" {
			t.Errorf("with %q: %s", user, got)
		}
		for _, s := range []*fakeStream{read(""), read(token), read(token, [2]string{"cookie", "sid=x"})} {
			if s.status != 0 {
				t.Errorf("%v gets %q", s.request, s.reply)
			}
		}
	}
	begin()
	answer(read(token), "of x", fresh)
	if s := read(""); string(s.reply) != "of x" {
		t.Errorf("another request of the same subject gets %q", s.reply)
	}
	begin() // the token isn't part of the key, so nothing that varies on it is stored
	if got := answer(read(token), "of x", [2]string{"vary", "authorization"}); got != "chatcache; fwd=uri-miss; detail=vary" {
		t.Errorf("what varies on the token: %s", got)
	}
}

// jwt_authn takes Authorization away from requests: what the origin answered to a verified subject is for all only if it says so (RFC 9111
// section 3.5).
func TestAuthorizationThatWasTakenAway(t *testing.T) {
	const claims = `"identity": [{"jwt_authn_claim": "sub"}]`
	for _, test := range []struct{ identity, subject, control, want string }{
		{claims, "x", "max-age=60", "chatcache; fwd=uri-miss; detail=authorization"},
		{claims, "x", "max-age=60, public", "chatcache; fwd=uri-miss; stored"},
		{claims, "", "max-age=60", "chatcache; fwd=uri-miss; stored"},
		{`"identity": [{"cookie": "sid"}]`, "x", "max-age=60", "chatcache; fwd=uri-miss; stored"},
	} {
		w := newWorld(t, `"identity": [{"header": "authorization"}]`, test.identity)
		s := w.stream("GET", "/pages/1", "", [2]string{"cookie", "sid=x"})
		s.properties["metadata.filter_metadata.envoy.filters.http.jwt_authn.jwt_payload.sub"] = []byte(test.subject)
		s.exchange.RequestHeaders(true)
		w.take(wire.PathLookup).miss(1)
		s.respond("200", "of x", maxAge(test.control))
		s.wants(test.want)
	}
}

// A read whose identity is the connection's, too, validates by itself: the loopback has another one.
func TestRefreshWithAPropertyBesideTheHeader(t *testing.T) {
	for _, connected := range []bool{false, true} {
		w := newWorld(t, `"identity": [{"header": "authorization"}]`, `"identity": [{"header": "authorization"}, {"property": ["connection", "id"]}]`,
			`"host": {`, `"host": {"loopback_cluster": "self", `, `"stats":  {"match": ["GET /stats"], "ttl": "600s"}`,
			`"stats":  {"match": ["GET /stats"], "ttl": "600s", "stale_while_revalidate": "600s"}`)
		read := func() *fakeStream {
			s := w.stream("GET", "/stats", "ann")
			if connected {
				s.properties["connection.id"] = []byte("7")
			}
			s.exchange.RequestHeaders(true)
			return s
		}
		s := read()
		w.take(wire.PathLookup).miss(1)
		s.respond("200", "one", tagged)
		m := w.stored()
		read()
		w.finds(m, 700*time.Second)
		w.run()
		if refreshed := len(w.fetched) > 0; refreshed == connected {
			t.Errorf("connection's identity %t: refreshed %t", connected, refreshed)
		}
	}
}

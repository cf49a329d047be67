package mesh

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chatcache/redisbridge"
)

func whole(w http.ResponseWriter, body string) {
	w.Header().Set("content-length", fmt.Sprint(len(body)))
	io.WriteString(w, body)
}

const twoCredentials = `{"version": 1, "name": "chat-api", "identity": [{"cookie": "session"}, {"header": "authorization"}],
	"bridge": {"cluster": "redis-bridge", "timeout": "1s"},
	"caches": {"me": {"match": ["GET /me"], "ttl": "300s"}},
	"invalidations": [{"name": "save", "match": ["PUT /me"], "invalidate": ["me"]}]}`

// mailboxes is an origin that goes by the token, and without one by the cookie; each write makes all of them newer.
func mailboxes() http.HandlerFunc {
	var version atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			version.Add(1)
		}
		who := strings.TrimPrefix(r.Header.Get("authorization"), "Bearer ")
		if cookie, err := r.Cookie("session"); err == nil && who == "" {
			who = "cookie " + cookie.Value
		}
		whole(w, fmt.Sprintf("mailbox of %s, %d", who, version.Load()))
	}
}

var session = [][2]string{{"cookie", "session=planted"}}

// Whoever makes a victim send a cookie that isn't its own doesn't get, with that cookie, what was stored for the
// victim's token, nor does the victim get what was stored for the cookie.
func TestPlantedCredential(t *testing.T) {
	m := ofOrigin(t, twoCredentials, mailboxes())
	get := func(proxy int, user string, fields [][2]string) Response {
		defer m.clock.Advance(time.Second)
		return m.Do(proxy, Request{Method: "GET", Path: "/me", User: user, Fields: fields})
	}
	get(0, "victim", session)
	for proxy := range Proxies {
		for _, test := range []struct {
			who, user string
			fields    [][2]string
			want      string
		}{
			{"the attacker", "", session, "mailbox of cookie planted, 0"},
			{"another user with the cookie", "other", session, "mailbox of other, 0"},
			{"the victim without the cookie", "victim", nil, "mailbox of victim, 0"},
			{"the victim", "victim", session, "mailbox of victim, 0"},
		} {
			if r := get(proxy, test.user, test.fields); r.Body != test.want {
				t.Errorf("%s got %v, want %q", test.who, r, test.want)
			}
		}
	}
	if r := get(1, "victim", session); !r.Hit() {
		t.Errorf("the victim's own second read: %v, want a hit", r)
	}
}

// A write with some of a user's credentials invalidates what was read with others beside them, wherever that is stored, and
// so does one that the bridge is told of.
func TestWriteWithOtherCredentials(t *testing.T) {
	for _, test := range []struct {
		name           string
		readAs, writes string
		read, write    [][2]string
	}{
		{"read with both, written with the token", "ann", "ann", session, nil},
		{"read with both, written with the cookie", "ann", "", session, session},
		{"read with the token, written with both", "ann", "ann", nil, session},
		{"read with the cookie, written with both", "", "ann", session, session},
		{"read and written with both", "ann", "ann", session, session},
	} {
		for _, told := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, told %t", test.name, told), func(t *testing.T) {
				m := ofOrigin(t, twoCredentials, mailboxes())
				get := func(proxy int) Response {
					defer m.clock.Advance(time.Second)
					return m.Do(proxy, Request{Method: "GET", Path: "/me", User: test.readAs, Fields: test.read})
				}
				for proxy := range Proxies {
					for range 2 * Workers { // each of them has it in its memory
						get(proxy)
					}
				}
				if told {
					identity := &redisbridge.Identity{}
					if test.writes != "" {
						identity.Header = map[string]string{"authorization": "Bearer " + test.writes}
					}
					if test.write != nil {
						identity.Cookie = map[string]string{"session": "planted"}
					}
					if _, err := m.bridge.Invalidate(context.Background(), redisbridge.InvalidateRequest{Rule: "save", Identity: identity}); err != nil {
						t.Fatal(err)
					}
				} else {
					m.Do(0, Request{Method: "PUT", Path: "/me", User: test.writes, Fields: test.write, Body: "{}"})
				}
				m.clock.Advance(time.Second)
				if r := get(1); r.Hit() {
					t.Errorf("after the write the read gets %v", r)
				}
			})
		}
	}
}

// What is purged is the partition that an entry's key in Redis names, of however many credentials.
func TestPurgeOfTheKeysPartition(t *testing.T) {
	m := ofOrigin(t, twoCredentials, mailboxes())
	get := Request{Method: "GET", Path: "/me", User: "ann", Fields: session}
	m.Do(0, get)
	m.clock.Advance(time.Second)
	partition := ""
	for key := range m.Keys() {
		if rest, found := strings.CutPrefix(key, "me:chat-api:{"); found {
			partition, _, _ = strings.Cut(rest, "}")
		}
	}
	if r := m.Do(1, get); !r.Hit() {
		t.Fatalf("before the purge: %v, want a hit", r)
	}
	m.Purge("me", partition)
	m.clock.Advance(time.Second)
	if r := m.Do(1, get); r.Hit() {
		t.Errorf("after the purge of %q: %v", partition, r)
	}
}

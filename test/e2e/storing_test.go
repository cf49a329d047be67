package e2e

import (
	"regexp"
	"strings"
	"testing"

	"chatcache/test/chatapi"
	"chatcache/test/mesh"
)

// What must not be stored is not stored, and the response says why.
func TestWhatIsNeverStored(t *testing.T) {
	mesh.Each(t, mesh.Options{}, func(t *testing.T, m mesh.Mesh) {
		for _, test := range []struct {
			name   string
			fault  chatapi.Fault
			status string
		}{
			{"truncated", chatapi.Fault{Kind: chatapi.FaultTruncate}, "chatcache; fwd=uri-miss; stored"},
			{"truncated chunks", chatapi.Fault{Kind: chatapi.FaultTruncateChunks}, "chatcache; fwd=uri-miss; stored"},
			{"reset", chatapi.Fault{Kind: chatapi.FaultReset}, "chatcache; fwd=uri-miss; stored"},
			{"refused", chatapi.Fault{Kind: chatapi.FaultRefuse}, "chatcache; fwd=uri-miss; detail=status"},
			{"close-delimited", chatapi.Fault{Kind: chatapi.FaultCloseDelimited}, "chatcache; fwd=uri-miss; detail=close-delimited"},
			{"404", chatapi.Fault{Kind: chatapi.FaultStatus, N: 404}, "chatcache; fwd=uri-miss; detail=status"},
			{"500", chatapi.Fault{Kind: chatapi.FaultStatus, N: 500}, "chatcache; fwd=uri-miss; detail=status"},
			{"set-cookie", chatapi.Fault{Kind: chatapi.FaultSetCookie}, "chatcache; fwd=uri-miss; detail=set-cookie"},
			{"no-store", chatapi.Fault{Kind: chatapi.FaultNoStore}, "chatcache; fwd=uri-miss; detail=no-store"},
			{"too large", chatapi.Fault{Kind: chatapi.FaultBig, N: 2 << 20}, "chatcache; fwd=uri-miss; detail=too-large"},
		} {
			m.Origin().SetFault("GET /api/chat/stats", test.fault)
			for i := range 4 {
				got := m.Do(i%mesh.Proxies, readStats.as("ann"))
				if got.Hit() {
					t.Errorf("%s: %v", test.name, got)
				}
				// A cut response is noticed only after its header section, which says "stored"; and a read that
				// comes before the filters have noticed waits for that fetch, in vain.
				status := strings.Replace(got.CacheStatus(), "; collapsed=?0", "", 1)
				if status != test.status && status != "" {
					t.Errorf("%s: %v, want %s", test.name, got, test.status)
				}
			}
			for key := range m.Keys() {
				if strings.HasPrefix(key, "stats:") {
					t.Errorf("%s: stored as %s", test.name, key)
				}
			}
		}
		m.Origin().SetFault("GET /api/chat/stats", chatapi.Fault{})
		wantStored(t, "healthy again", m.Do(0, readStats.as("ann")))
	})
}

// A response that depends on a field of the request answers requests with the same value of it, on whatever
// worker, and no others.
func TestVariants(t *testing.T) {
	mesh.Each(t, mesh.Options{}, func(t *testing.T, m mesh.Mesh) {
		m.Origin().SetFault("GET /api/chat/stats", chatapi.Fault{Kind: chatapi.FaultVary})
		made := map[int64]string{} // by serial: the language that the origin was asked for
		for round := range 4 {
			for i := range 4 * mesh.Proxies {
				for _, language := range []string{"en", "de"} {
					r := readStats.as("ann")
					r.Fields = [][2]string{{"accept-language", language}}
					got := m.Do(i%mesh.Proxies, r)
					if before, known := made[got.Serial()]; known && before != language {
						t.Fatalf("%s is answered with what was made for %s: %v", language, before, got)
					}
					made[got.Serial()] = language
					if round == 3 {
						wantHit(t, language, got)
					}
				}
			}
			m.Settle()
		}
	})
}

// Cache-Control: private may be stored in a partition, and nowhere else.
func TestPrivateResponses(t *testing.T) {
	mesh.Each(t, mesh.Options{}, func(t *testing.T, m mesh.Mesh) {
		private := chatapi.Fault{Kind: chatapi.FaultPrivate}
		m.Origin().SetFault("GET /api/chat/stats", private)
		m.Origin().SetFault("GET /api/models", private)
		wantStored(t, "in a partition", m.Do(0, readStats.as("ann")))
		if got := m.Do(0, mesh.Request{Method: "GET", Path: "/api/models"}); got.CacheStatus() != "chatcache; fwd=uri-miss; detail=private" {
			t.Errorf("in a shared cache: %v", got)
		}
	})
}

func TestRequestsThatBypass(t *testing.T) {
	mesh.Each(t, mesh.Options{}, func(t *testing.T, m mesh.Mesh) {
		warm(t, m, "ann")
		for _, test := range []struct{ method, field, value, reason string }{
			{"GET", "if-match", `"x"`, "conditional"},
			{"GET", "cache-control", "no-cache", "request-no-cache"},
		} {
			r := readStats.as("ann")
			r.Method, r.Fields = test.method, [][2]string{{test.field, test.value}}
			if got := m.Do(0, r); got.CacheStatus() != "chatcache; fwd=bypass; detail="+test.reason {
				t.Errorf("%s with %s: %v", test.method, test.field, got)
			}
		}
		if got := m.Do(0, mesh.Request{Method: "GET", Path: "/api/chat/sessions/s1/messages", User: "ann"}); got.CacheStatus() != "" {
			t.Errorf("no rule matches, but: %v", got)
		}
	})
}

// ttl "0s" turns a cache off, for reading and for storing.
func TestTTLZero(t *testing.T) {
	off := func(document map[string]any) {
		document["caches"].(map[string]any)["stats"].(map[string]any)["ttl"] = "0s"
	}
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, off)}, func(t *testing.T, m mesh.Mesh) {
		for range 3 {
			if got := m.Do(0, readStats.as("ann")); got.Status != 200 || got.CacheStatus() != "chatcache; fwd=bypass; detail=off" {
				t.Errorf("%v", got)
			}
		}
		for key := range m.Keys() {
			if strings.HasPrefix(key, "stats:") {
				t.Errorf("stored as %s", key)
			}
		}
	})
}

// Keys tell a person something; no credential is in keys, in logs, or in Redis at all.
func TestSecrecyAndReadableKeys(t *testing.T) {
	mesh.Each(t, mesh.Options{}, func(t *testing.T, m mesh.Mesh) {
		const token, query = "s3cr3t-t0ken-of-ann", "n0t-for-keys"
		for _, r := range reads {
			m.Do(0, r.as(token))
		}
		m.Do(0, mesh.Request{Method: "GET", Path: "/api/chat/search?q=" + query, User: token})
		m.Do(0, mesh.Request{Method: "POST", Path: "/api/chat/sessions", User: token, Body: `{"title":"x"}`})
		m.Settle()
		readable := regexp.MustCompile(`^stats:chat-api:\{[0-9a-f]{32}\}:GET /api/chat/stats:`)
		found := false
		for key, value := range m.Keys() {
			ours, _, _ := strings.Cut(value, "{") // the body behind it is the origin's: this one names its user
			if strings.Contains(key, token) || strings.Contains(ours, token) {
				t.Errorf("the credential is in Redis, under %q", key)
			}
			if strings.Contains(key, query) {
				t.Errorf("a query is in the key %q", key)
			}
			found = found || readable.MatchString(key) && strings.HasPrefix(value, "chatcache1 epoch=")
		}
		if !found {
			t.Errorf("no readable entry of stats among %d keys", len(m.Keys()))
		}
		if logs := m.Logs(); strings.Contains(logs, token) {
			t.Error("the credential is in the logs")
		}
	})
}

// A bad policy is refused with the whole list of errors, and the previous one stays in force.
func TestBadPolicyIsRefusedWhole(t *testing.T) {
	bad := func(document map[string]any) {
		document["caches"].(map[string]any)["stats"].(map[string]any)["ttl"] = "600"
		document["invalidations"].([]any)[0].(map[string]any)["invalidate"] = []any{"stat"}
		document["surprise"] = true
	}
	mesh.Each(t, mesh.Options{}, func(t *testing.T, m mesh.Mesh) {
		warm(t, m, "ann")
		reasons := m.Refused(mesh.ChatPolicy(t, bad))
		for _, want := range []string{"/caches/stats/ttl", "/invalidations/0/invalidate/0", "create session", "/surprise"} {
			if !strings.Contains(reasons, want) {
				t.Errorf("%q is not among the reasons:\n%.2000s", want, reasons)
			}
		}
		wantHit(t, "by the previous policy", m.Do(0, readStats.as("ann")))
	})
}

// A change of policy keeps what is stored, and no request fails meanwhile.
func TestChangeOfPolicy(t *testing.T) {
	off := func(document map[string]any) {
		document["caches"].(map[string]any)["activity"].(map[string]any)["ttl"] = "0s"
	}
	mesh.Each(t, mesh.Options{}, func(t *testing.T, m mesh.Mesh) {
		warm(t, m, "ann")
		m.Reconfigure(mesh.ChatPolicy(t, off))
		for _, r := range reads {
			for i := range 4 * mesh.Proxies {
				got := m.Do(i%mesh.Proxies, r.as("ann"))
				switch {
				case r.cache != "activity":
					wantHit(t, r, got)
				case got.CacheStatus() != "chatcache; fwd=bypass; detail=off":
					t.Errorf("%v: %v", r, got)
				}
			}
		}
		// The new plugins follow the feed and end writes.
		written := m.Do(0, saveMessage.make(m)).Serial()
		m.Settle()
		untilHeard(m, "the write", written, func(r read) bool { return r.cache == "stats" })
	})
}

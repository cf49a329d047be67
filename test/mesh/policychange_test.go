package mesh

import (
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// versionedDocuments is an origin whose documents have a version that each PUT and POST changes. Its responses belong to the
// group "docs", by a CDN's field, and those to a POST invalidate it.
func versionedDocuments() http.HandlerFunc {
	var version atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			version.Add(1)
		}
		if r.Method == http.MethodPost {
			w.Header().Set("Cache-Group-Invalidation", `"docs"`)
		}
		body := "version " + strconv.FormatInt(version.Load(), 10)
		w.Header().Set("Cache-Control", "max-age=600")
		w.Header().Set("Surrogate-Key", "docs")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		io.WriteString(w, body)
	}
}

// documents is a simulated mesh in front of versionedDocuments.
func documents(t *testing.T, document string) *simulated {
	t.Helper()
	return ofOrigin(t, document, versionedDocuments())
}

// While one proxy doesn't know yet that unsafe requests invalidate what is stored for their URIs, a write that passes it
// leaves nothing stale in the others.
func TestCanaryOfFreshnessByTheOrigin(t *testing.T) {
	policy := func(ttl string) string {
		return `{"version": 1, "name": "docs", "identity": [{"header": "authorization"}], "bridge": {"cluster": "redis-bridge", "timeout": "1s"},
			"caches": {"docs": {"match": ["GET /docs/{d}"], "ttl": "` + ttl + `"}}}`
	}
	m := documents(t, policy("1s"))
	get := Request{Method: "GET", Path: "/docs/1", User: "ann"}
	m.Do(0, get)
	m.Do(1, get)
	m.Reconfigure(policy("origin"), 1)
	for range 3 { // time for the canary to drain what it had before, and to store the document
		m.clock.Advance(10 * time.Second)
		m.Do(1, get)
	}
	m.Do(0, Request{Method: "PUT", Path: "/docs/1", User: "ann", Body: "{}"})
	m.clock.Advance(20 * time.Second)
	if after := m.Do(1, get); after.Body != "version 1" {
		t.Errorf("20 s after a write: %v, want version 1", after)
	}
	m.Reconfigure(policy("origin"), 0)
	m.Until(time.Minute, "both know it, and documents are hit again", func() bool { return m.Do(1, get).Hit() })
}

// What was stored before the policy had group_headers isn't used with them: it belongs to none of the groups that writes then invalidate.
func TestGroupHeadersAreAdded(t *testing.T) {
	policy := func(fields string) string {
		return `{"version": 1, "name": "docs", ` + fields + `"bridge": {"cluster": "redis-bridge", "timeout": "1s"},
			"caches": {"docs": {"match": ["GET /docs/{d}"], "ttl": "600s", "shared": true}, "list": {"match": ["GET /docs"], "ttl": "600s", "shared": true}},
			"invalidations": [{"name": "save", "match": ["POST /docs"], "invalidate": ["list"]}]}`
	}
	m := documents(t, policy(""))
	get := Request{Method: "GET", Path: "/docs/1"}
	m.Do(0, get)
	m.Do(1, get)
	m.Reconfigure(policy(`"group_headers": ["Surrogate-Key"], `))
	m.clock.Advance(10 * time.Second)
	m.Do(0, get)
	m.Do(0, Request{Method: "POST", Path: "/docs", Body: "{}"})
	m.clock.Advance(10 * time.Second)
	for proxy := range Proxies {
		if after := m.Do(proxy, get); after.Body != "version 1" {
			t.Errorf("proxy %d, 10 s after a write that named the group: %v, want version 1", proxy, after)
		}
	}
}

// While one proxy doesn't know yet what its writes' responses invalidate by naming a group, a write that passes it leaves nothing stale
// in the others.
func TestCanaryOfNamedGroups(t *testing.T) {
	policy := func(docs, rules string) string {
		return `{"version": 1, "name": "docs", "group_headers": ["Surrogate-Key"], "bridge": {"cluster": "redis-bridge", "timeout": "1s"},
			"caches": {"docs": {"match": ["GET /docs/{d}"], "ttl": "600s", "shared": true` + docs + `}, "list": {"match": ["GET /docs"], "ttl": "600s", "shared": true}},
			"invalidations": [{"name": "save", "match": ["POST /docs` + rules + `"], "invalidate": ["list"]}]}`
	}
	for name, test := range map[string]struct{ before, after, write string }{
		"a rule is added":                  {policy("", ""), policy("", `", "POST /docs/{d}`), "/docs/1"},
		"responses are of every authority": {policy("", ""), policy(`, "authority": "ignore"`, ""), "/docs"},
	} {
		t.Run(name, func(t *testing.T) {
			m := documents(t, test.before)
			get := Request{Method: "GET", Path: "/docs/1"}
			m.Do(0, get)
			m.Do(1, get)
			m.Reconfigure(test.after, 1)
			for range 3 { // time for the canary to drain what it had before, and to store the document
				m.clock.Advance(10 * time.Second)
				m.Do(1, get)
			}
			m.Do(0, Request{Method: "POST", Path: test.write, Body: "{}"})
			m.clock.Advance(20 * time.Second)
			if after := m.Do(1, get); after.Body != "version 1" {
				t.Errorf("20 s after a write: %v, want version 1", after)
			}
			m.Reconfigure(test.after, 0)
			m.Until(time.Minute, "both know it, and documents are hit again", func() bool { return m.Do(1, get).Hit() })
		})
	}
}

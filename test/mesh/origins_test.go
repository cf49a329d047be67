package mesh

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// to sends a request by a scheme to an authority, through the first worker of a proxy.
func (m *simulated) to(proxy int, method, scheme, authority, path string, fields ...[2]string) Response {
	defer m.clock.Advance(time.Second)
	r := m.request(Request{Method: method, Path: path, Fields: fields})
	r.Scheme, r.Authority = scheme, authority
	return m.response(m.proxies[proxy].Do(1, r))
}

// An origin that leads from http to https is not asked by one, and answered to the other (RFC 9111 section 2).
func TestSchemesAreApart(t *testing.T) {
	m := ofOrigin(t, `{"version": 1, "name": "chat-api", "bridge": {"cluster": "redis-bridge", "timeout": "1s"},
		"caches": {"docs": {"match": ["GET /docs/{d}"], "ttl": "origin", "shared": true}}}`,
		func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("cache-control", "public, max-age=3600")
			if r.Header.Get("x-forwarded-proto") == "http" {
				w.Header().Set("location", "https://chat.test"+r.URL.RequestURI())
				w.Header().Set("content-length", "0")
				w.WriteHeader(http.StatusMovedPermanently)
				return
			}
			whole(w, "the document")
		})
	for _, hit := range []bool{false, true} {
		for proxy := range Proxies {
			for scheme, status := range map[string]int{"http": 301, "https": 200} {
				r := m.to(proxy, "GET", scheme, "chat.test", "/docs/1")
				if r.Status != status || hit && !r.Hit() {
					t.Errorf("proxy %d by %s: %v, want %d, a hit: %t", proxy, scheme, r, status, hit)
				}
			}
		}
	}
	// A write by one of them invalidates both.
	m.to(0, "PUT", "https", "chat.test", "/docs/1")
	for _, scheme := range []string{"http", "https"} {
		if r := m.to(1, "GET", scheme, "chat.test", "/docs/1"); r.Hit() {
			t.Errorf("by %s after a write: %v", scheme, r)
		}
	}
}

// Through a listener without TLS no request of the proxy's own is one by https: what is stale is validated by the request that finds it, and the
// origin isn't asked for another one.
func TestRefreshByAnotherScheme(t *testing.T) {
	asked := map[string]int{}
	m := ofOrigin(t, `{"version": 1, "name": "chat-api", "bridge": {"cluster": "redis-bridge", "timeout": "1s"}, "host": {"loopback_cluster": "`+Loopback+`"},
		"caches": {"docs": {"match": ["GET /docs/{d}"], "ttl": "1s", "shared": true, "stale_while_revalidate": "600s"}}}`,
		func(w http.ResponseWriter, r *http.Request) {
			asked[r.Header.Get("x-forwarded-proto")]++
			w.Header().Set("etag", `"a"`)
			whole(w, "by "+r.Header.Get("x-forwarded-proto"))
		})
	for i := range 10 {
		if r := m.to(i%Proxies, "GET", "https", "chat.test", "/docs/1"); r.Body != "by https" {
			t.Errorf("read %d: %v", i, r)
		}
		m.clock.Advance(3 * time.Second)
	}
	if asked["http"] > 0 || asked["https"] < 2 || m.Sum(".refresh_failures") == 0 {
		t.Errorf("the origin was asked %v, %d refreshes failed", asked, m.Sum(".refresh_failures"))
	}
}

// docs answers with the number of writes so far, and names the group of all of them.
func docs() http.HandlerFunc {
	var version atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			version.Add(1)
			w.Header().Set("cache-group-invalidation", `"docs"`)
		}
		w.Header().Set("cache-control", "public, max-age=3600")
		w.Header().Set("cache-groups", `"docs"`)
		whole(w, fmt.Sprint("version ", version.Load()))
	}
}

// A write invalidates what was read from its authority, whichever way either writes it: its URI, and the groups that the
// response names. That of another authority it leaves alone.
func TestAuthorityWrittenAnotherWay(t *testing.T) {
	for _, test := range []struct {
		reads, writes, path string
		reached             bool
	}{
		{"chat.test", "chat.test:80", "/docs/1", true},
		{"chat.test:80", "Chat.Test", "/docs/1", true},
		{"chat.test", "chat.test.", "/docs/2", true},
		{"chat.test:443", "chat.test:80", "/docs/2", true},
		{"chat.test", "chat.test:8080", "/docs/1", false},
		{"chat.test", "other.test", "/docs/2", false},
	} {
		m := ofOrigin(t, `{"version": 1, "name": "chat-api", "bridge": {"cluster": "redis-bridge", "timeout": "1s"},
			"caches": {"docs": {"match": ["GET /docs/{d}"], "ttl": "origin", "shared": true}}}`, docs())
		for proxy := range Proxies {
			m.to(proxy, "GET", "http", test.reads, "/docs/1")
			if r := m.to(proxy, "GET", "http", test.reads, "/docs/1"); !r.Hit() {
				t.Errorf("%+v: before the write %v, want a hit", test, r)
			}
		}
		m.to(0, "PUT", "http", test.writes, test.path)
		for proxy := range Proxies {
			if r := m.to(proxy, "GET", "http", test.reads, "/docs/1"); (r.Body == "version 1") != test.reached {
				t.Errorf("%+v: after the write %v", test, r)
			}
		}
	}
}

// What is stored for every authority is invalidated by the groups that any authority's response names.
func TestGroupsOfACacheOfAnyAuthority(t *testing.T) {
	m := ofOrigin(t, `{"version": 1, "name": "chat-api", "bridge": {"cluster": "redis-bridge", "timeout": "1s"},
		"caches": {"docs": {"match": ["GET /docs/{d}"], "ttl": "300s", "shared": true, "authority": "ignore"}, "other": {"match": ["GET /other"], "ttl": "60s", "shared": true}},
		"invalidations": [{"name": "save", "match": ["PUT /docs/{d}"], "invalidate": ["other"]}]}`, docs())
	m.to(0, "GET", "http", "a.test", "/docs/1")
	for proxy := range Proxies {
		if r := m.to(proxy, "GET", "https", "b.test", "/docs/1"); !r.Hit() {
			t.Errorf("before the write %v, want a hit", r)
		}
	}
	m.to(0, "PUT", "http", "b.test", "/docs/2")
	for proxy := range Proxies {
		for _, authority := range []string{"a.test", "b.test", "c.test"} {
			if r := m.to(proxy, "GET", "http", authority, "/docs/1"); r.Body != "version 1" {
				t.Errorf("%s after the write: %v", authority, r)
			}
		}
	}
}

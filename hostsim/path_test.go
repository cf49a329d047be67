package hostsim_test

import (
	"fmt"
	"strings"
	"testing"

	"chatcache/hostsim"
)

func TestPathsAreNormalised(t *testing.T) {
	const asIs = ""
	for _, c := range []struct{ path, plain, normal string }{
		{"/a/../b?c=/../d", asIs, "/b?c=/../d"},
		{"/a//b", asIs, "/a/b"},
		{"/a/%2e%2E/b", asIs, "/b"},
		{`/a\b`, asIs, "/a/b"},
		{"/%61%2f", asIs, "/a%2f"},
		{"/../..", asIs, "/"},
		{"/a/...", asIs, asIs},
	} {
		for _, normalize := range []bool{false, true} {
			s := probe(t, func(o *hostsim.Options) { o.NormalizePath, o.MergeSlashes = normalize, normalize })
			want := c.plain
			if normalize {
				want = c.normal
			}
			if want == asIs {
				want = c.path
			}
			resp := s.Do(1, hostsim.Get(c.path, "x-on-quiet", "1", "x-on-request-headers", "header request :path; reply 200"))
			if resp.Status != 200 || !logged(s, fmt.Sprintf("header :path = %q", want)) {
				t.Errorf("%s, normalised %v: %v, want %s", c.path, normalize, s.Logs(), want)
			}
		}
	}
}

func TestAPathThatIsRefusedIsSeenByNoFilter(t *testing.T) {
	s := probe(t, func(o *hostsim.Options) { o.NormalizePath = true })
	for _, path := range []string{"/a#b", "/%00", "a", `\a`, "/é", ""} {
		resp := s.Do(1, hostsim.Get(path))
		if resp.Status != 400 || logged(s, "request-headers end=true") {
			t.Errorf("%s: %+v, %v", path, resp, s.Logs())
		}
	}
}

func TestAnUpgradeIsRefusedAndSeenByNoFilter(t *testing.T) {
	for _, c := range []struct {
		fields []string
		status int
	}{
		{[]string{"Connection", "keep-alive, Upgrade", "Upgrade", "websocket"}, 403},
		{[]string{"connection", "upgrade", "upgrade", ""}, 403},
		{[]string{"connection", "upgrade, http2-settings", "upgrade", "h2c", "http2-settings", "AAMA"}, 200},
		{[]string{"upgrade", "websocket"}, 200},
		{[]string{"connection", "upgrade"}, 200},
	} {
		s := probe(t, nil)
		resp := s.Do(1, hostsim.Get("/x", append(c.fields, "x-on-request-headers", "header request upgrade; header request http2-settings")...))
		if resp.Status != c.status || logged(s, "request-headers end=true") != (c.status == 200) {
			t.Errorf("%q: %+v, %v", c.fields, resp, s.Logs())
		}
		if c.status == 403 && resp.Details != "upgrade_failed" {
			t.Errorf("%q: details %q", c.fields, resp.Details)
		}
		for _, l := range s.Logs() {
			if strings.HasPrefix(l.Message, "header upgrade =") || strings.HasPrefix(l.Message, "header http2-settings =") {
				t.Errorf("%q: the module sees it: %s", c.fields, l.Message)
			}
		}
	}
}

// A proxy that clients reach first takes neither their word for the scheme nor for the client before them.
func TestWhatTellsOfAProxyInFront(t *testing.T) {
	for _, first := range []bool{false, true} {
		s := probe(t, func(o *hostsim.Options) { o.UseRemoteAddress = first })
		s.Do(1, hostsim.Get("/", "x-on-quiet", "1", "x-forwarded-proto", "https", "x-forwarded-for", "1.2.3.4",
			"x-on-request-headers", "header request :scheme; prop source.address; reply 200"))
		scheme, source := "https", "1.2.3.4:0"
		if first {
			scheme, source = "http", "127.0.0.1:40000"
		}
		if !logged(s, fmt.Sprintf("header :scheme = %q", scheme)) || !logged(s, fmt.Sprintf("prop source.address = %q", source)) {
			t.Errorf("first %t: %v, want %s and %s", first, s.Logs(), scheme, source)
		}
	}
}

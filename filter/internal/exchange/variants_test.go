package exchange

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"
)

func (w *world) language(value string) *fakeStream {
	if value == "" {
		return w.page()
	}
	return w.page([2]string{"accept-language", value})
}

// Each variant of a response is stored and answers its own requests, and no others.
func TestVariants(t *testing.T) {
	w := newWorld(t)
	w.lease()
	vary := [2]string{"vary", "Accept-Language"}
	for _, language := range []string{"en", "de", ""} {
		s := w.language(language)
		if s.status != 0 {
			t.Fatalf("%q is answered with another variant", language)
		}
		w.take(wire.PathLookup).miss(1)
		s.respond("200", "in "+language, maxAge("max-age=60"), vary)
		s.wants("chatcache; fwd=uri-miss; stored")
	}
	for _, language := range []string{"en", "de", ""} {
		s := w.language(language)
		if string(s.reply) != "in "+language {
			t.Errorf("%q is answered %q", language, s.reply)
		}
	}
}

// Variants whose digests begin alike share a key, and no response.
func TestVariantsThatShareAKey(t *testing.T) {
	digest := func(language string) [16]byte {
		return httpcache.Fields{{"accept-language", language}}.Variant([]string{"accept-language"})
	}
	like := ""
	for i := 0; like == ""; i++ {
		if other := fmt.Sprint("x-", i); digest(other)[0] == digest("en")[0] {
			like = other
		}
	}
	w := newWorld(t)
	w.lease()
	for _, language := range []string{"en", like, "en"} {
		s := w.language(language)
		if s.status != 0 {
			t.Fatalf("%q is answered with another variant: %q", language, s.reply)
		}
		w.take(wire.PathLookup).miss(1)
		s.respond("200", "in "+language, maxAge("max-age=60"), [2]string{"vary", "Accept-Language"})
		if again := w.language(language); string(again.reply) != "in "+language {
			t.Errorf("%q is answered %q", language, again.reply)
		}
	}
}

// Whoever has kept a read's key, as an upload does, keeps that key when the read comes to know of another variant.
func TestKeysOfVariantsAreApart(t *testing.T) {
	w := newWorld(t)
	s := w.stream("GET", "/pages/1", "", [2]string{"x-a", "1"}, [2]string{"x-b", "2"})
	s.exchange.RequestHeaders(true)
	r := s.exchange.flow.(*read)
	r.varies([]string{"x-a"})
	before, kept := bytes.Clone(r.key), r.key
	r.varies([]string{"x-b"})
	if bytes.Equal(r.key, before) {
		t.Fatal("both variants have one key: the test needs others")
	}
	if !bytes.Equal(kept, before) {
		t.Errorf("the key became %q, was %q", kept, before)
	}
}

// Where one response has Vary and a later one has none, that one answers only requests like its own (RFC 9111 section 4.1).
func TestVariantsBesideADefault(t *testing.T) {
	w := newWorld(t)
	w.lease()
	for _, made := range []struct {
		language string
		vary     [2]string
	}{{"en", [2]string{"vary", "Accept-Language"}}, {"de", [2]string{"x-none", ""}}} {
		s := w.language(made.language)
		w.take(wire.PathLookup).miss(1)
		s.respond("200", "in "+made.language, maxAge("max-age=60"), made.vary)
	}
	for language, want := range map[string]string{"en": "in en", "de": "in de", "fr": ""} {
		if s := w.language(language); string(s.reply) != want {
			t.Errorf("%q is answered %q, want %q", language, s.reply, want)
		}
	}
}

// A VM that doesn't know of the variants learns of them by what another one has stored.
func TestVariantsThatAnotherVMHasStored(t *testing.T) {
	w := newWorld(t)
	first := w.language("en")
	w.take(wire.PathLookup).miss(1)
	first.respond("200", "in en", maxAge("max-age=60"), [2]string{"vary", "accept-language"})
	byURI, byVariant := w.stored(), w.stored()
	if byURI.Key == byVariant.Key {
		t.Fatal("stored under one key twice")
	}
	other := newWorld(t)
	s := other.language("de")
	if asked, _ := wire.DecodeLookupRequest(other.calls[len(other.calls)-1].frame); asked.Key != byURI.Key {
		t.Errorf("asked for %s", asked.Key)
	}
	other.finds(byURI, 0)
	s.respond("200", "in de", maxAge("max-age=60"), [2]string{"vary", "accept-language"})
	s.wants("chatcache; fwd=vary-miss; stored")
	if m := other.stored(); m.Key == byURI.Key || m.Key == byVariant.Key {
		t.Error("stored in place of another variant")
	}
	s = other.language("en")
	if asked, _ := wire.DecodeLookupRequest(other.calls[len(other.calls)-1].frame); asked.Key != byVariant.Key {
		t.Errorf("asked for %s, stored as %s", asked.Key, byVariant.Key)
	}
	other.finds(byVariant, 0)
	s.wants("chatcache; hit; ttl=60; detail=l2")
}

// What is found under a variant's key is compared whole: two variants may have one key.
func TestVariantThatSharesAKey(t *testing.T) {
	w := newWorld(t)
	w.cached("in en", maxAge("max-age=60"), [2]string{"vary", "accept-language"})
	byVariant := w.stored()
	s := w.language("de")
	w.finds(byVariant, 0)
	if s.status != 0 || s.resumed != 1 {
		t.Errorf("answered %q", s.reply)
	}
}

// Waiting reads of other variants go to the origin as soon as it is known that there are some.
func TestVariantsThatWaitForOneFetch(t *testing.T) {
	w := newWorld(t)
	leader := w.language("en")
	granted := wire.LookupAnswer{State: wire.LookupMiss, Granted: true, Ticket: wire.Ticket{Epoch: 9, Sequence: 1}}
	w.take(wire.PathLookup).ok(granted.Encode())
	same, other := w.language("en"), w.language("de")
	leader.respond("200", "in en", maxAge("max-age=60"), [2]string{"vary", "accept-language"})
	m := w.stored()
	w.stored()
	w.run()
	w.finds(m, 0)
	for range 3 {
		w.run()
	}
	same.wants("chatcache; fwd=uri-miss; collapsed; ttl=60; detail=l2")
	if other.resumed != 1 {
		t.Errorf("the other variant: resumed %d, reply %q", other.resumed, other.reply)
	}
}

func TestVariantsAreBounded(t *testing.T) {
	v := newVariants()
	var names []string
	for i := range 2 * maxVaryNames {
		names = append(names, fmt.Sprint("x-", i))
	}
	v.learn([]byte("key"), names)
	if got := v.of([]byte("key")); got != nil {
		t.Errorf("%d names", len(got))
	}
	for i := range 2 * maxVaried {
		v.learn(fmt.Append(nil, i), names[:1])
	}
	if len(v.names) > maxVaried {
		t.Errorf("%d keys", len(v.names))
	}
	for i := range 2 * maxVariants { // as whoever sends them wants
		v.digest(httpcache.Fields{{"x-0", fmt.Sprint(i)}}, names[:1])
	}
	if len(v.digests) > maxVariants || len(v.made) > maxVariants {
		t.Errorf("%d digests of %d variants", len(v.digests), len(v.made))
	}
	before := len(v.digests)
	v.digest(httpcache.Fields{{"x-0", strings.Repeat("x", maxVariantBytes)}}, names[:1])
	if len(v.digests) != before || cap(v.scratch) > maxVariantBytes {
		t.Errorf("a field of %d bytes is remembered, or its memory is kept: %d bytes", maxVariantBytes, cap(v.scratch))
	}
	w := newWorld(t)
	s := w.page()
	w.take(wire.PathLookup).miss(1)
	s.respond("200", "one", maxAge("max-age=60"), [2]string{"vary", "a, b, c, d, e, f, g, h, i"})
	s.wants("chatcache; fwd=uri-miss; detail=vary")
	s = newWorld(t).page()
	s.w.take(wire.PathLookup).miss(1)
	s.respond("200", "one", maxAge("max-age=60"), [2]string{"vary", strings.Repeat("a", maxVaryName+1)})
	s.wants("chatcache; fwd=uri-miss; detail=vary")
}

// Likewise where the VM's own memory has the leader's response before it is acknowledged.
func TestVariantsThatWaitWithALease(t *testing.T) {
	w := newWorld(t)
	w.lease()
	coding := func(c string) *fakeStream { return w.page([2]string{"accept-encoding", c}) }
	leader := coding("gzip")
	granted := wire.LookupAnswer{State: wire.LookupMiss, Granted: true, Ticket: wire.Ticket{Epoch: 9, Sequence: 1}}
	w.take(wire.PathLookup).ok(granted.Encode())
	other, same := coding("br"), coding("gzip")
	leader.respond("200", "zipped", maxAge("max-age=60"), [2]string{"vary", "accept-encoding"}, [2]string{"content-encoding", "gzip"})
	w.stored()
	w.stored()
	for range 3 {
		w.run()
	}
	w.none(wire.PathLookup)
	same.wants("chatcache; fwd=uri-miss; collapsed; ttl=60; detail=l1")
	if other.resumed != 1 {
		t.Errorf("the other variant: resumed %d, reply %q", other.resumed, other.reply)
	}
	other.head("200", maxAge("max-age=60"), [2]string{"vary", "accept-encoding"}, [2]string{"content-length", "0"})
	if got := other.cacheStatus(); strings.Contains(got, "bypass") {
		t.Errorf("the other variant: %s", got)
	}
}

// A cache may serve all hosts alike, and a response all the same say that it is of one.
func TestVaryHost(t *testing.T) {
	w := newWorld(t, `"match": ["GET /pages/{page}"], "ttl": "origin"`, `"match": ["GET /pages/{page}"], "authority": "ignore", "ttl": "origin"`)
	w.lease()
	s := w.page()
	w.take(wire.PathLookup).miss(1)
	s.respond("200", "of chat.test", maxAge("max-age=60"), [2]string{"vary", "host"})
	for authority, want := range map[string]uint32{"chat.test": 200, "other.test": 0} {
		other := w.stream("GET", "/pages/1", "")
		other.request[1][1] = authority
		other.exchange.RequestHeaders(true)
		if other.status != want {
			t.Errorf("%s: answered %d %q, want %d", authority, other.status, other.reply, want)
		}
	}
}

// An origin that answers to one Origin only must not have its answer to something else given to that.
func TestVaryOrigin(t *testing.T) {
	const good = "https://good.example"
	for _, forged := range [][][2]string{{{"origin", "," + good}}, {{"origin", ""}, {"origin", good}}} {
		w := newWorld(t)
		w.lease()
		s := w.page(forged...)
		w.take(wire.PathLookup).miss(1)
		s.respond("200", "not allowed", [2]string{"vary", "origin"}, maxAge("max-age=60"))
		w.stored()
		if s = w.page([2]string{"origin", good}); s.status != 0 {
			t.Errorf("%v: %s is answered %q", forged, good, s.reply)
		}
	}
}

// inEnglish stores "one" as a page that depends on the language, and gives what is stored without a variant and with it.
func (w *world) inEnglish() (vary [2]string, base, byVariant wire.StoreRequest) {
	w.t.Helper()
	vary = [2]string{"vary", "accept-language"}
	s := w.language("en")
	w.take(wire.PathLookup).miss(1)
	s.respond("200", "one", maxAge("max-age=60"), vary)
	return vary, w.stored(), w.stored()
}

// forgetsVariants lets the VM hear of so many others that it forgets those that it knows.
func (w *world) forgetsVariants() {
	for i := range maxVaried {
		w.plugin.state.variants.learn(fmt.Appendf(nil, "other %d", i), []string{"accept-language"})
	}
}

// What replaces something fresh does so under the key without a variant, too, where a VM looks that has forgotten the variants, or never knew them.
func TestReplacedVariant(t *testing.T) {
	w := newWorld(t)
	w.lease()
	vary, _, byVariant := w.inEnglish()
	s := w.page([2]string{"accept-language", "en"}, maxAge("no-cache"))
	w.finds(byVariant, 0)
	s.respond("200", "two", maxAge("max-age=60"), vary)
	w.stored()
	base := w.stored()
	if s = w.language("en"); string(s.reply) != "two" {
		t.Fatal(s.status)
	}
	w.forgetsVariants()
	s = w.language("en")
	if s.status == 0 {
		w.finds(base, 0)
	}
	if string(s.reply) != "two" {
		t.Errorf("after two was answered, %q, %s", s.reply, s.cacheStatus())
	}
}

// A VM that doesn't know of the variants replaces under the key without one, and stores under the variant's, once each.
func TestReplacedWithoutVariants(t *testing.T) {
	w := newWorld(t)
	w.lease()
	vary, base, _ := w.inEnglish()
	other := newWorld(t)
	other.lease()
	s := other.page([2]string{"accept-language", "en"}, maxAge("no-cache"))
	other.finds(base, 0)
	s.respond("200", "two", maxAge("max-age=60"), vary)
	if one, two := other.stored(), other.stored(); one.Key != base.Key || two.Key == base.Key {
		t.Errorf("stored under %s and %s", one.Key, two.Key)
	}
	other.run()
	other.none(wire.PathStore)
}

// One that has stored a large response, which goes to the variant's key alone, doesn't go back to what it has without a variant.
func TestLargeResponseReplacesAVariant(t *testing.T) {
	w := newStreamingWorld(t)
	w.lease()
	vary, _, byVariant := w.inEnglish()
	s := w.page([2]string{"accept-language", "en"}, maxAge("no-cache"))
	w.finds(byVariant, 0)
	s.head("200", maxAge("max-age=60"), vary, [2]string{"content-length", "12"})
	s.send("two two two ", true)
	s.exchange.Done()
	w.forgetsVariants()
	if s = w.language("en"); string(s.reply) == "one" {
		t.Errorf("after two: %q, %s", s.reply, s.cacheStatus())
	}
}

// replacesAtLength lets a client fetch the page anew where something fresh is found; the origin's answer is uploaded. It gives the key.
func (w *world) replacesAtLength(found wire.StoreRequest, vary [2]string) string {
	w.t.Helper()
	s := w.page([2]string{"accept-language", "en"}, maxAge("no-cache"))
	w.finds(found, 0)
	s.respond("200", "two two two ", maxAge("max-age=60"), vary)
	key, commit := w.uploaded()
	w.none(wire.PathStore) // before it is known whether it is stored
	commit.ack()
	return key
}

// An upload has one key. Under the other one, where a VM looks that knows of the variants, or that doesn't, what it has replaced doesn't stay
// to answer on.
func TestLargeResponseLeavesNothingThatItReplaces(t *testing.T) {
	vary, base, byVariant := newWorld(t).inEnglish()
	for name, knows := range map[string]bool{"under the variant's key": true, "under the key without one": false} {
		t.Run(name, func(t *testing.T) {
			w, found, other := newStreamingWorld(t), base, byVariant
			if knows {
				w.inEnglish()
				found, other = byVariant, base
			}
			if key := w.replacesAtLength(found, vary); key != found.Key {
				t.Errorf("stored under %s, found under %s", key, found.Key)
			}
			m := w.stored()
			if m.Key != other.Key || m.TTL != 1 || m.Fetch != "" {
				t.Errorf("stored under %s for %d ms by %q, want that under %s gone", m.Key, m.TTL, m.Fetch, other.Key)
			}
			if _, err := wire.DecodeEntry(m.Entry); err != nil {
				t.Errorf("the bridge refuses it: %v", err)
			}
			w.nothingUploads()
			for _, reader := range []*world{newWorld(t), w} { // to whoever finds that in the meantime it is a miss
				s := reader.language("en")
				reader.finds(m, 0)
				if s.status != 0 || s.resumed != 1 {
					t.Errorf("answered %d %q", s.status, s.reply)
				}
			}
		})
	}
}

// Nothing is taken away for what isn't stored, or for what replaces nothing that is fresh.
func TestLargeResponseThatReplacesNothing(t *testing.T) {
	w := newStreamingWorld(t)
	vary, _, byVariant := w.inEnglish()
	s := w.page([2]string{"accept-language", "en"}, maxAge("no-cache"))
	w.finds(byVariant, 0)
	s.respond("200", "two two two ", maxAge("max-age=60"), vary)
	_, commit := w.uploaded()
	commit.fails()
	w.nothingUploads()
	s = w.language("de")
	w.take(wire.PathLookup).miss(1)
	s.respond("200", "two two two ", maxAge("max-age=60"), vary)
	_, commit = w.uploaded()
	commit.ack()
	w.nothingUploads()
}

// Likewise in the VM's own memory, where it had forgotten the variants.
func TestLargeResponseReplacesWhatL1HasOfTheVariant(t *testing.T) {
	w := newStreamingWorld(t)
	w.lease()
	vary, base, _ := w.inEnglish()
	w.forgetsVariants()
	w.replacesAtLength(base, vary)
	w.stored()
	if s := w.language("en"); s.status != 0 {
		t.Errorf("%q, %s", s.reply, s.cacheStatus())
	}
}

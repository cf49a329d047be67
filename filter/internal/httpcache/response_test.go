package httpcache_test

import (
	"testing"

	"chatcache/filter/internal/httpcache"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// ignoreBlock leaves out what a decoded response has of its block.
var ignoreBlock = cmpopts.IgnoreUnexported(httpcache.Response{})

func decode(block []byte) (httpcache.Response, error) {
	r, err := httpcache.DecodeResponse(block)
	r.ReadFields(2)
	return r, err
}

func TestResponseRoundTrip(t *testing.T) {
	want := httpcache.Response{
		Status: 404, InitialAge: 7, Varies: true, Variant: [16]byte{1, 15: 2},
		Freshness: httpcache.Freshness{Lifetime: 60, WhileRevalidate: 5, IfError: 1 << 31, Strict: true, Immutable: true},
		Fields:    httpcache.Fields{{"content-type", "application/json"}, {"x-empty", ""}, {"vary", "a"}, {"vary", "b"}},
		Body:      []byte("{}\x00\xff"),
	}
	got, err := decode(want.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, ignoreBlock); diff != "" {
		t.Error(diff)
	}
	if cap(got.Fields)-len(got.Fields) < 2 {
		t.Error("no room left for Age and Cache-Status")
	}
}

func TestStoredFields(t *testing.T) {
	got := httpcache.StoredFields(httpcache.Fields{
		{":status", "200"}, {"connection", "close, X-Hop"}, {"x-hop", "1"}, {"keep-alive", "5"},
		{"proxy-connection", "close"}, {"te", "trailers"}, {"trailer", "x-sum"}, {"upgrade", "h2c"},
		{"proxy-authenticate", "Basic"}, {"proxy-authentication-info", "a=b"}, {"proxy-authorization", "Basic x"}, {"endpoint-load-metrics-bin", "x"},
		{"transfer-encoding", "chunked"}, {"content-length", "2"}, {"age", "9"},
		{"x-envoy-upstream-service-time", "500"}, {"x-envoy-immediate-health-check-fail", "true"}, {"endpoint-load-metrics", "JSON {}"}, {"x-envoy", "1"}, {"etag", `"a"`}, {"cache-status", "cdn; hit"}, {"x-user", "ann"},
	}, []string{"x-user"})
	want := httpcache.Fields{{"x-envoy", "1"}, {"etag", `"a"`}, {"cache-status", "cdn; hit"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What speaks of all of the content isn't true of a part of it (RFC 9530 section 2); everything else is.
func TestPartFields(t *testing.T) {
	got := httpcache.PartFields(httpcache.Fields{{"etag", `"a"`}, {"content-range", "bytes 0-1/2"}, {"content-digest", "sha-256=:x:"},
		{"content-md5", "x"}, {"repr-digest", "sha-256=:x:"}, {"content-type", "text/plain"}})
	want := httpcache.Fields{{"etag", `"a"`}, {"repr-digest", "sha-256=:x:"}, {"content-type", "text/plain"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A response without a Date gets the one at which it came (RFC 9110 section 6.6.1), and no other.
func TestDated(t *testing.T) {
	if got := (httpcache.Fields{{"etag", `"a"`}}).Dated(now); got.Get("date") != date(0) || len(got) != 2 {
		t.Errorf("%v", got)
	}
	if got := (httpcache.Fields{{"date", date(-9)}}).Dated(now); len(got) != 1 || got.Get("date") != date(-9) {
		t.Errorf("%v", got)
	}
}

// FuzzResponse: what is written is read again as it was.
func FuzzResponse(f *testing.F) {
	f.Add(uint16(200), uint32(60), true, "etag", `"a"`, "vary", []byte("body"))
	f.Add(uint16(404), uint32(1<<32-1), false, "", "\x00", "a: b", []byte(nil))
	f.Fuzz(func(t *testing.T, status uint16, seconds uint32, flag bool, name, value, other string, body []byte) {
		want := httpcache.Response{
			Status: 200 + uint32(status)%400, InitialAge: int64(seconds), Varies: flag,
			Freshness: httpcache.Freshness{Lifetime: int64(seconds / 2), WhileRevalidate: int64(seconds / 3), IfError: int64(seconds), Strict: !flag, Immutable: flag},
			Fields:    httpcache.Fields{{name, value}, {other, ""}, {name, other}}, Body: body,
		}
		if flag {
			copy(want.Variant[:], other)
		}
		got, err := decode(want.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, ignoreBlock, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}

func FuzzDecodeResponse(f *testing.F) {
	f.Add(httpcache.Response{Status: 200, Fields: httpcache.Fields{{"a", "b"}}, Body: []byte("x")}.Append(nil))
	f.Add([]byte{})
	f.Add([]byte{0xc8, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Add(httpcache.Response{Status: 200, Varies: true}.Append(nil))
	f.Fuzz(func(t *testing.T, block []byte) {
		r, err := decode(block)
		if err != nil {
			return
		}
		again, err := decode(r.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, again, ignoreBlock); diff != "" {
			t.Error(diff)
		}
	})
}

func FuzzCacheControl(f *testing.F) {
	f.Add(`no-store, private="a,b", max-age=1`)
	f.Add(`"\`)
	f.Fuzz(func(t *testing.T, value string) {
		section := httpcache.Fields{{"cache-control", value}}
		with := append(section, [2]string{"cache-control", "no-store"})
		if !with.CacheControl().NoStore {
			t.Errorf("no-store lost behind %q", value)
		}
	})
}

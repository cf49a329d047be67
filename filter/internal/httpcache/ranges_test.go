package httpcache_test

import (
	"testing"

	"chatcache/filter/internal/httpcache"
)

func TestRangeOf(t *testing.T) {
	stored := httpcache.Fields{{"etag", `"a"`}, {"last-modified", date(-100)}, {"date", date(-10)}}
	whole, unsatisfiable := httpcache.Span{First: -1}, httpcache.Span{First: -2}
	for _, test := range []struct {
		spec    string
		ifRange string
		want    httpcache.Span
	}{
		{"bytes=0-3", "", httpcache.Span{0, 4}},
		{"bytes=2-2", "", httpcache.Span{2, 3}},
		{"bytes=3-", "", httpcache.Span{3, 10}},
		{"bytes=-3", "", httpcache.Span{7, 10}},
		{"bytes=-20", "", httpcache.Span{0, 10}},
		{"bytes=5-99", "", httpcache.Span{5, 10}},
		{"bytes=5-99999999999999999999", "", httpcache.Span{5, 10}},
		{"BYTES=0-3", "", httpcache.Span{0, 4}},
		{"bytes=0-0", "", httpcache.Span{0, 1}},
		{"bytes=10-", "", unsatisfiable},
		{"bytes=10-11", "", unsatisfiable},
		{"bytes=99999999999999999999-", "", unsatisfiable},
		{"bytes=-0", "", unsatisfiable},
		{"bytes=3-2", "", whole},
		{"bytes=-", "", whole},
		{"bytes=", "", whole},
		{"bytes", "", whole},
		{"bytes=5", "", whole},
		{"bytes=a-3", "", whole},
		{"bytes=3-b", "", whole},
		{"bytes=1--2", "", whole},
		{"bytes=0-1,3-4", "", whole},
		{"lines=0-1", "", whole},
		{"bytes=0-3", `"a"`, httpcache.Span{0, 4}},
		{"bytes=0-3", `"b"`, whole},
		{"bytes=0-3", `W/"a"`, whole},
		{"bytes=0-3", date(-100), httpcache.Span{0, 4}},
		{"bytes=0-3", date(-99), whole},
		{"bytes=0-3", "yesterday", whole},
	} {
		request := httpcache.Fields{{"range", test.spec}}
		if test.ifRange != "" {
			request = append(request, [2]string{"if-range", test.ifRange})
		}
		span, isWhole, isUnsatisfiable := httpcache.RangeOf(request, stored, 10, now)
		switch {
		case isWhole:
			span = whole
		case isUnsatisfiable:
			span = unsatisfiable
		}
		if span != test.want {
			t.Errorf("%s, if-range %q: %v, want %v", test.spec, test.ifRange, span, test.want)
		}
	}
	if got := (httpcache.Span{2, 5}).ContentRange(10); got != "bytes 2-4/10" {
		t.Error(got)
	}
	if got := httpcache.UnsatisfiedRange(10); got != "bytes */10" {
		t.Error(got)
	}
}

// A date is no strong validator where the response was made in its second (RFC 9110 §8.8.2.2).
func TestIfRangeWithAWeakDate(t *testing.T) {
	request := httpcache.Fields{{"range", "bytes=0-3"}, {"if-range", date(-10)}}
	if _, whole, _ := httpcache.RangeOf(request, httpcache.Fields{{"last-modified", date(-10)}, {"date", date(-10)}}, 10, now); !whole {
		t.Error("a part by a weak validator")
	}
}

// Of several lines of Range, or of If-Range, none counts; nor does a date where nothing says when the stored response was modified.
func TestRangeOfSeveralLines(t *testing.T) {
	stored := httpcache.Fields{{"etag", `"a"`}, {"date", date(-10)}}
	for _, request := range []httpcache.Fields{
		{{"accept", "*/*"}},
		{{"range", "bytes=0-3"}, {"range", "bytes=0-3"}},
		{{"range", "bytes=0-3"}, {"if-range", `"a"`}, {"if-range", `"b"`}},
		{{"range", "bytes=0-3"}, {"if-range", "yesterday"}},
		{{"range", "bytes=0-3"}, {"if-range", httpcache.FormatDate(0)}},
	} {
		if _, whole, _ := httpcache.RangeOf(request, stored, 10, now); !whole {
			t.Errorf("a part for %v", request)
		}
	}
}

func FuzzRangeOf(f *testing.F) {
	f.Add("bytes=0-3", 10)
	f.Add("bytes=-3", 0)
	f.Fuzz(func(t *testing.T, spec string, size int) {
		if size < 0 || size > 1<<24 {
			return
		}
		span, whole, unsatisfiable := httpcache.RangeOf(httpcache.Fields{{"range", spec}}, nil, size, now)
		if !whole && !unsatisfiable && (span.First < 0 || span.First >= span.End || span.End > size) {
			t.Errorf("%q of %d: %v", spec, size, span)
		}
	})
}

package httpcache_test

import (
	"testing"

	"chatcache/filter/internal/httpcache"

	"github.com/google/go-cmp/cmp"
)

func TestNotModified(t *testing.T) {
	tagged := httpcache.Fields{{"etag", `"a"`}, {"last-modified", date(-100)}, {"date", date(-10)}}
	weak := httpcache.Fields{{"etag", `W/"a"`}}
	dated := httpcache.Fields{{"last-modified", date(-100)}, {"date", date(-10)}}
	for _, test := range []struct {
		name    string
		request httpcache.Fields
		stored  httpcache.Fields
		want    bool
	}{
		{"no condition", httpcache.Fields{}, tagged, false},
		{"the tag", httpcache.Fields{{"if-none-match", `"a"`}}, tagged, true},
		{"another", httpcache.Fields{{"if-none-match", `"b"`}}, tagged, false},
		{"in a list", httpcache.Fields{{"if-none-match", `"b", "a" ,"c"`}}, tagged, true},
		{"in a second line", httpcache.Fields{{"if-none-match", `"b"`}, {"if-none-match", `"a"`}}, tagged, true},
		{"a comma in a tag", httpcache.Fields{{"if-none-match", `"x,"a"`}}, tagged, false},
		{"weak of strong", httpcache.Fields{{"if-none-match", `W/"a"`}}, tagged, true},
		{"strong of weak", httpcache.Fields{{"if-none-match", `"a"`}}, weak, true},
		{"weak of weak", httpcache.Fields{{"if-none-match", `W/"a"`}}, weak, true},
		{"without quotes", httpcache.Fields{{"if-none-match", `a`}}, tagged, false},
		{"star", httpcache.Fields{{"if-none-match", `*`}}, dated, true},
		{"a tag where none is stored", httpcache.Fields{{"if-none-match", `"a"`}}, dated, false},
		{"the tag decides over the date", httpcache.Fields{{"if-none-match", `"b"`}, {"if-modified-since", date(0)}}, tagged, false},
		{"not modified since", httpcache.Fields{{"if-modified-since", date(-100)}}, dated, true},
		{"modified since", httpcache.Fields{{"if-modified-since", date(-101)}}, dated, false},
		{"in another format", httpcache.Fields{{"if-modified-since", "Sun Nov  6 08:49:37 1994"}}, httpcache.Fields{{"last-modified", "Sunday, 06-Nov-94 08:49:37 GMT"}}, true},
		{"no Last-Modified: by Date", httpcache.Fields{{"if-modified-since", date(-10)}}, httpcache.Fields{{"date", date(-10)}}, true},
		{"not a date", httpcache.Fields{{"if-modified-since", "yesterday"}}, dated, false},
		{"two dates", httpcache.Fields{{"if-modified-since", date(0)}, {"if-modified-since", date(0)}}, dated, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := httpcache.NotModified(test.request, test.stored, now); got != test.want {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestNotModifiedFields(t *testing.T) {
	got := httpcache.NotModifiedFields(httpcache.Fields{
		{"date", "d"}, {"etag", `"a"`}, {"last-modified", "l"}, {"cache-control", "max-age=1"}, {"vary", "foo"}, {"expires", "e"},
		{"content-location", "/x"}, {"content-type", "text/plain"}, {"content-encoding", "br"}, {"access-control-allow-origin", "*"},
	})
	want := httpcache.Fields{
		{"date", "d"}, {"etag", `"a"`}, {"cache-control", "max-age=1"}, {"vary", "foo"}, {"expires", "e"},
		{"content-location", "/x"}, {"access-control-allow-origin", "*"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := httpcache.NotModifiedFields(httpcache.Fields{{"last-modified", "l"}}); len(got) != 1 {
		t.Errorf("the only validator is left out: %v", got)
	}
}

func TestConditions(t *testing.T) {
	stored := httpcache.Fields{{"etag", `W/"a"`}, {"last-modified", "l"}}
	want := httpcache.Fields{{"if-none-match", `W/"a"`}, {"if-modified-since", "l"}}
	if diff := cmp.Diff(want, stored.Conditions()); diff != "" || !stored.HasValidator() {
		t.Error(diff)
	}
	if none := (httpcache.Fields{{"date", "d"}}); none.Conditions() != nil || none.HasValidator() {
		t.Error("Date is a validator")
	}
}

func TestConfirms(t *testing.T) {
	stored := httpcache.Fields{{"etag", `"a"`}, {"last-modified", "l"}}
	for _, test := range []struct {
		answer httpcache.Fields
		want   bool
	}{
		{httpcache.Fields{}, true},
		{httpcache.Fields{{"etag", `"a"`}}, true},
		{httpcache.Fields{{"etag", `W/"a"`}}, true},
		{httpcache.Fields{{"etag", `"b"`}}, false},
		{httpcache.Fields{{"last-modified", "l"}}, true},
		{httpcache.Fields{{"last-modified", "m"}}, false},
	} {
		if got := httpcache.Confirms(test.answer, stored); got != test.want {
			t.Errorf("%v: %v", test.answer, got)
		}
	}
}

func TestRefreshed(t *testing.T) {
	stored := httpcache.Fields{
		{"date", "old"}, {"etag", `"a"`}, {"x-kept", "1"}, {"x-two", "1"}, {"x-two", "2"},
		{"content-encoding", "br"}, {"content-type", "text/plain"}, {"cache-control", "max-age=1"},
	}
	answer := httpcache.Fields{
		{":status", "304"}, {"date", "new"}, {"x-two", "3"}, {"x-new", "1"}, {"content-length", "0"}, {"content-encoding", "gzip"},
		{"content-type", "text/html"}, {"cache-control", "max-age=2"}, {"connection", "x-hop"}, {"x-hop", "1"}, {"age", "4"},
	}
	want := httpcache.Fields{
		{"etag", `"a"`}, {"x-kept", "1"}, {"content-encoding", "br"},
		{"date", "new"}, {"x-two", "3"}, {"x-new", "1"}, {"content-type", "text/html"}, {"cache-control", "max-age=2"},
	}
	if diff := cmp.Diff(want, httpcache.Refreshed(stored, answer)); diff != "" {
		t.Error(diff)
	}
}

func FuzzNotModified(f *testing.F) {
	f.Add(`"a", W/"b"`, `"a"`)
	f.Fuzz(func(t *testing.T, list, tag string) {
		request := httpcache.Fields{{"if-none-match", list}, {"if-none-match", "*"}}
		if !httpcache.NotModified(request, httpcache.Fields{{"etag", tag}}, now) {
			t.Errorf("* lost behind %q", list)
		}
	})
}

func TestLikeHead(t *testing.T) {
	stored := httpcache.Fields{{"etag", `W/"a"`}, {"last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"}}
	for name, test := range map[string]struct {
		answer httpcache.Fields
		want   httpcache.Likeness
	}{
		"the same":                 {httpcache.Fields{{"etag", `W/"a"`}, {"last-modified", stored[1][1]}, {"content-length", "3"}}, httpcache.Alike},
		"only the tag, strong":     {httpcache.Fields{{"etag", `"a"`}}, httpcache.Alike},
		"only the date":            {httpcache.Fields{{"last-modified", stored[1][1]}}, httpcache.Alike},
		"another tag":              {httpcache.Fields{{"etag", `"b"`}, {"last-modified", stored[1][1]}}, httpcache.Unlike},
		"another date":             {httpcache.Fields{{"etag", `"a"`}, {"last-modified", "Sun, 06 Nov 1994 08:49:38 GMT"}}, httpcache.Unlike},
		"another length":           {httpcache.Fields{{"etag", `"a"`}, {"content-length", "4"}}, httpcache.Unlike},
		"two lengths":              {httpcache.Fields{{"etag", `"a"`}, {"content-length", "3"}, {"content-length", "3"}}, httpcache.Unlike},
		"no validator":             {httpcache.Fields{{"content-length", "3"}}, httpcache.Untold},
		"no validator, and length": {httpcache.Fields{{"content-length", "0"}}, httpcache.Unlike},
		"nothing":                  {nil, httpcache.Untold},
	} {
		if got := httpcache.LikeHead(test.answer, stored, 3); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
	if got := httpcache.LikeHead(httpcache.Fields{{"etag", `"a"`}}, nil, 3); got != httpcache.Unlike {
		t.Errorf("what is stored has no tag: %d", got)
	}
}

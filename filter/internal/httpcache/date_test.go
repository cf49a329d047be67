package httpcache_test

import (
	"testing"
	"time"

	"chatcache/filter/internal/httpcache"
)

func TestParseDate(t *testing.T) {
	defer func(zone *time.Location) { time.Local = zone }(time.Local)
	time.Local = time.FixedZone("CET", 60*60) // counts for nothing
	const want = 784111777
	for _, text := range []string{
		"Sun, 06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT",
		"Sun Nov  6 08:49:37 1994",
		"Mon, 06 Nov 1994 08:49:37 GMT", // it was a Sunday
		"SUN, 06 nov 1994 08:49:37 gmt",
		"sunDAY, 06-NOV-94 08:49:37 Gmt",
		"sun nov  6 08:49:37 1994",
	} {
		if got, ok := httpcache.ParseDate(text, now); !ok || got != want {
			t.Errorf("%s: %d, %v, want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{
		"", "0", "-1", "now",
		"Sun, 06 Nov 1994 08:49:37",
		"Sun, 06 Nov 1994 08:49:37 UTC",
		"Sun, 06 Nov 1994 08:49:37 +0000",
		"Sun, 6 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 8:49:37 GMT",
		"Sun, 06 Nov 1994 08:49:37 CET",
		"Sun, 06 Nov 1994 08:49:37 EST",
		"Sun, 06 Nov 1994 08:49:37.5 GMT",
		"Nov, 06 Nov 1994 08:49:37 GMT",
		"Sun,  06 Nov 1994 08:49:37 GMT",
		"Sun 06 Nov 1994 08:49:37 GMT",
		"Sun, 31 Feb 1994 08:49:37 GMT",
		"Sun, 06-Nov-94 08:49:37 GMT",
		"Someday, 06-Nov-94 08:49:37 GMT",
		"Sunday, 06-Nov-94", "Sunday, ",
		"Sun Nov 6 08:49:37 1994",
	} {
		if got, ok := httpcache.ParseDate(text, now); ok {
			t.Errorf("%q is a date: %d", text, got)
		}
	}
}

// A two-digit year is never more than 50 years ahead (RFC 9110 §5.6.7).
func TestTwoDigitYears(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	for text, want := range map[string]int{
		"Sunday, 06-Nov-94 08:49:37 GMT":   1994,
		"Saturday, 05-Nov-94 08:49:37 GMT": 1994,
		"Sunday, 06-Nov-75 08:49:37 GMT":   2075,
		"Sunday, 06-Nov-77 08:49:37 GMT":   1977,
		"Sunday, 06-Nov-26 08:49:37 GMT":   2026,
		"Sunday, 06-Nov-00 08:49:37 GMT":   2000,
	} {
		got, ok := httpcache.ParseDate(text, at)
		if year := time.Unix(got, 0).UTC().Year(); !ok || year != want {
			t.Errorf("%s: %d, %v, want %d", text, year, ok, want)
		}
	}
}

func FuzzParseDate(f *testing.F) {
	f.Add("Sun, 06 Nov 1994 08:49:37 GMT")
	f.Add("Sunday, 06-Nov-94 08:49:37 GMT")
	f.Fuzz(func(t *testing.T, text string) {
		unix, ok := httpcache.ParseDate(text, now)
		if !ok {
			return
		}
		if again, ok := httpcache.ParseDate(httpcache.FormatDate(unix), now); !ok || again != unix {
			t.Errorf("%q is %d, written and read again %d", text, unix, again)
		}
	})
}

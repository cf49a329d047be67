package httpcache

import (
	"strings"
	"time"
)

// The three formats of HTTP-date (RFC 9110 §5.6.7); only the first is ever written.
const (
	imfFixdate = "Mon, 02 Jan 2006 15:04:05 GMT"
	rfc850     = "02-Jan-06 15:04:05 GMT" // behind the whole name of the day, a comma and a space
	asctime    = "Mon Jan _2 15:04:05 2006"
)

// ParseDate reads an HTTP-date as seconds since 1970, whatever the case of its letters (RFC 9111
// §4.2), and whichever day of the week it names. now, in the same unit, tells which century a
// two-digit year means: never one that is more than 50 years ahead.
func ParseDate(s string, now int64) (unix int64, ok bool) {
	for _, layout := range [...]string{imfFixdate, asctime} {
		if t, ok := parseExactly(layout, s, len("Mon")); ok {
			return t.Unix(), true
		}
	}
	day, rest, _ := strings.Cut(s, ", ")
	t, ok := parseExactly(rfc850, rest, 0)
	if !ok || !isDay(day) {
		return 0, false
	}
	return inCentury(t, time.Unix(now, 0).UTC()).Unix(), true
}

// parseExactly refuses what time.Parse is lenient about: digits left out, fractions of seconds. It is as lenient
// about the first bytes, the day of the week.
func parseExactly(layout, s string, first int) (time.Time, bool) {
	const zone = "GMT"
	if n := len(s) - len(zone); n > 0 && strings.EqualFold(s[n:], zone) {
		s = s[:n] + zone
	}
	t, err := time.Parse(layout, s)
	return t, err == nil && strings.EqualFold(t.Format(layout)[first:], s[first:])
}

func isDay(name string) bool {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if strings.EqualFold(day.String(), name) {
			return true
		}
	}
	return false
}

// inCentury gives a date whose year has two digits the latest century in which it isn't more
// than 50 years ahead of now.
func inCentury(t, now time.Time) time.Time {
	year := now.Year()/100*100 + t.Year()%100 + 100
	for {
		at := time.Date(year, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
		if !at.After(now.AddDate(50, 0, 0)) {
			return at
		}
		year -= 100
	}
}

// FormatDate writes seconds since 1970 as an IMF-fixdate.
func FormatDate(unix int64) string { return time.Unix(unix, 0).UTC().Format(imfFixdate) }

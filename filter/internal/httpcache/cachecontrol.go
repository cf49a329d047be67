package httpcache

import (
	"strings"
)

// Seconds are delta-seconds (RFC 9111 §1.2.2): 0 to MaxSeconds, or Absent.
type Seconds int64

// Absent is the value of a directive that isn't there. MaxSeconds stands for every
// greater value: RFC 9111 §1.2.2 wants that of whoever can't represent them.
const (
	Absent     Seconds = -1
	MaxSeconds Seconds = 1 << 31
)

// Directives are those of a request's or a response's Cache-Control that this cache
// acts on (RFC 9111 §5.2, RFC 5861, RFC 8246).
type Directives struct {
	NoStore         bool
	NoCache         bool // without field names; with them, NoCacheFields
	Private         bool // without field names; with them, PrivateFields
	Public          bool
	MustRevalidate  bool
	ProxyRevalidate bool
	MustUnderstand  bool
	Immutable       bool
	OnlyIfCached    bool // requests only

	NoCacheFields, PrivateFields []string // lower-case names of response fields

	MaxAge, SMaxAge                    Seconds
	MinFresh, MaxStale                 Seconds // requests only
	StaleWhileRevalidate, StaleIfError Seconds
}

func noDirectives() Directives {
	return Directives{
		MaxAge: Absent, SMaxAge: Absent, MinFresh: Absent, MaxStale: Absent,
		StaleWhileRevalidate: Absent, StaleIfError: Absent,
	}
}

// CacheControl reads the Cache-Control field over all of its lines. Names are
// case-insensitive, unknown directives are ignored. Of a repeated directive the first
// counts; a number that is none counts as 0, which makes a response stale, as RFC 9111
// §4.2.1 encourages.
func (f Fields) CacheControl() Directives {
	d := noDirectives()
	f.listItems("cache-control", func(item string) {
		name, argument, has := strings.Cut(item, "=")
		value, ok := token(argument)
		// Whitespace around "=" is no grammar of a directive: what it allows isn't believed,
		// what it forbids is.
		ok = ok && name == trim(name)
		d.set(strings.ToLower(trim(name)), value, has, ok)
		if !ok || strings.ContainsAny(name, "; \t") {
			d.forbid(item)
		}
	})
	return d
}

// forbid takes what forbids something in a malformed directive: a quotation mark that is never closed hides all that
// follows, and some origins write semicolons or spaces where the commas belong, or put all of it in quotation marks.
func (d *Directives) forbid(item string) {
	for name := range strings.FieldsFuncSeq(item, func(r rune) bool { return strings.ContainsRune(",;\" \t", r) }) {
		switch name = strings.ToLower(name); name {
		case "no-store", "no-cache", "private":
			d.set(name, "", false, true)
		}
	}
}

// token reads a directive's argument, a token or a quoted string.
func token(s string) (value string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return s, s != "" && !strings.ContainsAny(s, " \t\";")
	}
	if len(s) < 2 || !strings.HasSuffix(s, `"`) {
		return "", false
	}
	s = s[1 : len(s)-1]
	if !strings.Contains(s, `\`) {
		return s, !strings.Contains(s, `"`)
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return "", false
		case '\\':
			if i++; i == len(s) {
				return "", false // the last quotation mark is escaped
			}
		}
		b.WriteByte(s[i])
	}
	return b.String(), true
}

// set takes a directive; has tells whether it has an argument, ok whether that is well formed.
func (d *Directives) set(name, argument string, has, ok bool) {
	if flag := d.flag(name); flag != nil {
		*flag = true
		return
	}
	if number := d.number(name); number != nil {
		if *number == Absent {
			*number = seconds(argument, ok)
		}
		return
	}
	switch name {
	case "no-cache":
		d.NoCacheFields = qualify(&d.NoCache, d.NoCacheFields, argument, has && ok)
	case "private":
		d.PrivateFields = qualify(&d.Private, d.PrivateFields, argument, has && ok)
	case "max-stale":
		switch {
		case d.MaxStale != Absent:
		case !has:
			d.MaxStale = MaxSeconds // however stale
		default:
			d.MaxStale = seconds(argument, ok)
		}
	}
}

func (d *Directives) flag(name string) *bool {
	switch name {
	case "no-store":
		return &d.NoStore
	case "public":
		return &d.Public
	case "must-revalidate":
		return &d.MustRevalidate
	case "proxy-revalidate":
		return &d.ProxyRevalidate
	case "must-understand":
		return &d.MustUnderstand
	case "immutable":
		return &d.Immutable
	case "only-if-cached":
		return &d.OnlyIfCached
	}
	return nil
}

func (d *Directives) number(name string) *Seconds {
	switch name {
	case "max-age":
		return &d.MaxAge
	case "s-maxage":
		return &d.SMaxAge
	case "min-fresh":
		return &d.MinFresh
	case "stale-while-revalidate":
		return &d.StaleWhileRevalidate
	case "stale-if-error":
		return &d.StaleIfError
	}
	return nil
}

// qualify reads the field names of no-cache and private. Where there are none that can be
// read, the directive concerns the whole response.
func qualify(whole *bool, names []string, argument string, has bool) []string {
	read := names
	for item := range strings.SplitSeq(argument, ",") {
		if item = strings.ToLower(trim(item)); item != "" {
			read = append(read, item)
		}
	}
	if !has || len(read) == len(names) {
		*whole = true
	}
	return read
}

// seconds reads delta-seconds: digits only, neither sign nor fraction.
func seconds(digits string, ok bool) Seconds {
	n, valid := parseSeconds(digits)
	if !ok || !valid {
		return 0
	}
	return n
}

func parseSeconds(digits string) (Seconds, bool) {
	n := Seconds(0)
	for i := 0; i < len(digits); i++ {
		c := digits[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+Seconds(c-'0'), MaxSeconds)
	}
	return n, digits != ""
}

package httpcache

import (
	"strings"

	"chatcache/policy/directive"
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
	for _, field := range f {
		if field[0] == "cache-control" {
			directive.Each(field[1], d.set)
		}
	}
	return d
}

// set takes a directive, see directive.Each.
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

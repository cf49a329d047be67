package httpcache

import "github.com/dunglas/httpsfv"

// Control is what a response says of its caching.
type Control struct {
	Directives
	// Targeted tells that a targeted field says it (RFC 9213): Cache-Control and Expires
	// then count for nothing.
	Targeted bool
}

// Control reads the first of the targeted fields that is there, not empty and well
// formed, or else Cache-Control. targets are lower-case names, the most specific first.
func (f Fields) Control(targets []string) Control {
	for _, name := range targets {
		if d, ok := f.targeted(name); ok {
			return Control{Directives: d, Targeted: true}
		}
	}
	return Control{Directives: f.CacheControl()}
}

// targeted reads a targeted field: a Dictionary whose members are directives. One that
// can't be parsed, or has a directive of another type than its own, is as if it weren't there.
func (f Fields) targeted(name string) (Directives, bool) {
	lines := f.Values(name)
	if len(lines) == 0 {
		return Directives{}, false
	}
	dictionary, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil || len(dictionary.Names()) == 0 {
		return Directives{}, false
	}
	d := noDirectives()
	for _, directive := range dictionary.Names() {
		member, _ := dictionary.Get(directive)
		if !d.setMember(directive, member) {
			return Directives{}, false
		}
	}
	return d, true
}

// setMember takes a member of a Dictionary, unless it has the wrong type. Unknown
// directives may have any.
func (d *Directives) setMember(name string, member httpsfv.Member) bool {
	item, isItem := member.(httpsfv.Item)
	number, names := d.number(name), name == "no-cache" || name == "private"
	if number == nil && !names && d.flag(name) == nil {
		return true
	}
	if !isItem {
		return false
	}
	switch value := item.Value.(type) {
	case bool:
		if number != nil {
			return false
		}
		if value {
			d.set(name, "", false, true)
		}
		return true
	case int64:
		if number == nil {
			return false
		}
		*number = clamp(value)
		return true
	case string:
		d.set(name, value, true, true)
		return names
	}
	return false
}

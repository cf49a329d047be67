package policy

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"chatcache/policy/internal/strictjson"
)

// decoder reads the document's objects and collects every problem instead of stopping at the first.
type decoder struct{ problems Problems }

// object is one object of the document, with its place for problems.
type object struct {
	*decoder
	value *strictjson.Value
	path  string
	rule  string // name of the cache or invalidation that it is part of
}

// object opens value as an object of the kind that language lists. Where it isn't an object, the
// problem is noted, and ok is false.
func (d *decoder) object(value *strictjson.Value, kind, path, rule string) (o object, ok bool) {
	o = object{d, value, path, rule}
	if value.Kind != strictjson.Object {
		o.wrongType(value, path, "an object is wanted")
		return o, false
	}
	known, seen := language[kind], map[string]bool{}
	for _, m := range value.Members {
		at := strictjson.Pointer(path, m.Name)
		if !slices.Contains(known, m.Name) {
			o.add(Problem{ID: UnknownField, Path: at, Offset: m.Offset, Found: quote(m.Name),
				Wanted: "there is no such field", Hint: fieldHint(m.Name, known)})
		} else if seen[m.Name] {
			o.duplicate(at, m)
		}
		seen[m.Name] = true
	}
	return o, true
}

func fieldHint(name string, known []string) string {
	return cmp.Or(meant(name, known), "the fields are "+strings.Join(known, ", "))
}

// meant is the hint at the candidate that a word was probably meant to be, empty when none is near.
func meant(word string, candidates []string) string {
	if near := Closest(word, candidates); near != "" {
		return "did you mean " + quote(near) + "?"
	}
	return ""
}

func isRepeated(before []strictjson.Member, name string) bool {
	return slices.ContainsFunc(before, func(m strictjson.Member) bool { return m.Name == name })
}

func (o object) duplicate(path string, m strictjson.Member) {
	o.add(Problem{ID: DuplicateField, Path: path, Offset: m.Offset, Found: quote(m.Name),
		Wanted: "it stands here for the second time", Hint: "keep one of them"})
}

// add notes a problem of this object's rule.
func (o object) add(p Problem) {
	p.Rule = o.rule
	o.problems = append(o.problems, p)
}

func (o object) wrongType(v *strictjson.Value, path, wanted string) {
	o.add(Problem{ID: WrongType, Path: path, Offset: v.Offset, Found: found(v), Wanted: wanted})
}

// tooMany tells whether a list or an object has more than it may, and notes that.
func (o object) tooMany(n, most int, v *strictjson.Value, path, what string) bool {
	if n <= most {
		return false
	}
	o.add(Problem{ID: TooLarge, Path: path, Offset: v.Offset, Wanted: "at most " + strconv.Itoa(most) + " " + what + " are allowed"})
	return true
}

// bad notes a problem with the value of a field.
func (o object) bad(id ID, field string, wanted, hint string) {
	v := o.value.Get(field)
	o.add(Problem{ID: id, Path: strictjson.Pointer(o.path, field), Offset: v.Offset, Found: found(v), Wanted: wanted, Hint: hint})
}

// missing notes that a field isn't there.
func (o object) missing(field, hint string) {
	o.add(Problem{ID: MissingField, Path: strictjson.Pointer(o.path, field), Offset: o.value.Offset,
		Wanted: quote(field) + " is missing", Hint: hint})
}

func (o object) has(field string) bool { return o.value.Get(field) != nil }

// text reads a string of at most maxName bytes; ok is false where there is none or it is unfit.
func (o object) text(field string) (s string, ok bool) {
	v := o.value.Get(field)
	if v == nil {
		return "", false
	}
	if v.Kind != strictjson.String {
		o.wrongType(v, strictjson.Pointer(o.path, field), "a string is wanted")
		return "", false
	}
	if wanted := checkName(v.Text); wanted != "" {
		o.bad(WrongValue, field, wanted, "")
		return "", false
	}
	return v.Text, true
}

// secret reads a string that no problem may show.
func (o object) secret(field string, minimum int) string {
	v := o.value.Get(field)
	if v == nil {
		return ""
	}
	p := Problem{Path: strictjson.Pointer(o.path, field), Offset: v.Offset}
	switch {
	case v.Kind != strictjson.String:
		p.ID, p.Wanted = WrongType, "a string is wanted"
	case len(v.Text) < minimum || checkName(v.Text) != "":
		p.ID, p.Wanted = WrongValue, "a secret has "+strconv.Itoa(minimum)+" to "+strconv.Itoa(maxName)+" printable characters"
	default:
		return v.Text
	}
	p.Hint = "better supply it through the environment"
	o.add(p)
	return ""
}

func (o object) bool(field string) bool {
	v := o.value.Get(field)
	if v == nil {
		return false
	}
	if v.Kind != strictjson.Bool {
		o.wrongType(v, strictjson.Pointer(o.path, field), "true or false is wanted")
	}
	return v.Text == "true"
}

// optional opens the object of a field that false turns off; its kind has the field's name. An
// object that isn't there is on, with the defaults of its fields.
func (o object) optional(field string) (inner object, on bool) {
	absent := object{o.decoder, &strictjson.Value{Kind: strictjson.Object}, strictjson.Pointer(o.path, field), o.rule}
	v := o.value.Get(field)
	switch {
	case v == nil:
		return absent, true
	case v.Kind == strictjson.Bool:
		return absent, v.Text == "true"
	case v.Kind != strictjson.Object:
		o.wrongType(v, absent.path, "an object, or false to turn it off, is wanted")
		return absent, true
	}
	return o.object(v, field, absent.path, o.rule)
}

// count reads a whole number between two bounds. A document that Envoy handed through has its
// numbers as doubles: 5 may come as 5.0.
func (o object) count(field string, standard, least, most int) int {
	v := o.value.Get(field)
	if v == nil {
		return standard
	}
	if v.Kind != strictjson.Number {
		o.wrongType(v, strictjson.Pointer(o.path, field), "a whole number is wanted")
		return standard
	}
	n, err := strconv.ParseFloat(v.Text, 64)
	if err != nil || n < float64(least) || n > float64(most) || n != math.Trunc(n) {
		o.bad(OutOfRange, field, "whole numbers from "+strconv.Itoa(least)+" to "+strconv.Itoa(most)+" are allowed", "")
		return standard
	}
	return int(n)
}

// choice reads a string that is one of the options; the first is the default.
func (o object) choice(field string, options ...string) string {
	s, ok := o.text(field)
	if !ok {
		return options[0]
	}
	if !slices.Contains(options, s) {
		o.bad(WrongValue, field, "one of "+strings.Join(options, ", ")+" is wanted", meant(s, options))
		return options[0]
	}
	return s
}

// duration reads a duration of whole milliseconds between two bounds.
func (o object) duration(field string, standard, least, most time.Duration) time.Duration {
	v := o.value.Get(field)
	if v == nil {
		return standard
	}
	const units = `a string with a unit is wanted: "600s", "5m", "50ms"`
	switch v.Kind {
	case strictjson.String:
	case strictjson.Number:
		o.bad(WrongType, field, units, unitHint(v.Text, least, most))
		return standard
	default:
		o.wrongType(v, strictjson.Pointer(o.path, field), units)
		return standard
	}
	d, err := time.ParseDuration(v.Text)
	if err != nil || v.Text == "0" {
		hint := unitHint(v.Text, least, most)
		if days, ok := strings.CutSuffix(v.Text, "d"); ok {
			if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= 30 {
				hint = `write days as hours: "` + strconv.Itoa(24*n) + `h"`
			}
		}
		o.bad(WrongValue, field, units, hint)
		return standard
	}
	if d < least || d > most || d%time.Millisecond != 0 {
		o.bad(OutOfRange, field, "whole milliseconds from "+FormatDuration(least)+" to "+FormatDuration(most)+" are allowed", "")
		return standard
	}
	return d
}

// unitHint adds the unit to a number that was probably meant: seconds, or milliseconds where so many seconds aren't allowed.
func unitHint(number string, least, most time.Duration) string {
	for _, unit := range []string{"s", "ms"} {
		if d, err := time.ParseDuration(number + unit); err == nil && d >= least && d <= most {
			return `did you mean "` + number + unit + `"?`
		}
	}
	return ""
}

// size reads a size between two bounds.
func (o object) size(field string, standard, least, most int) int {
	v := o.value.Get(field)
	if v == nil {
		return standard
	}
	const units = `a string is wanted: "32MiB", "64KiB" or bytes as "4096"`
	if v.Kind != strictjson.String {
		o.wrongType(v, strictjson.Pointer(o.path, field), units)
		return standard
	}
	n, ok := ParseSize(v.Text)
	if !ok {
		o.bad(WrongValue, field, units, sizeHint(v.Text))
		return standard
	}
	if n < least || n > most {
		o.bad(OutOfRange, field, FormatSize(least)+" to "+FormatSize(most)+" are allowed", "")
		return standard
	}
	return n
}

// sizeHint turns "32MB", "32M" and "32mib" into the unit that was probably meant.
func sizeHint(s string) string {
	end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if end <= 0 {
		return ""
	}
	switch unit := strings.ToUpper(strings.TrimSpace(s[end:])); unit {
	case "K", "KB", "KIB", "M", "MB", "MIB", "G", "GB", "GIB":
		return `did you mean "` + s[:end] + unit[:1] + `iB"?`
	}
	return ""
}

// list reads a list of different strings, at most limit of them, and gives each to use with its
// place. A missing list is empty.
func (o object) list(field string, limit int, use func(element object, s string)) {
	v := o.value.Get(field)
	if v == nil {
		return
	}
	path := strictjson.Pointer(o.path, field)
	if v.Kind != strictjson.Array {
		o.wrongType(v, path, "a list of strings is wanted")
		return
	}
	if o.tooMany(len(v.Items), limit, v, path, "elements") {
		return
	}
	seen := map[string]bool{}
	for i := range v.Items {
		item := &v.Items[i]
		element := object{o.decoder, item, strictjson.Pointer(path, strconv.Itoa(i)), o.rule}
		switch {
		case item.Kind != strictjson.String:
			element.fault(WrongType, "a string is wanted", "")
		case seen[item.Text]:
			element.fault(DuplicateField, "it stands in the list twice", "keep one of them")
		default:
			seen[item.Text] = true
			use(element, item.Text)
		}
	}
}

// fault notes a problem with the value itself.
func (o object) fault(id ID, wanted, hint string) {
	o.add(Problem{ID: id, Path: o.path, Offset: o.value.Offset, Found: found(o.value), Wanted: wanted, Hint: hint})
}

// checkName says what is wrong with a string that must be short, printable and not empty.
func checkName(s string) string {
	switch {
	case s == "":
		return "it must not be empty"
	case len(s) > maxName:
		return "at most " + strconv.Itoa(maxName) + " bytes are allowed"
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "control characters are not allowed"
	}
	return ""
}

// found shows a value as JSON, shortened.
func found(v *strictjson.Value) string {
	switch v.Kind {
	case strictjson.Object, strictjson.Array:
		return v.Kind.String()
	case strictjson.String:
		return quote(v.Text)
	}
	return shorten(v.Text)
}

func quote(s string) string { return string(strictjson.AppendText(nil, []byte(shorten(s)))) }

func shorten(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

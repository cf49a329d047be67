// Package directive reads the directives of a Cache-Control field. The filter acts by them, and the command
// policy explains what it does: so both read alike.
package directive

import "strings"

// Each calls yield for each directive of a field's line, its name in lower case; has tells whether it has an argument, ok whether it is well formed.
//
// Of a malformed directive it also tells what forbids something: a quotation mark that is never closed hides all that
// follows, and some origins write semicolons or spaces where the commas belong, or put all of it in quotation marks.
func Each(line string, yield func(name, argument string, has, ok bool)) {
	Split(line, func(item string) {
		if item == "" {
			return
		}
		name, argument, has := strings.Cut(item, "=")
		value, ok := token(argument)
		// Whitespace around "=" is no grammar of a directive: what it allows isn't believed,
		// what it forbids is.
		ok = ok && name == trim(name)
		yield(strings.ToLower(trim(name)), value, has, ok)
		if !ok || strings.ContainsAny(name, "; \t") {
			forbidding(item, yield)
		}
	})
}

// Forbidden tells what the lines of a request's Cache-Control and Pragma forbid: to use the cache at all, and to answer from it
// without asking the origin. Pragma counts only where Cache-Control is missing (RFC 9111 §5.4).
func Forbidden(cacheControl, pragma []string) (noStore, noCache bool) {
	if len(cacheControl) == 0 {
		return false, len(pragma) > 0 && pragma[0] == "no-cache"
	}
	for _, line := range cacheControl {
		Each(line, func(name, _ string, _, _ bool) {
			noStore = noStore || name == "no-store"
			noCache = noCache || name == "no-cache"
		})
	}
	return noStore, noCache
}

func forbidding(item string, yield func(name, argument string, has, ok bool)) {
	for name := range strings.FieldsFuncSeq(item, func(r rune) bool { return strings.ContainsRune(",;\" \t", r) }) {
		switch name = strings.ToLower(name); name {
		case "no-store", "no-cache", "private":
			yield(name, "", false, true)
		}
	}
}

// Split calls yield for what is between the commas of a value, trimmed, empty or not: once more than there
// are commas. Those in quoted strings don't separate.
func Split(value string, yield func(item string)) {
	quoted, begin := false, 0
	for i := 0; i < len(value); i++ {
		switch {
		case quoted && value[i] == '\\':
			i++
		case value[i] == '"':
			quoted = !quoted
		case !quoted && value[i] == ',':
			yield(trim(value[begin:i]))
			begin = i + 1
		}
	}
	yield(trim(value[begin:]))
}

// trim removes optional whitespace (RFC 9110 §5.6.3).
func trim(s string) string { return strings.Trim(s, " \t") }

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

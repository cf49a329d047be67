package httpcache

import (
	"strconv"
	"strings"
)

// HasValidator tells whether a response can be validated (RFC 9110 §8.8): it has an ETag
// or a Last-Modified date, and so Conditions.
func (f Fields) HasValidator() bool { return f.Get("etag") != "" || f.Get("last-modified") != "" }

// Conditions gives the request fields that ask whether a stored response is still
// the present one (RFC 9111 §4.3.1).
func (f Fields) Conditions() Fields {
	var conditions Fields
	if tag := f.Get("etag"); tag != "" {
		conditions = append(conditions, [2]string{"if-none-match", tag})
	}
	if modified := f.Get("last-modified"); modified != "" {
		conditions = append(conditions, [2]string{"if-modified-since", modified})
	}
	return conditions
}

// NotModified tells whether a request is answered 304 instead of with the stored
// response (RFC 9110 §13.2.2, RFC 9111 §4.3.2). If-None-Match, compared weakly, decides
// alone where it is there; then If-Modified-Since. now is in seconds since 1970.
func NotModified(request, stored Fields, now int64) bool {
	if request.Has("if-none-match") {
		return hasTag(request, stored.Get("etag"))
	}
	since, ok := ParseDate(trim(request.Get("if-modified-since")), now)
	if !ok || len(request.Values("if-modified-since")) > 1 {
		return false
	}
	for _, name := range [...]string{"last-modified", "date"} {
		if modified, ok := ParseDate(trim(stored.Get(name)), now); ok {
			return modified <= since
		}
	}
	return false
}

// hasTag tells whether a request's If-None-Match names an entity tag, compared weakly (RFC 9110
// §8.8.3.2); "*" names any stored response's.
func hasTag(request Fields, tag string) (found bool) {
	tag = strings.TrimPrefix(trim(tag), "W/")
	request.listItems("if-none-match", func(item string) {
		found = found || item == "*" || tag != "" && strings.TrimPrefix(item, "W/") == tag
	})
	return found
}

// sameTag compares two entity tags weakly (RFC 9110 §8.8.3.2).
func sameTag(a, b string) bool { return strings.TrimPrefix(a, "W/") == strings.TrimPrefix(b, "W/") }

// notIn304 are fields of the representation, which a 304 leaves out (RFC 9110 §15.4.5).
var notIn304 = map[string]bool{
	"content-encoding": true, "content-language": true, "content-length": true, "content-range": true,
	"content-type": true, "content-md5": true, "content-digest": true, "accept-ranges": true,
}

// NotModifiedFields gives the fields of a 304 that stands for the stored response.
func NotModifiedFields(stored Fields) Fields {
	kept := make(Fields, 0, len(stored)+2)
	for _, field := range stored {
		if notIn304[field[0]] || field[0] == "last-modified" && stored.Has("etag") {
			continue
		}
		kept = append(kept, field)
	}
	return kept
}

// Confirms tells whether a 304 speaks of the stored response (RFC 9111 §4.3.4): its ETag
// is the stored one, or it has none and its Last-Modified isn't another one.
func Confirms(answer, stored Fields) bool {
	if tag := answer.Get("etag"); tag != "" {
		return sameTag(tag, stored.Get("etag"))
	}
	modified := answer.Get("last-modified")
	return modified == "" || modified == stored.Get("last-modified")
}

// Likeness is what the response to a HEAD says of a stored response to a GET.
type Likeness uint8

// The likenesses.
const (
	Unlike Likeness = iota // it isn't the present one
	Alike                  // it is the present one
	Untold                 // the response has no validator to tell it by
)

// LikeHead compares a 200 to a HEAD with a stored response with a body of size bytes (RFC 9111 §4.3.5): it is the present
// one if the validators that the 200 has are the stored ones, entity tags compared weakly, and its Content-Length, if it has
// one, is the stored body's.
func LikeHead(answer, stored Fields, size int) Likeness {
	if length := answer.Values("content-length"); len(length) > 0 && !(len(length) == 1 && trim(length[0]) == strconv.Itoa(size)) {
		return Unlike
	}
	tag, modified := answer.Get("etag"), answer.Get("last-modified")
	switch {
	case tag == "" && modified == "":
		return Untold
	case tag != "" && !sameTag(tag, stored.Get("etag")),
		modified != "" && modified != stored.Get("last-modified"):
		return Unlike
	}
	return Alike
}

// Refreshed gives the stored fields as a 304 has updated them (RFC 9111 §3.2): each of its
// fields takes the place of all stored ones of that name. Those that concern the
// connection or describe the stored body stay as they were.
func Refreshed(stored, answer Fields) Fields {
	news := StoredFields(answer, nil)
	updated := make(Fields, 0, len(stored)+len(news))
	for _, field := range stored {
		if describesBody(field[0]) || !news.Has(field[0]) {
			updated = append(updated, field)
		}
	}
	for _, field := range news {
		if !describesBody(field[0]) {
			updated = append(updated, field)
		}
	}
	return updated
}

func describesBody(name string) bool {
	switch name {
	case "content-encoding", "content-range", "content-md5", "content-digest":
		return true
	}
	return false
}

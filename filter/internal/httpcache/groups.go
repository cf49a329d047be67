package httpcache

import (
	"slices"
	"strings"

	"github.com/dunglas/httpsfv"
)

// maxNames is how many different names of one list are read: more than anybody can use. So a field that is as long as the proxy
// lets it be takes no more time than its length, while nothing else of the worker goes on.
const maxNames = 100

// Groups reads a list of cache groups (RFC 9875), Cache-Groups or Cache-Group-Invalidation:
// a List of Strings, each once, whose parameters are ignored. ok is false where the field isn't one: then it isn't known
// which groups were meant. Of more than maxNames groups the first maxNames+1 are given, which is more than can be kept.
func (f Fields) Groups(name string) (groups []string, ok bool) {
	lines := f.Values(name)
	if len(lines) == 0 {
		return nil, true
	}
	list, err := httpsfv.UnmarshalList(lines)
	if err != nil {
		return nil, false
	}
	for _, member := range list {
		item, isItem := member.(httpsfv.Item)
		if !isItem {
			return nil, false
		}
		group, isString := item.Value.(string)
		if !isString {
			return nil, false
		}
		groups = appendNew(groups, group)
	}
	return groups, true
}

// Tags reads the groups of a field that CDNs have for them: Surrogate-Key and xkey are
// separated by spaces or commas, Cache-Tag by commas. Each is given once, and of very many the first, as by [Fields.Groups].
func (f Fields) Tags(name string) (tags []string) {
	for _, field := range f {
		if field[0] != name {
			continue
		}
		for tag := range strings.FieldsFuncSeq(field[1], func(r rune) bool {
			return r == ',' || name != "cache-tag" && (r == ' ' || r == '\t')
		}) {
			if tag = trim(tag); tag != "" {
				tags = appendNew(tags, tag)
			}
		}
	}
	return tags
}

// appendNew appends what the list hasn't yet, up to one more than maxNames.
func appendNew(list []string, s string) []string {
	if len(list) > maxNames || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

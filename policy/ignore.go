package policy

// ignoreTree holds the paths of what is ignored, by their levels: a member's name or an element's
// index leads from one level to the next.
type ignoreTree struct {
	whole  bool // this is ignored, whatever it holds
	levels map[string]*ignoreTree
	any    *ignoreTree // what "*" leads to; nil: nothing
}

// ignoring are the places in ignoreTrees that one place of a document stands at: several, where a
// path has its name and another one "*". Empty, nothing at or below it is ignored.
type ignoring []*ignoreTree

// add adds a path; "*" stands for any name and any index where wildcards says so.
func (t *ignoreTree) add(path []string, wildcards bool) {
	for _, token := range path {
		t = t.next(token, wildcards && token == "*")
	}
	t.whole = true
}

// next is where a token leads to, made where it isn't there.
func (t *ignoreTree) next(token string, wildcard bool) *ignoreTree {
	if wildcard {
		if t.any == nil {
			t.any = &ignoreTree{}
		}
		return t.any
	}
	if t.levels == nil {
		t.levels = map[string]*ignoreTree{}
	}
	if t.levels[token] == nil {
		t.levels[token] = &ignoreTree{}
	}
	return t.levels[token]
}

// appendBelow appends where a token leads to from these places.
func (here ignoring) appendBelow(dst ignoring, token []byte) ignoring {
	for _, t := range here {
		if next := t.levels[string(token)]; next != nil {
			dst = append(dst, next)
		}
		if t.any != nil {
			dst = append(dst, t.any)
		}
	}
	return dst
}

// whole tells whether what stands here is ignored.
func (here ignoring) whole() bool {
	for _, t := range here {
		if t.whole {
			return true
		}
	}
	return false
}

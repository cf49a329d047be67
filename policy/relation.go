package policy

// relation says how the requests that two patterns match are related.
type relation byte

const (
	equivalent   relation = iota // both match the same requests
	moreGeneral                  // the first matches all that the second does, and more
	moreSpecific                 // the second matches all that the first does, and more
	overlapping                  // some requests match both, and each matches others
	disjoint                     // none matches both
)

// conflict tells whether two patterns match one request while neither is more specific.
// As in ServeMux, a pattern with a host wins over one without.
func conflict(a, b *pattern) bool {
	if a.host != b.host {
		return false
	}
	r := combine(compareMethods(a.method, b.method), comparePaths(a, b))
	return r == equivalent || r == overlapping
}

func compareMethods(a, b string) relation {
	switch {
	case a == b:
		return equivalent
	case a == "GET" && b == "HEAD":
		return moreGeneral
	case a == "HEAD" && b == "GET":
		return moreSpecific
	}
	return disjoint
}

func comparePaths(a, b *pattern) relation {
	common := min(len(a.segments), len(b.segments))
	result := equivalent
	for i := range common {
		result = combine(result, compareSegments(a.segments[i], b.segments[i]))
	}
	switch {
	case len(a.segments) == len(b.segments):
		return result
	case common == len(a.segments) && a.multi():
		return combine(result, moreGeneral)
	case common == len(b.segments) && b.multi():
		return combine(result, moreSpecific)
	}
	return disjoint
}

func compareSegments(a, b segment) relation {
	switch {
	case a == b:
		return equivalent
	case a.kind == multiSegment:
		return moreGeneral
	case b.kind == multiSegment:
		return moreSpecific
	case a.kind == wildSegment && b.kind == literalSegment:
		return moreGeneral
	case a.kind == literalSegment && b.kind == wildSegment:
		return moreSpecific
	}
	return disjoint // two literals, or a trailing slash, which no single wildcard matches
}

// combine gives the relation of two patterns from the relations of two parts of them.
func combine(a, b relation) relation {
	switch {
	case a == disjoint || b == disjoint:
		return disjoint
	case a == equivalent:
		return b
	case b == equivalent || a == b:
		return a
	}
	return overlapping
}

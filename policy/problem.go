package policy

import (
	"slices"
	"strings"
)

// ID names a kind of problem. IDs are stable: scripts and tests match them.
type ID string

// The kinds of problems.
const (
	Syntax         ID = "syntax"          // the document isn't strict JSON
	TooLarge       ID = "too-large"       // the document or a list in it is larger than allowed
	UnknownField   ID = "unknown-field"   // the language has no such field there
	DuplicateField ID = "duplicate-field" // a field or an element of a set stands twice
	MissingField   ID = "missing-field"   // a field that must be there isn't
	WrongType      ID = "wrong-type"      // another JSON type is wanted
	WrongValue     ID = "wrong-value"     // the type is right, the value isn't allowed
	OutOfRange     ID = "out-of-range"    // a duration or size beyond its bounds
	BadPattern     ID = "bad-pattern"     // not a ServeMux pattern
	WrongMethod    ID = "wrong-method"    // a method that the rule can't be about
	Conflict       ID = "conflict"        // two patterns match one request and neither is more specific
	UnknownCache   ID = "unknown-cache"   // a rule names a cache that isn't there
	NoIdentity     ID = "no-identity"     // a private cache in a policy without identity
	NoBodies       ID = "no-bodies"       // warning: a body-keyed cache that will only bypass
	NoLoopback     ID = "no-loopback"     // warning: a prefetch that has no way
	NeverMatches   ID = "never-matches"   // warning: a cache's pattern that no request matches
	NoCluster      ID = "no-cluster"      // warning: what no Envoy cluster is called stands for one
	InlineSecret   ID = "inline-secret"   // warning: a secret stands in the document
	NotInvalidated ID = "not-invalidated" // warning: a write to a cache's path that leaves it as it is
	OthersStale    ID = "others-stale"    // warning: a write to what several people read that invalidates for one
	Unproven       ID = "unproven"        // warning: an identity that anybody can claim
	SharedUser     ID = "shared-user"     // warning: a shared cache of what is about whoever asks
	SharedRefusal  ID = "shared-refusal"  // warning: a shared cache of what one client was refused with
	CachedWrites   ID = "cached-writes"   // warning: a body-keyed cache that likely takes writes for reads
	KeyedSecret    ID = "keyed-secret"    // warning: a credential that is part of keys
	IgnoredSecret  ID = "ignored-secret"  // warning: a credential that is no part of keys
)

// Problem is one thing wrong with a policy.
type Problem struct {
	ID     ID
	Path   string // JSON pointer (RFC 6901) of the value, "" for the whole document
	Offset int    // bytes from the document's start
	Rule   string // name of the cache or invalidation, where the problem is in one
	Found  string // what stands there, as JSON, shortened; empty where nothing does
	Wanted string // what may stand there, or what is wrong
	Hint   string // what to do, may be empty
}

// String is the problem in one line.
func (p Problem) String() string {
	var b strings.Builder
	if p.Path == "" {
		b.WriteString("policy")
	} else {
		b.WriteString(p.Path)
	}
	if p.Rule != "" {
		b.WriteString(" (" + p.Rule + ")")
	}
	b.WriteString(": " + p.Message())
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	b.WriteString(" [" + string(p.ID) + "]")
	return b.String()
}

// Message says what was found and what is wanted, without the place and the hint.
func (p Problem) Message() string {
	if p.Found == "" {
		return p.Wanted
	}
	return "found " + p.Found + ", " + p.Wanted
}

// Problems is everything wrong with a policy, sorted by position. It is an error
// with one line per problem; an empty one is no error and isn't returned as such.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int { return a.Offset - b.Offset })
}

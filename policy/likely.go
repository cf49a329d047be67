package policy

import (
	"slices"
	"strings"
)

// credentials are names of header fields and query parameters that hold one in many APIs, without "-" and "_".
var credentials = []string{
	"accesskey", "accesstoken", "apikey", "apitoken", "authtoken", "idtoken", "jwt", "privatetoken", "sessiontoken", "sig", "signature",
	"xaccesstoken", "xamzsecuritytoken", "xamzsignature", "xapikey", "xauth", "xauthtoken", "xgoogapikey", "xgoogsignature", "xvaulttoken",
}

// Secret tells whether a header field or a query parameter of the name likely holds a credential: the policy's identity has one of that name, or many
// APIs do.
func (p *Policy) Secret(name string) bool {
	plain := strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(name), "-", ""), "_", "")
	return slices.Contains(credentials, plain) || p.identifies(name)
}

// identifies tells whether a field or a cookie of the name proves to the origin who asks.
func (p *Policy) identifies(name string) bool {
	return slices.ContainsFunc(p.Identity, func(s Source) bool {
		switch s.Kind {
		case SourceHeader, SourceCookie:
			return strings.EqualFold(s.Name, name) && !s.claimed()
		}
		return s.Kind == SourceClaim && strings.EqualFold(s.Header, name)
	})
}

// claimed tells whether the source, by its name, says who somebody is, as X-User-Id does, and holds nothing that proves it.
func (s *Source) claimed() bool {
	if s.Kind != SourceHeader && s.Kind != SourceCookie {
		return false
	}
	name := strings.ToLower(s.Name)
	in := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(name, part) })
	}
	return in("user", "email", "account", "tenant", "customer") && !in("token", "key", "sess", "auth", "jwt", "sid", "secret", "sign")
}

// me are what paths call whoever asks.
var me = []string{"me", "@me", "self", "current"}

// persons are what a path has before the name of one.
var persons = []string{"user", "users", "account", "accounts", "member", "members", "people", "profile", "profiles", "customer", "customers"}

// whoeverAsks gives a path of a shared cache that many APIs have for whoever asks: /me, or /users/me where {user} takes it in. Where any word
// for it has another pattern, the policy's author has thought of that.
func (p *Policy) whoeverAsks(c *Cache) string {
	if !c.Shared || c.TTL == 0 || c.Body != nil {
		return ""
	}
	for _, pattern := range parsedPatterns(c.patterns) {
		for i, s := range pattern.segments {
			switch {
			case s.kind == literalSegment && slices.Contains(me[:3], strings.ToLower(s.literal)):
				return pattern.example(-1, "")
			case s.kind != wildSegment && s.kind != multiSegment || i == 0 || !slices.Contains(persons, strings.ToLower(pattern.segments[i-1].literal)):
			case !slices.ContainsFunc(me, func(word string) bool { return p.read(pattern.host, pattern.example(i, word)) != c }):
				return pattern.example(i, me[0])
			}
		}
	}
	return ""
}

// takesWrites gives a pattern of a body-keyed cache that likely matches writes, too: POSTs of all paths below one, or GraphQL's.
func (c *Cache) takesWrites() string {
	for text, pattern := range parsedPatterns(c.patterns) {
		if pattern.method != "POST" || c.TTL == 0 {
			continue
		}
		if pattern.multi() || strings.EqualFold(pattern.segments[len(pattern.segments)-1].literal, "graphql") {
			return text
		}
	}
	return ""
}

// several are what paths call places that several people read.
var several = []string{
	"channel", "channels", "conversation", "conversations", "group", "groups", "org", "organization", "organizations", "orgs",
	"repo", "repos", "room", "rooms", "team", "teams", "workspace", "workspaces",
}

// ofSeveral gives a pattern of the rule whose writes are likely read by several people, where they invalidate a private cache for one. In
// paths like /channels.invite the word stands before the dot.
func (i *Invalidation) ofSeveral() string {
	if i.All || !slices.ContainsFunc(i.Caches, (*Cache).Private) {
		return ""
	}
	for text, pattern := range parsedPatterns(i.patterns) {
		if slices.ContainsFunc(pattern.segments, func(s segment) bool {
			word, _, _ := strings.Cut(strings.ToLower(s.literal), ".")
			return slices.Contains(several, word)
		}) {
			return text
		}
	}
	return ""
}

// written gives the cache that a GET of what a rule's pattern matches is in; nil where it invalidates that anyway.
func (p *Policy) written(pattern *pattern) *Cache {
	c := p.read(pattern.host, pattern.example(-1, ""))
	if c == nil || c.ByURI() || c.TTL == 0 {
		return nil
	}
	return c
}

func (p *Policy) read(host, path string) *Cache {
	c, _ := p.Match("GET", host, path)
	return c
}

// example is a path that the pattern matches, with a word for the wildcard at a place, and for the others one that no pattern has.
func (p *pattern) example(place int, word string) string {
	var b strings.Builder
	for i, s := range p.segments {
		b.WriteByte('/')
		switch {
		case i == place:
			b.WriteString(word)
		case s.kind == literalSegment:
			b.WriteString(s.literal)
		case s.kind != endSegment:
			b.WriteByte('~')
		}
	}
	return b.String()
}

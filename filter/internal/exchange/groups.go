package exchange

import (
	"path"
	"slices"
	"strings"

	"chatcache/filter/internal/httpcache"
	"chatcache/policy"
	"chatcache/redisbridge/wire"
)

// maxNamed is how many groups a response may name, so that they fit into a frame with its others.
const maxNamed = 60

// plainAuthority is how groups have an authority: in lower case, without a default port and the root's dot, so that whoever
// writes it another way invalidates the same (RFC 9110 section 4.2.3). A key has it as it was sent, since routers may tell
// those apart. The default ports of both schemes are none here: more is invalidated then, not less.
func plainAuthority(authority string) string {
	host := strings.ToLower(authority)
	port := ""
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host, port = host[:i], host[i:]
	}
	switch host = strings.TrimSuffix(host, "."); port {
	case ":", ":80", ":443":
		return host
	}
	return host + port
}

// groupURI is the group of what a cache stores for a URI.
func groupURI(c *policy.Cache, authority, path string) string {
	return wire.GroupURI(wire.KeyDigest(c.AppendURI([]byte(c.Name+" "), plainAuthority(authority), path)))
}

// anyAuthority is the space of the groups that responses of caches belong to that ignore the authority. No authority has a slash.
const anyAuthority = "/"

// groupNamed is a group that an origin has named, in a space of its own for each authority.
func groupNamed(authority, name string) string {
	group := wire.GroupNamed(plainAuthority(authority) + " " + name)
	if len(group) > wire.MaxGroup {
		group = wire.GroupNamed("#" + wire.KeyDigest([]byte(group)))
	}
	return group
}

// groupsOf lists the groups that the response to a read belongs to: the read's, and behind them those that it
// names. ok is false where these can't be told, or are too many.
func (r *read) groupsOf(response httpcache.Fields) (groups []string, ok bool) {
	names, ok := response.Groups("cache-groups")
	for _, field := range r.plugin.Policy.Tags {
		names = append(names, response.Tags(field)...)
	}
	authority := r.request.authority
	if r.cache.IgnoreAuthority {
		authority = anyAuthority
	}
	groups = slices.Clip(r.groups)
	for _, name := range names {
		if group := groupNamed(authority, name); !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
	}
	return groups, ok && len(groups) <= min(len(r.groups)+maxNamed, wire.MaxGroups)
}

// namesGroups tells of the fields by which a response says what groups it belongs to. One that must be stored without
// them can't be stored: once it is validated, nothing tells its groups any more.
func (p *Plugin) namesGroups(field string) bool {
	return field == "cache-groups" || slices.ContainsFunc(p.Policy.Tags, func(tags string) bool { return strings.EqualFold(tags, field) })
}

// invalidated lists what the response to an unsafe request names: groups (RFC 9875 section 3), and
// the URIs of Location and Content-Location if it isn't an error (RFC 9111 section 4.4).
func (w *write) invalidated(response httpcache.Fields) (groups []string) {
	names, _ := response.Groups("cache-group-invalidation") // a list that can't be read is none
	ignored := slices.ContainsFunc(w.plugin.Policy.Caches, func(c *policy.Cache) bool { return c.IgnoreAuthority })
	for _, name := range names {
		groups = append(groups, groupNamed(w.request.authority, name))
		if ignored {
			groups = append(groups, groupNamed(anyAuthority, name))
		}
	}
	if !w.succeeded() {
		return groups
	}
	for _, field := range [...]string{"location", "content-location"} {
		target, ok := w.request.sameOrigin(response.Get(field))
		if !ok {
			continue
		}
		if c := w.plugin.Policy.Resource(w.request.authority, target); c != nil {
			groups = append(groups, groupURI(c, w.request.authority, target))
		}
	}
	return groups
}

// sameOrigin resolves a URI reference to a path with its query, if it is of the request's own
// origin (RFC 3986 section 5.2).
func (r *request) sameOrigin(reference string) (target string, ok bool) {
	reference, _, _ = strings.Cut(reference, "#")
	if prefix, rest, found := strings.Cut(reference, "://"); found && !strings.ContainsAny(prefix, "/?") {
		if !strings.EqualFold(prefix, r.scheme) {
			return "", false
		}
		reference = "//" + rest
	}
	if rest, found := strings.CutPrefix(reference, "//"); found {
		end := strings.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		if plainAuthority(rest[:end]) != plainAuthority(r.authority) {
			return "", false
		}
		if reference = rest[end:]; !strings.HasPrefix(reference, "/") {
			reference = "/" + reference
		}
	}
	switch {
	case reference == "":
		return "", false
	case reference[0] == '?':
		return r.plainPath() + reference, true
	case reference[0] != '/':
		base := r.plainPath()
		reference = base[:strings.LastIndexByte(base, '/')+1] + reference
	}
	return withoutDots(reference), true
}

// withoutDots removes the dot segments of a path, and leaves its query as it is.
func withoutDots(target string) string {
	plain, query, found := strings.Cut(target, "?")
	if strings.Contains(plain, "/.") {
		slash := strings.HasSuffix(plain, "/") || strings.HasSuffix(plain, "/.") || strings.HasSuffix(plain, "/..")
		if plain = path.Clean(plain); slash && plain != "/" {
			plain += "/"
		}
	}
	if found {
		plain += "?" + query
	}
	return plain
}

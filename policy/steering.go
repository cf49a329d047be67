package policy

import (
	"slices"
	"strings"
)

const (
	fieldForwarded         = "forwarded"
	fieldForwardedHost     = "x-forwarded-host"
	fieldForwardedPort     = "x-forwarded-port"
	fieldForwardedProtocol = "x-forwarded-protocol"
	fieldForwardedScheme   = "x-forwarded-scheme"
	fieldForwardedSSL      = "x-forwarded-ssl"
	fieldFrontEndHTTPS     = "front-end-https"
	fieldHost              = "x-host"
	fieldOriginalHost      = "x-original-host"
	fieldScheme            = "x-scheme"
	fieldScriptName        = "script_name" // gunicorn's, spelled so
	fieldURLScheme         = "x-url-scheme"
)

// steering are the fields that steer, in the order of keys.
var steering = [...]string{
	fieldForwarded, fieldScriptName, fieldForwardedHost, fieldForwardedPort, "x-forwarded-prefix", fieldForwardedProtocol, fieldForwardedScheme, fieldForwardedSSL,
	fieldFrontEndHTTPS, fieldHost, fieldOriginalHost, "x-original-url", "x-rewrite-url", fieldScheme, "x-script-name", fieldURLScheme,
}

// Steering tells whether a request may have fields by which many origins take it for a request for another URI.
type Steering byte

// Each of them includes what is before it.
const (
	NotSteered Steering = iota
	Steered             // it may have such a field
	Disguised           // it may have one that is spelled as CGI has it, with "_" for "-"
)

// Steers tells whether a field of this lower-case name is one by which many origins take a request for a request for another URI.
// Such fields are meant for the proxies before an origin, but nobody asks who has written them: Envoy passes a client's own on.
// Without them in the key one client's X-Forwarded-Host would be in the links of the page that everybody gets.
func Steers(name string) Steering {
	if name == "" || name[0] != 'x' && name[0] != fieldForwarded[0] && name[0] != fieldScriptName[0] { // asked of each field of every request
		return NotSteered
	}
	return steers(name)
}

// steeringLengths has the bits of these names' lengths: "_" in place of "-" keeps it, and most fields have another.
var steeringLengths = lengths(append(steering[:], forwardedScheme))

func lengths(names []string) (bits uint64) {
	for _, name := range names {
		bits |= 1 << len(name)
	}
	return bits
}

func steers(name string) Steering {
	if steeringLengths>>len(name)&1 == 0 {
		return NotSteered
	}
	meant := dashed(name)
	switch {
	case meant != name && (meant == forwardedScheme || slices.Contains(steering[:], meant)):
		return Disguised
	case slices.Contains(steering[:], name):
		return Steered
	}
	return NotSteered
}

// underscored are the names of those and of X-Forwarded-Proto with "_" in place of one "-" or more. Origins that have fields by CGI's names
// (RFC 3875 section 4.1.18: HTTP_X_FORWARDED_HOST) can't tell them apart, and Envoy passes both on unless headers_with_underscores_action says otherwise.
var underscored = func() (names []string) {
	for _, name := range append(steering[:], forwardedScheme) {
		parts := strings.Split(name, "-")
		for which := 1; which < 1<<(len(parts)-1); which++ {
			other := parts[0]
			for i, part := range parts[1:] {
				other += string("-_"[which>>i&1]) + part
			}
			names = append(names, other)
		}
	}
	return names
}()

// dashed is the name that such an origin takes a field's for, if that may be one of those or override the method.
func dashed(name string) string {
	if name == fieldScriptName || strings.IndexByte(name, '_') < 0 {
		return name
	}
	return strings.ReplaceAll(name, "_", "-")
}

// steeringValues gives what a field that steers says beyond what the key has already; nothing of scheme and authority where the cache ignores these.
func (c *Cache) steeringValues(r Request, name string) []string {
	if slices.Contains(c.Headers, name) {
		return nil
	}
	values := r.Header(name)
	if name == fieldForwarded {
		values = forwardedPairs(values)
	}
	if c.said(r, name, values) {
		return nil
	}
	return values
}

// said tells whether a field says nothing but what the key has already or the cache ignores. What names a path never does: an origin
// behind a route that rewrites paths gets another one, which X-Original-URL: /api/a would turn back into the one that the key has.
//
// Such a field stands once, with what the request itself says, byte for byte, as origins compare it: to many of them HTTPS isn't https, nor is what
// they have joined, "https,https", so that they redirect to where the client is already, or write links that lead nowhere. So it is with hosts, see [Policy.AppendKey].
func (c *Cache) said(r Request, name string, values []string) bool {
	if name == fieldForwarded {
		return c.pairsSaid(r, values)
	}
	value := "" // which says nothing of these
	if len(values) == 1 {
		value = values[0]
	}
	switch name {
	case fieldForwardedHost, fieldHost, fieldOriginalHost:
		return c.IgnoreAuthority || value != "" && value == r.Authority()
	case fieldForwardedScheme, fieldForwardedProtocol, fieldScheme, fieldURLScheme:
		return c.IgnoreAuthority || value != "" && value == r.Scheme()
	case fieldForwardedPort:
		return c.IgnoreAuthority || value != "" && value == portOf(r)
	case fieldForwardedSSL, fieldFrontEndHTTPS:
		return c.IgnoreAuthority || value == "on" && r.Scheme() == "https"
	}
	return false
}

// pairsSaid is said, of the pairs of Forwarded: each of host and proto is as a field of its own. A host in quotation marks isn't the request's, as not
// every origin takes them away.
func (c *Cache) pairsSaid(r Request, pairs []string) bool {
	var hosts, schemes []string
	for _, pair := range pairs {
		switch name, value, _ := strings.Cut(pair, "="); {
		case equalLower(name, "host"):
			hosts = append(hosts, value)
		case equalLower(name, "proto"):
			schemes = append(schemes, value)
		default:
			return false
		}
	}
	return (hosts == nil || c.said(r, fieldForwardedHost, hosts)) && (schemes == nil || c.said(r, fieldForwardedScheme, schemes))
}

// portOf is the port of a request's authority, or of its scheme.
func portOf(r Request) string {
	authority := r.Authority()
	if port, ok := strings.CutPrefix(authority[len(stripPort(authority)):], ":"); ok {
		return port
	}
	if r.Scheme() == "https" {
		return "443"
	}
	return "80"
}

// forwardedPairs gives the pairs of Forwarded (RFC 7239), but for those that say whom the request passed through: for and by are
// different for each client. What isn't clearly one of these stays.
func forwardedPairs(lines []string) (pairs []string) {
	for _, line := range lines {
		for pair := range strings.FieldsFuncSeq(line, func(c rune) bool { return c == ',' || c == ';' }) {
			pair = trim(pair)
			name, value, found := strings.Cut(pair, "=")
			node := equalLower(name, "for") || equalLower(name, "by")
			if pair != "" && !(found && node && !strings.Contains(value, "=")) {
				pairs = append(pairs, pair)
			}
		}
	}
	return pairs
}

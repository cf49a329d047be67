package main

import (
	"fmt"
	"slices"
	"time"

	"chatcache/policy"
	"chatcache/policy/directive"
)

// bypass says why the filter forwards a request of the cache, whatever is stored, as far as the request tells; body is what it is
// keyed by. It is empty where the cache is asked.
func (e *explanation) bypass(p *policy.Policy, c *policy.Cache, o options) (reason string, body []byte) {
	if c.TTL == 0 {
		return `the cache is off: its ttl is "0s"`, nil
	}
	if reason := o.unanswerable(c); reason != "" {
		return reason, nil
	}
	if c.Body != nil {
		if reason, body = canonicalBody(p, c, o); reason != "" {
			return reason, nil
		}
	}
	switch id := e.Partition; {
	case c.Shared:
	case id == nil:
		return "no identity source has a value in this request", nil
	case id.Expires != 0 && id.Expires <= time.Now().Unix():
		return "its credential has expired", nil
	}
	return "", body
}

// unanswerable is what the fields of a request tell.
func (o options) unanswerable(c *policy.Cache) string {
	r := o.request
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return len(r.headers[name]) > 0 })
	}
	post := r.method == "POST"
	methods := r.overriding()
	noStore, noCache := directive.Forbidden(r.headers["cache-control"], r.headers["pragma"])
	switch {
	case has("if-match", "if-unmodified-since"), post && has("if-none-match", "if-modified-since"):
		return "it has a precondition that only the origin can check"
	case post && has("range"):
		return "it asks for a part of what a POST gets"
	case has("upgrade"):
		return "it asks for another protocol (Upgrade)"
	case len(methods) > 0:
		return fmt.Sprintf("a field says that its method is %q", methods)
	case noStore, noCache && !c.Origin:
		return "its Cache-Control wants the origin's answer"
	case c.Body != nil && has("expect"):
		return "its client waits to send the body (Expect)"
	case c.Body != nil && has("content-encoding"):
		return "its body is encoded (Content-Encoding)"
	case c.Body == nil && o.body != "":
		return "it has a body, which is no part of this cache's key"
	}
	return ""
}

// canonicalBody gives what a request is keyed by where its body is part of the key, or why there is nothing.
func canonicalBody(p *policy.Policy, c *policy.Cache, o options) (reason string, body []byte) {
	if !p.Bodies {
		return "no request body reaches the filter: host.allow_on_headers_stop_iteration isn't set", nil
	}
	switch types := o.request.Header("content-type"); {
	case o.body == "":
		return "it has no body (-d), which is part of this cache's key", nil
	case len(types) == 0:
		return "it has no Content-Type: -H 'content-type: application/json' is wanted where the body is part of the key (curl -d sends another type by itself)", nil
	case !policy.IsJSON(types):
		return fmt.Sprintf("its Content-Type is %q: application/json is wanted, once, where the body is part of the key", types), nil
	}
	if len(o.body) > c.Body.MaxBytes {
		return fmt.Sprintf("its body has %d bytes, more than max_bytes (%s)", len(o.body), policy.FormatSize(c.Body.MaxBytes)), nil
	}
	body, err := c.Body.Canonical(nil, []byte(o.body))
	if err != nil {
		return err.Error(), nil
	}
	return "", body
}

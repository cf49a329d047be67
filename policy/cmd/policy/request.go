package main

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"chatcache/policy"
)

// request is the request that a policy is explained for.
type request struct {
	method, scheme, authority, path string
	headers                         map[string][]string
	properties                      map[string]string // by path, elements joined with /
}

func (r *request) Method() string              { return r.method }
func (r *request) Scheme() string              { return r.scheme }
func (r *request) Authority() string           { return r.authority }
func (r *request) Path() string                { return r.path }
func (r *request) Steered() policy.Steering    { return policy.Disguised }
func (r *request) Header(name string) []string { return r.headers[name] }

// overriding is what the request's fields say that its method is.
func (r *request) overriding() (methods []string) {
	for _, name := range slices.Sorted(maps.Keys(r.headers)) {
		if policy.Overrides(name) {
			methods = append(methods, r.headers[name]...)
		}
	}
	return methods
}

func (r *request) Property(path ...string) ([]byte, bool) {
	v, ok := r.properties[strings.Join(path, "/")]
	return []byte(v), ok
}

// newRequest takes the path from the URL as it is written: cleaning it would hide what the
// policy does to an unclean one.
func newRequest(method, raw string) (*request, error) {
	r := &request{method: method, headers: map[string][]string{}, properties: map[string]string{}}
	if strings.HasPrefix(raw, "/") {
		r.path = raw
		return r, nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("URL %q: http://HOST/PATH, https://HOST/PATH or /PATH is wanted", raw)
	}
	_, rest, _ := strings.Cut(raw, "://")
	r.scheme, r.authority, r.path = u.Scheme, u.Host, "/"
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		r.path, _, _ = strings.Cut(rest[i:], "#")
	}
	if !strings.HasPrefix(r.path, "/") {
		r.path = "/" + r.path
	}
	return r, nil
}

// addHeader is the flag -H.
func (r *request) addHeader(field string) error {
	name, value, ok := strings.Cut(field, ":")
	name = strings.ToLower(strings.TrimSpace(name))
	if !ok || name == "" {
		return errors.New(`write it as "name: value"`)
	}
	if name == "host" {
		r.authority = strings.TrimSpace(value)
		return nil
	}
	r.headers[name] = append(r.headers[name], strings.TrimSpace(value))
	return nil
}

// addProperty is the flag --property.
func (r *request) addProperty(assignment string) error {
	path, value, ok := strings.Cut(assignment, "=")
	if !ok || path == "" {
		return errors.New(`write it as "connection/uri_san_peer_certificate=VALUE"`)
	}
	r.properties[path] = value
	return nil
}

// addClaim is the flag --claim: what jwt_authn leaves under a payload name.
func (r *request) addClaim(assignment, payload string) error {
	name, value, ok := strings.Cut(assignment, "=")
	if !ok || name == "" {
		return errors.New(`write it as "sub=VALUE"`)
	}
	return r.addProperty("metadata/filter_metadata/envoy.filters.http.jwt_authn/" + payload + "/" + name + "=" + value)
}

package main

import (
	"fmt"
	"strings"
)

// options is what "explain" was asked.
type options struct {
	file, url    string
	request      *request
	body, secret string
	json         bool
}

// explainOptions reads the arguments; code is the exit code where there is nothing left to do,
// otherwise -1.
func explainOptions(args []string, s streams) (o options, code int) {
	var headers, claims, properties []string
	flags := newFlags("explain")
	collect := func(to *[]string) func(string) error {
		return func(v string) error { *to = append(*to, v); return nil }
	}
	flags.Func("H", "a request header, `'name: value'`; repeatable", collect(&headers))
	flags.Func("claim", "a claim as jwt_authn verified it, `name=value`; repeatable", collect(&claims))
	flags.Func("property", "a property of Envoy's, `a/b=value`; repeatable", collect(&properties))
	payload := flags.String("payload", defaultPayload, "payload_in_metadata that --claim is put under")
	flags.StringVar(&o.body, "d", "", "the request's body; say its Content-Type with -H, since a body without one is part of no key")
	flags.StringVar(&o.secret, "secret", "", "the partition secret (default $"+secretVariable+")")
	flags.BoolVar(&o.json, "json", false, "print the explanation as JSON")
	rest, code := parseArgs(flags, explainUsage, args, s)
	if code >= 0 {
		return o, code
	}
	if len(rest) != 3 {
		return o, misused(flags, s, wrongNumber(rest, "FILE, METHOD and URL"))
	}
	if o.secret == "" {
		o.secret = s.getenv(secretVariable)
	}
	o.file, o.url = rest[0], rest[2]
	var err error
	if o.request, err = newRequest(rest[1], rest[2]); err == nil {
		err = o.fill(headers, claims, properties, *payload)
	}
	if err != nil {
		fmt.Fprintln(s.err, "policy:", err)
		return o, exitUsage
	}
	return o, -1
}

func (o *options) fill(headers, claims, properties []string, payload string) error {
	for _, h := range headers {
		if err := o.request.addHeader(h); err != nil {
			name, _, _ := strings.Cut(h, ":")
			return fmt.Errorf("-H %q: %w", name, err)
		}
	}
	for _, c := range claims {
		if err := o.request.addClaim(c, payload); err != nil {
			return fmt.Errorf("--claim: %w", err)
		}
	}
	for _, p := range properties {
		if err := o.request.addProperty(p); err != nil {
			return fmt.Errorf("--property: %w", err)
		}
	}
	return nil
}

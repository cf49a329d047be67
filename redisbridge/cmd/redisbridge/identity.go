package main

import (
	"errors"
	"flag"
	"fmt"
	"strings"

	"chatcache/redisbridge"
)

// identifiedText ends a line with what an identity was taken as, if there was one.
func identifiedText(i *redisbridge.Identified) string {
	if i == nil {
		return ""
	}
	text := ", as " + strings.Join(i.Sources, " and ")
	if i.Note != "" {
		text += " " + i.Note
	}
	return text
}

// identityFlags are what --identity was given.
type identityFlags []string

func (f *identityFlags) register(set *flag.FlagSet) {
	set.Func("identity", "", func(argument string) error {
		list, err := linesOf(argument)
		*f = append(*f, list...)
		return err
	})
}

// parse gives nil if there is none. What is wrong is said without the credential, which may be a file's.
func (f identityFlags) parse() (*redisbridge.Identity, error) {
	if len(f) == 0 {
		return nil, nil
	}
	identity := &redisbridge.Identity{}
	kinds := map[string]*map[string]string{
		"header": &identity.Header, "cookie": &identity.Cookie,
		"jwt_authn_claim": &identity.Claim, "property": &identity.Property,
	}
	for _, who := range f {
		kind, rest, _ := strings.Cut(who, ":")
		name, value, named := strings.Cut(rest, "=")
		place := kinds[kind]
		switch {
		case place == nil && named:
			return nil, fmt.Errorf("--identity: no kind %q, want header:NAME=VALUE, cookie:…, jwt_authn_claim:… or property:…", kind)
		case place == nil && identity.Value == "":
			identity.Value = who
		case place == nil:
			return nil, errors.New("--identity: only one may be a bare value")
		case !named || name == "":
			return nil, fmt.Errorf("--identity %s:…: want %s:NAME=VALUE", kind, kind)
		default:
			if kind == "header" {
				name = strings.ToLower(name)
			}
			if _, twice := (*place)[name]; twice {
				return nil, fmt.Errorf("--identity %s:%s=… is given twice: want the credentials of one user; others' in calls of their own", kind, name)
			}
			if *place == nil {
				*place = make(map[string]string)
			}
			(*place)[name] = value
		}
	}
	return identity, nil
}

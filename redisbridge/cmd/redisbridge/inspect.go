package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"chatcache/redisbridge"
)

const inspectUsage = `Usage: redisbridge inspect [flags] URL|KEY

Says which cache or invalidation a request matches, what is stored for it in Redis,
its age, size and ticket, and whether it is valid; if not, which group was raised. It
changes nothing, and shows neither bodies nor identities. A KEY is one of Redis'.

Flags:
  --identity WHO    whose entry: as for purge, a claim with its issuer, too:
                    --identity jwt_authn_claim:iss=https://idp.example
                    @FILE: a file's lines, one each
  --method METHOD   of the request (default GET)
  -H 'name: value'  a field that the cache's key has; repeatable
  -d BODY           the request's body, for caches keyed by it
  --policy NAME     of the bridge's policies; needed where it has several
  --bridge URL      http://host:port or unix:/path (default http://127.0.0.1:8470)
  --json            print it as JSON
  --admin-token-file FILE
                    the bridge's token for administrators: the file's first
                    (default: CHATCACHE_ADMIN_TOKEN of the environment)

Exit codes: 0 a valid entry is stored, 1 none is or the bridge said no, 2 usage.
`

func inspect(ctx context.Context, args []string, env environment) int {
	var f clientFlags
	r := redisbridge.InspectRequest{Header: map[string]string{}}
	var identities identityFlags
	set := env.flagSet("inspect", inspectUsage)
	f.register(set)
	set.StringVar(&r.Policy, "policy", "", "")
	set.StringVar(&r.Method, "method", "GET", "")
	set.StringVar(&r.Body, "d", "", "")
	identities.register(set)
	set.Func("H", "", func(field string) error {
		name, value, ok := strings.Cut(field, ":")
		if !ok {
			return fmt.Errorf(`write it as "name: value"`)
		}
		r.Header[strings.TrimSpace(name)] = strings.TrimSpace(value)
		return nil
	})
	target, err := env.parseOne(set, args, "URL or a KEY")
	if err != nil {
		return usageCode(err)
	}
	if strings.HasPrefix(target, "/") || strings.HasPrefix(target, "http://") || strings.HasPrefix(target, "https://") {
		r.URL = target
	} else {
		r.Key = target
	}
	if r.Identity, err = identities.parse(); err != nil {
		return env.fail(exitUsage, err)
	}
	bridge, err := f.client(env)
	if err != nil {
		return env.fail(exitUsage, err)
	}
	var found redisbridge.Inspection
	if err := bridge.call(ctx, http.MethodPost, "/v1/inspect", r, &found); err != nil {
		return env.fail(exitNo, err)
	}
	if f.json {
		if code := env.printJSON(found); code != exitOK {
			return code
		}
	} else {
		printInspection(env.stdout, found)
	}
	if !found.Valid {
		return exitNo
	}
	return exitOK
}

func printInspection(w io.Writer, i redisbridge.Inspection) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, values ...any) {
		fmt.Fprintf(table, "%s\t%s\n", name, fmt.Sprintf(format, values...))
	}
	line("policy", "%s, sequence %d of epoch %s", i.Policy, i.Sequence, i.Epoch)
	if i.Cache != "" {
		line("cache", "%s", i.Cache)
	}
	if i.Invalidation != "" {
		line("invalidation", "%s", i.Invalidation)
	}
	if i.Identity != nil {
		line("identity", "%s", strings.TrimPrefix(identifiedText(i.Identity), ", "))
	}
	if i.Key != "" {
		line("key", "%s", i.Key)
	}
	if e := i.Entry; e != nil {
		ms := func(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }
		line("entry", "%d bytes, %v old, of %v", e.Bytes, ms(e.AgeMS), ms(e.TTLMS))
		line("ticket", "sequence %d of epoch %s", e.Sequence, e.Epoch)
	}
	for _, g := range i.Groups {
		mark := ""
		if g.Raised {
			mark = ", raised after the ticket"
		}
		if g.Suspensions > 0 {
			mark += fmt.Sprintf(", %d suspensions open", g.Suspensions)
		}
		generation := "no generation is kept"
		if g.Kept {
			generation = fmt.Sprintf("generation %d", g.Generation)
		}
		line("group "+g.Group, "%s%s", generation, mark)
	}
	if c := i.Controls; c != nil {
		line("controls", "%s", settingsText(c.ControlSettings))
	}
	valid := "no: "
	if i.Valid {
		valid = "yes: "
	}
	line("valid", "%s", valid+i.Reason)
	table.Flush()
}

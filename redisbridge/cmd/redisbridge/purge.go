package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"chatcache/redisbridge"
)

const purgeUsage = `Usage: redisbridge purge --all | --cache NAME [--partition ID] | --rule NAME [--identity WHO] [--wait] [flags]

Invalidates stored responses in every proxy and in Redis, by raising their
groups: the cost doesn't depend on how much is stored, and no other key of the
Redis is touched.

What:
  --all             everything of the policy
  --cache NAME      one cache; with --partition ID only one partition of it
  --rule NAME       what a write by this invalidation of the policy invalidates;
                    the bridge needs the policy (serve --policy)
  --identity WHO    whose: KIND:NAME=VALUE with KIND one of header, cookie,
                    jwt_authn_claim, property; repeatable: as a write with
                    all of these credentials would. A claim with its issuer:
                    --identity jwt_authn_claim:iss=https://idp.example
                    A bare VALUE where the policy has one identity source.
                    @FILE: a file's lines, one each, so that no credential is
                    among the arguments. Without it the rule's whole caches

Waiting:
  --wait            return when every VM that follows the feed has applied it, or
                    its lease to answer from its memory has run out; says which did,
                    how long each took, and whose leases ran out
  --timeout TIME    give up waiting after so long (default 10s)

Flags:
` + policyFlagsUsage + `  --new-policy      it is meant, though no document, proxy or key of Redis names it yet
  --bridge URL      http://host:port or unix:/path (default http://127.0.0.1:8470)
  --json            print the answer as JSON

  --admin-token-file FILE
                    the bridge's token for administrators: the file's first
                    (default: CHATCACHE_ADMIN_TOKEN of the environment)

Exit codes: 0 done, 1 the bridge said no or can't be reached, 2 usage, 3 done, but
not every VM is known to have applied it when the waiting ended, or none follows the feed.
`

type purgeFlags struct {
	clientFlags
	what       redisbridge.PurgeRequest
	rule       string
	identities identityFlags
	waitFlags
	policyFlags
}

func (f *purgeFlags) parse(args []string, env environment) error {
	set := env.flagSet("purge", purgeUsage)
	f.clientFlags.register(set)
	f.waitFlags.register(set)
	f.policyFlags.register(set)
	set.BoolVar(&f.what.All, "all", false, "")
	set.StringVar(&f.what.Cache, "cache", "", "")
	set.StringVar(&f.what.Partition, "partition", "", "")
	set.StringVar(&f.rule, "rule", "", "")
	f.identities.register(set)
	if err := env.parse(set, args); err != nil {
		return err
	}
	return env.checked(set, f.check())
}

// isPartition tells whether a text can be a partition. A group of no partition would be raised all the same, and nothing be invalidated.
var isPartition = regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString

// check tells what is wrong with the flags together.
func (f *purgeFlags) check() string {
	chosen := 0
	for _, given := range []bool{f.what.All, f.what.Cache != "", f.rule != ""} {
		if given {
			chosen++
		}
	}
	switch {
	case chosen != 1:
		return fmt.Sprintf("found %d of --all, --cache and --rule, want exactly one", chosen)
	case f.what.Partition != "" && f.what.Cache == "":
		return "--partition needs --cache"
	case f.what.Partition != "" && !isPartition(f.what.Partition):
		return fmt.Sprintf("--partition is %q, want 32 hexadecimal digits: what inspect shows behind p:CACHE: of a group", f.what.Partition)
	case len(f.identities) > 0 && f.rule == "":
		return "--identity needs --rule"
	case f.isNew && f.rule != "":
		return "--new-policy is for --all and --cache: a rule needs the policy's document"
	case f.timeout <= 0:
		return "--timeout must be more than 0"
	}
	return f.policyFlags.check()
}

func purge(ctx context.Context, args []string, env environment) int {
	var f purgeFlags
	if err := f.parse(args, env); err != nil {
		return usageCode(err)
	}
	identity, err := f.identities.parse()
	if err != nil {
		return env.fail(exitUsage, err)
	}
	bridge, err := f.client(env)
	if err != nil {
		return env.fail(exitUsage, err)
	}
	return forPolicies(ctx, env, bridge, f.policyFlags, f.json,
		func(policy string) (answer redisbridge.RaiseAnswer, err error) {
			path, body := f.request(policy, identity)
			return answer, bridge.call(ctx, http.MethodPost, path, body, &answer)
		},
		func(answer *redisbridge.RaiseAnswer) int {
			if !f.json {
				printRaise(env.stdout, *answer)
			}
			if !f.wait {
				return exitOK
			}
			return f.await(ctx, env, bridge, answer, f.json)
		})
}

// request is the call that raises.
func (f *purgeFlags) request(policy string, identity *redisbridge.Identity) (path string, body any) {
	wait := f.firstWait(f.every)
	if f.rule == "" {
		f.what.Policy, f.what.NewPolicy, f.what.Wait = policy, f.isNew, wait
		return "/v1/purge", f.what
	}
	return "/v1/invalidate", redisbridge.InvalidateRequest{Policy: policy, Rule: f.rule, Identity: identity, Wait: wait}
}

func printRaise(w io.Writer, answer redisbridge.RaiseAnswer) {
	fmt.Fprintf(w, "policy %s: raised %s at sequence %d of epoch %s%s\n",
		answer.Policy, strings.Join(answer.Groups, " "), answer.Sequence, answer.Epoch, identifiedText(answer.Identity))
	if answer.AlsoAfterMS > 0 {
		fmt.Fprintf(w, "they are raised once more in %v\n", time.Duration(answer.AlsoAfterMS)*time.Millisecond)
	}
}

func (e environment) printJSON(v any) int {
	if err := writeJSON(e.stdout, v); err != nil {
		return e.fail(exitNo, err)
	}
	return exitOK
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

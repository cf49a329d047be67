package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"

	"chatcache/redisbridge"
)

// policyFlags say which of a bridge's policies a command is about.
type policyFlags struct {
	name         string // empty: the one that there is
	every, isNew bool
}

// policyFlagsUsage is what the usage of a command says of them.
const policyFlagsUsage = `  --policy NAME     of the bridge's policies; needed where it has several
  --every-policy    each policy that the bridge has a document of, or was asked about;
                    where one fails the others are gone through all the same
`

func (f *policyFlags) register(set *flag.FlagSet) {
	set.StringVar(&f.name, "policy", "", "")
	set.BoolVar(&f.every, "every-policy", false, "")
	set.BoolVar(&f.isNew, "new-policy", false, "")
}

// check tells what is wrong with the flags together.
func (f *policyFlags) check() string {
	switch {
	case f.every && (f.name != "" || f.isNew):
		return "--every-policy is in place of --policy and --new-policy"
	case f.isNew && f.name == "":
		return "--new-policy needs --policy NAME"
	}
	return ""
}

// everyName asks the bridge for the names of its policies.
func everyName(ctx context.Context, bridge client) ([]string, error) {
	var status redisbridge.Status
	if err := bridge.call(ctx, http.MethodGet, "/v1/status", nil, &status); err != nil {
		return nil, err
	}
	var names []string
	for _, p := range status.Policies {
		names = append(names, p.Name)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w has no document of a policy, and was asked about none", errBridge)
	}
	return names, nil
}

// forPolicies makes a call for each policy that is meant, and then finishes with each answer, which may take its time: what is
// to be turned off is off everywhere by then. The answers of several policies are a list as JSON.
func forPolicies[Answer any](ctx context.Context, env environment, bridge client, f policyFlags, asJSON bool,
	call func(policy string) (Answer, error), finish func(*Answer) (code int)) int {
	names, err := []string{f.name}, error(nil)
	if f.every {
		names, err = everyName(ctx, bridge)
	}
	if err != nil {
		return env.fail(exitNo, err)
	}
	code, answers := exitOK, []Answer{}
	for _, name := range names {
		answer, err := call(name)
		switch {
		case err == nil:
			answers = append(answers, answer)
		case f.every:
			code = env.fail(exitNo, fmt.Errorf("policy %s: %w", name, err))
		default:
			return env.fail(exitNo, err)
		}
	}
	for i := range answers {
		code = worse(code, finish(&answers[i]))
	}
	switch {
	case asJSON && f.every:
		code = worse(code, env.printJSON(answers))
	case asJSON:
		code = worse(code, env.printJSON(answers[0]))
	}
	return code
}

// worse gives the code of two calls: that one wasn't made says more than that another one's end wasn't seen.
func worse(a, b int) int {
	if a == exitNo || b == exitNo {
		return exitNo
	}
	return max(a, b)
}

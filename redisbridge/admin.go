package redisbridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"chatcache/policy"
	"chatcache/redisbridge/wire"
)

// PurgeRequest is the body of POST /v1/purge: what to invalidate, whatever the
// rules say. Exactly one of All and Cache is set.
type PurgeRequest struct {
	Policy    string `json:"policy,omitempty"` // may be left out where the bridge serves one policy
	All       bool   `json:"all,omitempty"`
	Cache     string `json:"cache,omitempty"`
	Partition string `json:"partition,omitempty"` // only with Cache: one partition of it
	Wait      string `json:"wait,omitempty"`      // for the VMs' receipts, at most so long ("10s", up to 30s); empty: don't
	NewPolicy bool   `json:"newPolicy,omitempty"` // the policy is meant, though nothing names it yet
}

// String is what the audit log has of it.
func (r PurgeRequest) String() string {
	return words("policy", r.Policy, "newPolicy", onlyTrue(r.NewPolicy), "all", onlyTrue(r.All), "cache", r.Cache, "partition", r.Partition)
}

// InvalidateRequest is the body of POST /v1/invalidate: a write that didn't pass
// a proxy, as the rule that describes it and the identity that made it.
type InvalidateRequest struct {
	Policy   string    `json:"policy,omitempty"` // may be left out where the bridge serves one policy
	Rule     string    `json:"rule"`
	Identity *Identity `json:"identity,omitempty"` // without one the rule's whole caches are invalidated
	Wait     string    `json:"wait,omitempty"`     // as in PurgeRequest
}

// String is what the audit log has of it: never who the identity is.
func (r InvalidateRequest) String() string {
	return words("policy", r.Policy, "rule", r.Rule, "identity", onlyTrue(r.Identity != nil))
}

// words writes "name=value" of each pair that has a value.
func words(pairs ...string) string {
	var list []string
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			list = append(list, pairs[i]+"="+pairs[i+1])
		}
	}
	return strings.Join(list, " ")
}

func onlyTrue(b bool) string {
	if b {
		return "true"
	}
	return ""
}

// RaiseAnswer is the answer to both.
type RaiseAnswer struct {
	Policy   string   `json:"policy"`
	Epoch    string   `json:"epoch"`
	Sequence uint64   `json:"sequence"`
	RaisedAt int64    `json:"raisedAt"` // ms by Redis' clock
	Groups   []string `json:"groups"`
	// Identity tells as what the request's was taken.
	Identity *Identified `json:"identity,omitempty"`
	// AlsoAfterMS is after how many milliseconds the groups are raised once more; 0: they aren't.
	AlsoAfterMS int64 `json:"alsoAfterMs,omitempty"`
	// Receipts are those of the first raise, where the request says to wait.
	Receipts *Receipts `json:"receipts,omitempty"`
}

// Purge invalidates without a rule. Its cost doesn't depend on how much is
// stored. The error matches ErrRequest, ErrNotFound, ErrTooMany or ErrRedis.
func (b *Bridge) Purge(ctx context.Context, r PurgeRequest) (RaiseAnswer, error) {
	name, err := b.changedPolicy(ctx, r.Policy, r.NewPolicy)
	if err != nil {
		return RaiseAnswer{}, err
	}
	group, err := purgeGroup(r)
	if err != nil {
		return RaiseAnswer{}, err
	}
	if err := b.checkCache(name, r.Cache); err != nil {
		return RaiseAnswer{}, err
	}
	return b.raised(ctx, name, []string{group}, 0, r.Wait)
}

func purgeGroup(r PurgeRequest) (string, error) {
	switch {
	case r.All == (r.Cache != ""):
		return "", fmt.Errorf(`%w: want either "all": true or a "cache"`, ErrRequest)
	case r.All && r.Partition != "":
		return "", fmt.Errorf(`%w: a "partition" is one of a "cache", found "all"`, ErrRequest)
	case len(r.Cache)+len(r.Partition) > wire.MaxGroup-4:
		return "", fmt.Errorf("%w: cache and partition of %d bytes, at most %d", ErrRequest, len(r.Cache)+len(r.Partition), wire.MaxGroup-4)
	case r.All:
		return wire.GroupAll, nil
	case r.Partition != "":
		return wire.GroupPartition(r.Cache, r.Partition), nil
	}
	return wire.GroupCache(r.Cache), nil
}

// Invalidate does what a write by the rule would have done. It needs the
// policy's document, and the filters' secret where there is an identity. Caches that the
// proxies have other rules for than the document are invalidated whole. The
// error matches ErrRequest, ErrNotFound, ErrTooMany or ErrRedis.
func (b *Bridge) Invalidate(ctx context.Context, r InvalidateRequest) (RaiseAnswer, error) {
	name, err := b.policyName(ctx, r.Policy)
	if err != nil {
		return RaiseAnswer{}, err
	}
	document, err := b.neededDocument(name)
	if err != nil {
		return RaiseAnswer{}, err
	}
	rule := document.Invalidation(r.Rule)
	if rule == nil {
		return RaiseAnswer{}, fmt.Errorf("%w: policy %q has no invalidation %q, it has %s", ErrNotFound, name, r.Rule, quoted(document.Invalidations, func(i *policy.Invalidation) string { return i.Name }))
	}
	partition, as, err := b.identify(document, r.Identity)
	if err != nil {
		return RaiseAnswer{}, err
	}
	groups := rule.Groups(partition.Parts()...)
	unlike, err := b.unlike(ctx, document)
	if err != nil {
		return RaiseAnswer{}, err
	}
	for _, cache := range unlike {
		if group := wire.GroupCache(cache); !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
	}
	if len(groups) > wire.MaxGroups {
		groups = []string{wire.GroupAll}
	}
	answer, err := b.raised(ctx, name, groups, rule.AlsoAfter, r.Wait)
	answer.Identity = as
	return answer, err
}

// unlike lists the caches, in order, that VMs have other rules at work for than the document, or for other partitions. Which of
// their rules concern such a cache nobody here knows, so an invalidation by any rule takes in all of these caches:
//
//  1. the proxies get a policy whose rule invalidates one cache more; the bridge has the one before
//  2. an application has written, and calls for the rule: what the cache has of before is raised, too
//
// Without the filters' secret nothing can be compared; then there are none.
func (b *Bridge) unlike(ctx context.Context, document *policy.Policy) (caches []string, err error) {
	var identifier *policy.Identifier
	if len(document.Identity) > 0 {
		if identifier, err = b.identifier(document); err != nil {
			return nil, nil
		}
	}
	own := make(map[string]string)
	for _, r := range document.Rules() {
		own[r.Cache] = identifier.RulesDigest(r.Digest)
	}
	ctx, cancel := context.WithTimeout(ctx, b.adminTimeout)
	defer cancel()
	atWork, err := b.redis.HKeys(ctx, prefixOf(document.Name)+"rules").Result()
	for _, rules := range atWork {
		for word := range strings.SplitSeq(rules, ",") {
			if cache, digest, found := strings.Cut(word, "="); found && own[cache] != digest {
				caches = append(caches, cache)
			}
		}
	}
	if len(caches) > 0 {
		caches = canonical(caches)
		b.log.Warn("proxies have other rules at work than this bridge's document of the policy: invalidations by a rule are of whole caches, too",
			"policy", document.Name, "caches", caches)
	}
	return caches, redisError(err)
}

// checkCache refuses a cache that the policy's document hasn't, where there is one; "" stands for all.
func (b *Bridge) checkCache(name, cache string) error {
	known := b.document(name)
	if known == nil || cache == "" || known.Cache(cache) != nil {
		return nil
	}
	names := quoted(known.Caches, func(c *policy.Cache) string { return c.Name })
	return fmt.Errorf("%w: policy %q has no cache %q, it has %s", ErrNotFound, name, cache, names)
}

// quoted lists the names of what a policy has, for people.
func quoted[T any](list []T, name func(T) string) string {
	names := make([]string, len(list))
	for i, one := range list {
		names[i] = strconv.Quote(name(one))
	}
	return strings.Join(names, ", ")
}

// raised raises and, where that is asked for, waits for receipts. What becomes of
// these is no error: the raise was made.
func (b *Bridge) raised(ctx context.Context, name string, groups []string, also time.Duration, wait string) (RaiseAnswer, error) {
	if _, err := parseWait(wait); err != nil {
		return RaiseAnswer{}, err
	}
	raise, err := b.raise(ctx, name, groups, also)
	if err != nil {
		return RaiseAnswer{}, err
	}
	b.log.Info("raised", "policy", name, "sequence", raise.ticket.Sequence, "groups", len(groups))
	answer := RaiseAnswer{
		Policy: name, Epoch: epochText(raise.ticket.Epoch), Sequence: raise.ticket.Sequence, RaisedAt: raise.at,
		Groups: groups, AlsoAfterMS: also.Milliseconds(),
	}
	answer.Receipts = b.receiptsOf(ctx, answer, wait)
	return answer, nil
}

// policyName settles which policy an administrator means. One that nothing names is refused as long as
// there are others: it is a typing error, and a change of it would succeed and change nothing. The
// error matches ErrRequest, ErrNotFound or ErrRedis.
func (b *Bridge) policyName(ctx context.Context, asked string) (string, error) {
	if asked == "" {
		return b.onlyPolicy()
	}
	if err := checkPolicyName(asked); err != nil {
		return "", err
	}
	names := b.policyNames()
	if len(names) == 0 || slices.Contains(names, asked) {
		return asked, nil
	}
	found, err := b.inRedis(ctx, asked)
	if err != nil || found {
		return asked, err
	}
	hint := fmt.Sprintf("this bridge knows %q.", names)
	if near := policy.Closest(asked, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return "", fmt.Errorf("%w: no document, proxy or key of Redis names policy %q: %s", ErrNotFound, asked, hint)
}

// onlyPolicy is the one that is meant where none is named: of those that proxies have at work. One that an administrator alone
// has named, ahead of its first proxy, doesn't make others say which they mean.
func (b *Bridge) onlyPolicy() (string, error) {
	names := b.policyNames()
	if atWork := slices.DeleteFunc(slices.Clone(names), b.isAhead); len(atWork) > 0 {
		names = atWork
	}
	switch len(names) {
	case 0:
		return "", fmt.Errorf(`%w: name a policy (--policy NAME, "policy"): this bridge has no document of one, and was asked about none`, ErrRequest)
	case 1:
		return names[0], nil
	}
	return "", fmt.Errorf(`%w: name one of this bridge's policies (--policy NAME, "policy"): %s`, ErrRequest, quoted(names, strings.Clone))
}

// isAhead tells whether neither a document nor a proxy has named a policy.
func (b *Bridge) isAhead(name string) bool {
	p := b.policies.known(name)
	return b.document(name) == nil && (p == nil || !p.heard.Load())
}

// changedPolicy settles likewise which policy an administrator changes, who may mean one that nothing
// names yet: what is set before its first proxy comes counts for that.
func (b *Bridge) changedPolicy(ctx context.Context, asked string, isNew bool) (string, error) {
	if isNew && asked != "" {
		return asked, checkPolicyName(asked)
	}
	name, err := b.policyName(ctx, asked)
	if errors.Is(err, ErrNotFound) {
		err = fmt.Errorf(`%w For one that is new: --new-policy, "newPolicy": true`, err)
	}
	return name, err
}

// inRedis tells whether Redis has anything that decides a policy's validity: a proxy or an
// administrator has called for it, at whatever bridge.
func (b *Bridge) inRedis(ctx context.Context, policy string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, b.adminTimeout)
	defer cancel()
	prefix := prefixOf(policy)
	n, err := b.redis.Exists(ctx, prefix+"state", controlsKey(prefix), prefix+"vms").Result()
	return n > 0, redisError(err)
}

// policyNames lists the policies with a document, and those that filters asked about.
func (b *Bridge) policyNames() []string {
	var names []string
	for _, d := range b.options.Policies {
		names = append(names, d.Name)
	}
	for _, p := range b.policies.all() {
		names = append(names, p.name)
	}
	return canonical(names)
}

func (b *Bridge) document(name string) *policy.Policy {
	for _, d := range b.options.Policies {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// neededDocument is document for a call that can't do without it. The error matches ErrNotFound.
func (b *Bridge) neededDocument(name string) (*policy.Policy, error) {
	d := b.document(name)
	if d == nil {
		return nil, fmt.Errorf("%w: the bridge has no document of policy %q: start it with --policy FILE", ErrNotFound, name)
	}
	return d, nil
}

func epochText(epoch uint64) string { return strconv.FormatUint(epoch, 16) }

// members lists those of a request's JSON.
func members(request any) string {
	var names []string
	for _, f := range reflect.VisibleFields(reflect.TypeOf(request)) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// jsonCall makes a handler of a call that takes and gives JSON. The audit log has what
// the request's String method says of it.
func jsonCall[Request, Answer any](call func(context.Context, Request) (Answer, error)) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		body, err := readBody(w, r, maxAdminBody)
		if err != nil {
			return err
		}
		var request Request
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(&request); err != nil {
			return fmt.Errorf("%w: body is not the JSON of this call, whose members are %s: %w", ErrRequest, members(request), err)
		}
		if _, err := d.Token(); err != io.EOF {
			return fmt.Errorf("%w: the body goes on behind its JSON value", ErrRequest)
		}
		if s, ok := any(request).(fmt.Stringer); ok {
			about(r.Context(), s.String())
		}
		answer, err := call(r.Context(), request)
		if err != nil {
			return err
		}
		return writeJSON(w, answer)
	}
}

package redisbridge

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"chatcache/policy"
	"chatcache/redisbridge/wire"
)

// InspectRequest is the body of POST /v1/inspect: an entry's key in Redis, or a request
// whose entry is meant. It changes nothing.
type InspectRequest struct {
	Policy   string            `json:"policy,omitempty"` // may be left out where the bridge serves one policy
	Key      string            `json:"key,omitempty"`
	URL      string            `json:"url,omitempty"`    // http://HOST/PATH, https://HOST/PATH or /PATH
	Method   string            `json:"method,omitempty"` // GET if empty
	Header   map[string]string `json:"header,omitempty"` // fields that the cache's key has
	Body     string            `json:"body,omitempty"`   // for caches keyed by it
	Identity *Identity         `json:"identity,omitempty"`
}

// String is what the audit log has of it: no URL, whose query may be somebody's words.
func (r InspectRequest) String() string {
	return words("policy", r.Policy, "key", r.Key, "url", onlyTrue(r.URL != ""), "identity", onlyTrue(r.Identity != nil))
}

// Inspection says what is stored, and whether it is valid. It never has a body, nor whose it is.
type Inspection struct {
	Policy string `json:"policy"`
	// Cache matches the request; Invalidation does, where the request is a write.
	Cache        string       `json:"cache,omitempty"`
	Invalidation string       `json:"invalidation,omitempty"`
	Key          string       `json:"key,omitempty"`
	Epoch        string       `json:"epoch,omitempty"`
	Sequence     uint64       `json:"sequence"` // where the policy stands
	Groups       []GroupState `json:"groups"`
	Identity     *Identified  `json:"identity,omitempty"` // as what the request's was taken
	// Controls are what counts for the cache, of what is set for it and for all; nil: nothing is.
	Controls *CacheControls `json:"controls,omitempty"`
	Entry    *EntryState    `json:"entry,omitempty"` // nil: nothing is stored
	Valid    bool           `json:"valid"`
	// Reason says why there is no entry to use, or for how long a valid one is valid.
	Reason string `json:"reason,omitempty"`
}

// GroupState is how a group stands.
type GroupState struct {
	Group       string `json:"group"`
	Generation  uint64 `json:"generation"`
	Kept        bool   `json:"kept"`        // Redis keeps a generation of this epoch, which may be 0
	Suspensions int64  `json:"suspensions"` // open on it
	Raised      bool   `json:"raised"`      // after the entry's ticket
}

// EntryState is what stands in an entry's head, its size, and its age.
type EntryState struct {
	Bytes       int    `json:"bytes"`
	AgeMS       int64  `json:"ageMs"`
	RemainingMS int64  `json:"remainingMs"`
	TTLMS       int64  `json:"ttlMs"`
	Epoch       string `json:"epoch"` // with Sequence: its ticket
	Sequence    uint64 `json:"sequence"`
	Definition  string `json:"definition"`
	// Outdated: it was stored by another definition of the cache than the bridge's policy has.
	Outdated bool `json:"outdated"`
}

// Inspect tells what is stored for a request or under a key, and whether it is valid. It only
// reads: a deadline that has passed is turned into a raise by the next lookup. The error matches
// ErrRequest, ErrNotFound or ErrRedis.
func (b *Bridge) Inspect(ctx context.Context, r InspectRequest) (Inspection, error) {
	name, err := b.policyName(ctx, r.Policy)
	if err != nil {
		return Inspection{}, err
	}
	if (r.Key == "") == (r.URL == "") {
		return Inspection{}, fmt.Errorf(`%w: want either a "key" or a "url"`, ErrRequest)
	}
	found := Inspection{Policy: name, Key: r.Key, Groups: []GroupState{}}
	var groups []string
	definition := ""
	if r.URL != "" {
		if definition, groups, err = b.resolve(&found, r); err != nil {
			return Inspection{}, err
		}
	} else {
		if err := checkKey(r.Key, name); err != nil {
			return Inspection{}, fmt.Errorf("%w: found %q, want a URL (http://HOST/PATH, https://HOST/PATH or /PATH) or a KEY of Redis, of policy %q (CACHE:%s:{…}:METHOD PATH:DIGEST)",
				ErrRequest, r.Key, name, name)
		}
		found.Cache = cacheOfKey(r.Key)
	}
	ctx, cancel := context.WithTimeout(ctx, b.adminTimeout)
	defer cancel()
	if err := b.readInspection(ctx, &found, groups, definition); err != nil {
		return Inspection{}, err
	}
	return found, nil
}

// resolve finds with the policy what a request's entry is called, and its groups.
func (b *Bridge) resolve(found *Inspection, r InspectRequest) (definition string, groups []string, err error) {
	document, err := b.neededDocument(found.Policy)
	if err != nil {
		return "", nil, err
	}
	request, err := newInspected(r)
	if err != nil {
		return "", nil, err
	}
	request.sources = document.Identity
	cache, rule := document.Match(request.method, request.authority, request.path)
	if cache == nil && rule == nil {
		found.Reason = "no rule of the policy matches the request"
		return "", nil, nil
	}
	partition, as, err := b.identify(document, r.Identity)
	if err != nil {
		return "", nil, err
	}
	found.Identity = as
	if rule != nil {
		found.Invalidation = rule.Name
		found.Reason = "the request is a write: it invalidates these groups"
		return "", rule.Groups(partition.Parts()...), nil
	}
	found.Cache = cache.Name
	switch {
	case cache.TTL == 0:
		found.Reason = `the cache is off: its ttl is "0s"`
		return "", nil, nil
	case cache.Private() && partition.ID == "":
		found.Reason = "the cache is private: say whose entry is meant (--identity)"
		return "", []string{wire.GroupAll, wire.GroupCache(cache.Name)}, nil
	case !cache.IgnoreAuthority && request.authority == "":
		found.Reason = "scheme and authority are part of the key: give the URL that clients ask for, with http:// or https://"
		return "", []string{wire.GroupAll, wire.GroupCache(cache.Name)}, nil
	case cache.Shared:
		partition = policy.Partition{}
	}
	var body []byte
	if cache.Body != nil {
		if body, err = cache.Body.Canonical(nil, []byte(r.Body)); err != nil {
			return "", nil, fmt.Errorf("%w: the cache's key has the request's body: %w", ErrRequest, err)
		}
	}
	key := document.AppendKey(nil, cache, request, partition.ID, body)
	plain, _, _ := strings.Cut(request.path, "?")
	found.Key = wire.EntryKey(cache.Name, found.Policy, partition.ID, request.method, plain, wire.KeyDigest(key))
	return cache.Definition, partition.ReadGroups(cache.Name), nil
}

// inspected is the request whose entry is meant.
type inspected struct {
	identityRequest
	method, scheme, authority, path string
	header                          map[string]string
}

func (r inspected) Method() string    { return r.method }
func (r inspected) Scheme() string    { return r.scheme }
func (r inspected) Authority() string { return r.authority }
func (r inspected) Path() string      { return r.path }

func (r inspected) Header(name string) []string {
	for field, value := range r.header {
		if strings.EqualFold(field, name) {
			return []string{value}
		}
	}
	return r.identityRequest.Header(name)
}

var _ policy.Request = inspected{}

func newInspected(r InspectRequest) (inspected, error) {
	i := inspected{method: policy.StoredMethod(cmp.Or(r.Method, "GET")), header: r.Header, path: r.URL}
	if r.Identity != nil {
		i.Identity = *r.Identity
	}
	if strings.HasPrefix(r.URL, "/") {
		return i, nil
	}
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return i, fmt.Errorf("%w: url %q, want http://HOST/PATH, https://HOST/PATH or /PATH", ErrRequest, r.URL)
	}
	i.scheme, i.authority, i.path = u.Scheme, u.Host, cmp.Or(u.EscapedPath(), "/")
	if u.RawQuery != "" {
		i.path += "?" + u.RawQuery
	}
	return i, nil
}

// readInspection reads the entry, then its groups.
func (b *Bridge) readInspection(ctx context.Context, found *Inspection, groups []string, definition string) error {
	var ticket wire.Ticket
	if found.Key != "" {
		answer, err := b.scripts.entry.Run(ctx, b.redis, entryKeys(found.Key), maxReadTogether).Slice()
		if err != nil {
			return redisError(err)
		}
		s, _, err := cutStored(answer)
		if err != nil {
			return err
		}
		if entry, ok := usable(s); ok {
			ticket = entry.Ticket
			groups = append(groups, entry.Groups...)
			found.Entry = &EntryState{
				Bytes: len(s.bytes), AgeMS: entry.TTL - s.remaining, RemainingMS: s.remaining, TTLMS: entry.TTL,
				Epoch: epochText(ticket.Epoch), Sequence: ticket.Sequence, Definition: entry.Definition,
				Outdated: definition != "" && entry.Definition != definition,
			}
		}
	}
	if err := b.readGroups(ctx, found, canonical(groups), ticket.Sequence); err != nil {
		return err
	}
	found.judge()
	return nil
}

// readGroups reads, without changing anything, where the policy and the groups stand.
func (b *Bridge) readGroups(ctx context.Context, found *Inspection, groups []string, ticket uint64) error {
	prefix := prefixOf(found.Policy)
	fields := []string{"epoch", "seq"}
	pipe := b.redis.Pipeline()
	generations := make([]*redis.StringCmd, len(groups))
	for i, g := range groups {
		word := wire.JoinGroups([]string{g})
		fields = append(fields, "g:"+word)
		generations[i] = pipe.Get(ctx, prefix+"gen:"+word)
	}
	state := pipe.HMGet(ctx, prefix+"state", fields...)
	controls := readControls(ctx, pipe, prefix)
	err := executed(ctx, pipe)
	if err != nil {
		return err
	}
	values := state.Val()
	text := func(i int) string { s, _ := values[i].(string); return s }
	found.Epoch = text(0)
	found.Sequence, _ = strconv.ParseUint(text(1), 10, 64)
	for i, g := range groups {
		one := GroupState{Group: g}
		if number, epoch, _ := strings.Cut(generations[i].Val(), " "); epoch == found.Epoch {
			one.Generation, err = strconv.ParseUint(number, 10, 64)
			one.Kept = err == nil
		}
		one.Suspensions, _ = strconv.ParseInt(text(2+i), 10, 64)
		one.Raised = found.Entry != nil && one.Generation > ticket
		found.Groups = append(found.Groups, one)
	}
	set := controls()
	if c := set.wire.Of(found.Cache); found.Cache != "" && c != (wire.Control{}) {
		if c.Off && found.Reason == "" {
			found.Reason = fmt.Sprintf("the cache is off by controls, last changed %s: redisbridge controls shows and unsets them",
				time.UnixMilli(int64(set.Version)).UTC().Format(time.RFC3339))
		}
		found.Controls = &CacheControls{Name: found.Cache, ControlSettings: newSettings(c), Rollout: c.Rollout}
	}
	return nil
}

// judge says whether the entry would be used now.
func (i *Inspection) judge() {
	var raised, suspended []string
	for _, g := range i.Groups {
		if g.Raised {
			raised = append(raised, g.Group)
		}
		if g.Suspensions > 0 {
			suspended = append(suspended, g.Group)
		}
	}
	age := func(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }
	switch e := i.Entry; {
	case i.Reason != "":
	case i.Controls != nil && i.Controls.Rollout:
		i.Reason = "the proxies' policies have different rules for the cache, or had lately"
	case len(suspended) > 0:
		i.Reason = "a write is in flight, or a new epoch in its quarantine: suspended are " + strings.Join(suspended, ", ")
	case e == nil:
		i.Reason = "nothing is stored"
	case e.Epoch != i.Epoch:
		i.Reason = "it is of another epoch: Redis was flushed, restarted or failed over since"
	case len(raised) > 0:
		i.Reason = "raised after its ticket: " + strings.Join(raised, ", ")
	case slices.ContainsFunc(i.Groups, func(g GroupState) bool { return !g.Kept }) && e.Sequence < i.Sequence:
		i.Reason = "the generation of one of its groups is no longer kept"
	case e.Outdated:
		i.Reason = "it was stored by another definition of the cache"
	default:
		i.Valid = true
		i.Reason = fmt.Sprintf("it is valid for %v more", age(e.RemainingMS).Round(time.Second))
	}
}

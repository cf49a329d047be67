package redisbridge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"chatcache/redisbridge/wire"
)

// ControlSettings are what operators have set for one cache, or for all. In a request,
// what isn't there stays as it is, and what is there and sets nothing (false, 0, "") is refused.
type ControlSettings struct {
	Off     bool    `json:"off,omitempty"`     // neither used nor stored; writes invalidate as before
	TTL     string  `json:"ttl,omitempty"`     // instead of the policy's, as in "60s"; for all caches: at most
	Percent float64 `json:"percent,omitempty"` // of the partitions is served: more than 0, at most 100
	Observe bool    `json:"observe,omitempty"` // everything is forwarded, and would-be hits are counted
	Verify  float64 `json:"verify,omitempty"`  // percent of would-be hits that are compared with the origin's answer
}

// ControlsRequest is the body of POST /v1/controls: what to set, and of which settings to
// forget what was set ("off", "ttl", "percent", "observe", "verify"). Exactly one
// of All and Cache is set.
type ControlsRequest struct {
	Policy string          `json:"policy,omitempty"` // may be left out where the bridge serves one policy
	All    bool            `json:"all,omitempty"`
	Cache  string          `json:"cache,omitempty"`
	Set    ControlSettings `json:"set"`
	Unset  []string        `json:"unset,omitempty"`
	Wait   string          `json:"wait,omitempty"` // as in PurgeRequest
	// NewPolicy: the policy is meant, though nothing names it yet.
	NewPolicy bool `json:"newPolicy,omitempty"`
}

// UnmarshalJSON refuses what isn't a request, as jsonCall does, and settings that are there and set nothing: they would be taken for ones that
// aren't there, and a cache go on to serve everybody whose "percent" was to be 0.
func (r *ControlsRequest) UnmarshalJSON(text []byte) error {
	type members ControlsRequest
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode((*members)(r)); err != nil {
		return err
	}
	var said struct{ Set map[string]any }
	if err := json.Unmarshal(text, &said); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(said.Set)) {
		if value := said.Set[name]; value == any(false) || value == any(0.0) || value == any("") {
			return fmt.Errorf(`"set" has %q: %#v, which sets nothing: leave it out, or to forget what was set, "unset": [%q]`, name, value, name)
		}
	}
	return nil
}

// String is what the audit log has of it.
func (r ControlsRequest) String() string {
	list, _ := r.settings()
	return words("policy", r.Policy, "newPolicy", onlyTrue(r.NewPolicy), "all", onlyTrue(r.All), "cache", r.Cache, "set", strings.Join(list, ","))
}

// Controls are those of a policy. What counts for a cache is the stricter of its own
// setting and that of all, each by itself.
type Controls struct {
	Version uint64            `json:"version"` // grows with each change: ms by Redis' clock; 0: nothing was ever set
	All     ControlSettings   `json:"all"`
	Caches  []CacheControls   `json:"caches"` // in order of name, those that something is set for
	wire    wire.Controls     // the same
	fields  map[string]string // as Redis has them
}

// CacheControls are those of one cache.
type CacheControls struct {
	Name string `json:"name"`
	ControlSettings
	// Rollout: the policies of the VMs that follow the feed have different rules for the
	// cache, or had so lately that writes which began by them may be open; so nobody uses or stores its responses.
	Rollout bool `json:"rollout,omitempty"`
}

// ControlsAnswer is the answer of GET and POST /v1/controls. What follows the policy's name is
// the position at which they were set, which VMs acknowledge; GET has none of it.
type ControlsAnswer struct {
	Policy   string    `json:"policy"`
	Epoch    string    `json:"epoch,omitempty"`
	Sequence uint64    `json:"sequence,omitempty"`
	SetAt    int64     `json:"setAt,omitempty"` // ms by Redis' clock
	Receipts *Receipts `json:"receipts,omitempty"`
	Controls Controls  `json:"controls"`
}

// allControls is the name under which Redis keeps what is set for all caches.
const allControls = "*"

// The settings, as Redis and the "unset" of a request name them.
var settingNames = []string{"off", "ttl", "percent", "observe", "verify"}

// maxSettings bounds what may be set for one policy, and what its caches' "off" may be beyond; so a cache
// that has any is within wire.MaxCaches, unless that many have others.
const maxSettings = wire.MaxCaches

// maxPutBacks bounds how often a change of the controls puts lost ones back first.
const maxPutBacks = 3

// settings gives "name=value" of each setting to change, without a value where it is unset. Values
// are those that Redis keeps: 1, milliseconds, or basis points.
func (r ControlsRequest) settings() (list []string, err error) {
	add := func(name string, value int64) { list = append(list, name+"="+strconv.FormatInt(value, 10)) }
	if r.Set.Off {
		add("off", 1)
	}
	if r.Set.TTL != "" {
		d, err := time.ParseDuration(r.Set.TTL)
		if err != nil || d < time.Second || d.Milliseconds() > wire.MaxTTL {
			return nil, fmt.Errorf(`%w: "ttl" is %q, want a duration from 1s to %v: "60s"`, ErrRequest, r.Set.TTL, wire.MaxTTL*time.Millisecond)
		}
		add("ttl", d.Milliseconds())
	}
	for _, share := range []struct {
		name    string
		percent float64
		hint    string
	}{{"percent", r.Set.Percent, `; "off" serves nobody`}, {"verify", r.Set.Verify, ""}} {
		points := int64(math.Round(share.percent * wire.Whole / 100))
		switch {
		case share.percent == 0:
		case !(share.percent > 0 && share.percent <= 100) || points == 0:
			return nil, fmt.Errorf(`%w: %q is %v, want a percentage from 0.01 to 100%s`, ErrRequest, share.name, share.percent, share.hint)
		default:
			add(share.name, points)
		}
	}
	if r.Set.Observe {
		add("observe", 1)
	}
	for _, name := range r.Unset {
		if !slices.Contains(settingNames, name) {
			return nil, fmt.Errorf(`%w: "unset" has %q, want one of %s`, ErrRequest, name, strings.Join(settingNames, ", "))
		}
		if slices.ContainsFunc(list, func(s string) bool { return strings.HasPrefix(s, name+"=") }) {
			return nil, fmt.Errorf("%w: %q is both set and unset", ErrRequest, name)
		}
		list = append(list, name+"=")
	}
	return list, nil
}

// SetControls changes what is set for one cache of a policy, or for all. With the same
// script a cache that is no longer off is raised: what was stored before isn't found again. The
// error matches ErrRequest, ErrNotFound, ErrTooMany or ErrRedis; after the last of them it
// may have been done.
func (b *Bridge) SetControls(ctx context.Context, r ControlsRequest) (ControlsAnswer, error) {
	p, list, err := b.checkControls(ctx, r)
	if err != nil {
		return ControlsAnswer{}, err
	}
	cache := r.Cache
	if r.All {
		cache = allControls
	}
	fields := make([]any, 0, 2*len(list))
	for _, setting := range list {
		name, value, _ := strings.Cut(setting, "=")
		fields = append(fields, cache+" "+name, value)
	}
	raise, err := b.changeControls(ctx, p, fields)
	if err != nil {
		return ControlsAnswer{}, err
	}
	b.log.Info("controls set", "policy", p.name, "cache", cache, "settings", strings.Join(list, " "), "sequence", raise.ticket.Sequence)
	answer, err := b.controls(ctx, p.name)
	if err != nil {
		return ControlsAnswer{}, err
	}
	p.remembered.lost(answer.Controls)
	answer.Epoch, answer.Sequence, answer.SetAt = epochText(raise.ticket.Epoch), raise.ticket.Sequence, raise.at
	answer.Receipts = b.receiptsOf(ctx, answer.raise(), r.Wait)
	return answer, nil
}

// raise is the answer as far as receipts go.
func (a ControlsAnswer) raise() RaiseAnswer {
	return RaiseAnswer{Policy: a.Policy, Epoch: a.Epoch, Sequence: a.Sequence, RaisedAt: a.SetAt}
}

func (b *Bridge) checkControls(ctx context.Context, r ControlsRequest) (*policyState, []string, error) {
	name, err := b.changedPolicy(ctx, r.Policy, r.NewPolicy)
	if err != nil {
		return nil, nil, err
	}
	if r.All == (r.Cache != "") {
		return nil, nil, fmt.Errorf(`%w: want either "all": true or a "cache"`, ErrRequest)
	}
	if err := checkPlain("cache", r.Cache); err != nil {
		return nil, nil, err
	}
	if len(r.Cache) > wire.MaxCacheName {
		return nil, nil, fmt.Errorf("%w: cache name of %d bytes, at most %d", ErrRequest, len(r.Cache), wire.MaxCacheName)
	}
	if err := b.checkCache(name, r.Cache); err != nil {
		return nil, nil, err
	}
	if _, err := parseWait(r.Wait); err != nil {
		return nil, nil, err
	}
	list, err := r.settings()
	if err == nil && len(list) == 0 {
		err = fmt.Errorf(`%w: nothing to change: want a "set" or an "unset"`, ErrRequest)
	}
	if err != nil {
		return nil, nil, err
	}
	p, err := b.administered(name)
	return p, list, err
}

// changeControls sets fields, on top of what this bridge has read before, should Redis have lost that: what is
// set otherwise would count as newer than an "off" that nobody has unset. Where replicas are asked for it waits until
// they have heard of it: so what was acknowledged survives a failover.
func (b *Bridge) changeControls(ctx context.Context, p *policyState, fields []any) (raiseMark, error) {
	ctx, cancel := context.WithTimeout(ctx, b.adminTimeout)
	defer cancel()
	for range maxPutBacks {
		known := p.remembered.known()
		mark, done, err := b.runControls(ctx, p, known.Version, false, fields)
		switch {
		case err != nil:
			return mark, err
		case done:
			return mark, b.replicated(ctx, p, mark.ticket.Epoch)
		}
		if err := b.putBack(ctx, p, known); err != nil {
			return raiseMark{}, err
		}
	}
	return raiseMark{}, fmt.Errorf("%w has lost the controls again and again; nothing is set", ErrRedis)
}

// replicated waits until the replicas that are asked for have heard of what was set in an epoch. Those of another one are of
// a primary that was elected meanwhile, and may never have heard of it.
func (b *Bridge) replicated(ctx context.Context, p *policyState, set uint64) error {
	if b.options.Replicas == 0 {
		return nil
	}
	switch epoch, err := b.askReplicas(ctx, p); {
	case err != nil:
		return fmt.Errorf("%w: the controls are set, but a failover may lose them: %w", ErrRedis, err)
	case epoch != set:
		return fmt.Errorf("%w: the controls were set, but another epoch has begun since, and may have lost them: set them again", ErrRedis)
	}
	return nil
}

// runControls runs the script controls, and tells whether it has done anything.
func (b *Bridge) runControls(ctx context.Context, p *policyState, known uint64, back bool, fields []any) (mark raiseMark, done bool, err error) {
	args := append([]any{known, flagArg(back), maxSettings}, fields...)
	t, rest, err := b.run(ctx, p, b.scripts.controls, validityKeys(p, p.controlsKey()), args...)
	if err == nil && len(rest) != 2 {
		err = fmt.Errorf("%w: %w: %d values of the controls, want 2", ErrRedis, errScript, len(rest))
	}
	if err != nil {
		return raiseMark{}, false, err
	}
	mark.ticket = t
	mark.at, _ = rest[0].(int64)
	n, _ := rest[1].(int64)
	return mark, n == 1, nil
}

func (p *policyState) controlsKey() string { return controlsKey(p.prefix) }

// controlsKey is where the controls of a policy stand whose keys begin so.
func controlsKey(prefix string) string { return prefix + "controls" }

// Controls tells what is set for a policy. The error matches ErrRequest, ErrNotFound or ErrRedis.
func (b *Bridge) Controls(ctx context.Context, policy string) (ControlsAnswer, error) {
	name, err := b.policyName(ctx, policy)
	if err != nil {
		return ControlsAnswer{}, err
	}
	return b.controls(ctx, name)
}

// controls reads what is set for a policy. Nothing is remembered of one that nobody but readers asks for.
func (b *Bridge) controls(ctx context.Context, policy string) (ControlsAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, b.adminTimeout)
	defer cancel()
	pipe := b.redis.Pipeline()
	read := readControls(ctx, pipe, prefixOf(policy))
	if err := executed(ctx, pipe); err != nil {
		return ControlsAnswer{}, err
	}
	return ControlsAnswer{Policy: policy, Controls: read()}, nil
}

// getControls handles GET /v1/controls.
func (b *Bridge) getControls(w http.ResponseWriter, r *http.Request) error {
	answer, err := b.Controls(r.Context(), r.URL.Query().Get("policy"))
	if err != nil {
		return err
	}
	return writeJSON(w, answer)
}

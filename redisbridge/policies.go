package redisbridge

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"chatcache/redisbridge/wire"
)

// maxPolicies bounds the policies that one bridge serves, and so the memory
// that names cost.
const maxPolicies = 256

// policies are the policies that this bridge has been asked about.
type policies struct {
	mu     sync.Mutex
	byName map[string]*policyState
	clock  Clock
}

// policyState is what the bridge remembers of one policy: all of it can be lost.
type policyState struct {
	name       string
	prefix     string       // of the keys that decide validity
	heard      atomic.Bool  // of the policy's terms: what follows is more than a guess
	quarantine atomic.Int64 // the longest write deadline seen, ms
	horizon    atomic.Int64 // the longest TTL seen, ms; 0 costs hits only, see lookup.lua
	bootstrap  bootstrap
	trust      trust
	wake       wake
	held       held
	reads      pollReads
	lookups    lookupReads
	feedRead   feedRead
	remembered remembered
	applied    bell // a VM's poll came with a new cursor, while somebody waits for receipts
	counters   counters
}

// of gives the state of a policy, made at its first use.
func (p *policies) of(name string, mayBootstrap bool) (*policyState, error) {
	if err := checkPolicyName(name); err != nil {
		return nil, err
	}
	p.mu.Lock()
	s := p.byName[name]
	if s == nil && len(p.byName) < maxPolicies {
		s = newPolicyState(name, mayBootstrap, p.clock)
		p.byName[s.name] = s
	}
	p.mu.Unlock()
	if s == nil {
		return nil, fmt.Errorf("%w policies: this bridge serves %d already", ErrTooMany, maxPolicies)
	}
	return s, nil
}

// hear takes in what a filter's call, or the policy's document, says of the policy, ms.
func (p *policyState) hear(horizon, quarantine int64) {
	raiseTo(&p.quarantine, quarantine)
	raiseTo(&p.horizon, horizon)
	p.heard.Store(true) // last: whoever sees it sees the quarantine
}

// ofNewEpoch is the quarantine of an epoch that a call may begin, ms: the longest there is until
// the bridge has heard of the policy's. It is of that call alone and never kept:
//
//  1. a write is suspended at another bridge, and Redis loses that
//  2. an administrator's call is the first to notice, at a bridge that was just started
//  3. the epoch that it begins must last out the write
//  4. a filter's call comes: later epochs begin with what that says
func (p *policyState) ofNewEpoch() int64 {
	if !p.heard.Load() {
		return wire.MaxQuarantine
	}
	return p.quarantine.Load()
}

// known gives the state of a policy that was asked about before, or nil.
func (p *policies) known(name string) *policyState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byName[name]
}

// all lists the policies by name.
func (p *policies) all() []*policyState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.SortedFunc(maps.Values(p.byName), func(a, b *policyState) int { return strings.Compare(a.name, b.name) })
}

func newPolicyState(name string, mayBootstrap bool, c Clock) *policyState {
	s := &policyState{name: name, prefix: prefixOf(name)}
	s.bootstrap.init(mayBootstrap)
	s.wake.init(&s.held, c)
	return s
}

// prefixOf begins the keys that decide a policy's validity, which share one hash tag.
func prefixOf(policy string) string { return "{chatcache:" + policy + "}:" }

// filledChannel is where scripts publish the keys that were stored or released.
func (p *policyState) filledChannel() string { return p.prefix + "filled" }

// checkPolicyName refuses names that could leave their place in a key of Redis.
func checkPolicyName(name string) error {
	if name == "" || len(name) > wire.MaxPolicyName {
		return fmt.Errorf("%w: policy name of %d bytes, want 1 to %d", ErrRequest, len(name), wire.MaxPolicyName)
	}
	return checkPlain("policy name", name)
}

// checkPlain refuses everything but letters, digits and "-_.".
func checkPlain(what, s string) error {
	if i := wire.NotPlain(s); i >= 0 {
		return fmt.Errorf("%w: %s %q has byte %q at %d, want letters, digits and -_. only", ErrRequest, what, s, s[i], i)
	}
	return nil
}

func raiseTo(v *atomic.Int64, to int64) {
	for old := v.Load(); to > old && !v.CompareAndSwap(old, to); old = v.Load() {
	}
}

// bootstrap lets one policy's first epoch begin without a quarantine, once:
//
//  1. the first call asks with the permission, alone; others wait for it;
//  2. Redis answers: from now on the policy has a state, and if it vanishes
//     somebody deleted it while proxies run: no call asks with it again;
//     or Redis doesn't answer: the next call is the first.
type bootstrap struct {
	turn chan struct{} // holds one token while the permission isn't used up
	used chan struct{} // closed when it is
}

func (b *bootstrap) init(allowed bool) {
	b.turn, b.used = make(chan struct{}, 1), make(chan struct{})
	if allowed {
		b.turn <- struct{}{}
	} else {
		close(b.used)
	}
}

// take gives the permission to at most one call at a time. A call that has it
// must give it back.
func (b *bootstrap) take(ctx context.Context) (allowed bool, err error) {
	if isClosed(b.used) {
		return false, nil
	}
	select {
	case <-b.used:
		return false, nil
	case <-b.turn:
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (b *bootstrap) giveBack(answered bool) {
	if answered {
		close(b.used)
	} else {
		b.turn <- struct{}{}
	}
}

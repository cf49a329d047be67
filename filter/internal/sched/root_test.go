//go:build !wasip1

package sched

import (
	"slices"
	"strings"
	"time"

	"chatcache/filter/internal/exchange"
	"chatcache/filter/internal/httpcache"
	"chatcache/policy"
)

// root is one plugin of a VM, with its root context: the plugin's host. After a change of
// the configuration the old one lives on until its streams have ended, and longer.
type root struct {
	*vm
	plugin  *exchange.Plugin
	policy  *policy.Policy
	woken   bool
	tickAt  int64 // ms; 0: no ticks yet
	journal int64 // entries, as its gauge says
	over    bool  // it hears of nothing any more
}

// configure makes a plugin of the policy the VM's newest.
func (v *vm) configure(p *policy.Policy) {
	r := &root{vm: v, policy: p}
	plugin, err := exchange.NewPlugin(p, secret, r, v.states)
	if err != nil {
		v.w.t.Fatal(err)
	}
	r.plugin = plugin
	v.roots = append(v.roots, r)
}

// current is the plugin that new streams come to.
func (v *vm) current() *root { return v.roots[len(v.roots)-1] }

// mayEnd tells whether a plugin isn't the VM's only one, and has no stream.
func (r *root) mayEnd() bool {
	return len(r.roots) > 1 && !slices.ContainsFunc(r.w.streams, func(s *stream) bool { return s.root == r && !s.over })
}

// end ends the plugin: what it has called for is answered to nobody.
func (r *root) end() {
	if r.plugin.Close() {
		r.Finished()
	} else {
		r.w.violation("%s: a plugin whose VM has another one puts its end off", name(r.owner()))
	}
}

// Finished lets go of the plugin.
func (r *root) Finished() {
	r.over, r.woken, r.journal = true, false, 0
	r.vm.roots = slices.DeleteFunc(r.vm.roots, func(other *root) bool { return other == r })
}

func (r *root) Call(path string, frame []byte, timeout time.Duration, done func(exchange.Answer)) error {
	r.w.newCall(r, nil, path, frame, timeout, done)
	return nil
}

// Fetch is a call that arrives at the listener of the proxy itself.
func (r *root) Fetch(_ string, fields httpcache.Fields, timeout time.Duration, done func(string)) error {
	c := r.w.newCall(r, nil, pathSelf, nil, timeout, func(a exchange.Answer) { done(a.Status) })
	c.fields = fields
	return nil
}

func (r *root) Wake() { r.woken = !r.over }

// Within runs act for a stream that hasn't ended.
func (r *root) Within(other exchange.Stream, act func()) bool {
	s := other.(*stream)
	if s.over {
		return false
	}
	act()
	return true
}

func (r *root) StartTicks() {
	if r.tickAt == 0 {
		r.tickAt = r.w.now() + exchange.TickPeriod.Milliseconds()
	}
}

func (r *root) Now() int64                      { return r.w.now() * int64(time.Millisecond) }
func (r *root) Unix() int64                     { return time.Now().Unix() }
func (r *root) Add(*exchange.Metric, uint64)    {}
func (r *root) Record(*exchange.Metric, uint64) {}
func (r *root) Warn(string)                     {}
func (r *root) Set(gauge *exchange.Metric, n int64) {
	if strings.HasSuffix(gauge.Name, "journal_entries") {
		r.journal = n
	}
}

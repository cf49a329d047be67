package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chatcache/redisbridge"
)

const (
	// watchEvery is how often the counts are looked at.
	watchEvery = 2 * time.Second
	// tellEvery is how often it is told what was seen, at most, while a step holds.
	tellEvery = 15 * time.Second
	// unseenFor is how long they may be out of sight.
	unseenFor = time.Minute
)

// rolloutBridge is what a rollout needs of a bridge.
type rolloutBridge interface {
	// controls tells what is set for the cache, and for all caches.
	controls(ctx context.Context) (cache redisbridge.CacheControls, all redisbridge.ControlSettings, err error)
	// set changes what is set for the cache, and waits until the proxies have heard of it.
	set(ctx context.Context, set redisbridge.ControlSettings, unset ...string) error
	// counts are what all proxies together have counted of the cache.
	counts(ctx context.Context) (redisbridge.ProxyCounts, error)
}

// How a rollout may end before its target, beside a breach.
var (
	errInterrupted = errors.New("interrupted")
	errStalled     = errors.New("too few answers were compared")
	errUnseen      = errors.New("the counts can't be read")
	errChanged     = errors.New("somebody else has changed the controls")
	errUnanswered  = errors.New("a setting wasn't acknowledged, and may have been made")
)

// countsLost is what is told where the counts have begun anew, and with them the step.
const countsLost = "the counts are less than they were: Redis has lost some, and the step begins anew"

// errRules says that nobody is served for the moment: the step begins anew afterwards.
var errRules = errors.New("the proxies' policies have different rules for the cache, or had lately: nobody is served until writes by the old ones are over")

// breachError says that a gate was breached, and what was done about it.
type breachError struct {
	reason   string
	fallBack float64 // the percentage that was gone back to; 0: off
}

func (e *breachError) Error() string {
	to := "it is off now"
	if e.fallBack > 0 {
		to = "it is back at " + percent(e.fallBack)
	}
	return e.reason + ": " + to
}

// widening serves a cache to ever more, one step at a time.
//
//  1. a step is set, and heard of by every proxy
//  2. the gate judges what was counted since
//  3. it holds: the next step. It is breached: back, at once
//
// Where answers differ from what is stored, the cache is wrong for those of the step before, too: it is turned off. Errors
// are a matter of load: there it goes back to the percentage that has held.
type widening struct {
	bridge   rolloutBridge
	gate     gate
	to, step float64       // percent
	verify   float64       // percent of the hits that are compared
	patience time.Duration // beyond hold, for answers to compare
	report   func(progress)

	told   time.Time
	found  float64 // the percentage served at the beginning
	at     float64 // the percentage that has held
	before float64 // what was set of verify before
}

// progress is one thing that a rollout has to tell.
type progress struct {
	Event   string  `json:"event"` // set, watching, held, off, back or done
	Percent float64 `json:"percent"`
	Seconds float64 `json:"seconds"` // since the step began
	seen
	Reason string `json:"reason,omitempty"`
}

// begin finds out where the cache stands. The error is for people: it can't be rolled out.
func (w *widening) begin(ctx context.Context) error {
	cache, all, err := w.bridge.controls(ctx)
	if err != nil {
		return err
	}
	// What is set is compared with what the bridge tells of it.
	w.to, w.step = inPoints(w.to), inPoints(w.step)
	w.found, w.before = served(cache.ControlSettings), cache.Verify
	switch {
	case all.Off || all.Observe:
		return errors.New(`nothing is served of any cache ("off" or "observe" is set for all): unset that first`)
	case all.Percent > 0 && all.Percent < w.to:
		return fmt.Errorf("all caches together are at %s: unset that first, or roll out to no more", percent(all.Percent))
	case w.found > w.to:
		return fmt.Errorf("it is at %s already, and a rollout only widens: turn it off first, or set the percentage", percent(w.found))
	}
	w.verify = max(w.verify, w.before)
	return nil
}

// served is the percentage that settings serve.
func served(s redisbridge.ControlSettings) float64 {
	switch {
	case s.Off || s.Observe:
		return 0
	case s.Percent == 0:
		return 100
	}
	return s.Percent
}

// run widens step by step up to the target; what is served already must hold first, since nobody knows whether it
// has. The error is one of those above, a *breachError, or says why a setting couldn't be changed.
func (w *widening) run(ctx context.Context) error {
	unset := []string{"off", "observe"} // once: should an operator set one later it stays
	for next := w.found; w.at < w.to; {
		if next == w.at {
			next = min(inPoints(w.at+w.step), w.to)
		}
		err := w.bridge.set(ctx, redisbridge.ControlSettings{Percent: next, Verify: w.verify}, unset...)
		switch {
		case ctx.Err() != nil:
			return errInterrupted
		case isRefused(err):
			return fmt.Errorf("setting %s: %w", percent(next), err)
		case err != nil:
			return fmt.Errorf("%w: %s: %w", errUnanswered, percent(next), err)
		}
		unset = nil
		w.report(progress{Event: "set", Percent: next})
		if err := w.watch(ctx, next); err != nil {
			return err
		}
		w.at = next
	}
	if err := w.restore(ctx); err != nil {
		return err
	}
	done := progress{Event: "done", Percent: w.to}
	if w.before > 0 {
		done.Reason = fmt.Sprintf("verify=%s stays, as it was set before", share(w.before))
	}
	w.report(done)
	return nil
}

// watch waits until the gate has judged a step.
func (w *widening) watch(ctx context.Context, step float64) error {
	began, sighted := time.Now(), time.Now()
	var first *redisbridge.ProxyCounts
	for {
		now, err := w.look(ctx, step)
		switch {
		case errors.Is(err, errChanged):
			return err
		case ctx.Err() != nil:
			return errInterrupted
		case errors.Is(err, errRules):
			w.tell(progress{Event: "watching", Percent: step, Reason: err.Error()})
			sighted, first = time.Now(), nil
		case err != nil && time.Since(sighted) >= unseenFor:
			return fmt.Errorf("%w for %v: %w", errUnseen, unseenFor, err)
		case err == nil && first == nil:
			first, began, sighted = &now, time.Now(), time.Now()
		case err == nil:
			sighted = time.Now()
			s, told := since(*first, now)
			if !told {
				w.tell(progress{Event: "watching", Percent: step, Reason: countsLost})
				first, began = &now, time.Now()
				break
			}
			if done, err := w.judge(ctx, step, s, time.Since(began)); done || err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return errInterrupted
		case <-time.After(min(watchEvery, w.gate.hold)):
		}
	}
}

// tell reports what goes on, now and then.
func (w *widening) tell(p progress) {
	if time.Since(w.told) >= tellEvery {
		w.told = time.Now()
		w.report(p)
	}
}

// look reads the counts, and makes sure that what was set still is.
func (w *widening) look(ctx context.Context, step float64) (redisbridge.ProxyCounts, error) {
	cache, all, err := w.bridge.controls(ctx)
	if err != nil {
		return redisbridge.ProxyCounts{}, err
	}
	if found := served(all); found < step {
		return redisbridge.ProxyCounts{}, fmt.Errorf("%w: of all caches %s is served; it is left so", errChanged, percent(found))
	}
	if found := served(cache.ControlSettings); found != step {
		return redisbridge.ProxyCounts{}, fmt.Errorf("%w: %s is served instead of %s; it is left so", errChanged, percent(found), percent(step))
	}
	if cache.Rollout {
		return redisbridge.ProxyCounts{}, errRules
	}
	return w.bridge.counts(ctx)
}

func (w *widening) judge(ctx context.Context, step float64, s seen, elapsed time.Duration) (done bool, err error) {
	p := progress{Event: "watching", Percent: step, Seconds: elapsed.Seconds(), seen: s}
	switch v := w.gate.judge(s, elapsed); v {
	case held:
		p.Event = "held"
		w.report(p)
		return true, nil
	case mismatched, failed:
		return true, w.fallBack(ctx, v, p)
	}
	w.tell(p)
	if elapsed >= w.gate.hold+w.patience {
		return true, fmt.Errorf("%w: %d of %d in %v", errStalled, s.Compared, w.gate.minCompared, elapsed.Round(time.Second))
	}
	return false, nil
}

// fallBack goes back, also when the rollout is interrupted meanwhile.
func (w *widening) fallBack(ctx context.Context, v verdict, p progress) error {
	e := &breachError{reason: w.gate.breach(v, p.seen)}
	set, unset := redisbridge.ControlSettings{Off: true}, []string(nil)
	if v == failed && w.at > 0 {
		e.fallBack, set = w.at, redisbridge.ControlSettings{Percent: w.at}
	}
	if w.before == 0 && w.verify > 0 {
		unset = append(unset, "verify")
	} else {
		set.Verify = w.before
	}
	if err := w.insist(context.WithoutCancel(ctx), p, set, unset); err != nil {
		return fmt.Errorf("%s, and falling back failed: %w; turn the cache off by hand", e.reason, err)
	}
	p.Event, p.Percent, p.Reason = "off", e.fallBack, e.reason
	if e.fallBack > 0 {
		p.Event = "back"
	}
	w.report(p)
	return e
}

// insist sets what must not be left, again and again for a while.
func (w *widening) insist(ctx context.Context, p progress, set redisbridge.ControlSettings, unset []string) error {
	for began := time.Now(); ; time.Sleep(watchEvery) {
		err := w.bridge.set(ctx, set, unset...)
		if err == nil || time.Since(began) >= unseenFor {
			return err
		}
		p.Reason = "falling back failed, and is tried again: " + err.Error()
		w.tell(p)
	}
}

// restore compares as many answers again as before the rollout.
func (w *widening) restore(ctx context.Context) error {
	if w.verify == w.before {
		return nil
	}
	set, unset := redisbridge.ControlSettings{Verify: w.before}, []string(nil)
	if w.before == 0 {
		unset = append(unset, "verify")
	}
	if err := w.bridge.set(ctx, set, unset...); err != nil {
		return fmt.Errorf("%s has held, but comparing can't be ended: %w", percent(w.to), err)
	}
	return nil
}

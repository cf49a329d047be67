package redisbridge

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
)

// readControls reads, without changing anything, what is set and what stands suspended for
// other reasons, of the policy whose keys begin so.
func readControls(ctx context.Context, pipe redis.Pipeliner, prefix string) (read func() Controls) {
	fields := pipe.HGetAll(ctx, controlsKey(prefix))
	differ := pipe.HGet(ctx, prefix+"state", "differ")
	return func() Controls { return newControls(fields.Val(), differ.Val()) }
}

// joinRules writes the rules of a policy as one word: "<cache>=<digest>", with commas between.
func joinRules(rules []wire.CacheRules) string {
	var b strings.Builder
	for i, r := range rules {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(r.Cache + "=" + r.Digest)
	}
	return b.String()
}

// newControls reads what Redis keeps: the settings, and the caches, with commas between, that
// the VMs' policies differ about. What can't be read is left out.
func newControls(fields map[string]string, differ string) Controls {
	c := Controls{Caches: []CacheControls{}, fields: fields}
	c.Version, _ = strconv.ParseUint(fields["version"], 10, 64)
	byName := map[string]*wire.Control{allControls: {}}
	of := func(cache string) *wire.Control {
		if byName[cache] == nil {
			byName[cache] = new(wire.Control)
		}
		return byName[cache]
	}
	for field, text := range fields {
		cache, name, ok := strings.Cut(field, " ")
		if value, err := strconv.ParseInt(text, 10, 64); ok && err == nil && value > 0 {
			apply(of(cache), name, value)
		}
	}
	for cache := range strings.SplitSeq(differ, ",") {
		of(cache).Rollout = cache != ""
	}
	delete(byName, "")
	c.wire = wire.Controls{Version: c.Version, All: *byName[allControls]}
	c.All = newSettings(c.wire.All)
	delete(byName, allControls)
	for name, control := range byName {
		if *control != (wire.Control{}) {
			c.wire.Caches = append(c.wire.Caches, wire.CacheControl{Cache: name, Control: *control})
		}
	}
	slices.SortFunc(c.wire.Caches, func(a, b wire.CacheControl) int { return strings.Compare(a.Cache, b.Cache) })
	c.wire.Caches = atMost(c.wire.Caches)
	for _, one := range c.wire.Caches {
		c.Caches = append(c.Caches, CacheControls{Name: one.Cache, ControlSettings: newSettings(one.Control), Rollout: one.Rollout})
	}
	return c
}

// atMost leaves as many caches as an answer may have, rather those that are off.
func atMost(list []wire.CacheControl) []wire.CacheControl {
	others := wire.MaxCaches
	for _, c := range list {
		if c.Off {
			others--
		}
	}
	kept := list[:0]
	for _, c := range list {
		if !c.Off {
			others--
		}
		if (c.Off || others >= 0) && len(kept) < wire.MaxCaches {
			kept = append(kept, c)
		}
	}
	return kept
}

// apply puts one setting into a control.
func apply(c *wire.Control, name string, value int64) {
	switch name {
	case "off":
		c.Off = true
	case "ttl":
		c.TTL = min(value, wire.MaxTTL)
	case "percent":
		c.Percent = int(min(value, wire.Whole))
	case "observe":
		c.Observe = true
	case "verify":
		c.Verify = int(min(value, wire.Whole))
	}
}

func newSettings(c wire.Control) ControlSettings {
	s := ControlSettings{
		Off: c.Off, Observe: c.Observe,
		Percent: float64(c.Percent) * 100 / wire.Whole, Verify: float64(c.Verify) * 100 / wire.Whole,
	}
	if c.TTL > 0 {
		s.TTL = (time.Duration(c.TTL) * time.Millisecond).String()
	}
	return s
}

// remembered are the last controls that this bridge has read, and puts back where Redis
// has lost them: it was flushed, or a failover came before a replica had heard of them. An
// operator's "off" so outlives Redis as long as one bridge does that has heard of it.
//
//  1. a poll has read version 7
//  2. Redis is flushed, or a replica is promoted that stands at 6
//  3. the next poll at this bridge reads less than 7, puts 7 back by a script that
//     does nothing where there is 7 or more by then, and reads again
//  4. or a change comes to this bridge before that poll: its script does nothing where
//     there is less than 7, which is put back first
//
// Versions are times by Redis' clock: what another bridge, which knows nothing of 7, sets after 2 is
// greater than 7, so it stays.
type remembered struct {
	mu     sync.Mutex
	latest Controls
}

// lost takes in what was read. Where that is older than what was known it gives this.
func (r *remembered) lost(c Controls) (known Controls, lost bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.Version < r.latest.Version {
		return r.latest, true
	}
	r.latest = c
	return c, false
}

// known gives what was known last.
func (r *remembered) known() Controls {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.latest
}

// putBack gives Redis the controls that it has lost.
func (b *Bridge) putBack(ctx context.Context, p *policyState, c Controls) error {
	var fields []any
	for field, value := range c.fields {
		if field != "version" {
			fields = append(fields, field, value)
		}
	}
	mark, done, err := b.runControls(ctx, p, c.Version, true, fields)
	if done || err != nil {
		b.log.Warn("Redis had lost the controls; they are put back", "policy", p.name, "version", c.Version, "sequence", mark.ticket.Sequence, "error", err)
	}
	return err
}

// parseControls reads what the script feed gives of controls.
func parseControls(settings, differ any) Controls {
	fields := make(map[string]string)
	flat, _ := settings.([]any)
	for i := 0; i+1 < len(flat); i += 2 {
		name, _ := flat[i].(string)
		value, _ := flat[i+1].(string)
		fields[name] = value
	}
	caches, _ := differ.(string)
	return newControls(fields, caches)
}

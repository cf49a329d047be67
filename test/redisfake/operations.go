package redisfake

import (
	"slices"
	"strconv"
	"strings"
)

// lookup is script/lookup.lua.
func (v *Validity) lookup(c *call) (any, error) {
	for _, group := range c.own {
		if v.Suspends[group] > 0 {
			return append(v.position(), "1"), nil
		}
	}
	answer := append(v.position(), "0")
	for _, group := range c.own {
		g, ok := v.Generation[group]
		if !ok || g.Epoch != v.Epoch || g.Expires <= c.now {
			g = Generation{v.Seq, v.Epoch, c.now + c.life()}
			v.Generation[group] = g
		} else if (g.Expires-c.now)*2 < c.life() {
			g.Expires = c.now + c.life()
			v.Generation[group] = g
		}
		answer = append(answer, strconv.FormatUint(g.Seq, 10))
	}
	return answer, nil
}

// suspendScript is script/suspend.lua.
func (v *Validity) suspendScript(c *call) (any, error) {
	id := c.own[0]
	if v.Tombstone[id] <= c.now {
		if err := v.suspend(c, id, integer(c.own[1]), c.own[2], integer(c.own[3])); err != nil {
			return nil, err
		}
	}
	return v.position(), nil
}

// closeScript is script/close.lua.
func (v *Validity) closeScript(c *call) (any, error) {
	id, raised, also := c.own[0], []string{c.own[2]}, integer(c.own[4])
	open, known := v.Open[id]
	if known && open.Groups != c.own[2] {
		raised = []string{open.Groups, c.own[2]}
	}
	if c.own[3] == "1" {
		for _, groups := range raised {
			v.raise(c, groups)
		}
		for _, groups := range raised {
			if also > 0 {
				v.raiseLater(c.now, also, groups)
			}
		}
	}
	if known {
		v.forget(id)
	}
	v.Tombstone[id] = c.now + integer(c.own[1])
	return v.position(), nil
}

// raiseScript is script/raise.lua.
func (v *Validity) raiseScript(c *call) (any, error) {
	v.raise(c, c.own[0])
	if also := integer(c.own[1]); also > 0 {
		v.raiseLater(c.now, also, c.own[0])
	}
	return append(v.position(), c.now), nil
}

// feedScript is script/feed.lua.
func (v *Validity) feedScript(c *call) (any, error) {
	keep := integer(c.own[6])
	for vm, until := range v.VMs {
		if until <= c.now-keep {
			delete(v.VMs, vm)
			delete(v.Applied, vm)
			delete(v.Reported, vm)
		}
	}
	vm, most := c.own[0], int(integer(c.own[5]))
	if _, known := v.VMs[vm]; !known && len(v.VMs) >= most {
		return nil, Error("TOOMANY VMs registered: at most " + strconv.Itoa(most))
	}
	lease := c.now + integer(c.own[1])
	if err := v.know(c, c.own[7], c.own[8], int(integer(c.own[9])), lease); err != nil {
		return nil, err
	}
	v.VMs[vm] = lease
	v.Applied[vm] = c.own[3] + " " + c.own[2] + " " + c.own[7]
	v.stand(c)
	v.report(vm, c.own[10:])

	events := []any{}
	cursor := integer(c.own[3])
	behind := int64(v.Seq) - cursor
	if c.own[2] == v.Epoch && behind > 0 && behind <= integer(c.own[4]) {
		for _, e := range v.Feed {
			if e.Seq > uint64(cursor) {
				id := strconv.FormatUint(e.Seq, 10) + "-0"
				events = append(events, []any{id, []any{"k", e.Kind, "g", e.Groups}})
			}
		}
	}
	return append(v.position(), events, v.untilNext(c), flat(v.Controls), v.Differ), nil
}

// report counts a VM's report.
func (v *Validity) report(vm string, args []string) {
	most, number := int(integer(args[0])), args[1]
	if number == "0" || v.Reported[vm] == number {
		return
	}
	for pair := range slices.Chunk(args[2:], 2) {
		if _, known := v.Counts[pair[0]]; known || len(v.Counts) < most {
			v.Counts[pair[0]] += integer(pair[1])
		}
	}
	v.Reported[vm] = number
}

// Trim forgets the feed's events up to a number, as its bounded length would.
func (v *Validity) Trim(upTo uint64) {
	for len(v.Feed) > 0 && v.Feed[0].Seq <= upTo {
		v.Feed = v.Feed[1:]
	}
}

// Lose forgets everything of the policy but the closed ids' and the group's keys
// that stand for themselves: what is left of FLUSHDB on a cluster's other nodes is nothing
// of it, so this is the loss of the key "state" alone.
func (v *Validity) Lose() { v.State, v.Feed = State{}, nil }

// Suspended tells whether anything is open on one of the groups.
func (v *Validity) Suspended(groups string) bool {
	for group := range strings.SplitSeq(groups, ",") {
		if v.Suspends[group] > 0 {
			return true
		}
	}
	return false
}

// Begin gives a policy an epoch that stands at seq, with nothing suspended.
func (s *Server) Begin(policy, epoch string, seq uint64) *Validity {
	v := newValidity()
	v.State = State{Exists: true, Epoch: epoch, Seq: seq, Server: s.Identity, Open: map[string]Suspension{}, Suspends: map[string]int{}}
	s.policies["{chatcache:"+policy+"}:"] = v
	return v
}

// Flush is FLUSHALL.
func (s *Server) Flush() {
	clear(s.policies)
	clear(s.Entries)
}

package redisfake

import (
	"slices"
	"strconv"
	"strings"
)

// lookup is script/lookup.lua.
func (v *Validity) lookup(c *call) (any, error) {
	answer := v.position()
	for _, group := range c.own {
		if v.Suspends[group] > 0 {
			answer = append(answer, "")
			continue
		}
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
	for vm, until := range v.VMs {
		if until <= c.now-integer(c.own[2]) {
			delete(v.VMs, vm)
			delete(v.Applied, vm)
			delete(v.Reported, vm)
		}
	}
	var polls []poll
	refused := []any{}
	for args := c.own[5:]; len(args) > 0; {
		var p poll
		p, args = readPoll(args)
		reason := v.register(c, p)
		if refused = append(refused, reason); reason == "" {
			polls = append(polls, p)
		}
	}
	v.stand(c)
	most, sums := int64(0), map[string]int64{}
	var names []string
	for _, p := range polls {
		if p.report != "0" && v.Reported[p.vm] != p.report {
			for pair := range slices.Chunk(p.counts, 2) {
				if _, known := sums[pair[0]]; !known {
					names = append(names, pair[0])
				}
				sums[pair[0]] += integer(pair[1])
			}
			v.Reported[p.vm] = p.report
		}
		if behind := int64(v.Seq) - integer(p.sequence); p.epoch == v.Epoch && behind <= integer(c.own[0]) {
			most = max(most, behind)
		}
	}
	for _, name := range names {
		if _, known := v.Counts[name]; known || len(v.Counts) < int(integer(c.own[4])) {
			v.Counts[name] += sums[name]
		}
	}
	return append(v.position(), v.last(most), v.untilNext(c), flat(v.Controls), v.Differ, refused), nil
}

// poll is one of those that a run of the script feed is for.
type poll struct {
	vm, lease, epoch, sequence, version, rules, report string
	counts                                             []string
}

func readPoll(args []string) (p poll, rest []string) {
	p = poll{vm: args[0], lease: args[1], epoch: args[2], sequence: args[3], version: args[4], rules: args[5], report: args[6]}
	end := 8 + 2*integer(args[7])
	p.counts = args[8:end]
	return p, args[end:]
}

// register takes a VM in, or gives the reason why not.
func (v *Validity) register(c *call, p poll) (refused string) {
	if _, known := v.VMs[p.vm]; !known && len(v.VMs) >= int(integer(c.own[1])) {
		return "VMs registered: at most " + c.own[1]
	}
	lease := c.now + integer(p.lease)
	if refused = v.know(c, p.version, p.rules, int(integer(c.own[3])), lease); refused == "" {
		v.VMs[p.vm] = max(v.VMs[p.vm], lease)
		v.Applied[p.vm] = p.sequence + " " + p.epoch + " " + p.version
	}
	return refused
}

// last gives the feed's events of so many last numbers.
func (v *Validity) last(most int64) []any {
	events := []any{}
	for _, e := range v.Feed {
		if most > 0 && int64(e.Seq) > int64(v.Seq)-most {
			id := strconv.FormatUint(e.Seq, 10) + "-0"
			events = append(events, []any{id, []any{"k", e.Kind, "g", e.Groups}})
		}
	}
	return events
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

package redisfake

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// apart is by how many ms deadlines may differ: a busy machine reads the fake's time that much later.
const apart = 10_000

// compareState compares all that is stored, but for the milliseconds of deadlines and lives.
func (c *comparison) compareState(ctx context.Context) {
	c.t.Helper()
	got, want := c.fake.dump("chat"), c.dump(ctx)
	for _, key := range sorted(want) {
		if got[key] != want[key] {
			c.t.Errorf("%s, command %d: %s is\n     %q, on the server\n     %q", c.name, c.step, key, got[key], want[key])
		}
	}
	for _, key := range sorted(got) {
		if _, ok := want[key]; !ok {
			c.t.Errorf("%s, command %d: %s is %q, on the server nothing", c.name, c.step, key, got[key])
		}
	}
	if v := c.fake.Validity("chat"); v != nil && v.Exists {
		for _, id := range sorted(v.Open) {
			wanted, _ := c.raw.HGet(ctx, "{chatcache:chat}:state", "s:"+id).Result()
			wanted, _, _ = strings.Cut(wanted, " ")
			if late := v.Open[id].Deadline - integer(wanted); max(late, -late) > apart {
				c.t.Errorf("%s, command %d: suspension %s ends %d ms later than on the server", c.name, c.step, id, late)
			}
		}
	}
}

// dump writes the server's keys as text.
func (c *comparison) dump(ctx context.Context) map[string]string {
	const prefix = "{chatcache:chat}:"
	d := map[string]string{}
	state, err := c.raw.HGetAll(ctx, prefix+"state").Result()
	if err != nil {
		c.t.Fatal(err)
	}
	for field, value := range state {
		switch {
		case strings.HasPrefix(field, "s:"):
			_, value, _ = strings.Cut(value, " ")
		case field == "next":
			value = fmt.Sprint(value != "0")
		case strings.HasPrefix(field, "d:"):
			continue
		case field == "due":
			for i, time := range strings.Fields(value) {
				d[fmt.Sprint("state due ", i)] = state["d:"+time]
			}
			continue
		}
		d["state "+field] = value
	}
	keys, err := c.raw.Keys(ctx, "*").Result()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, key := range keys {
		short, ours := strings.CutPrefix(key, prefix)
		switch {
		case !ours:
			d["entry "+key] = c.raw.Get(ctx, key).Val()
		case strings.HasPrefix(short, "gen:"):
			d[short] = c.raw.Get(ctx, key).Val()
		case strings.HasPrefix(short, "closed:"):
			d[short] = ""
		}
	}
	for _, vm := range c.raw.ZRange(ctx, prefix+"vms", 0, -1).Val() {
		at, _ := c.raw.HGet(ctx, prefix+"applied", vm).Result()
		words := strings.Split(at, " ")
		d["vm "+vm] = strings.Join(append(words[:2], words[3:]...), " ")
	}
	for rules := range c.raw.HGetAll(ctx, prefix+"rules").Val() {
		d["rules "+rules] = ""
	}
	for _, key := range []string{"counts", "reported", "controls"} {
		for field, value := range c.raw.HGetAll(ctx, prefix+key).Val() {
			if field == "version" {
				value = "some time"
			}
			d[key+" "+field] = value
		}
	}
	for _, m := range c.raw.XRange(ctx, prefix+"feed", "-", "+").Val() {
		d["feed "+m.ID] = fmt.Sprint(m.Values["k"], " ", m.Values["g"])
	}
	return d
}

// dump writes what the fake keeps in the same form.
func (s *Server) dump(policy string) map[string]string {
	d := map[string]string{}
	for key, e := range s.Entries {
		d["entry "+key] = e.Value
	}
	v := s.Validity(policy)
	if v == nil {
		return d
	}
	if v.Exists {
		d["state epoch"], d["state seq"], d["state server"] = v.Epoch, fmt.Sprint(v.Seq), v.Server
		d["state next"], d["state open"] = fmt.Sprint(v.Next != 0), fmt.Sprint(len(v.Open))
		if v.Raises > 0 {
			d["state raises"] = fmt.Sprint(v.Raises)
		}
	}
	if len(v.Standing) > 0 {
		d["state standing"] = strings.Join(v.Standing, ",")
	}
	if v.Differ != "" {
		d["state differ"] = v.Differ
	}
	for id, suspension := range v.Open {
		d["state s:"+id] = fmt.Sprint(suspension.Groups, " ", suspension.Also)
	}
	for i, due := range v.Due {
		d[fmt.Sprint("state due ", i)] = due.Groups
	}
	for group, n := range v.Suspends {
		d["state g:"+group] = fmt.Sprint(n)
	}
	for group, g := range v.Generation {
		d["gen:"+group] = fmt.Sprint(g.Seq, " ", g.Epoch)
	}
	for id := range v.Tombstone {
		d["closed:"+id] = ""
	}
	for vm := range v.VMs {
		d["vm "+vm] = v.Applied[vm]
	}
	for field, n := range v.Counts {
		d["counts "+field] = fmt.Sprint(n)
	}
	for rules := range v.Rules {
		d["rules "+rules] = ""
	}
	for field, value := range v.Controls {
		if field == "version" {
			value = "some time"
		}
		d["controls "+field] = value
	}
	for vm, number := range v.Reported {
		d["reported "+vm] = number
	}
	for _, e := range v.Feed {
		d[fmt.Sprintf("feed %d-0", e.Seq)] = e.Kind + " " + e.Groups
	}
	return d
}

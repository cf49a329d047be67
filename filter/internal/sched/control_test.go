//go:build !wasip1

package sched

import (
	"fmt"
	"slices"
	"time"

	"chatcache/redisbridge/wire"
)

// controls are what operators have set, as a set of places in settable, and since when: no two are
// set in one millisecond.
type controls struct {
	version int64 // ms since 1970; 0: nothing was ever set
	set     uint8
}

// settable is what operators set and unset in a schedule.
var settable = [...]struct{ name, where, value string }{
	{"off", `"cache": "stats"`, "true"},
	{"off", `"all": true`, "true"},
	{"percent", `"cache": "stats"`, "0.01"}, // the one user isn't among them
	{"ttl", `"cache": "stats"`, `"1s"`},
	{"observe", `"cache": "stats"`, "true"},
	{"verify", `"cache": "stats"`, "100"},
}

const off, ttl = 1<<0 | 1<<1, 1 << 3

func (c controls) off() bool { return c.set&off != 0 }

// setting is a place in settable, doubled, and 1 more where it is unset.
type setting int16

// settings is how many there are.
const settings = 2 * len(settable)

func (s setting) frame() []byte {
	one := settable[s/2]
	if s%2 == 1 {
		return fmt.Appendf(nil, `{"policy": "chat", %s, "unset": [%q]}`, one.where, one.name)
	}
	return fmt.Appendf(nil, `{"policy": "chat", %s, "set": {%q: %s}}`, one.where, one.name, one.value)
}

// of gives what is set then.
func (s setting) of(set uint8) uint8 {
	if s%2 == 1 {
		return set &^ (1 << (s / 2))
	}
	return set | 1<<(s/2)
}

func (s setting) String() string {
	one, verb := settable[s/2], "sets"
	if s%2 == 1 {
		verb = "unsets"
	}
	return fmt.Sprintf("%s %s: %s of %s", verb, one.name, one.value, one.where)
}

// drawSetting draws one, mostly of what switches the cache off and on.
func (w *world) drawSetting() setting {
	if w.random.IntN(2) == 0 {
		return setting(w.random.IntN(2))
	}
	return setting(w.random.IntN(settings))
}

const pathControls = "/v1/controls"

// operate is an operator's call.
func (w *world) operate(who int16, s setting) {
	c := &call{w: w, path: pathControls, frame: s.frame(), owner: who, weight: usual, setting: s}
	c.number = w.numberOf(who, c.path)
	w.addCall(c)
}

// What is required of controls. While the cache is off no read that begins gets anything of it from
// L2, nor from an L1 once max_staleness has passed; and what was stored before isn't found
// when it is on again, as if the origin had committed then. That counts from when the script has
// run. Where all is lost in Redis it counts until then, and again from the next
// answer to a poll by a bridge that had heard of it before. In the end, when all VMs have heard,
// whatever is set counts.
type operators struct {
	controls controls        // as the scripts that ran have left them
	were     map[int64]uint8 // what was set, by version
	offAt    int64           // the cache is off since, ms
	offStep  int             // likewise
	heard    [2]int64        // the version that a bridge has heard of
}

// tooSoon tells whether the operation sets controls in the same millisecond as another one.
func (w *world) tooSoon(o *operation) bool {
	return o.call.path == pathControls && o.sets() && w.were[time.Now().UnixMilli()] != 0
}

// third gives a script's third key, which tells what it does.
func (o *operation) third() string {
	if args := o.commands[0].Args(); len(args) > 5 {
		key, _ := args[5].(string)
		return key
	}
	return ""
}

// sets tells whether the script sets controls or puts them back.
func (o *operation) sets() bool { return o.third() == prefix+"controls" }

// control takes in that a script has changed the controls.
func (w *world) control(next controls) {
	was := w.controls.off()
	w.controls = next
	switch is := next.off(); {
	case is && !was:
		w.offAt, w.offStep = w.now(), len(w.trace)
	case was && !is:
		w.renew()
	}
}

// renew requires that nothing is found that was stored before: whatever comes now is of another
// version.
func (w *world) renew() {
	w.version++
	w.require(w.version)
}

// controlled takes in what a script has done that sets controls, or puts them back.
func (w *world) controlled(o *operation) {
	const first = 6 + 7 // the keys are behind three words, the script's own arguments behind seven more
	version, _ := o.commands[0].Args()[first].(uint64)
	back := o.commands[0].Args()[first+1] == "1"
	if !back {
		switch b := w.bridgeOf(o.call); {
		case int64(version) > w.controls.version:
			return // they must be put back first
		case w.heard[b] > w.controls.version && o.call.bridge == w.bridges[b] && !o.call.excused && !o.given: // one that was sent before it had heard may come late
			w.violation("%s: sets controls, though Redis has lost version %d, which its bridge has heard of", name(o.call.owner), w.heard[b])
		}
		next := controls{time.Now().UnixMilli(), o.call.setting.of(w.controls.set)}
		w.were[next.version] = next.set | everSet
		w.control(next)
		return
	}
	set, known := w.were[int64(version)]
	switch {
	case !known:
		w.violation("%s: a bridge puts back controls of version %d, which nobody has set", name(o.call.owner), version)
	case int64(version) > w.controls.version:
		w.control(controls{int64(version), set &^ everSet})
	}
}

// everSet marks a version that was set, whatever it is.
const everSet = 1 << 7

// polled takes in that a bridge has read the feed for a call, and so the controls.
func (w *world) polled(c *call) {
	b := w.bridgeOf(c)
	if c.bridge != w.bridges[b] {
		return
	}
	switch heard := &w.heard[b]; {
	case w.controls.version >= *heard:
		*heard = w.controls.version
	case !c.excused:
		c.owes = *heard
	}
}

// paid takes in that a poll was answered by a bridge that had heard of more than Redis knew.
func (w *world) paid(c *call) {
	if c.owes > w.controls.version {
		w.control(controls{c.owes, w.were[c.owes] &^ everSet})
	}
}

// forgotten takes in that Redis has lost everything. What a bridge has sent on it may have sent before it had heard: also for a
// call whose answer was lost.
func (w *world) forgotten() {
	w.controls = controls{}
	excuse := func(c *call) { c.owes, c.excused = 0, true }
	for _, c := range w.calls {
		excuse(c)
	}
	for _, o := range slices.Concat(w.operations(), w.late) {
		excuse(o.call)
	}
}

// spared looks whether a read was answered that begins while the cache is off.
func (w *world) spared(s *stream, tier int) {
	since, began := int64(w.offStep), int64(s.read.step)
	if tier == 0 {
		since, began = w.offAt+s.root.policy.L1.MaxStaleness.Milliseconds(), s.read.began+1
	}
	if w.controls.off() && since < began {
		w.violation("%s: answered from the cache, which is off since %d ms", name(s.number), w.offAt)
	}
}

// firstObeyed is the number of the first read that looks whether what is set counts.
const firstObeyed = 700

// obey looks whether what operators have set counts for VMs that have heard of it, and unsets it.
func (w *world) obey() {
	number := int16(firstObeyed)
	read := func(v int) {
		w.take(step{kind: readBegins, who: number, n: int16(v)})
		number++
		w.settle()
	}
	w.rest(30) // for a script whose call was lost, and that was too soon
	read(0)    // so that it polls
	read(1)
	w.hear() // what Redis has lost may only come back now
	if w.controls.set != 0 {
		w.rest(1100) // longer than the ttl that may be set
		set := w.controls.set
		for i := range w.vms {
			v, before := i^int(w.plan.seed%2), w.hits
			if read(v); w.hits != before && set != 0 {
				w.violation("VM %c answers from the cache although operators have set %v", 'A'+v, w.controls)
			}
			set &^= ttl // now there is something young
		}
	}
	for i := range settable {
		if w.controls.set&(1<<i) != 0 && w.broken == "" {
			w.take(step{kind: operates, who: w.fresh(operatorOwner), x: int16(2*i + 1)})
			w.settle()
		}
	}
	w.hear()
}

// hear lets each VM hear the answer to a poll.
func (w *world) hear() {
	since := w.now()
	for v, vm := range w.vms {
		for before := vm.polls; vm.polls == before && w.broken == ""; w.rest(50) {
			if w.now() > since+patience {
				w.violation("VM %c gets no answer to a poll", 'A'+v)
			}
		}
	}
}

// rest lets time pass, in peace: in steps shorter than a bridge waits for Redis.
func (w *world) rest(millis int64) {
	for end := w.now() + millis; w.now() < end; w.calm() {
		w.take(step{kind: timePasses, n: 30})
	}
}

func (c controls) String() string {
	text := ""
	for i, one := range settable {
		if c.set&(1<<i) != 0 {
			text += fmt.Sprintf("%s: %s of %s; ", one.name, one.value, one.where)
		}
	}
	return text
}

// joins tells whether the call reads the feed.
func (c *call) joins() bool { return c.path == wire.PathFollow || c.path == wire.PathJoin }

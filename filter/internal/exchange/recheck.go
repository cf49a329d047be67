package exchange

import (
	"hash/maphash"
	"strconv"
	"time"

	"chatcache/redisbridge/wire"
)

// Bounds of the rechecks of one VM. What is beyond them is uncompared.
const (
	maxRechecks = 64 // waiting or under way
	// mismatchLogEvery is how often a mismatch is logged at most.
	mismatchLogEvery = time.Second
)

// recheck asks the bridge whether a stored response that differs from what the origin
// has answered is still valid. Only then it was a mismatch: otherwise a write came between them.
type recheck struct {
	read    *read  // whose stream has ended
	digest  uint64 // of the stored response
	differs string
}

// rechecks are those of a VM.
type rechecks struct {
	state  *State
	queue  []*recheck
	sent   underWay[*recheck]
	logAt  int64 // when the next mismatch may be logged, monotonic nanoseconds
	unsaid int   // mismatches that weren't logged since the last one that was
}

// ask takes a recheck.
func (rs *rechecks) ask(c *recheck) {
	if len(rs.queue)+len(rs.sent) >= maxRechecks {
		c.read.metrics.uncompare(c.read.plugin.host)
		return
	}
	rs.queue = append(rs.queue, c)
	rs.state.wake()
}

func (rs *rechecks) run(p *Plugin) {
	queue := rs.queue
	rs.queue = nil
	for _, c := range queue {
		rs.send(p, c)
	}
}

func (rs *rechecks) send(p *Plugin, c *recheck) {
	rs.sent[c] = p
	q := c.read.query(p, nil, 0)
	finish := func(a Answer) {
		if rs.sent.land(p, c) {
			rs.finish(p, c, q, a)
		}
	}
	if err := p.host.Call(q.path, q.frame, rootTimeout, finish); err != nil {
		finish(Answer{})
	}
}

// finish counts what came of it.
func (rs *rechecks) finish(p *Plugin, c *recheck, q query, a Answer) {
	r := c.read
	answer, reason := r.understand(q, a)
	now, ok := r.inL2(answer, p.host.Now())
	if reason != "" || !ok || maphash.Bytes(rs.state.seed, now.block) != c.digest {
		r.metrics.uncompare(p.host)
		return
	}
	r.metrics.count(p.host, wire.CountMismatches, &r.metrics.mismatches)
	rs.log(p, r.cache.Name, c.differs)
}

// log tells of a mismatch, or leaves it to the next one to say that there were others.
func (rs *rechecks) log(p *Plugin, cache, differs string) {
	now := p.host.Now()
	if now < rs.logAt {
		rs.unsaid++
		return
	}
	line := "chatcache: verify: cache " + cache + ": the origin doesn't answer what is stored: " + differs
	if rs.unsaid > 0 {
		line += "; " + strconv.Itoa(rs.unsaid) + " more since the last such line"
	}
	p.host.Warn(line)
	rs.logAt, rs.unsaid = now+int64(mismatchLogEvery), 0
}

// takeBack gives up those whose answers are lost with a plugin that ends.
func (rs *rechecks) takeBack(p *Plugin) {
	rs.sent.takeBack(p, func(c *recheck) { c.read.metrics.uncompare(c.read.plugin.host) })
}

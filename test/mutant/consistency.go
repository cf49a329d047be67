package mutant

const (
	exchangeDir = "filter/internal/exchange/"
	bridgeDir   = "redisbridge/"
	scriptDir   = "redisbridge/script/"
)

// Consistency are the rules of the consistency protocol, each broken by itself.
// Package model explores the same breaks of its own, and package sched of the filter
// runs these.
var Consistency = []Mutant{
	{Name: "ticket check off", Edits: []Edit{
		{bridgeDir + "validity.go", "return v.newest <= ticket.Sequence", "return true"},
	}},
	{Name: "validity of another one's groups", Edits: []Edit{
		{bridgeDir + "reading.go", "v.of(r.groups)", "v.of(list[0].groups)"},
	}},
	{Name: "no suspension", Edits: []Edit{
		{exchangeDir + "write.go", "	frame := w.plugin.suspension(", "	if w.suspended, w.forwarded = true, true; true {\n		return Continue\n	}\n	frame := w.plugin.suspension("},
	}},
	{Name: "one suspension per group", Edits: []Edit{
		{scriptDir + "operations.lua", "'g:' .. group, more) <= 0 then", "'g:' .. group, more) <= 0 or more < 0 then"},
	}},
	{Name: "purge clears suspensions", Edits: []Edit{
		{scriptDir + "raise.lua", "raise(ARGV[own + 1])", `for _, field in ipairs(redis.call('HKEYS', state)) do
  if string.match(field, '^[gs]:') then redis.call('HDEL', state, field) end
end
redis.call('HSET', state, 'open', '0')
raise(ARGV[own + 1])`},
	}},
	{Name: "unknown outcome closed at once", Edits: []Edit{
		{exchangeDir + "journal.go", "if e.outcome == unknown {", "if false {"},
		{exchangeDir + "journal.go", "Raise: e.outcome == changed,", "Raise: e.outcome != unchanged,"},
	}},
	{Name: "4xx after a retry is definite", Edits: []Edit{
		{exchangeDir + "outcome.go", "case o.attempts > 1:", "case o.attempts > 1 && o.status < 400:"},
		{exchangeDir + "outcome.go", "case o.attempts != 1 || o.raiseOn4xx:", "case o.raiseOn4xx:"},
	}},
	{Name: "expiry without a raise", Edits: []Edit{
		{scriptDir + "operations.lua", "raise(suspension.groups)", ""},
	}},
	{Name: "due deadlines turned only by lookups", Edits: []Edit{
		{scriptDir + "start.lua", "expire()\n", "if KEYS[3] and string.find(KEYS[3], 'gen:', 1, true) then expire() end\n"},
	}},
	{Name: "deadlines turned by everything but lookups", Edits: []Edit{
		{scriptDir + "prelude.lua", "settled = current and (not at or now < at)", "settled = current"},
	}},
	{Name: "new epoch without quarantine", Edits: []Edit{
		{scriptDir + "operations.lua", "if quarantine > 0 and", "if false and"},
	}},
	{Name: "suspension lost with a generation", Edits: []Edit{
		{scriptDir + "lookup.lua", "local open = {}", `for i = 3, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 then redis.call('HDEL', state, 'g:' .. ARGV[own + i - 2]) end
end
local open = {}`},
	}},
	{Name: "slots moved only at raises", Edits: []Edit{
		{exchangeDir + "follower.go", "f.state.move(e.Groups)", "if e.Kind == wire.EventRaise {\n				f.state.move(e.Groups)\n			}"},
	}},
	{Name: "slots read after the lookup", Edits: []Edit{
		{exchangeDir + "lookup.go", "		r.goOn(r.understand(q, a))", "		r.fence.mark = r.state.slots.Mark()\n		r.goOn(r.understand(q, a))"},
	}},
	{Name: "slots read after a lookup together with others", Edits: []Edit{
		{exchangeDir + "gathering.go", "		r.goOn(r.judged(answer, a, malformed))", "		r.fence.mark = r.state.slots.Mark()\n		r.goOn(r.judged(answer, a, malformed))"},
	}},
	{Name: "lookup of another plugin's read lost with one that ends", Edits: []Edit{
		{exchangeDir + "gathering.go", "	g.again.takeBack(p, func(r *read) { g.add(r) })\n", ""},
	}},
	{Name: "fill after a lookup that timed out", Edits: []Edit{
		{exchangeDir + "lookup.go", "		return wire.LookupAnswer{}, failure(a)", "		return wire.LookupAnswer{Ticket: wire.Ticket{Epoch: 1}}, \"\""},
	}},
	{Name: "waiter not looking up again", Edits: []Edit{
		{exchangeDir + "round.go", "		if r.joined > last {", "		if false {"},
	}},
	{Name: "waiter answered with a lookup sent before it came", Edits: []Edit{
		{exchangeDir + "flight.go", "f.answer(*stale, f.asked)", "f.answer(*stale, f.state.flights.arrivals)"},
	}},
	{Name: "round's reach counted at its answer", Edits: []Edit{
		{exchangeDir + "round.go", "		answer, reason := rd.first.judged(answer, a, malformed)\n", "		rd.last = f.state.flights.arrivals\n		answer, reason := rd.first.judged(answer, a, malformed)\n"},
	}},
	{Name: "cursor gap ignored", Edits: []Edit{
		{exchangeDir + "follower.go", "if answer.Continues(f.cursor) {", "if f.cursor.Epoch != 0 {"},
	}},
	{Name: "lease from the answer", ModelOnly: true, Edits: []Edit{
		{exchangeDir + "follower.go", "f.heard, f.term = this.sent,", "f.heard, f.term = p.host.Now(),"},
	}},
	{Name: "journal delivered before the response ended", Edits: []Edit{
		{exchangeDir + "write.go", "	w.pending, w.forwarded = true, true\n", `	w.pending, w.forwarded = true, true
	w.state.journal.add(&journalEntry{id: w.id, groups: w.groups, outcome: changed, settle: 1, blocks: true})
`},
		{exchangeDir + "write.go", "	w.state.journal.add(&journalEntry{\n", "	if w.pending {\n		return\n	}\n	w.state.journal.add(&journalEntry{\n"},
	}},
	{Name: "numbers compared as strings", Edits: []Edit{
		{bridgeDir + "validity.go", "return v.newest <= ticket.Sequence", "return strconv.FormatUint(v.newest, 10) <= strconv.FormatUint(ticket.Sequence, 10)"},
	}},
	{Name: "also_after forgotten", Edits: []Edit{
		{scriptDir + "close.lua", "    raise_later(now, also, groups)\n", ""},
	}},
	{Name: "epochs not compared", Edits: []Edit{
		{bridgeDir + "validity.go", "ticket.Epoch != v.ticket.Epoch", "false"},
	}},
	{Name: "own slots not moved", Edits: []Edit{
		{exchangeDir + "write.go", "	w.id = w.state.newID()\n	w.state.move(w.groups)\n", "	w.id = w.state.newID()\n"},
		{exchangeDir + "write.go", "	w.suspended, w.forwarded = true, true\n	w.state.move(w.groups)\n", "	w.suspended, w.forwarded = true, true\n"},
	}},
	{Name: "pending write doesn't block its groups", Edits: []Edit{
		{exchangeDir + "journal.go", "		j.blocked[g]++\n", "		j.blocked[g] += 0\n"},
	}},
	{Name: "lease of another configuration", Edits: []Edit{
		{exchangeDir + "follower.go", "int64(min(f.term, staleness))", "int64(f.term)"},
	}},
	{Name: "journal not taken over", Edits: []Edit{
		{exchangeDir + "journal.go", "			e.call, e.retryAt = nil, 0\n", ""},
	}},
	{Name: "cache on again without a raise", Edits: []Edit{
		{scriptDir + "standing.lua", "      raise(group)\n", ""},
	}},
	{Name: "lookups find what is switched off", Edits: []Edit{
		{scriptDir + "standing.lua", "    count_open(group, 1)\n", ""},
	}},
	{Name: "lost controls not put back", Edits: []Edit{
		{bridgeDir + "controlstate.go", "		return r.latest, true\n", "		return c, false\n"},
	}},
	{Name: "controls not taken from polls", Edits: []Edit{
		{exchangeDir + "follower.go", "	f.state.obey(answer.Controls)\n", ""},
	}},
	// In the stand-in for the script, since schedules on the script itself are too slow to come to it.
	{Name: "older controls put back over newer", Edits: []Edit{
		{"test/redisfake/standing.go", "	case back && known <= version:\n", "	case false:\n"},
	}},
	{Name: "controls set over lost ones", Edits: []Edit{
		{"test/redisfake/standing.go", "	case !back && known > version:\n", "	case false:\n"},
	}},
	{Name: "upload under a later ticket", Edits: []Edit{
		{exchangeDir + "upload.go", "	u.commit = wire.CommitRequest{", "	head.Ticket.Sequence += 3\n	u.commit = wire.CommitRequest{"},
	}},
	{Name: "validated under a later ticket", Edits: []Edit{
		{exchangeDir + "validate.go", "	fields := httpcache.Refreshed(s.Fields, answer)\n", "	r.ticket.Sequence += 3\n	fields := httpcache.Refreshed(s.Fields, answer)\n"},
	}},
	{Name: "lost end of a write not repeated", Edits: []Edit{
		{exchangeDir + "journal.go", "	if !a.acknowledges() {\n		e.postpone(p.host.Now())\n		return\n	}\n", ""},
	}},
	{Name: "named groups raised only before the response", Edits: []Edit{
		{exchangeDir + "raise.go", "if len(w.named) == 0 || o == unchanged ||", "if o != unchanged ||"},
	}},
	{Name: "named groups not raised", Edits: []Edit{
		{exchangeDir + "write.go", "len(groups) > 0 && w.raiseNamed(groups)", "len(groups) > 0 && false"},
	}},
}

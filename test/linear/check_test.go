package linear

import (
	"errors"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"chatcache/redisbridge/wire"

	"github.com/anishathalye/porcupine"
)

var stats = Register{"stats", "ann"}

func groupsOf(r Register) []string { return wire.ReadGroups(r.Cache, r.User) }

// told is a history as a test tells it: moments are milliseconds.
func told(writes []Write, reads []Read, polls ...Poll) *History {
	h := NewHistory(func() time.Duration { return 0 })
	const ms = int64(time.Millisecond)
	for i, w := range writes {
		w.ID, w.Value, w.Registers = i+1, int64(i+1), []Register{stats}
		w.Call, w.Commit, w.Return = w.Call*ms, w.Commit*ms, w.Return*ms
		h.writes[w.ID] = &w
	}
	for _, r := range reads {
		r.Register, r.Call, r.Return = stats, r.Call*ms, r.Return*ms
		h.reads = append(h.reads, r)
	}
	for _, p := range polls {
		p.Begin, p.End = p.Begin*ms, p.End*ms
		h.polls = append(h.polls, p)
	}
	return h
}

func stood(begin int64, sequence uint64, raised ...string) Poll {
	p := Poll{Begin: begin, End: begin + 1, Last: wire.Ticket{Epoch: 7, Sequence: sequence}}
	for _, g := range raised {
		p.Raises = append(p.Raises, wire.Event{Sequence: sequence, Kind: wire.EventRaise, Groups: []string{g}})
	}
	return p
}

func TestCheck(t *testing.T) {
	plain := Claim{}
	forward := Claim{Forward: true}
	suspended := Write{Call: 10, Commit: 20, Return: 30, Answer: statusSuspended}
	pending := Write{Call: 10, Commit: 20, Return: 30, Answer: statusSuspended + "; detail=invalidation-pending"}
	lost := pending
	lost.Lost = true
	for _, c := range []struct {
		name   string
		claim  Claim
		writes []Write
		reads  []Read
		polls  []Poll
		fine   bool
	}{
		{"a read that overlaps the commit, old", plain, []Write{suspended}, []Read{{Call: 15, Return: 25, Value: 0}}, nil, true},
		{"a read that overlaps the commit, new", plain, []Write{suspended}, []Read{{Call: 15, Return: 25, Value: 1}}, nil, true},
		{"old after the commit, though the write hasn't returned", plain, []Write{suspended}, []Read{{Call: 21, Return: 25, Value: 0}}, nil, false},
		{"new before the commit", plain, []Write{suspended}, []Read{{Call: 1, Return: 19, Value: 1}}, nil, false},
		{"never written", plain, []Write{suspended}, []Read{{Call: 21, Return: 25, Value: 9}}, nil, false},
		{"never written at all", plain, nil, []Read{{Call: 21, Return: 25, Value: 9}}, nil, false},
		{"the writer never heard, refusing", plain, []Write{{Call: 10, Commit: 20}}, []Read{{Call: 21, Return: 25, Value: 0}}, nil, false},
		{"the writer never heard, forwarding", forward, []Write{{Call: 10, Commit: 20}}, []Read{{Call: 21, Return: 25, Value: 0}}, nil, true},
		{"suspended, forwarding", forward, []Write{suspended}, []Read{{Call: 21, Return: 25, Value: 0}}, nil, false},
		{"pending, new and then old", forward, []Write{pending}, []Read{{Call: 21, Return: 25, Value: 1}, {Call: 31, Return: 35, Value: 0}}, nil, true},
		{"pending, old after the raise", forward, []Write{pending}, []Read{{Call: 51, Return: 55, Value: 0}}, []Poll{stood(21, 3), stood(40, 4, "p:stats:ann")}, false},
		{"pending, old before the raise is known", forward, []Write{pending}, []Read{{Call: 31, Return: 45, Value: 0}}, []Poll{stood(21, 3), stood(40, 4, "p:stats:ann")}, true},
		{"pending, raised by a purge", forward, []Write{pending}, []Read{{Call: 51, Return: 55, Value: 0}}, []Poll{stood(21, 3), stood(40, 4, "*")}, false},
		{"pending, another group raised", forward, []Write{pending}, []Read{{Call: 51, Return: 55, Value: 0}}, []Poll{stood(21, 3), stood(40, 4, "p:stats:bob")}, true},
		{"pending, the raise may have been before", forward, []Write{pending}, []Read{{Call: 51, Return: 55, Value: 0}}, []Poll{stood(21, 3, "p:stats:ann"), stood(40, 3)}, true},
		{"pending, then a new epoch", forward, []Write{pending}, []Read{{Call: 51, Return: 55, Value: 0}},
			[]Poll{stood(21, 3), {Begin: 40, End: 41, Last: wire.Ticket{Epoch: 8}}}, false},
		{"pending, when everything works again", forward, []Write{pending}, []Read{{Call: 201, Return: 205, Value: 0}}, nil, false},
		{"pending, its VM died", forward, []Write{lost}, []Read{{Call: 201, Return: 205, Value: 0}}, nil, true},
		{"pending, then a suspended one", forward, []Write{pending, {Call: 40, Commit: 45, Return: 50, Answer: statusSuspended}},
			[]Read{{Call: 51, Return: 55, Value: 1}}, nil, false},
		{"L1, just not too old", Claim{Staleness: 5 * time.Millisecond}, []Write{suspended}, []Read{{Call: 24, Return: 25, Value: 0}}, nil, true},
		{"L1, too old", Claim{Staleness: 5 * time.Millisecond}, []Write{suspended}, []Read{{Call: 26, Return: 27, Value: 0}}, nil, false},
		{"later than the suspension is sure to last", Claim{Covered: 5 * time.Millisecond}, []Write{suspended}, []Read{{Call: 31, Return: 35, Value: 0}}, nil, true},
	} {
		h := told(c.writes, c.reads, c.polls...)
		h.settled = 200 * int64(time.Millisecond)
		err := Check(h, c.claim, groupsOf)
		if (err == nil) != c.fine {
			t.Errorf("%s: %v, fine: %t", c.name, err, c.fine)
		}
		var v *Violation
		if errors.As(err, &v) {
			if v.Result != porcupine.Illegal {
				t.Errorf("%s: porcupine says %s", c.name, v.Result)
			}
			if picture, history, err := v.Save(t.TempDir(), h); err != nil || size(picture) == 0 || size(history) == 0 {
				t.Errorf("%s: saved %s and %s: %v", c.name, picture, history, err)
			}
		}
	}
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// Whether a read is stale can be told of each alone, and porcupine comes to the same.
func TestStaleAgreesWithPorcupine(t *testing.T) {
	fine, bad := 0, 0
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 2))
		c := Claim{Forward: rng.IntN(2) == 0, Staleness: time.Duration(rng.IntN(2)*7) * time.Millisecond}
		var writes []Write
		var reads []Read
		var polls []Poll
		for at := int64(1); at < 60; at += 1 + rng.Int64N(20) {
			answer := []string{"", statusSuspended}[rng.IntN(2)]
			writes = append(writes, Write{Call: at - 1, Commit: at, Return: at + 3, Answer: answer})
		}
		for at := int64(2); at < 80; at += 2 + rng.Int64N(9) {
			polls = append(polls, stood(at, uint64(at), []string{"p:stats:ann", "p:stats:bob"}[rng.IntN(2)]))
		}
		for range 1 + rng.IntN(6) {
			call := rng.Int64N(70)
			reads = append(reads, Read{Call: call, Return: call + rng.Int64N(15), Value: rng.Int64N(int64(len(writes)) + 1)})
		}
		h := told(writes, reads, polls...)
		lines := h.timelines(c, groupsOf)
		alone := len(h.stale(c, lines)) == 0
		if alone {
			fine++
		} else {
			bad++
		}
		if together := porcupine.CheckOperations(register, operations(c, lines[stats], h.reads)); together != alone {
			t.Fatalf("seed %d: each read alone: %t, porcupine: %t\n%v\n%v\n%v", seed, alone, together, writes, reads, polls)
		}
	}
	if fine < 100 || bad < 100 {
		t.Errorf("%d histories are fine and %d not: that shows little", fine, bad)
	}
}

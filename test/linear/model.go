package linear

import (
	"fmt"
	"time"

	"github.com/anishathalye/porcupine"
)

// kind is what an operation of the model does.
type kind byte

const (
	commit kind = iota // the origin takes a new value
	count              // from here on nothing older than the value may be answered
	read
)

type input struct {
	kind   kind
	value  int64
	exempt bool // of a commit: it doesn't count yet
}

// state of one register: what the origin holds, and the oldest value that may be answered.
// Without exempt writes the two are the same, and the model is a plain register.
type state struct{ value, oldest int64 }

// register is the model of one register.
var register = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(at, in, out any) (bool, any) {
		s, i := at.(state), in.(input)
		switch i.kind {
		case commit:
			ok := i.value > s.value
			s.value = i.value
			if !i.exempt {
				s.oldest = i.value
			}
			return ok, s
		case count:
			s.oldest = max(s.oldest, i.value)
			return true, s
		}
		got := out.(int64)
		return s.oldest <= got && got <= s.value, s
	},
	DescribeOperation: func(in, out any) string {
		switch i := in.(input); {
		case i.kind == read:
			return fmt.Sprintf("read: %d", out)
		case i.kind == count:
			return fmt.Sprintf("%d counts", i.value)
		case i.exempt:
			return fmt.Sprintf("write %d, exempt", i.value)
		default:
			return fmt.Sprintf("write %d", i.value)
		}
	},
	DescribeState: func(at any) string {
		s := at.(state)
		if s.value == s.oldest {
			return fmt.Sprint(s.value)
		}
		return fmt.Sprintf("%d, answers from %d on", s.value, s.oldest)
	},
	DescribeOperationMetadata: func(m any) string {
		if m == nil {
			return ""
		}
		return fmt.Sprint(m)
	},
}

// Clients of the picture.
const (
	byOrigin = iota
	byFeed
	firstClient
)

// operations are a register's history for the model. A write is a point, because the origin
// tells when it took effect, and so is the moment from which an exempt one counts: the
// latest possible one, which allows whatever an earlier one would. A read is an interval
// that begins as much earlier as an answer may be old.
func operations(c Claim, t *timeline, reads []Read) (ops []porcupine.Operation) {
	for _, w := range t.commits {
		counts := t.counts[w.Value]
		ops = append(ops, porcupine.Operation{
			ClientId: byOrigin, Call: w.Commit, Return: w.Commit, Input: input{commit, w.Value, counts != w.Commit},
			Metadata: fmt.Sprintf("write %d of client %d, sent at %v: %q", w.ID, w.Client, time.Duration(w.Call), w.Answer),
		})
		if counts != w.Commit && counts != never {
			ops = append(ops, porcupine.Operation{ClientId: byFeed, Call: counts, Return: counts, Input: input{count, w.Value, false}})
		}
	}
	for _, r := range reads {
		ops = append(ops, porcupine.Operation{
			ClientId: firstClient + r.Client, Call: r.Call - int64(c.Staleness), Return: r.Return,
			Input: input{kind: read}, Output: r.Value,
			Metadata: fmt.Sprintf("asked at %v: %q", time.Duration(r.Call), r.Answer),
		})
	}
	return ops
}

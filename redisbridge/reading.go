package redisbridge

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
)

// reading is what a lookup reads of Redis.
type reading struct {
	groups []string // canonical
	key    string

	validity validity // these two without err
	stored   stored
	err      error
	again    bool // it hasn't been read, and is to be read by itself

	ctx  context.Context // of one that waits, see lookupReads
	done chan struct{}   // closed when it has been read
}

func newReading(m wire.LookupRequest) *reading {
	return &reading{groups: canonical(append([]string{wire.GroupAll}, m.Groups...)), key: m.Key}
}

// readAll reads validity and entry of each in one round trip to each node concerned. One script reads all that decides on
// validity, and one as many entries as it can: what a script does before it looks at any of them costs more than
// that. The order of these is open, and either is sound: all are read after the call began. What can't be read with others is marked
// to be read again, alone.
func (b *Bridge) readAll(ctx context.Context, p *policyState, list ...*reading) {
	var answers scripted
	groups, parts := groupsOf(list), b.parts(list)
	err := b.try(callProbe, func() error {
		return b.prepared(ctx, p, func(common []any) (err error) {
			answers, err = b.pipeline(ctx, p, (*redis.Script).EvalSha, common, groups, parts)
			if answers.lackScript() {
				answers, err = b.pipeline(ctx, p, (*redis.Script).Eval, common, groups, parts)
			}
			return err
		})
	})
	var v validities
	if answers.validity != nil { // otherwise nothing was sent
		v, err = b.parse(ctx, p, groups, answers.validity)
	}
	for i, part := range parts {
		var values []any
		var failed error
		if err == nil {
			values, failed = answers.entries[i].Slice()
		}
		for n, r := range part {
			r.again = false
			switch {
			case err != nil:
				r.err = err
			case failed != nil && len(part) > 1 && outcomeOf(failed) == outcomeAnswered: // of one of them, perhaps
				r.again = true
			case failed != nil:
				r.err = redisError(failed)
			case n > 0 && len(values) == 0: // those before it were large
				r.again = true
			default:
				r.validity = v.of(r.groups)
				r.stored, values, r.err = cutStored(values)
			}
		}
	}
}

// maxReadTogether is behind how many bytes of entries one script reads no more: nobody else gets an answer of Redis meanwhile.
const maxReadTogether = 1 << 20

// groupsOf are those of all readings, canonical.
func groupsOf(list []*reading) []string {
	if len(list) == 1 {
		return list[0].groups
	}
	var all []string
	for _, r := range list {
		all = append(all, r.groups...)
	}
	return canonical(all)
}

func (b *Bridge) parse(ctx context.Context, p *policyState, groups []string, validity *redis.Cmd) (validities, error) {
	answer, err := validity.Slice()
	if err != nil {
		return validities{}, redisError(err)
	}
	t, rest, err := b.confirmed(ctx, p, answer)
	if err != nil {
		return validities{}, err
	}
	return parseValidities(t, groups, rest)
}

// evaluator is how a script is run: by its digest, or where Redis lacks it by its source.
type evaluator func(s *redis.Script, ctx context.Context, c redis.Scripter, keys []string, args ...any) *redis.Cmd

// scripted are the scripts that have run.
type scripted struct {
	validity *redis.Cmd
	entries  []*redis.Cmd // of each part
}

// lackScript tells whether Redis doesn't know one of the scripts.
func (s scripted) lackScript() bool {
	return slices.ContainsFunc(append(s.entries, s.validity), func(one *redis.Cmd) bool { return lacksScript(one.Err()) })
}

// lacksScript tells whether a script failed because Redis doesn't know it; go-redis' own error for that begins so, too.
func lacksScript(err error) bool { return redis.HasErrorPrefix(err, "NOSCRIPT") }

// pipeline runs the scripts. The error is the first that one of them has met.
func (b *Bridge) pipeline(ctx context.Context, p *policyState, eval evaluator, common []any, groups []string, parts [][]*reading) (s scripted, err error) {
	pipe := b.redis.Pipeline()
	keys, own := lookupKeys(p, groups)
	s.validity = eval(b.scripts.lookup, ctx, pipe, keys, slices.Concat(common, own)...)
	for _, part := range parts {
		var keys []string
		for _, r := range part {
			keys = append(keys, entryKeys(r.key)...)
		}
		s.entries = append(s.entries, eval(b.scripts.entry, ctx, pipe, keys, maxReadTogether))
	}
	_, err = pipe.Exec(ctx)
	return s, err
}

// parts are the readings by whose entries one script can read: on a cluster those whose keys have one hash tag, elsewhere all.
func (b *Bridge) parts(list []*reading) (parts [][]*reading) {
	if _, cluster := b.redis.(*redis.ClusterClient); !cluster {
		return [][]*reading{list}
	}
	var tags []string
	for _, r := range list {
		at := slices.Index(tags, hashTag(r.key))
		if at < 0 {
			at = len(tags)
			tags, parts = append(tags, hashTag(r.key)), append(parts, nil)
		}
		parts[at] = append(parts[at], r)
	}
	return parts
}

// hashTag is what of a key decides on its node in a cluster.
func hashTag(key string) string {
	_, rest, _ := strings.Cut(key, "{")
	tag, _, _ := strings.Cut(rest, "}")
	return tag
}

// cutStored takes what the entry script says of one entry off its answer.
func cutStored(answer []any) (s stored, rest []any, err error) {
	if len(answer) < 4 {
		return stored{}, nil, fmt.Errorf("%w: %w: an entry of %d values", ErrRedis, errScript, len(answer))
	}
	text, _ := answer[2].(string)
	left, _ := answer[3].(int64)
	s.lease = parseLease(text, left)
	if body, ok := answer[0].(string); ok {
		s.bytes = []byte(body)
		s.remaining, _ = answer[1].(int64)
	}
	return s, answer[4:], nil
}

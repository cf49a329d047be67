package redisbridge

import (
	"context"
	"errors"
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

	ctx  context.Context // of one that waits, see lookupReads
	done chan struct{}   // closed when it has been read
}

func newReading(m wire.LookupRequest) *reading {
	return &reading{groups: canonical(append([]string{wire.GroupAll}, m.Groups...)), key: m.Key}
}

// readAll reads validity and entry of each in one round trip to each node concerned. One script reads all that decides on
// validity, and one as many entries as it can: what a script does before it looks at any of them costs more than
// that. The order of these is open, and either is sound: all are read after the call began.
func (b *Bridge) readAll(ctx context.Context, p *policyState, list ...*reading) {
	var answers scripted
	groups, parts := groupsOf(list), b.parts(list)
	err := b.try(callProbe, func() error {
		return b.prepared(ctx, p, func(common []any) (err error) {
			answers, err = b.pipeline(ctx, p, (*redis.Script).EvalSha, common, groups, parts)
			if errors.Is(err, redis.ErrNoScript) || redis.HasErrorPrefix(err, "NOSCRIPT") {
				answers, err = b.pipeline(ctx, p, (*redis.Script).Eval, common, groups, parts)
			}
			return err
		})
	})
	var v validities
	if err == nil {
		v, err = b.parse(ctx, p, groups, answers.validity)
	}
	for i, part := range parts {
		for n, r := range part {
			if r.err = err; err != nil {
				continue
			}
			if n > 0 && len(answers.entries[i]) == 0 { // the others were large
				b.readAll(ctx, p, part[n:]...)
				break
			}
			r.validity = v.of(r.groups)
			r.stored, answers.entries[i], r.err = cutStored(answers.entries[i])
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

func (b *Bridge) parse(ctx context.Context, p *policyState, groups []string, answer []any) (validities, error) {
	t, rest, err := p.position(answer)
	if err != nil {
		return validities{}, err
	}
	if err := b.trusted(ctx, p, t.Epoch); err != nil {
		return validities{}, err
	}
	return parseValidities(t, groups, rest)
}

type evaluator func(s *redis.Script, ctx context.Context, c redis.Scripter, keys []string, args ...any) *redis.Cmd

// scripted is what the scripts have answered.
type scripted struct {
	validity []any
	entries  [][]any // of each part
}

// pipeline runs the scripts.
func (b *Bridge) pipeline(ctx context.Context, p *policyState, eval evaluator, common []any, groups []string, parts [][]*reading) (answers scripted, err error) {
	pipe := b.redis.Pipeline()
	keys, own := lookupKeys(p, groups)
	validity := eval(b.scripts.lookup, ctx, pipe, keys, slices.Concat(common, own)...)
	var entries []*redis.Cmd
	for _, part := range parts {
		var keys []string
		for _, r := range part {
			keys = append(keys, entryKeys(r.key)...)
		}
		entries = append(entries, eval(b.scripts.entry, ctx, pipe, keys, maxReadTogether))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return scripted{}, err
	}
	if answers.validity, err = validity.Slice(); err != nil {
		return scripted{}, err
	}
	for _, one := range entries {
		values, err := one.Slice()
		if err != nil {
			return scripted{}, err
		}
		answers.entries = append(answers.entries, values)
	}
	return answers, nil
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

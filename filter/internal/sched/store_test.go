//go:build !wasip1

package sched

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"chatcache/test/redisfake"
)

// store is Redis.
type store interface {
	// Do executes a command, as go-redis has it.
	Do(args []any) (any, error)
	// begin forgets everything and begins an epoch that stands at seq.
	begin(epoch string, seq uint64)
	// lose forgets something.
	lose(failure)
	// deadlines are those of the open suspensions by id, ms since 1970.
	deadlines() map[string]int64
}

// fake is the scripts in Go.
type fake struct{ *redisfake.Server }

func newFake() fake {
	return fake{redisfake.New(func() int64 { return time.Now().UnixMilli() })}
}

func (f fake) Do(args []any) (any, error) {
	value, err := f.Server.Do(args)
	if err == redisfake.Nil {
		err = redis.Nil
	}
	return value, err
}

func (f fake) begin(epoch string, seq uint64) {
	f.Flush()
	f.Begin("chat", epoch, seq)
}

func (f fake) lose(what failure) {
	v := f.Validity("chat")
	if v == nil {
		return // all is lost already
	}
	switch what {
	case feedTrimmed:
		v.Trim(v.Seq)
	case generationLost:
		clear(v.Generation)
	case entryLost:
		clear(f.Entries)
	case stateLost:
		v.Lose()
	case allLost:
		f.Flush()
	case serverRestarts:
		v.Server = "another"
	}
}

func (f fake) deadlines() map[string]int64 {
	v := f.Validity("chat")
	if v == nil || len(v.Open) == 0 {
		return nil
	}
	d := make(map[string]int64, len(v.Open))
	for id, s := range v.Open {
		d[id] = s.Deadline
	}
	return d
}

// memory is a miniredis, which runs the scripts as they are. It is a hundred
// times slower; scripts that were changed need it.
type memory struct {
	server *miniredis.Miniredis
	client *redis.Client // made in the bubble
}

const prefix = "{chatcache:chat}:"

func (m memory) Do(args []any) (any, error) {
	m.server.SetTime(time.Now())
	if args[0] == "hgetall" {
		return m.client.HGetAll(context.Background(), args[1].(string)).Result()
	}
	return m.client.Do(context.Background(), args...).Result()
}

func (m memory) do(args ...any) any {
	v, err := m.Do(args)
	if err != nil && err != redis.Nil {
		panic(err)
	}
	return v
}

func (m memory) begin(epoch string, seq uint64) {
	m.server.FlushAll()
	m.do("hset", prefix+"state", "epoch", epoch, "seq", fmt.Sprint(seq), "server", "", "next", "0", "open", "0")
}

func (m memory) lose(what failure) {
	switch what {
	case feedTrimmed:
		m.do("xtrim", prefix+"feed", "maxlen", "0")
	case generationLost, entryLost:
		for _, key := range m.server.Keys() {
			if strings.HasPrefix(key, prefix+"gen:") == (what == generationLost) && !strings.HasPrefix(key, prefix) == (what == entryLost) {
				m.do("del", key)
			}
		}
	case stateLost, serverRestarts: // a miniredis has no identity
		m.do("del", prefix+"state", prefix+"feed")
	case allLost:
		m.server.FlushAll()
	}
}

func (m memory) deadlines() map[string]int64 {
	d := map[string]int64{}
	fields, _ := m.server.HKeys(prefix + "state")
	for _, field := range fields {
		if id, ok := strings.CutPrefix(field, "s:"); ok {
			var deadline int64
			fmt.Sscan(m.server.HGet(prefix+"state", field), &deadline)
			d[id] = deadline
		}
	}
	return d
}

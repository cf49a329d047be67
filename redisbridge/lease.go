package redisbridge

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"chatcache/redisbridge/wire"
)

// passMark is what stands in a fetch lease's place where waiting for a fetch is of
// no use: hit-for-miss.
const passMark = "pass"

// maxClaims bounds how often a lookup begins anew because somebody stored or claimed
// between its read and its claim. Beyond it the miss goes without a lease.
const maxClaims = 3

// lease is the right to fetch one entry from the origin while others wait. It stands
// beside its entry, on the entry's node, so that no two nodes have to agree:
//
//  1. A lookup misses and finds no lease: its claim, a compare-and-set of lease and
//     entry, is granted. It asks the origin.
//  2. Other lookups find the lease and are told to wait.
//  3. Its store puts the entry and ends the lease in one step: they look again, and hit.
//     A claim between their read and this step fails, and they look again, too.
//
// It is void once a group has a generation above its ticket: what is fetched under it
// will be invalid. It decides who asks the origin, never what is valid: lost or
// granted twice, it costs a request.
type lease struct {
	text   string // as Redis had it; empty: none
	fetch  string // whose it is; empty: nobody's
	ticket wire.Ticket
	left   time.Duration
	pass   bool // it is the mark that nobody is to wait
}

// parseLease reads a lease and its remaining life in milliseconds. What isn't one, or
// has no expiry, is nobody's.
func parseLease(text string, left int64) lease {
	l := lease{text: text, left: time.Duration(left) * time.Millisecond}
	if left < 0 {
		return l
	}
	l.pass = text == passMark
	if fetch, ticket, ok := strings.Cut(text, " "); ok {
		if l.ticket = parseTicket(ticket); l.ticket.Epoch != 0 {
			l.fetch = fetch
		}
	}
	return l
}

func leaseText(fetch string, t wire.Ticket) string {
	return fetch + " " + epochText(t.Epoch) + " " + strconv.FormatUint(t.Sequence, 10)
}

// holds tells whether the lease keeps others from fetching.
func (l lease) holds(v validity) bool { return l.fetch != "" && v.admits(l.ticket) }

// claim asks for the lease of an entry that was found like that; granted is false
// where something has changed since.
func (b *Bridge) claim(ctx context.Context, m wire.LookupRequest, found stored, t wire.Ticket) (granted bool, err error) {
	var n int
	err = b.try(callSpared, func() (err error) {
		n, err = b.scripts.claim.Run(ctx, b.redis, entryKeys(m.Key),
			beginning(found.bytes), found.lease.text, leaseText(m.Fetch, t), max(m.Lease, 1)).Int()
		return redisError(err)
	})
	return n == 1, err
}

// beginning is what tells an entry from another: its head.
func beginning(entry []byte) []byte {
	const enough = 512 // where there is no head
	if end := bytes.IndexByte(entry, '\n'); end >= 0 {
		return entry[:end+1]
	}
	return entry[:min(len(entry), enough)]
}

// entryKeys gives the keys of the scripts that concern an entry.
func entryKeys(key string) []string { return []string{key, wire.LeaseKey(key)} }

// Release ends a fetch lease without a store. The error matches ErrRequest,
// ErrTooMany or ErrRedis.
func (b *Bridge) Release(ctx context.Context, m wire.ReleaseRequest) (wire.Ack, error) {
	p, err := b.policyOf(m.Scope)
	if err != nil {
		return wire.Ack{}, err
	}
	if err := checkKey(m.Key, m.Policy); err != nil {
		return wire.Ack{}, err
	}
	if m.Fetch == "" {
		return wire.Ack{}, fmt.Errorf("%w: release without a fetch's id", ErrRequest)
	}
	if err := checkPlain("fetch id", m.Fetch); err != nil {
		return wire.Ack{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	err = b.try(callSpared, func() error {
		return redisError(b.scripts.release.Run(ctx, b.redis, entryKeys(m.Key), m.Fetch, m.Mark, passMark, p.filledChannel()).Err())
	})
	if err == nil {
		p.held.filled(m.Key)
	}
	return wire.Ack{}, err
}

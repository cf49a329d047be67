package redisbridge

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
)

const (
	// maxVMs bounds the registry of VMs of one policy.
	maxVMs = 50_000
	// rememberVM is how long the registry remembers a VM after its lease has run out,
	// so that receipts can say that it has.
	rememberVM = 2 * time.Minute
	// maxVersions bounds the policies that VMs may have at work at a time, told apart by their rules.
	maxVersions = 16
	// maxFollowers bounds the VMs that a policy's status lists.
	maxFollowers = 100
)

// follower is a VM in the registry.
type follower struct {
	vm       string
	leaseEnd int64       // ms by Redis' clock
	applied  wire.Ticket // the cursor of its last poll
	since    int64       // when it first polled with it
	version  string      // of its policy; empty: it doesn't say
}

// registry is the registry at one moment.
type registry struct {
	ticket     wire.Ticket
	now        int64
	followers  []follower
	quarantine int64 // ms that are left of the epoch's
}

// readRegistry reads the VMs whose leases end after a moment, in ms by Redis' clock. With waiting it leaves word for a while that
// somebody waits for receipts: then polls with a new cursor tell of it.
func (b *Bridge) readRegistry(ctx context.Context, p *policyState, after int64, waiting bool) (registry, error) {
	ctx, cancel := context.WithTimeout(ctx, b.adminTimeout)
	defer cancel()
	word := int64(0)
	if waiting {
		word = (2*receiptsPeriod + b.adminTimeout).Milliseconds()
	}
	t, rest, err := b.run(ctx, p, b.scripts.receipts, validityKeys(p, p.registryKeys()...), "("+strconv.FormatInt(after, 10), word)
	if err != nil {
		return registry{}, err
	}
	if len(rest) != 4 {
		return registry{}, fmt.Errorf("%w: %w: %d values of the registry, want 4", ErrRedis, errScript, len(rest))
	}
	r := registry{ticket: t}
	r.now, _ = rest[0].(int64)
	r.quarantine, _ = rest[3].(int64)
	vms, _ := rest[1].([]any)
	positions, _ := rest[2].([]any)
	for i := range min(len(vms)/2, len(positions)) {
		r.followers = append(r.followers, parseFollower(vms[2*i], vms[2*i+1], positions[i]))
	}
	return r, nil
}

// registryKeys are those of the scripts feed and receipts.
func (p *policyState) registryKeys() []string {
	return []string{p.prefix + "vms", p.prefix + "applied", p.prefix + "waiting"}
}

// feedKeys are those of the script feed.
func (p *policyState) feedKeys() []string {
	return append(p.registryKeys(), p.prefix+"counts", p.prefix+"reported", p.prefix+"rules", p.controlsKey())
}

// parseFollower reads what the scripts keep of a VM. What can't be read has applied nothing.
func parseFollower(vm, leaseEnd, position any) (f follower) {
	f.vm, _ = vm.(string)
	end, _ := leaseEnd.(string)
	f.leaseEnd, _ = strconv.ParseInt(end, 10, 64)
	text, _ := position.(string)
	seq, text, _ := strings.Cut(text, " ")
	epoch, text, _ := strings.Cut(text, " ")
	since, version, _ := strings.Cut(text, " ")
	f.version = version
	f.applied = parseTicket(epoch + " " + seq)
	f.since, _ = strconv.ParseInt(since, 10, 64)
	return f
}

func (f follower) hasApplied(t wire.Ticket) bool {
	return f.applied.Epoch == t.Epoch && f.applied.Sequence >= t.Sequence
}

// readFollowers reads, without changing anything, the VMs whose lease hasn't run out.
func readFollowers(ctx context.Context, pipe redis.Pipeliner, p *policyState, now time.Time) (read func() []follower) {
	vms := pipe.ZRangeByScoreWithScores(ctx, p.prefix+"vms", &redis.ZRangeBy{Min: fmt.Sprintf("(%d", now.UnixMilli()), Max: "+inf"})
	positions := pipe.HGetAll(ctx, p.prefix+"applied")
	return func() (list []follower) {
		for _, z := range vms.Val() {
			vm, _ := z.Member.(string)
			list = append(list, parseFollower(vm, strconv.FormatFloat(z.Score, 'f', 0, 64), positions.Val()[vm]))
		}
		return list
	}
}

// lag is how many events the VM hasn't applied of those up to t.
func (f follower) lag(t wire.Ticket) uint64 {
	if f.applied.Epoch != t.Epoch {
		return t.Sequence
	}
	return t.Sequence - min(f.applied.Sequence, t.Sequence)
}

// show puts the followers into the policy's status, those that are furthest behind first.
func (s *PolicyStatus) show(list []follower, t wire.Ticket, now int64) {
	s.VMs = len(list)
	for _, f := range list {
		if f.applied.Epoch != t.Epoch || f.lag(t) > 0 {
			s.Behind++
		}
		s.Followers = append(s.Followers, VMStatus{VM: f.vm, Lag: f.lag(t), LeaseMS: f.leaseEnd - now, PolicyVersion: f.version})
	}
	slices.SortFunc(s.Followers, func(a, b VMStatus) int { return cmp.Or(-cmp.Compare(a.Lag, b.Lag), strings.Compare(a.VM, b.VM)) })
	s.Followers = s.Followers[:min(len(s.Followers), maxFollowers)]
}

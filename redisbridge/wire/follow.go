package wire

// Counter is one of the numbers that a filter counts for each cache. New ones go to the
// end: their order is part of the protocol, their names are those of Redis and JSON.
type Counter int

const (
	CountHitsL1          Counter = iota // answered from the VM's memory
	CountHitsL2                         // answered from Redis
	CountCollapsed                      // answered with what another request's fetch has stored
	CountMisses                         // looked up, not found, forwarded
	CountBypasses                       // forwarded without a usable answer of the cache
	CountWouldHits                      // forwarded although there was an answer that could have been used
	CountMatches                        // of them: compared, and the origin answered the same
	CountMismatches                     // of them: compared, and it answered something else
	CountUncompared                     // of them: to be compared, and it couldn't be done
	CountErrors                         // lookups and stores that the bridge didn't answer
	CountStores                         // entries that the bridge has acknowledged
	CountAnsweredMicros                 // µs until all answers of the cache together began
	CountForwarded                      // responses of the origin that have begun
	CountForwardedMicros                // µs until all of them together began
	Counters                            // how many there are
)

var counterNames = [Counters]string{
	"hitsL1", "hitsL2", "collapsed", "misses", "bypasses", "wouldHits", "matches", "mismatches", "uncompared",
	"errors", "stores", "answeredMicros", "forwarded", "forwardedMicros",
}

func (c Counter) String() string { return counterNames[c] }

// Counts are the counters of one cache.
type Counts struct {
	Cache  string
	Values [Counters]uint64
}

// Report is what a VM has counted since its report before.
type Report struct {
	// Number tells the VM's reports apart: one that is repeated, since its answer was lost, is
	// counted once. 0: there is none.
	Number uint64
	Caches []Counts
}

// FollowRequest is a filter's poll of the feed, and what it says of itself with it.
type FollowRequest struct {
	FeedRequest
	Knows  Knows
	Report Report
}

// Knows is what a VM knows of its policy.
type Knows struct {
	// Version is a digest of the policy, for people: empty if it doesn't say.
	Version string
	// Rules are digests of what the policy says of writes, for each cache that they
	// invalidate, in order of cache. A VM that has several versions of the policy at work
	// lists a cache once for each that differs, with an empty digest for one without such writes.
	Rules []CacheRules
}

// CacheRules is a digest of what the policy says of the writes that invalidate one cache.
type CacheRules struct{ Cache, Digest string }

// FollowAnswer is the answer to a FollowRequest. The report is counted. The controls are
// whole, of the same moment as Last.
type FollowAnswer struct {
	FeedAnswer
	Controls Controls
}

// Encode gives the frame.
func (m FollowRequest) Encode() []byte {
	w := newWriter(kindFollow, 128+64*len(m.Report.Caches))
	w.follow(m)
	return w.buf
}

func (w *writer) follow(m FollowRequest) {
	w.feedRequest(m.FeedRequest)
	w.knows(m.Knows)
	w.report(m.Report)
}

// DecodeFollowRequest reads the frame.
func DecodeFollowRequest(frame []byte) (FollowRequest, error) {
	r := newReader(frame, kindFollow)
	m := r.follow()
	return m, r.finish()
}

func (r *reader) follow() FollowRequest {
	return FollowRequest{FeedRequest: r.feedRequest(), Knows: r.knows(), Report: r.report()}
}

// Encode gives the frame.
func (m FollowAnswer) Encode() []byte {
	w := newWriter(kindFollowAnswer, 64+64*len(m.Events))
	w.feedAnswer(m.FeedAnswer)
	w.controls(m.Controls)
	return w.buf
}

// DecodeFollowAnswer reads the frame.
func DecodeFollowAnswer(frame []byte) (FollowAnswer, error) {
	r := newReader(frame, kindFollowAnswer)
	m := FollowAnswer{FeedAnswer: r.feedAnswer(), Controls: r.controls()}
	return m, r.finish()
}

func (w *writer) knows(k Knows) {
	w.string(k.Version)
	w.uint(uint64(len(k.Rules)))
	for _, rules := range k.Rules {
		w.string(rules.Cache)
		w.string(rules.Digest)
	}
}

func (r *reader) knows() Knows {
	k := Knows{Version: r.string(MaxDigest)}
	for range r.upTo(MaxRules) {
		k.Rules = append(k.Rules, CacheRules{r.string(MaxCacheName), r.string(MaxDigest)})
		if r.err != nil {
			break
		}
	}
	return k
}

func (w *writer) report(m Report) {
	w.uint(m.Number)
	w.uint(uint64(len(m.Caches)))
	for _, c := range m.Caches {
		w.string(c.Cache)
		w.uint(uint64(len(c.Values)))
		for _, v := range c.Values {
			w.uint(v)
		}
	}
}

// report reads a report. Counters that this version doesn't know are left out.
func (r *reader) report() Report {
	m := Report{Number: r.uint()}
	for range r.upTo(MaxCaches) {
		c := Counts{Cache: r.string(MaxCacheName)}
		for i := range int(r.upTo(MaxCounters)) {
			if v := r.upTo(MaxCount); i < len(c.Values) {
				c.Values[i] = v
			}
		}
		if r.err != nil {
			break
		}
		m.Caches = append(m.Caches, c)
	}
	return m
}

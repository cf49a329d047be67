package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var scope = Scope{Policy: "chat-api", Horizon: 600_000, Quarantine: 15_000}

var (
	knows    = Knows{"v1", []CacheRules{{"stats", "ab"}}}
	controls = Controls{200, Control{TTL: 1000}, []CacheControl{
		{"stats", Control{Off: true, Percent: Whole, Verify: 100}}, {"user", Control{Observe: true, Rollout: true}},
	}}
)

// frames holds one of each frame, with its bytes: a change of them is a change
// of the protocol, which old filters and bridges don't understand.
var frames = []struct {
	name   string
	frame  interface{ Encode() []byte }
	decode func([]byte) (any, error)
	golden string
}{
	{"lookup", LookupRequest{scope, "stats:chat-api:{u}:GET /x:d", []string{"*", "c:stats"}, "f-1", 3000, 1000}, erased(DecodeLookupRequest),
		"0101" + "08636861742d617069" + "c0cf24" + "9875" + "1b73746174733a636861742d6170693a7b757d3a474554202f783a64" + "02012a07633a7374617473" + "03662d31" + "b817" + "e807"},
	{"lookup answer", LookupAnswer{LookupHit, Ticket{1 << 63, 300}, true, 1500, 2500, []byte("entry")}, erased(DecodeLookupAnswer),
		"0102" + "01" + "80808080808080808001" + "ac02" + "01" + "dc0b" + "c413" + "05656e747279"},
	{"lookups", LookupsRequest{scope, []LookupRequest{{scope, "k", []string{"*"}, "f-1", 3000, 0}, {Scope: scope, Key: "l", Groups: []string{"*"}}}},
		erased(DecodeLookupsRequest),
		"0110" + "08636861742d617069" + "c0cf24" + "9875" + "02" + "016b" + "01012a" + "03662d31" + "b817" + "00" + "016c" + "01012a" + "00" + "00" + "00"},
	{"lookups answer", LookupsAnswer{[]LookupResult{
		{LookupAnswered, LookupAnswer{LookupHit, Ticket{7, 300}, true, 1500, 2500, []byte("entry")}}, {Outcome: LookupFailed}, {Outcome: LookupAlone}}},
		erased(func(b []byte) (LookupsAnswer, error) { return DecodeLookupsAnswer(b, 3) }),
		"0111" + "03" + "00" + "01" + "07ac02" + "01" + "dc0b" + "c413" + "05656e747279" + "01" + "02"},
	{"store", StoreRequest{scope, "k", 60_000, "f-1", []byte{0, 0xff}}, erased(DecodeStoreRequest),
		"0103" + "08636861742d617069" + "c0cf24" + "9875" + "016b" + "e0d403" + "03662d31" + "0200ff"},
	{"stores", StoresRequest{[][]byte{StoreRequest{scope, "k", 60_000, "f-1", []byte{0, 0xff}}.Encode(), {}}}, erased(DecodeStoresRequest),
		"0112" + "02" + "1c" + "0103" + "08636861742d617069" + "c0cf24" + "9875" + "016b" + "e0d403" + "03662d31" + "0200ff" + "00"},
	{"stores answer", StoresAnswer{[]bool{true, false}}, erased(func(b []byte) (StoresAnswer, error) { return DecodeStoresAnswer(b, 2) }),
		"0113" + "02" + "0100"},
	{"piece", PieceRequest{scope, "k", "u-1", 1 << 20, []byte("piece")}, erased(DecodePieceRequest),
		"010e" + "08636861742d617069" + "c0cf24" + "9875" + "016b" + "03752d31" + "808040" + "057069656365"},
	{"commit", CommitRequest{scope, "k", "u-1", 2 << 20, 60_000, "f-1"}, erased(DecodeCommitRequest),
		"010f" + "08636861742d617069" + "c0cf24" + "9875" + "016b" + "03752d31" + "80808001" + "e0d403" + "03662d31"},
	{"release", ReleaseRequest{scope, "k", "f-1", 5000}, erased(DecodeReleaseRequest),
		"0109" + "08636861742d617069" + "c0cf24" + "9875" + "016b" + "03662d31" + "8827"},
	{"suspend", SuspendRequest{scope, "id-1", []string{"p:stats:u"}, 15_000, 2000}, erased(DecodeSuspendRequest),
		"0104" + "08636861742d617069" + "c0cf24" + "9875" + "0469642d31" + "0109703a73746174733a75" + "9875" + "d00f"},
	{"close", CloseRequest{scope, "id-1", []string{"p:stats:u"}, true, 2000}, erased(DecodeCloseRequest),
		"0105" + "08636861742d617069" + "c0cf24" + "9875" + "0469642d31" + "0109703a73746174733a75" + "01" + "d00f"},
	{"ack", Ack{Ticket{7, 8}}, erased(DecodeAck), "0106" + "0708"},
	{"feed", FeedRequest{scope, "vm", Ticket{7, 8}, 1000, 3000}, erased(DecodeFeedRequest),
		"0107" + "08636861742d617069" + "c0cf24" + "9875" + "02766d" + "0708" + "e807" + "b817"},
	{"feed answer", FeedAnswer{Ticket{7, 9}, []Event{{9, EventRaise, []string{"*"}}}}, erased(DecodeFeedAnswer),
		"0108" + "0709" + "01" + "09" + "01" + "01012a"},
	{"follow", FollowRequest{FeedRequest{scope, "vm", Ticket{7, 8}, 1000, 3000}, knows, Report{5, []Counts{{"stats", [Counters]uint64{1, 300}}}}}, erased(DecodeFollowRequest),
		"010a" + "08636861742d617069" + "c0cf24" + "9875" + "02766d" + "0708" + "e807" + "b817" + "027631" + "01" + "057374617473" + "026162" +
			"05" + "01" + "057374617473" + "0e" + "01ac02000000000000000000000000"},
	{"follow answer", FollowAnswer{FeedAnswer{Ticket{7, 9}, []Event{{9, EventRaise, []string{"*"}}}}, controls}, erased(DecodeFollowAnswer),
		"010b" + "0709" + "01" + "09" + "01" + "01012a" + "c801" + "00e80700" + "00" + "02" + "057374617473" + "0100904e64" + "0475736572" + "06000000"},
	{"join", JoinRequest{FollowRequest{FeedRequest: FeedRequest{scope, "vm", Ticket{7, 8}, 0, 3000}, Knows: knows}, LookupRequest{Scope: scope, Key: "k", Groups: []string{"*"}}}, erased(DecodeJoinRequest),
		"010c" + "08636861742d617069" + "c0cf24" + "9875" + "02766d" + "0708" + "00" + "b817" + "027631" + "01" + "057374617473" + "026162" + "00" + "00" +
			"016b" + "01012a" + "00" + "00" + "00"},
	{"join answer", JoinAnswer{controls, LookupAnswer{State: LookupSuspended, Ticket: Ticket{7, 9}, Entry: []byte{}}}, erased(DecodeJoinAnswer),
		"010d" + "c801" + "00e80700" + "00" + "02" + "057374617473" + "0100904e64" + "0475736572" + "06000000" + "02" + "0709" + "00" + "00" + "00" + "00"},
}

var exported = cmpopts.IgnoreUnexported(Control{})

func erased[T any](decode func([]byte) (T, error)) func([]byte) (any, error) {
	return func(b []byte) (any, error) { return decode(b) }
}

func TestFrames(t *testing.T) {
	for _, tt := range frames {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.frame.Encode()
			if got := hex.EncodeToString(b); got != tt.golden {
				t.Errorf("bytes\n got %s\nwant %s", got, tt.golden)
			}
			got, err := tt.decode(b)
			if diff := cmp.Diff(any(tt.frame), got, exported); err != nil || diff != "" {
				t.Errorf("decoded %v, differs:\n%s", err, diff)
			}
		})
	}
}

// Whatever is cut off, added or of another kind, decoding gives an error.
func TestDamagedFrames(t *testing.T) {
	for _, tt := range frames {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.frame.Encode()
			for n := range b {
				if _, err := tt.decode(b[:n]); !errors.Is(err, ErrFrame) {
					t.Errorf("first %d of %d bytes: error %v, want ErrFrame", n, len(b), err)
				}
			}
			if _, err := tt.decode(append(bytes.Clone(b), 0)); !errors.Is(err, ErrFrame) {
				t.Errorf("one byte more: error %v, want ErrFrame", err)
			}
			other := bytes.Clone(b)
			other[0]++
			if _, err := tt.decode(other); !errors.Is(err, ErrVersion) {
				t.Errorf("another version: error %v, want ErrVersion", err)
			}
			other[0], other[1] = b[0], b[1]+1
			if _, err := tt.decode(other); !errors.Is(err, ErrFrame) || errors.Is(err, ErrVersion) {
				t.Errorf("another kind: error %v, want ErrFrame", err)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	groups := func(n int) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = "g"
		}
		return list
	}
	with := func(change func(*Scope)) Scope {
		s := scope
		change(&s)
		return s
	}
	lookup, suspend, feed := erased(DecodeLookupRequest), erased(DecodeSuspendRequest), erased(DecodeFeedRequest)
	tests := []struct {
		name   string
		decode func([]byte) (any, error)
		within interface{ Encode() []byte }
		beyond interface{ Encode() []byte }
	}{
		{"policy", lookup, LookupRequest{Scope: Scope{Policy: long(MaxPolicyName)}}, LookupRequest{Scope: Scope{Policy: long(MaxPolicyName + 1)}}},
		{"key", lookup, LookupRequest{Scope: scope, Key: long(MaxKey)}, LookupRequest{Scope: scope, Key: long(MaxKey + 1)}},
		{"group", lookup, LookupRequest{Scope: scope, Groups: []string{long(MaxGroup)}}, LookupRequest{Scope: scope, Groups: []string{long(MaxGroup + 1)}}},
		{"groups", lookup, LookupRequest{Scope: scope, Groups: groups(MaxGroups)}, LookupRequest{Scope: scope, Groups: groups(MaxGroups + 1)}},
		{"horizon", lookup,
			LookupRequest{Scope: with(func(s *Scope) { s.Horizon = MaxTTL })},
			LookupRequest{Scope: with(func(s *Scope) { s.Horizon = MaxTTL + 1 })}},
		{"quarantine", lookup,
			LookupRequest{Scope: with(func(s *Scope) { s.Quarantine = MaxQuarantine })},
			LookupRequest{Scope: with(func(s *Scope) { s.Quarantine = MaxQuarantine + 1 })}},
		{"negative", lookup, LookupRequest{Scope: scope}, LookupRequest{Scope: with(func(s *Scope) { s.Horizon = -1 })}},
		{"id", suspend, SuspendRequest{Scope: scope, ID: long(MaxID)}, SuspendRequest{Scope: scope, ID: long(MaxID + 1)}},
		{"deadline", suspend, SuspendRequest{Scope: scope, Deadline: MaxDeadline}, SuspendRequest{Scope: scope, Deadline: MaxDeadline + 1}},
		{"also after", suspend, SuspendRequest{Scope: scope, AlsoAfter: MaxAlsoAfter}, SuspendRequest{Scope: scope, AlsoAfter: MaxAlsoAfter + 1}},
		{"also after a close", erased(DecodeCloseRequest), CloseRequest{Scope: scope, AlsoAfter: MaxAlsoAfter}, CloseRequest{Scope: scope, AlsoAfter: MaxAlsoAfter + 1}},
		{"hold", feed, FeedRequest{Scope: scope, Hold: MaxHold}, FeedRequest{Scope: scope, Hold: MaxHold + 1}},
		{"lease of a VM", feed, FeedRequest{Scope: scope, Lease: MaxLease}, FeedRequest{Scope: scope, Lease: MaxLease + 1}},
		{"report", erased(DecodeFollowRequest), FollowRequest{Report: Report{Caches: make([]Counts, MaxCaches)}}, FollowRequest{Report: Report{Caches: make([]Counts, MaxCaches+1)}}},
		{"rules", erased(DecodeFollowRequest), FollowRequest{Knows: Knows{Rules: make([]CacheRules, MaxRules)}}, FollowRequest{Knows: Knows{Rules: make([]CacheRules, MaxRules+1)}}},
		{"controls", erased(DecodeFollowAnswer), controlled(make([]CacheControl, MaxCaches)...), controlled(make([]CacheControl, MaxCaches+1)...)},
		{"percent", erased(DecodeFollowAnswer), controlled(CacheControl{Control: Control{Percent: Whole}}), controlled(CacheControl{Control: Control{Percent: Whole + 1}})},
		{"count", erased(DecodeFollowRequest), reported(MaxCount), reported(MaxCount + 1)},
		{"fetch", lookup, LookupRequest{Scope: scope, Fetch: long(MaxID)}, LookupRequest{Scope: scope, Fetch: long(MaxID + 1)}},
		{"lease", lookup, LookupRequest{Scope: scope, Lease: MaxLease}, LookupRequest{Scope: scope, Lease: MaxLease + 1}},
		{"wait", lookup, LookupRequest{Scope: scope, Wait: MaxHold}, LookupRequest{Scope: scope, Wait: MaxHold + 1}},
		{"mark", erased(DecodeReleaseRequest), ReleaseRequest{Scope: scope, Mark: MaxLease}, ReleaseRequest{Scope: scope, Mark: MaxLease + 1}},
		{"events", erased(DecodeFeedAnswer), FeedAnswer{Events: make([]Event, MaxEvents)}, FeedAnswer{Events: make([]Event, MaxEvents+1)}},
		{"ttl", erased(DecodeStoreRequest), StoreRequest{Scope: scope, TTL: MaxTTL}, StoreRequest{Scope: scope, TTL: MaxTTL + 1}},
		{"entry", erased(DecodeLookupAnswer), LookupAnswer{Entry: make([]byte, MaxEntry)}, LookupAnswer{Entry: make([]byte, MaxEntry+1)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := tt.decode(tt.within.Encode()); err != nil {
				t.Errorf("within the limit: %v", err)
			}
			if _, err := tt.decode(tt.beyond.Encode()); !errors.Is(err, ErrLimit) {
				t.Errorf("beyond the limit: error %v, want ErrLimit", err)
			}
		})
	}
}

func controlled(caches ...CacheControl) FollowAnswer {
	return FollowAnswer{Controls: Controls{Caches: caches}}
}

func reported(count uint64) FollowRequest {
	return FollowRequest{Report: Report{Caches: []Counts{{"stats", [Counters]uint64{count}}}}}
}

// Filters and bridges of different versions count different things: what the other side doesn't
// know is left out.
func TestOtherCounters(t *testing.T) {
	for name, values := range map[string][]uint64{"fewer": {1, 2}, "more": append(make([]uint64, Counters), 9)} {
		w := newWriter(kindFollow, 0)
		w.feedRequest(FeedRequest{})
		w.knows(Knows{})
		w.uint(1)
		w.uint(1)
		w.string("stats")
		w.uint(uint64(len(values)))
		for _, v := range values {
			w.uint(v)
		}
		m, err := DecodeFollowRequest(w.buf)
		want := [Counters]uint64{}
		copy(want[:], values)
		if err != nil || len(m.Report.Caches) != 1 || m.Report.Caches[0].Values != want {
			t.Errorf("%s: %+v, %v", name, m.Report, err)
		}
	}
}

// A length that promises more than there is must not be believed.
func TestNoAllocationByPromise(t *testing.T) {
	w := newWriter(kindStore, 0)
	w.scope(scope)
	w.string("k")
	w.uint(1)
	w.string("")
	w.uint(MaxEntry) // bytes that don't follow
	if n := testing.AllocsPerRun(10, func() { _, _ = DecodeStoreRequest(w.buf) }); n > 10 {
		t.Errorf("%v allocations", n)
	}
	if _, err := DecodeStoreRequest(w.buf); !errors.Is(err, ErrFrame) {
		t.Errorf("error %v, want ErrFrame", err)
	}
}

func TestContinues(t *testing.T) {
	event := func(n uint64) Event { return Event{Sequence: n, Kind: EventRaise} }
	tests := []struct {
		name   string
		cursor Ticket
		answer FeedAnswer
		want   bool
	}{
		{"nothing new", Ticket{1, 5}, FeedAnswer{Last: Ticket{1, 5}}, true},
		{"each number", Ticket{1, 5}, FeedAnswer{Last: Ticket{1, 7}, Events: []Event{event(6), event(7)}}, true},
		{"gap at the start", Ticket{1, 5}, FeedAnswer{Last: Ticket{1, 7}, Events: []Event{event(7)}}, false},
		{"gap at the end", Ticket{1, 5}, FeedAnswer{Last: Ticket{1, 8}, Events: []Event{event(6), event(7)}}, false},
		{"out of order", Ticket{1, 5}, FeedAnswer{Last: Ticket{1, 7}, Events: []Event{event(7), event(6)}}, false},
		{"behind the cursor", Ticket{1, 5}, FeedAnswer{Last: Ticket{1, 4}}, false},
		{"another epoch", Ticket{1, 5}, FeedAnswer{Last: Ticket{2, 5}}, false},
		{"no epoch", Ticket{}, FeedAnswer{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.answer.Continues(tt.cursor); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// FuzzFrames feeds bytes to every decoder. What one accepts must survive another
// round unchanged.
func FuzzFrames(f *testing.F) {
	for _, tt := range frames {
		f.Add(tt.frame.Encode())
	}
	f.Add([]byte{})
	f.Add([]byte{1, 8, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, tt := range frames {
			m, err := tt.decode(b)
			if err != nil {
				if !errors.Is(err, ErrFrame) {
					t.Errorf("%s: error %v isn't an ErrFrame", tt.name, err)
				}
				continue
			}
			again, err := tt.decode(m.(interface{ Encode() []byte }).Encode())
			if diff := cmp.Diff(m, again, exported); err != nil || diff != "" {
				t.Errorf("%s: second round: %v\n%s", tt.name, err, diff)
			}
		}
	})
}

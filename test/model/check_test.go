package model

import (
	"os"
	"testing"
)

// mostStates bounds a check's memory to about 3 GiB.
const mostStates = 20_000_000

var (
	withL1     = Model{Readers: 1, Writers: 1, L1: true, Deadlines: true}
	twoReaders = Model{Readers: 2, Writers: 1, L1: true}
	withoutL1  = Model{Readers: 2, Writers: 1, Deadlines: true}
	withFaults = Model{Readers: 1, Writers: 1, Deadlines: true, EntryFirst: true, Faults: 1}
	twoWriters = Model{Readers: 1, Writers: 2, Deadlines: true}
	alsoAfter  = Model{Readers: 1, Writers: 1, Deadlines: true, AlsoAfter: true, Faults: 1}
	alsoWithL1 = Model{Readers: 1, Writers: 1, L1: true, AlsoAfter: true}
)

// TestProtocol walks everything, and sees that the exceptions are reached.
func TestProtocol(t *testing.T) {
	for name, m := range map[string]Model{"L1 and feed": withL1, "two readers, L1 and feed": twoReaders, "two readers and deadlines": withoutL1, "faults": withFaults, "also_after": alsoAfter, "also_after, L1 and feed": alsoWithL1} {
		t.Run(name, func(t *testing.T) { complete(t, m) })
	}
}

// TestProtocolLong takes minutes, and up to 3 GiB.
func TestProtocolLong(t *testing.T) {
	if os.Getenv("CHATCACHE_LONG") != "1" {
		t.Skip("takes minutes: set CHATCACHE_LONG=1")
	}
	for name, m := range map[string]Model{
		"two writers":   twoWriters,
		"both VMs poll": {Readers: 1, Writers: 1, L1: true, BothPoll: true},
		"L1 and faults": {Readers: 1, Writers: 1, L1: true, Deadlines: true, Faults: 1},
	} {
		t.Run(name, func(t *testing.T) { complete(t, m) })
	}
}

func complete(t *testing.T, m Model) {
	r := m.Check(mostStates)
	t.Log(r)
	if r.Broken != Fine || !r.Complete {
		t.Errorf("%+v: want every state seen and all fine", m)
	}
	want := CommitWhilePending
	if m.Deadlines {
		want |= CommitAfterTerm
	}
	if m.Faults > 0 {
		want |= DiedPending
	}
	if m.AlsoAfter {
		want |= CommitBeforeAlso
	}
	if r.Exceptions != want {
		t.Errorf("exceptions reached: %b, want %b", r.Exceptions, want)
	}
}

// TestMutants breaks one rule at a time: each must break a property.
func TestMutants(t *testing.T) {
	for _, tt := range []struct {
		rule  Rule
		model Model
		want  Property
	}{
		{NoTicketCheck, withFaults, StaleL2},
		{NoSuspension, withFaults, StaleL2},
		{OneSuspensionPerGroup, twoWriters, StaleL2},
		{PurgeClearsSuspensions, withFaults, StaleL2},
		{UnknownClosedAtOnce, withFaults, StaleL2},
		{RetriedRejectionIsDefinite, withFaults, StaleL2},
		{ExpiryWithoutRaise, withFaults, StaleL2},
		{NoQuarantine, withFaults, StaleL2},
		{SuspensionInGeneration, withFaults, StaleL2},
		{SlotsMoveAtRaisesOnly, withL1, StaleOtherL1},
		{SlotsReadAfterLookup, withL1, StaleOwnL1},
		{FillAfterTimeout, withL1, StaleOwnL1},
		{GapIgnored, withL1, StaleOtherL1},
		{LeaseFromAnswer, withL1, StaleOtherL1},
		{JournalBeforeEnd, withFaults, StaleL2},
		{NumbersAsStrings, withFaults, StaleL2},
		{NoTimeout, withFaults, Stuck},
		{LateAckTaken, withFaults, StaleL2},
		{NothingAlsoAfter, alsoAfter, StaleL2},
		{NothingAlsoAfter, alsoWithL1, StaleL2},
	} {
		t.Run(tt.rule.String(), func(t *testing.T) {
			tt.model.Break = tt.rule
			r := tt.model.Check(mostStates)
			t.Log(r)
			if r.Broken != tt.want || len(r.Trace) == 0 {
				t.Errorf("breaks %q, want %q", r.Broken, tt.want)
			}
		})
	}
}

// Turning due deadlines only in lookups breaks no property, since a lookup comes
// before whatever fills. That the scripts turn them all is what TestScriptsAgree sees.
func TestOnlyLookupsExpire(t *testing.T) {
	for _, m := range []Model{withFaults, withL1} {
		m.Break = OnlyLookupsExpire
		if r := m.Check(mostStates); r.Broken != Fine || !r.Complete {
			t.Errorf("%v", r)
		}
	}
}

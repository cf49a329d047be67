package model

import "strconv"

// Rule names the one rule of the protocol that a run breaks.
type Rule uint8

// The rules that can be broken; Intact breaks none.
const (
	Intact Rule = iota
	NoTicketCheck
	NoSuspension
	OneSuspensionPerGroup
	PurgeClearsSuspensions
	UnknownClosedAtOnce
	RetriedRejectionIsDefinite
	ExpiryWithoutRaise
	OnlyLookupsExpire
	NoQuarantine
	SuspensionInGeneration
	SlotsMoveAtRaisesOnly
	SlotsReadAfterLookup
	FillAfterTimeout
	GapIgnored
	LeaseFromAnswer
	JournalBeforeEnd
	NumbersAsStrings
	NoTimeout
	NothingAlsoAfter
	LateAckTaken
)

func (r Rule) String() string {
	return [...]string{
		"intact", "ticket check off", "no suspension", "one suspension per group", "purge clears suspensions",
		"unknown outcome closed at once", "4xx after a retry is definite", "expiry without a raise",
		"due deadlines turned only by lookups", "new epoch without quarantine", "suspension lost with a generation",
		"slots moved only at raises", "slots read after the lookup", "fill after a lookup that timed out",
		"cursor gap ignored", "lease from the answer", "journal delivered before the response ended",
		"numbers compared as strings", "no timeout", "nothing also after", "late acknowledgement taken",
	}[r]
}

func decimal(n uint8) string { return strconv.Itoa(int(n)) }

package wire

import "fmt"

const (
	// MaxLookups bounds the lookups of one LookupsRequest.
	MaxLookups = 16
	// MaxFoundTogether bounds the bytes of the entries in one LookupsAnswer: what is large delays the others.
	MaxFoundTogether = 256 << 10
)

// LookupsRequest is several lookups of one policy in one call. None of them waits for somebody else's
// fetch: their Wait doesn't count, and their Scope is the call's.
type LookupsRequest struct {
	Scope
	Lookups []LookupRequest // at most MaxLookups
}

// LookupOutcome says what came of one of several lookups.
type LookupOutcome byte

const (
	// LookupAnswered: it has an answer, like that of a LookupRequest.
	LookupAnswered LookupOutcome = iota
	// LookupFailed: it alone has failed, as a call that isn't answered with 200.
	LookupFailed
	// LookupAlone: what it has found is too large to be sent with others; it is to be asked by itself.
	LookupAlone
)

// LookupResult is what came of one of several lookups.
type LookupResult struct {
	Outcome LookupOutcome
	Answer  LookupAnswer // of LookupAnswered only
}

// LookupsAnswer answers a LookupsRequest, in the order of its lookups.
type LookupsAnswer struct{ Results []LookupResult }

// Encode gives the frame.
func (m LookupsRequest) Encode() []byte {
	w := newWriter(kindLookups, 64+256*len(m.Lookups))
	w.scope(m.Scope)
	w.uint(uint64(len(m.Lookups)))
	for _, one := range m.Lookups {
		w.lookup(one)
	}
	return w.buf
}

// DecodeLookupsRequest reads the frame.
func DecodeLookupsRequest(frame []byte) (LookupsRequest, error) {
	r := newReader(frame, kindLookups)
	m := LookupsRequest{Scope: r.scope()}
	n := r.upTo(MaxLookups)
	m.Lookups = make([]LookupRequest, 0, n)
	for range n {
		one := r.lookup(m.Scope)
		one.Wait = 0
		m.Lookups = append(m.Lookups, one)
	}
	return m, r.finish()
}

// Encode gives the frame.
func (m LookupsAnswer) Encode() []byte {
	size := 8
	for _, one := range m.Results {
		size += 48 + len(one.Answer.Entry)
	}
	w := newWriter(kindLookupsAnswer, size)
	w.uint(uint64(len(m.Results)))
	for _, one := range m.Results {
		w.byte(byte(one.Outcome))
		if one.Outcome == LookupAnswered {
			w.lookupAnswer(one.Answer)
		}
	}
	return w.buf
}

// DecodeLookupsAnswer reads the frame that answers so many lookups; the entries alias it.
func DecodeLookupsAnswer(frame []byte, lookups int) (LookupsAnswer, error) {
	r := newReader(frame, kindLookupsAnswer)
	n := r.answers(MaxLookups, lookups, "lookups")
	m := LookupsAnswer{Results: make([]LookupResult, 0, n)}
	for range n {
		one := LookupResult{Outcome: LookupOutcome(r.byte())}
		switch {
		case one.Outcome > LookupAlone:
			r.fail(fmt.Errorf("%w: outcome %d of a lookup", ErrFrame, one.Outcome))
		case one.Outcome == LookupAnswered:
			one.Answer = r.lookupAnswer()
		}
		m.Results = append(m.Results, one)
	}
	return m, r.finish()
}

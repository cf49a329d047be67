package wire

// Ticket is the epoch and the sequence as a read of the primary saw them. Two
// tickets are comparable only within one epoch.
type Ticket struct {
	Epoch    uint64 // random bits; zero is no epoch at all
	Sequence uint64
}

// Scope is what every request says of its policy. The bridge needs no copy of
// the policy: what it has to know travels with each call.
type Scope struct {
	Policy string
	// Horizon is the policy's longest TTL in milliseconds: generations are
	// kept at least that long after they were last needed.
	Horizon int64
	// Quarantine is how long a write of the policy may still have a raise to
	// come, and a VM a lease to use its memory, in milliseconds: a new epoch begins
	// suspended for everything for that long.
	Quarantine int64
}

// LookupRequest asks for the entry under Key and for a ticket. Groups are those
// that the response is known to belong to before it is seen.
//
// Fetch asks for the fetch lease, too: an id that no other caller uses. A caller
// that asks again with the id of a lease that it holds already gets it again.
// Where somebody else fetches, the answer is LookupLeased, after up to Wait
// milliseconds in which the answer didn't become another.
type LookupRequest struct {
	Scope
	Key    string
	Groups []string
	Fetch  string // empty: no lease is wanted, and nobody else's matters
	Lease  int64  // milliseconds that a granted lease lasts at most
	Wait   int64  // milliseconds; 0 without Fetch
}

// LookupState says what a lookup found.
type LookupState byte

const (
	// LookupMiss: no valid entry. The answer's ticket may be stored with
	// what the origin answers next.
	LookupMiss LookupState = iota
	// LookupHit: the answer holds a valid entry.
	LookupHit
	// LookupSuspended: a write on one of the groups is in flight. Forward the
	// request and store nothing.
	LookupSuspended
	// LookupLeased: no valid entry, or one that is stale (Head.Fresh) and then in the answer, and
	// somebody else's fetch of it is under way. Only lookups that want a lease get this answer.
	LookupLeased
)

// LookupAnswer is the answer to a LookupRequest.
type LookupAnswer struct {
	State     LookupState
	Ticket    Ticket // as the lookup saw it, whatever the state
	Granted   bool   // the fetch lease; of a miss, or a hit that is stale
	Age       int64  // milliseconds since the entry was stored; with an entry only
	Remaining int64  // milliseconds until it expires; with an entry only
	Entry     []byte // as DecodeEntry reads it; of a hit, or stale; aliases the frame
}

// StoreRequest puts an entry under Key for TTL milliseconds. Whether it is
// valid is decided when it is looked up, by the ticket in its head. It ends the
// fetch lease of Fetch, and no other.
type StoreRequest struct {
	Scope
	Key   string
	TTL   int64
	Fetch string // empty without a lease
	Entry []byte // aliases the frame
}

// PieceRequest adds Bytes to an upload: an entry too large to be held as a whole, whose
// pieces are sent one after the other. Offset is how many bytes came before; the first piece begins
// with the entry's whole head, in which TTL is set already. An upload that
// gets no piece for [UploadLife] is gone.
type PieceRequest struct {
	Scope
	Key    string // of the entry
	Upload string // its id
	Offset int64
	Bytes  []byte // aliases the frame
}

// CommitRequest makes a whole upload of Size bytes the entry under Key, for TTL milliseconds from
// now: what is left of the TTL in its head. Otherwise it is like [StoreRequest].
type CommitRequest struct {
	Scope
	Key    string
	Upload string
	Size   int64
	TTL    int64
	Fetch  string // empty without a lease
}

// ReleaseRequest ends the fetch lease of Fetch on Key, and no other, where
// nothing is stored. With Mark it leaves a mark there for so many milliseconds
// (hit-for-miss): lookups that miss are then given no lease, and nobody waits.
type ReleaseRequest struct {
	Scope
	Key   string
	Fetch string
	Mark  int64
}

// SuspendRequest opens the suspension ID on Groups for Deadline milliseconds,
// or renews it: the deadline then counts anew from the bridge's receipt. When a
// deadline passes, its groups are raised, and unless AlsoAfter is zero once more
// that many milliseconds later. It does nothing once ID was closed.
type SuspendRequest struct {
	Scope
	ID        string
	Groups    []string
	Deadline  int64
	AlsoAfter int64
}

// CloseRequest ends the suspension ID and no other. With Raise the groups take
// the next number as their generation, whether ID was open or not, and unless
// AlsoAfter is zero another one that many milliseconds later.
type CloseRequest struct {
	Scope
	ID        string
	Groups    []string
	Raise     bool
	AlsoAfter int64
}

// Ack acknowledges a store, a release, a suspension or a close; Ticket is the
// policy's position after it (zero after a store or a release).
type Ack struct{ Ticket Ticket }

// FeedRequest asks for what happened after Cursor, and waits up to Hold
// milliseconds for something to happen. VM registers the caller with a lease
// of Lease milliseconds.
type FeedRequest struct {
	Scope
	VM     string
	Cursor Ticket
	Hold   int64
	Lease  int64
}

// EventKind says what an event of the feed is.
type EventKind byte

const (
	// EventRaise: the groups' responses with a smaller ticket are invalid.
	EventRaise EventKind = iota + 1
	// EventSuspend: a write on the groups has begun.
	EventSuspend
	// EventControls: the controls are others now. It has no groups.
	EventControls
)

// Event is one number of the feed.
type Event struct {
	Sequence uint64
	Kind     EventKind
	Groups   []string
}

// FeedAnswer says where the policy stands and what led there. It continues the
// cursor only if [FeedAnswer.Continues] says so; otherwise the VM must forget
// everything.
type FeedAnswer struct {
	Last   Ticket
	Events []Event
}

// Continues tells whether the answer leads from cursor to Last without a gap.
func (m FeedAnswer) Continues(cursor Ticket) bool {
	if m.Last.Epoch != cursor.Epoch || cursor.Epoch == 0 {
		return false
	}
	next := cursor.Sequence
	for _, e := range m.Events {
		next++
		if e.Sequence != next {
			return false
		}
	}
	return next == m.Last.Sequence
}

// Encode gives the frame.
func (m LookupRequest) Encode() []byte {
	w := newWriter(kindLookup, 128+len(m.Key)+64*len(m.Groups))
	w.scope(m.Scope)
	w.lookup(m)
	return w.buf
}

// lookup writes what a lookup has beside its scope.
func (w *writer) lookup(m LookupRequest) {
	w.string(m.Key)
	w.strings(m.Groups)
	w.string(m.Fetch)
	w.uint(uint64(m.Lease))
	w.uint(uint64(m.Wait))
}

// DecodeLookupRequest reads the frame.
func DecodeLookupRequest(frame []byte) (LookupRequest, error) {
	r := newReader(frame, kindLookup)
	m := r.lookup(r.scope())
	return m, r.finish()
}

func (r *reader) lookup(scope Scope) LookupRequest {
	return LookupRequest{
		Scope: scope, Key: r.string(MaxKey), Groups: r.groups(),
		Fetch: r.string(MaxID), Lease: r.millis(MaxLease), Wait: r.millis(MaxHold),
	}
}

// Encode gives the frame.
func (m LookupAnswer) Encode() []byte {
	w := newWriter(kindLookupAnswer, 48+len(m.Entry))
	w.lookupAnswer(m)
	return w.buf
}

func (w *writer) lookupAnswer(m LookupAnswer) {
	w.lookupAnswerBeginning(m)
	w.buf = append(w.buf, m.Entry...)
}

func (w *writer) lookupAnswerBeginning(m LookupAnswer) {
	w.byte(byte(m.State))
	w.ticket(m.Ticket)
	w.bool(m.Granted)
	w.uint(uint64(m.Age))
	w.uint(uint64(m.Remaining))
	w.uint(uint64(len(m.Entry)))
}

// Beginning gives the frame without the entry's bytes, which are its end: a large entry needn't be
// copied to be sent.
func (m LookupAnswer) Beginning() []byte {
	w := newWriter(kindLookupAnswer, 64)
	w.lookupAnswerBeginning(m)
	return w.buf
}

// DecodeLookupAnswer reads the frame; Entry aliases it.
func DecodeLookupAnswer(frame []byte) (LookupAnswer, error) {
	r := newReader(frame, kindLookupAnswer)
	m := r.lookupAnswer()
	return m, r.finish()
}

func (r *reader) lookupAnswer() LookupAnswer {
	state := LookupState(r.byte())
	if state > LookupLeased {
		r.fail(ErrFrame)
	}
	return LookupAnswer{
		State: state, Ticket: r.ticket(), Granted: r.bool(),
		Age: r.millis(MaxTTL), Remaining: r.millis(MaxTTL), Entry: r.bytes(MaxEntry),
	}
}

// Encode gives the frame.
func (m StoreRequest) Encode() []byte {
	w := m.begin(len(m.Entry))
	w.bytes(m.Entry)
	return w.buf
}

// EncodeWith gives the frame with the tail in place of Entry. They share memory.
func (m StoreRequest) EncodeWith(entry *Tail) []byte { return entry.under(m.begin(0)) }

// Room is what a tail of the message needs before it, bytes.
func (m StoreRequest) Room() int { return beginning + len(m.Policy) + len(m.Key) + len(m.Fetch) }

func (m StoreRequest) begin(more int) *writer {
	w := newWriter(kindStore, m.Room()+more)
	w.scope(m.Scope)
	w.string(m.Key)
	w.uint(uint64(m.TTL))
	w.string(m.Fetch)
	return w
}

// beginning is more than version, kind, numbers and lengths take in front of a tail, bytes.
const beginning = 64

// DecodeStoreRequest reads the frame; Entry aliases it.
func DecodeStoreRequest(frame []byte) (StoreRequest, error) {
	r := newReader(frame, kindStore)
	m := StoreRequest{
		Scope: r.scope(), Key: r.string(MaxKey), TTL: r.millis(MaxTTL), Fetch: r.string(MaxID), Entry: r.bytes(MaxEntry),
	}
	return m, r.finish()
}

// Encode gives the frame.
func (m PieceRequest) Encode() []byte {
	w := m.begin(len(m.Bytes))
	w.bytes(m.Bytes)
	return w.buf
}

// EncodeWith gives the frame with the tail in place of Bytes. They share memory.
func (m PieceRequest) EncodeWith(piece *Tail) []byte { return piece.under(m.begin(0)) }

// Room is what a tail of the message needs before it, bytes.
func (m PieceRequest) Room() int { return beginning + len(m.Policy) + len(m.Key) + len(m.Upload) }

func (m PieceRequest) begin(more int) *writer {
	w := newWriter(kindPiece, m.Room()+more)
	w.scope(m.Scope)
	w.string(m.Key)
	w.string(m.Upload)
	w.uint(uint64(m.Offset))
	return w
}

// DecodePieceRequest reads the frame; Bytes aliases it.
func DecodePieceRequest(frame []byte) (PieceRequest, error) {
	r := newReader(frame, kindPiece)
	m := PieceRequest{
		Scope: r.scope(), Key: r.string(MaxKey), Upload: r.string(MaxID),
		Offset: int64(r.upTo(MaxEntry)), Bytes: r.bytes(MaxEntry),
	}
	return m, r.finish()
}

// Encode gives the frame.
func (m CommitRequest) Encode() []byte {
	w := newWriter(kindCommit, 128+len(m.Key))
	w.scope(m.Scope)
	w.string(m.Key)
	w.string(m.Upload)
	w.uint(uint64(m.Size))
	w.uint(uint64(m.TTL))
	w.string(m.Fetch)
	return w.buf
}

// DecodeCommitRequest reads the frame.
func DecodeCommitRequest(frame []byte) (CommitRequest, error) {
	r := newReader(frame, kindCommit)
	m := CommitRequest{
		Scope: r.scope(), Key: r.string(MaxKey), Upload: r.string(MaxID),
		Size: int64(r.upTo(MaxEntry)), TTL: r.millis(MaxTTL), Fetch: r.string(MaxID),
	}
	return m, r.finish()
}

// Encode gives the frame.
func (m ReleaseRequest) Encode() []byte {
	w := newWriter(kindRelease, 96+len(m.Key))
	w.scope(m.Scope)
	w.string(m.Key)
	w.string(m.Fetch)
	w.uint(uint64(m.Mark))
	return w.buf
}

// DecodeReleaseRequest reads the frame.
func DecodeReleaseRequest(frame []byte) (ReleaseRequest, error) {
	r := newReader(frame, kindRelease)
	m := ReleaseRequest{Scope: r.scope(), Key: r.string(MaxKey), Fetch: r.string(MaxID), Mark: r.millis(MaxLease)}
	return m, r.finish()
}

// Encode gives the frame.
func (m SuspendRequest) Encode() []byte {
	w := newWriter(kindSuspend, 96+64*len(m.Groups))
	w.scope(m.Scope)
	w.string(m.ID)
	w.strings(m.Groups)
	w.uint(uint64(m.Deadline))
	w.uint(uint64(m.AlsoAfter))
	return w.buf
}

// DecodeSuspendRequest reads the frame.
func DecodeSuspendRequest(frame []byte) (SuspendRequest, error) {
	r := newReader(frame, kindSuspend)
	m := SuspendRequest{
		Scope: r.scope(), ID: r.string(MaxID), Groups: r.groups(),
		Deadline: r.millis(MaxDeadline), AlsoAfter: r.millis(MaxAlsoAfter),
	}
	return m, r.finish()
}

// Encode gives the frame.
func (m CloseRequest) Encode() []byte {
	w := newWriter(kindClose, 96+64*len(m.Groups))
	w.scope(m.Scope)
	w.string(m.ID)
	w.strings(m.Groups)
	w.bool(m.Raise)
	w.uint(uint64(m.AlsoAfter))
	return w.buf
}

// DecodeCloseRequest reads the frame.
func DecodeCloseRequest(frame []byte) (CloseRequest, error) {
	r := newReader(frame, kindClose)
	m := CloseRequest{
		Scope: r.scope(), ID: r.string(MaxID), Groups: r.groups(),
		Raise: r.bool(), AlsoAfter: r.millis(MaxAlsoAfter),
	}
	return m, r.finish()
}

// Encode gives the frame.
func (m Ack) Encode() []byte {
	w := newWriter(kindAck, 20)
	w.ticket(m.Ticket)
	return w.buf
}

// DecodeAck reads the frame.
func DecodeAck(frame []byte) (Ack, error) {
	r := newReader(frame, kindAck)
	m := Ack{Ticket: r.ticket()}
	return m, r.finish()
}

// Encode gives the frame.
func (m FeedRequest) Encode() []byte {
	w := newWriter(kindFeed, 96)
	w.feedRequest(m)
	return w.buf
}

func (w *writer) feedRequest(m FeedRequest) {
	w.scope(m.Scope)
	w.string(m.VM)
	w.ticket(m.Cursor)
	w.uint(uint64(m.Hold))
	w.uint(uint64(m.Lease))
}

// DecodeFeedRequest reads the frame.
func DecodeFeedRequest(frame []byte) (FeedRequest, error) {
	r := newReader(frame, kindFeed)
	m := r.feedRequest()
	return m, r.finish()
}

func (r *reader) feedRequest() FeedRequest {
	return FeedRequest{
		Scope: r.scope(), VM: r.string(MaxID), Cursor: r.ticket(),
		Hold: r.millis(MaxHold), Lease: r.millis(MaxLease),
	}
}

// Encode gives the frame.
func (m FeedAnswer) Encode() []byte {
	w := newWriter(kindFeedAnswer, 32+64*len(m.Events))
	w.feedAnswer(m)
	return w.buf
}

func (w *writer) feedAnswer(m FeedAnswer) {
	w.ticket(m.Last)
	w.uint(uint64(len(m.Events)))
	for _, e := range m.Events {
		w.uint(e.Sequence)
		w.byte(byte(e.Kind))
		w.strings(e.Groups)
	}
}

// DecodeFeedAnswer reads the frame.
func DecodeFeedAnswer(frame []byte) (FeedAnswer, error) {
	r := newReader(frame, kindFeedAnswer)
	m := r.feedAnswer()
	return m, r.finish()
}

func (r *reader) feedAnswer() FeedAnswer {
	m := FeedAnswer{Last: r.ticket()}
	for range r.upTo(MaxEvents) {
		m.Events = append(m.Events, Event{
			Sequence: r.uint(), Kind: EventKind(r.byte()), Groups: r.groups(),
		})
		if r.err != nil {
			break
		}
	}
	return m
}

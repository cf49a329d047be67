// Package wire defines what the filter and the bridge say to each other: the
// frames that travel as HTTP bodies, the names of groups and of entries in
// Redis, and the readable head of a stored entry.
//
// It is compiled into the filter, so it is pure: no net/http, no
// encoding/json, no reflection.
//
// # Calls
//
// Every call is an HTTP POST to one of the Path constants with a frame as its
// body and [ContentType] as its content-type, and carries the filter's token
// as "authorization: Bearer …". A 200 answer carries the answering frame of
// the table; any other status means that nothing may be concluded, and its
// body is text for people.
//
//	path          request           answer
//	PathLookup    LookupRequest     LookupAnswer
//	PathLookups   LookupsRequest    LookupsAnswer
//	PathStore     StoreRequest      Ack
//	PathStores    StoresRequest     StoresAnswer
//	PathPiece     PieceRequest      Ack
//	PathCommit    CommitRequest     Ack
//	PathRelease   ReleaseRequest    Ack
//	PathSuspend   SuspendRequest    Ack
//	PathClose     CloseRequest      Ack
//	PathJoin      JoinRequest       JoinAnswer
//	PathFollow    FollowRequest     FollowAnswer
//	PathFeed      FeedRequest       FeedAnswer
//
// Filters poll with PathFollow. PathFeed, the same without what a filter says of itself, is
// left for those that only listen. Until a VM's first poll is answered its lookups go with PathJoin.
//
// # Frames
//
// A frame is the version byte, a kind byte and the fields of its struct in
// their order: integers as unsigned varints, byte strings and lists prefixed
// with their length as an unsigned varint, booleans as one byte. Decoding
// checks every length against the limits of this package before it allocates
// and refuses trailing bytes. So a frame never changes: what is new is a new call, and
// bridges are updated before filters.
package wire

// Paths of the calls, version included: a bridge answers 404 to a version
// that it doesn't speak. Its filter's reads go to the origin (bridge-error), and
// ends of writes wait in its journal until a bridge does.
const (
	PathLookup  = "/v1/lookup"
	PathLookups = "/v1/lookups"
	PathStore   = "/v1/store"
	PathStores  = "/v1/stores"
	PathPiece   = "/v1/piece"
	PathCommit  = "/v1/commit"
	PathRelease = "/v1/release"
	PathSuspend = "/v1/suspend"
	PathClose   = "/v1/close"
	PathJoin    = "/v1/join"
	PathFollow  = "/v1/follow"
	PathFeed    = "/v1/feed"
)

// ContentType is the content-type of every frame.
const ContentType = "application/vnd.chatcache.frame"

// Limits that both sides enforce. A frame beyond them is refused whole.
const (
	MaxPolicyName = 64              // bytes
	MaxKey        = 512             // bytes of an entry's Redis key
	MaxGroup      = 256             // bytes of one group's name
	MaxGroups     = 64              // groups in one frame or entry
	MaxID         = 64              // bytes of a suspension's, a fetch lease's or a VM's id
	MaxEvents     = 1024            // events in one feed answer
	MaxEntry      = 8 << 20         // bytes of an entry, head included
	MaxFrame      = 9 << 20         // bytes of any frame
	MaxTTL        = 30 * 86_400_000 // milliseconds: 30 days
	MaxDeadline   = 60_000          // milliseconds a suspension may last without renewal
	MaxAlsoAfter  = 60_000          // milliseconds from a suspension's end to its second raise
	MaxQuarantine = MaxDeadline + MaxAlsoAfter
	MaxHold       = 30_000 // milliseconds a poll or a lookup may be held
	UploadLife    = 30_000 // milliseconds that an upload waits for its next piece
	MaxLease      = 60_000 // milliseconds a fetch lease, a hit-for-miss mark, or a VM's lease on its memory may last
	MaxCaches     = 256    // caches of a policy
	MaxCacheName  = 64     // bytes
	MaxRules      = 1024   // digests of the rules that concern caches: two for each, of two policies that name all of theirs differently
	MaxDigest     = 32     // bytes
	MaxCounters   = 64     // of one cache in a report
	MaxCount      = 1 << 48
)

package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrEntry says that bytes are not an entry, or not one of this version.
var ErrEntry = errors.New("wire: not a valid entry")

const entryMagic = "chatcache1"

// maxHead bounds the readable line of an entry: its groups and a margin.
const maxHead = MaxGroups*(3*MaxGroup+1) + 512

// Head is the part of an entry that the bridge reads, and that people see with
// GET in redis-cli: one line of text.
//
//	chatcache1 epoch=5f0c… seq=41 def=9a1be22c stored=1790000000 ttl=600000 fresh=60000 groups=*,c:stats,p:stats:4f…
type Head struct {
	Ticket     Ticket
	Definition string // digest of the cache's definition; another one is a miss
	Stored     int64  // seconds since 1970 by the proxy's clock; for people only
	// TTL is what the entry was stored for, in milliseconds. The bridge writes
	// it from [StoreRequest.TTL], filters leave it zero: less the key's
	// remaining life in Redis it gives the age, without comparing two clocks.
	TTL int64
	// Fresh is for how many milliseconds the response is fresh, where that is shorter than TTL; 0: it isn't said, and
	// not in the line. Beyond them the fetch lease decides who validates it.
	Fresh  int64
	Groups []string
}

// Entry is a stored response: the head, and a payload that only the filter
// understands.
type Entry struct {
	Head
	Payload []byte
}

// HeadSize is about what AppendHead adds, bytes.
func (h Head) HeadSize() int { return 128 + 64*len(h.Groups) }

// AppendHead writes the head's line behind b: the payload follows.
func (h Head) AppendHead(b []byte) []byte {
	b = append(b, entryMagic+" epoch="...)
	b = strconv.AppendUint(b, h.Ticket.Epoch, 16)
	b = append(b, " seq="...)
	b = strconv.AppendUint(b, h.Ticket.Sequence, 10)
	b = append(b, " def="...)
	b = append(b, h.Definition...)
	b = append(b, " stored="...)
	b = strconv.AppendInt(b, h.Stored, 10)
	b = append(b, " ttl="...)
	b = strconv.AppendInt(b, h.TTL, 10)
	if h.Fresh > 0 {
		b = append(b, " fresh="...)
		b = strconv.AppendInt(b, h.Fresh, 10)
	}
	b = append(b, " groups="...)
	return append(appendGroups(b, h.Groups), '\n')
}

// Encode gives the entry's bytes.
func (e Entry) Encode() []byte {
	return append(e.AppendHead(make([]byte, 0, e.HeadSize()+len(e.Payload))), e.Payload...)
}

var (
	headNames      = []string{"epoch", "seq", "def", "stored", "ttl", "groups"}
	headNamesStale = []string{"epoch", "seq", "def", "stored", "ttl", "fresh", "groups"}
)

// DecodeEntry reads an entry; Payload aliases b. The error matches ErrEntry.
func DecodeEntry(b []byte) (Entry, error) {
	end := bytes.IndexByte(b[:min(len(b), maxHead)], '\n')
	if end < 0 {
		return Entry{}, fmt.Errorf("%w: no head", ErrEntry)
	}
	fields := strings.Split(string(b[:end]), " ")
	names := headNames
	if len(fields) == len(names)+2 {
		names = headNamesStale
	}
	if len(fields) != len(names)+1 || fields[0] != entryMagic {
		return Entry{}, fmt.Errorf("%w: unknown head", ErrEntry)
	}
	e := Entry{Payload: b[end+1:]}
	var err error
	for i, name := range names {
		value, ok := strings.CutPrefix(fields[i+1], name+"=")
		if !ok {
			return Entry{}, fmt.Errorf("%w: no %s", ErrEntry, name)
		}
		switch name {
		case "epoch":
			e.Ticket.Epoch, err = strconv.ParseUint(value, 16, 64)
		case "seq":
			e.Ticket.Sequence, err = strconv.ParseUint(value, 10, 64)
		case "def":
			e.Definition = value
		case "stored":
			e.Stored, err = strconv.ParseInt(value, 10, 64)
		case "ttl":
			e.TTL, err = strconv.ParseInt(value, 10, 64)
		case "fresh":
			e.Fresh, err = strconv.ParseInt(value, 10, 64)
		case "groups":
			e.Groups, err = SplitGroups(value)
		}
		if err != nil {
			return Entry{}, fmt.Errorf("%w: %s: %v", ErrEntry, name, err)
		}
	}
	return e, nil
}

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
//	chatcache1 epoch=5f0c… seq=41 def=9a1be22c stored=1790000000 groups=*,c:stats,p:stats:4f…
type Head struct {
	Ticket     Ticket
	Definition string // digest of the cache's definition; another one is a miss
	Stored     int64  // seconds since 1970 by the proxy's clock; for people only
	Groups     []string
}

// Entry is a stored response: the head, and a payload that only the filter
// understands.
type Entry struct {
	Head
	Payload []byte
}

// Encode gives the entry's bytes.
func (e Entry) Encode() []byte {
	b := make([]byte, 0, 128+64*len(e.Groups)+len(e.Payload))
	b = append(b, entryMagic+" epoch="...)
	b = strconv.AppendUint(b, e.Ticket.Epoch, 16)
	b = append(b, " seq="...)
	b = strconv.AppendUint(b, e.Ticket.Sequence, 10)
	b = append(b, " def="...)
	b = append(b, e.Definition...)
	b = append(b, " stored="...)
	b = strconv.AppendInt(b, e.Stored, 10)
	b = append(b, " groups="...)
	for i, g := range e.Groups {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendEscaped(b, g)
	}
	b = append(b, '\n')
	return append(b, e.Payload...)
}

// DecodeEntry reads an entry; Payload aliases b. The error matches ErrEntry.
func DecodeEntry(b []byte) (Entry, error) {
	end := bytes.IndexByte(b[:min(len(b), maxHead)], '\n')
	if end < 0 {
		return Entry{}, fmt.Errorf("%w: no head", ErrEntry)
	}
	fields := strings.Split(string(b[:end]), " ")
	if len(fields) != 6 || fields[0] != entryMagic {
		return Entry{}, fmt.Errorf("%w: unknown head", ErrEntry)
	}
	e := Entry{Payload: b[end+1:]}
	var err error
	for i, name := range []string{"epoch", "seq", "def", "stored", "groups"} {
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
		case "groups":
			e.Groups, err = parseGroups(value)
		}
		if err != nil {
			return Entry{}, fmt.Errorf("%w: %s: %v", ErrEntry, name, err)
		}
	}
	return e, nil
}

func parseGroups(list string) ([]string, error) {
	parts := strings.Split(list, ",")
	if len(parts) > MaxGroups {
		return nil, ErrLimit
	}
	for i, p := range parts {
		g, err := unescape(p)
		if err != nil {
			return nil, err
		}
		if g == "" || len(g) > MaxGroup {
			return nil, ErrLimit
		}
		parts[i] = g
	}
	return parts, nil
}

const hexDigits = "0123456789abcdef"

// appendEscaped writes s so that it holds no space, comma, percent or control byte.
func appendEscaped(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == ',' || c == '%' {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

func unescape(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", errors.New("escape cut short")
		}
		v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", err
		}
		b.WriteByte(byte(v))
		i += 2
	}
	return b.String(), nil
}

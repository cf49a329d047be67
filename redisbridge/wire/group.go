package wire

import (
	"errors"
	"strconv"
	"strings"
)

// GroupAll names the group that every stored response of a policy belongs to.
const GroupAll = "*"

// GroupCache names the group of all responses stored for one cache.
func GroupCache(cache string) string { return "c:" + cache }

// GroupPartition names the group of the responses stored for one cache in one
// partition.
func GroupPartition(cache, partition string) string {
	return "p:" + cache + ":" + partition
}

// GroupNamed names a group that a rule or the origin chose.
func GroupNamed(name string) string { return "n:" + name }

// GroupURI names the group of what is stored for one URI, by the URI's digest.
func GroupURI(digest string) string { return "u:" + digest }

// ReadGroups lists the groups that a response of the cache and partitions
// belongs to, from the widest to the narrowest; a shared cache has no partition, or an empty one.
func ReadGroups(cache string, partitions ...string) []string {
	groups := make([]string, 2, 2+len(partitions))
	groups[0], groups[1] = GroupAll, GroupCache(cache)
	for _, p := range partitions {
		if p != "" {
			groups = append(groups, GroupPartition(cache, p))
		}
	}
	return groups
}

// CacheOfGroup tells which cache a group's name speaks of, for counters:
// empty for GroupAll and for named groups.
func CacheOfGroup(group string) string {
	kind, rest, _ := strings.Cut(group, ":")
	switch kind {
	case "c":
		return rest
	case "p":
		cache, _, _ := strings.Cut(rest, ":")
		return cache
	}
	return ""
}

// JoinGroups writes groups as one word of text: separated by commas, with every
// byte that isn't plain in a terminal, and comma and percent, as %xx. It is the
// form of an entry's head and of everything that the bridge keeps in Redis.
func JoinGroups(groups []string) string {
	return string(appendGroups(nil, groups))
}

func appendGroups(b []byte, groups []string) []byte {
	for i, g := range groups {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendEscaped(b, g)
	}
	return b
}

// SplitGroups reads what [JoinGroups] wrote. Empty groups, bad escapes and
// anything beyond the limits are errors.
func SplitGroups(list string) ([]string, error) {
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

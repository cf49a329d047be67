package wire

import "strings"

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

// ReadGroups lists the groups that a response of the cache and partition
// belongs to, from the widest to the narrowest; partition is empty for a
// shared cache.
func ReadGroups(cache, partition string) []string {
	if partition == "" {
		return []string{GroupAll, GroupCache(cache)}
	}
	return []string{GroupAll, GroupCache(cache), GroupPartition(cache, partition)}
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

package exchange

import (
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"
)

// prefetchField marks a request that fetches a page before anybody asks for it, and in an entry a response
// that it has brought. Its value in a request is the digest of the key that is meant: one that would fill another one, since the way through
// the listener has changed its scheme or its identity, is refused, and never reaches the origin. Else it only
// keeps its request from prefetching a page itself, so it is of no use to a client that sends it.
const prefetchField = "x-chatcache-prefetch"

// prefetchedMark is its value in an entry.
const prefetchedMark = "1"

// Bounds of what one VM prefetches. What is beyond them isn't.
const (
	maxPrefetches      = 4 // under way
	prefetchesASecond  = 10
	prefetchAgainAfter = 10 * time.Second // for one page that is read
	maxPagesSeen       = 4096
)

// prefetches are the next pages that a VM fetches, by its loopback.
//
// They can't go on by themselves: a marked request prefetches nothing. Where the listener takes the mark away, each
// page would fetch the next one up to the last, within the bounds.
type prefetches struct {
	state    *State
	underWay int
	seen     map[uint64]int64 // digests of the keys of pages that were read, until when they are left alone
	second   int64            // the one that begun counts
	begun    int
}

// prefetchNext fetches the page behind the one with this body, if there is one and nobody has it yet.
func (r *read) prefetchNext(body []byte, now int64) {
	if r.cache.Prefetch == nil || r.plugin.Policy.Loopback == "" || r.prefetched() || r.refreshOf != "" || !r.state.prefetches.mayBegin(r.key, now) {
		return
	}
	path, ok := r.cache.Prefetch.NextPage(r.request.path, body)
	if !ok {
		return
	}
	page := r.pageAt(path)
	if _, found := page.inL1(page.leased(now), now); found {
		return
	}
	r.state.prefetches.begin(againRequest(r.request, path, prefetchField, wire.KeyDigest(page.key)), r.metrics)
}

// startPrefetch starts a read that fetches a page before anybody asks for it. One that isn't of the reader's own key, or that the cache can't be asked for, is refused.
func (r *read) startPrefetch(end bool) Action {
	if r.prefetchOf = r.request.fields.Get(prefetchField); r.prefetchOf == prefetchedMark {
		r.prefetchOf = "" // a client's, or of a filter before this one
	} else {
		_ = r.stream.SetRequestField(prefetchField, prefetchedMark) // all that the origin needs to know
	}
	if action := r.enter(end); r.bypass == "" || r.prefetchOf == "" {
		return action
	}
	return r.misdirect()
}

// prefetched tells whether the read itself is one. Where nothing is prefetched the field is a client's own.
func (r *read) prefetched() bool {
	return r.cache.Prefetch != nil && r.request.fields.Has(prefetchField)
}

// pageAt is the read of another page by whoever reads this one.
func (r *read) pageAt(path string) read {
	request, page := *r.request, *r
	request.path = path
	page.request = &request
	page.key = r.plugin.Policy.AppendKey(nil, r.cache, &request, r.partition.ID, nil)
	return page
}

// notForAnother are the fields of a request that concern it alone, or its connection.
var notForAnother = []string{
	"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect", "content-length",
	"cache-control", "pragma", "range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "x-request-id", refreshField, prefetchField,
}

// againRequest is a request for a path by whoever has sent this one, with a field that marks it.
func againRequest(r *request, path, mark, value string) httpcache.Fields {
	fields := httpcache.Fields{{":method", "GET"}, {":path", path}, {":authority", r.authority}}
	if r.scheme != "" {
		fields = append(fields, [2]string{":scheme", r.scheme}) // HTTP/2 has room for it
	}
	fields = append(fields, [2]string{mark, value})
	for _, f := range r.fields {
		if !strings.HasPrefix(f[0], ":") && !strings.HasPrefix(f[0], "x-envoy-") && !slices.Contains(notForAnother, f[0]) {
			fields = append(fields, f)
		}
	}
	return fields
}

// mayBegin tells whether the page that was read may lead to another one now.
func (ps *prefetches) mayBegin(key []byte, now int64) bool {
	if second := now / int64(time.Second); second != ps.second {
		ps.second, ps.begun = second, 0
	}
	if ps.underWay >= maxPrefetches || ps.begun >= prefetchesASecond {
		return false
	}
	digest := maphash.Bytes(ps.state.seed, key)
	if now < ps.seen[digest] {
		return false
	}
	if len(ps.seen) >= maxPagesSeen {
		clear(ps.seen)
	}
	ps.seen[digest] = now + int64(prefetchAgainAfter)
	return true
}

func (ps *prefetches) begin(fields httpcache.Fields, m *cacheMetrics) {
	ps.begun++
	ps.underWay++
	ps.state.loopback.ask(&ownRequest{fields: fields, ended: func(p *Plugin, status string) {
		ps.underWay--
		if status == "200" {
			p.host.Add(&m.prefetches, 1)
		} else {
			p.host.Add(&m.prefetchFailures, 1)
		}
	}})
}

// mark marks a response for its entry, if the read was a prefetch.
func (r *read) mark(fields httpcache.Fields) httpcache.Fields {
	if r.prefetched() {
		return append(slices.Clip(fields), [2]string{prefetchField, prefetchedMark})
	}
	return fields
}

// unmark takes the mark off a stored response that is answered with, and counts that it was of use.
func (r *read) unmark(fields httpcache.Fields) httpcache.Fields {
	if r.cache.Prefetch == nil || !fields.Has(prefetchField) {
		return fields
	}
	if !r.prefetched() {
		r.plugin.host.Add(&r.metrics.prefetchHits, 1)
	}
	return slices.DeleteFunc(slices.Clone(fields), func(f [2]string) bool { return f[0] == prefetchField })
}

package exchange

import (
	"time"

	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"
)

// control is what operators have set for the read's cache, as far as this VM has heard.
//
// A VM that never heard of any knows of none. It serves nobody by that: until its first poll is
// answered it has no lease for L1, and its lookups join, see query: their answer brings the
// controls, and what counts then is what they say. While the bridge can't be reached the
// last ones that were heard stay.
func (r *read) control() *wire.Control { return &r.plugin.controls[r.cache.Index] }

// obey takes what the bridge says of controls. They are merged once for each word of its, and not for each request.
func (s *State) obey(c wire.Controls) {
	s.controls = c
	for _, p := range s.plugins {
		p.mergeControls()
	}
}

func (p *Plugin) mergeControls() {
	for _, c := range p.Policy.Caches {
		p.controls[c.Index] = p.state.controls.Of(c.Name)
	}
}

// barred says why operators don't want the read to have to do with its cache. The
// share of partitions counts once the key is known.
func (r *read) barred() httpcache.Reason {
	switch c := r.control(); {
	case c.Off:
		return reasonOff
	case c.Rollout:
		return reasonRollout
	case c.Percent > 0 && r.base != nil && !c.Within(r.member()):
		return reasonPercent
	}
	return ""
}

// member is what a share of a cache is counted by: a partition is served or not whatever it asks for,
// and of a shared cache a key, whoever asks for it.
func (r *read) member() []byte {
	if r.cache.Private() {
		return []byte(r.partition.ID)
	}
	return r.base
}

// ttlOf is how long the cache's responses with a status may be used; ruled tells that the policy says
// so, and not the origin. What operators have set stands for the cache's TTL and bounds those of single statuses.
func (r *read) ttlOf(status uint32) (ttl time.Duration, ruled bool) {
	ttl, ruled, own := r.cache.TTLOf(status)
	if own {
		return r.control().Bounded(ttl), ruled
	}
	return r.control().Lifetime(ttl), ruled
}

package exchange

import (
	"strconv"
	"time"

	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"
)

// The tiers that a stored response is found in, as Cache-Status names them.
const (
	tierL1 = "l1"
	tierL2 = "l2"
)

// found is a stored response that a read may be answered with.
type found struct {
	block           []byte // as httpcache lays it out
	definition      string // of the cache it was stored for
	groups          []string
	stored, expires int64 // monotonic nanoseconds
	tier            string
}

// use reads a stored response, unless it is of another definition, too old by the present
// policy, or unreadable; age and left are in seconds.
func (r *read) use(f found, now int64) (response httpcache.Response, age, left int64, ok bool) {
	if f.definition != r.cache.Definition {
		return response, 0, 0, false
	}
	response, err := httpcache.DecodeResponse(f.block, 2)
	if err != nil {
		return response, 0, 0, false
	}
	age = (now-f.stored)/int64(time.Second) + response.InitialAge
	left = int64(r.ttl()/time.Second) - age
	return response, age, left, left > 0
}

func (r *read) canUse(f found, now int64) bool {
	_, _, _, ok := r.use(f, now)
	return ok
}

// answer replies with a stored response, if it can be used, or withholds it. Then the request
// is to be forwarded.
func (r *read) answer(f found, now int64) bool {
	response, age, left, ok := r.use(f, now)
	if !ok {
		return false
	}
	if r.withhold(f, response) {
		return true
	}
	ttl := min((f.expires-now)/int64(time.Second), left)
	fields := append(response.Fields,
		[2]string{"age", strconv.FormatInt(age, 10)},
		[2]string{statusField, statusFound(ttl, f.tier, r.waited)})
	r.stream.Describe(r.cache.Name, resultFound(f.tier, r.waited))
	r.reply(response.Status, fields, response.Body)
	r.observe(wire.CountAnsweredMicros)
	counter, name := r.metrics.answered(f.tier, r.waited)
	r.metrics.count(r.plugin.host, counter, name)
	return true
}

// answered is what the callback that has found an answer ends with.
func (r *read) answered() Action {
	if r.phase == replied {
		return PauseAll
	}
	return Continue // withheld
}

// observe records how long the client has waited for the header section.
func (r *read) observe(sum wire.Counter) {
	elapsed := uint64((r.plugin.host.Now() - r.began) / int64(time.Microsecond))
	r.plugin.host.Record(r.metrics.latency, elapsed)
	r.metrics.tally[sum] += elapsed
}

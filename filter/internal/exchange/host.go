package exchange

import (
	"time"

	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"
)

// Action is what a callback of a stream answers the proxy with.
type Action uint8

const (
	// Continue lets the stream go on.
	Continue Action = iota
	// PauseAll holds the stream, body included, until it is resumed or
	// answered: StopAllIterationAndWatermark in Envoy.
	PauseAll
	// PauseForBody holds the headers and lets the body be seen:
	// StopIteration in Envoy, StopIterationAndBuffer for a body.
	PauseForBody
	// Replaced ends a response that was answered in its header section's callback: StopIteration.
	Replaced
)

// Answer is what came of a call to the bridge.
type Answer struct {
	Status string // ":status"; empty when there was no answer at all
	Body   []byte
}

// reached tells whether the bridge was there and could do its work: a refusal of
// this one call (4xx) is no sign against it.
func (a Answer) reached() bool { return a.Status != "" && a.Status[0] != '5' }

// acknowledges tells whether the bridge has done what the call asked for.
func (a Answer) acknowledges() bool {
	_, err := wire.DecodeAck(a.Body)
	return a.Status == "200" && err == nil
}

// refuses tells whether the bridge has said no for good: asking again is useless.
func (a Answer) refuses() bool { return a.Status == "400" || a.Status == "413" }

// Host is what a plugin needs of the proxy, outside of any stream. It is
// called in the root context only, but for Now, Unix, Wake, Warn and the metrics.
type Host interface {
	// Call sends a frame to the bridge from the root context: done is called
	// also when no stream lives any more. An error means that nothing was sent
	// and done won't be called.
	Call(path string, frame []byte, timeout time.Duration, done func(Answer)) error
	// Fetch sends a request without a body to a cluster from the root context: done gets the response's
	// ":status" once it is whole, "" where there is none. An error means that nothing was
	// sent and done won't be called.
	Fetch(cluster string, fields httpcache.Fields, timeout time.Duration, done func(status string)) error
	// Wake asks for Plugin.Run in the root context, soon.
	Wake()
	// Within runs act in the context of a stream, from a callback of the root context: only
	// there may a stream be answered or resumed whose callback isn't running. It tells
	// whether act ran: not where the stream has gone.
	Within(s Stream, act func()) bool
	// StartTicks asks for Plugin.Run in the root context every TickPeriod, from now
	// on. It is called from Run only.
	StartTicks()
	// Finished tells the proxy that the plugin may end, whose Close has said that it may not
	// yet. It is called from Run only.
	Finished()
	// Now is the monotonic clock in nanoseconds.
	Now() int64
	// Unix is the wall clock in seconds. Credentials' expiry and dates of responses need it.
	Unix() int64
	// Add adds n, which isn't 0, to a counter.
	Add(counter *Metric, n uint64)
	// Set sets a gauge.
	Set(gauge *Metric, value int64)
	// Record adds a value to a histogram.
	Record(histogram *Metric, value uint64)
	// Warn logs a line.
	Warn(line string)
}

// Stream is what an exchange needs of the proxy for its own stream.
type Stream interface {
	// RequestFields appends the whole request header section to dst.
	RequestFields(dst httpcache.Fields) (httpcache.Fields, error)
	// SetRequestField gives the request one field line of the name, in place of those that it
	// has; RemoveRequestField takes them away. Only a held request is changed.
	SetRequestField(name, value string) error
	RemoveRequestField(name string) error
	// RequestBody reads the first n bytes of the body buffered so far.
	RequestBody(n int) ([]byte, error)
	// ResponseFields reads the whole response header section.
	ResponseFields() (httpcache.Fields, error)
	// ResponseBody reads the n bytes of the present chunk.
	ResponseBody(n int) ([]byte, error)
	// AddResponseField appends a field line to the response's header section.
	AddResponseField(name, value string) error
	// Describe says for the access log which rule the stream's request matches and what came
	// of it, see accesslog.go.
	Describe(rule, result string)
	// Property reads a property of the stream by the parts of its path; ok is false where there is none.
	Property(path ...string) (value []byte, ok bool)
	// Call sends a frame to the bridge for this stream: done is lost when the
	// stream ends first, the call is not. An error means that nothing was sent
	// and done won't be called.
	Call(path string, frame []byte, timeout time.Duration, done func(Answer)) error
	// Reply answers the request in place of the origin; in the callback of a response's header section,
	// which then returns Replaced, in place of that response. Fields and body are only lent.
	Reply(status uint32, fields httpcache.Pairs, body []byte) error
	// Resume lets a request go on that PauseAll or PauseForBody holds.
	Resume() error
	// ResumeResponse lets a response go on whose header section PauseAll holds.
	ResumeResponse() error
}

// TickPeriod is how often a plugin's Run is called once its VM has seen a stream.
const TickPeriod = 100 * time.Millisecond

package hostsim

// action is what a callback returned for its stream. The numbers are the
// module's; headers and body share them with other meanings
// (FilterHeadersStatus and FilterDataStatus of proxy-wasm-cpp-host).
type action uint32

const (
	actContinue action = 0
	// headersStop stops at headers while body callbacks go on; without
	// AllowOnHeadersStopIteration the host turns it into headersStopAllWatermark.
	headersStop             action = 1
	headersStopAllBuffer    action = 3
	headersStopAllWatermark action = 4

	dataStopBuffer    action = 1 // what was buffered is shown again with the next data
	dataStopWatermark action = 2
	dataStopNoBuffer  action = 3 // the data is dropped
)

// iteration is where a direction of a stream stands at the filter.
type iteration int

const (
	iterContinue iteration = iota
	iterStopSingle
	iterStopAll
)

// chain is one direction of a stream through Envoy's filter manager with one
// filter in it: what comes in (recv…) is shown to the filter and then goes to
// the next side, unless the filter stops it. It follows ActiveStreamFilterBase
// of Envoy's source/common/http/filter_manager.cc.
type chain struct {
	filter   filterSide
	next     nextSide
	overflow func() // the buffer is over its limit, and the filter wants all of it
	drained  func() // what was held has gone on
	limit    int

	state            iteration
	headers          Headers
	headersSeen      bool
	headersContinued bool
	trailers         *Headers
	buffer           []byte
	hasBuffer        bool // may be true with an empty buffer: an end of stream without bytes
	cumulative       bool // the filter asked to buffer: it sees all of it at each call
	overLimitFails   bool // the filter stopped with Buffer, not with back-pressure
	end              bool // seen from the sender
	again            bool // what was held is being shown to the filter, which has not seen it
	aborted          bool // replied, reset or finished: nothing moves any more
}

// filterSide is the module's view.
type filterSide interface {
	filterHeaders(h *Headers, end bool) action
	filterData(b *[]byte, end bool) action
	filterTrailers(h *Headers) action
}

// nextSide is where a direction goes after the filter: the router, or the client.
type nextSide interface {
	passHeaders(h *Headers, end bool)
	passData(b []byte, end bool)
	passTrailers(h *Headers)
}

// paused reports whether the filter has stopped this direction.
func (c *chain) paused() bool { return c.state != iterContinue }

// full reports that more is held than the limit allows: the sender has to wait.
func (c *chain) full() bool { return len(c.buffer) > c.limit }

func (c *chain) recvHeaders(h Headers, end bool) {
	c.headers, c.headersSeen, c.end = h, true, end
	act := c.filter.filterHeaders(&c.headers, end)
	if c.aborted {
		return
	}
	switch act {
	case actContinue:
		c.headersContinued = true
		c.next.passHeaders(&c.headers, end)
	case headersStop:
		c.state = iterStopSingle
	case headersStopAllBuffer:
		c.state, c.overLimitFails = iterStopAll, true
	default:
		c.state = iterStopAll
	}
}

func (c *chain) recvData(b []byte, end bool) {
	if c.aborted {
		return
	}
	c.end = c.end || end
	if c.state == iterStopAll {
		c.keep(b)
		if c.overLimitFails {
			c.checkLimit()
		}
		return
	}
	c.dataToFilter(b, end)
}

func (c *chain) recvTrailers(h Headers) {
	if c.aborted {
		return
	}
	c.end, c.trailers = true, &h
	if c.state != iterStopAll {
		c.trailersToFilter()
	}
}

func (c *chain) keep(b []byte) {
	c.buffer, c.hasBuffer = append(c.buffer, b...), true
}

func (c *chain) checkLimit() {
	if c.limit > 0 && len(c.buffer) > c.limit {
		c.overflow()
	}
}

func (c *chain) dataToFilter(b []byte, end bool) {
	view, buffered, hadTrailers := &b, c.cumulative, c.trailers != nil
	if buffered {
		c.keep(b)
		if c.checkLimit(); c.aborted {
			return
		}
		view = &c.buffer
	}
	act := c.filter.filterData(view, end)
	if c.aborted {
		return
	}
	c.cumulative = act == dataStopBuffer
	switch {
	case act == actContinue && c.state == iterContinue:
		added := c.trailers != nil && !hadTrailers
		c.next.passData(b, end && !added)
		if added && !c.aborted {
			c.addedTrailersGoOn()
		}
		return
	case act == actContinue:
		if !buffered {
			c.keep(b)
		}
		c.proceed()
		return
	case act == dataStopBuffer || act == dataStopWatermark:
		if !buffered {
			c.keep(b)
		}
		c.state = iterStopSingle
		if act == dataStopBuffer {
			c.checkLimit()
		}
	default: // stop and drop
		c.state = iterStopSingle
		if c.end && c.trailers == nil {
			c.hasBuffer = true // of the data only the end is left to go on with
		}
	}
}

// shownNow is what the filter can read and write of a body between the callback that was shown b and the next one: nothing once it
// went on, and of what it buffers all that is held.
func (c *chain) shownNow(act action, b *[]byte) *[]byte {
	switch act {
	case actContinue:
		return nil
	case dataStopBuffer:
		return &c.buffer
	}
	return b
}

// addTrailers gives a message that has none trailers.
func (c *chain) addTrailers() *Headers {
	if c.trailers == nil {
		c.trailers = &Headers{}
	}
	return c.trailers
}

// addedTrailersGoOn sends on what the filter added in its body callback. It
// sees them itself only where it sees again what was held.
func (c *chain) addedTrailersGoOn() {
	if c.again {
		c.trailersToFilter()
		return
	}
	c.next.passTrailers(c.trailers)
}

func (c *chain) trailersToFilter() {
	act := c.filter.filterTrailers(c.trailers)
	switch {
	case c.aborted:
	case act != actContinue:
		c.state = iterStopSingle
	case c.state == iterContinue:
		c.next.passTrailers(c.trailers)
	default:
		c.proceed()
	}
}

// proceed lets a stopped direction go on: what was held goes to the next side,
// or, when everything was stopped, body and trailers first to the filter.
func (c *chain) proceed() {
	again := c.state == iterStopAll
	c.again = again
	defer func() { c.again = false; c.drained() }()
	c.state, c.overLimitFails, c.cumulative = iterContinue, false, false
	hadTrailers := c.trailers != nil
	if !c.headersContinued {
		c.headersContinued = true
		c.next.passHeaders(&c.headers, c.end && !c.hasBuffer && !hadTrailers)
	}
	if c.hasBuffer && !c.aborted {
		b := c.buffer
		c.buffer, c.hasBuffer = nil, false
		if again {
			c.dataToFilter(b, c.end && !hadTrailers)
		} else {
			c.next.passData(b, c.end && !hadTrailers)
		}
	}
	if !hadTrailers || c.aborted || c.state == iterStopAll {
		return
	}
	if again {
		c.trailersToFilter()
	} else {
		c.next.passTrailers(c.trailers)
	}
}

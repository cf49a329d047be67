package hostsim

import "sync"

// flow is what a sender has on its way to the proxy: pieces of a message, which
// come one by one as events, and wait while the proxy holds more than its limit
// (Envoy then stops reading: back-pressure).
type flow struct {
	clock *Clock
	lane  any
	full  func() bool // the proxy holds too much to take more

	mu     sync.Mutex // senders' goroutines add
	pieces []func()
	posted int // events that are to run step
}

// add sends a piece.
func (f *flow) add(piece func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pieces = append(f.pieces, piece)
	f.post()
}

func (f *flow) post() {
	f.posted++
	f.clock.post(f.lane, f.step)
}

// step lets the next piece arrive, if there is room for it.
func (f *flow) step() {
	if piece := f.next(); piece != nil {
		piece()
		f.resume()
	}
}

func (f *flow) next() func() {
	full := f.full()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.posted--
	if full || len(f.pieces) == 0 {
		return nil
	}
	piece := f.pieces[0]
	f.pieces = f.pieces[1:]
	return piece
}

// resume goes on where pieces wait for which there is room now.
func (f *flow) resume() {
	full := f.full()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !full && f.posted == 0 && len(f.pieces) > 0 {
		f.post()
	}
}

func (f *flow) waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.pieces)
}

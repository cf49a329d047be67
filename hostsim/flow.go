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
}

// add sends a piece.
func (f *flow) add(piece func()) {
	f.mu.Lock()
	f.pieces = append(f.pieces, piece)
	f.mu.Unlock()
	f.clock.post(f.lane, f.step)
}

// step lets the next piece arrive, if there is room for it.
func (f *flow) step() {
	if f.full() {
		return
	}
	f.mu.Lock()
	if len(f.pieces) == 0 {
		f.mu.Unlock()
		return
	}
	piece := f.pieces[0]
	f.pieces = f.pieces[1:]
	f.mu.Unlock()
	piece()
}

// resume goes on when there is room again.
func (f *flow) resume() {
	for range f.waiting() {
		f.clock.post(f.lane, f.step)
	}
}

func (f *flow) waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.pieces)
}

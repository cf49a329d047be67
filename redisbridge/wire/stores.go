package wire

const (
	// MaxStores bounds the stores of one StoresRequest.
	MaxStores = 16
	// MaxStoredTogether bounds the bytes of their frames: what is large delays the others.
	MaxStoredTogether = 256 << 10
)

// StoresRequest is several stores in one call.
type StoresRequest struct {
	Stores [][]byte // frames of [StoreRequest], which alias its own; at most MaxStores
}

// StoresAnswer tells of each, in their order, whether it was done.
type StoresAnswer struct{ Stored []bool }

// Encode gives the frame.
func (m StoresRequest) Encode() []byte {
	size := 8
	for _, one := range m.Stores {
		size += 4 + len(one)
	}
	w := newWriter(kindStores, size)
	w.uint(uint64(len(m.Stores)))
	for _, one := range m.Stores {
		w.bytes(one)
	}
	return w.buf
}

// DecodeStoresRequest reads the frame, but for the frames in it.
func DecodeStoresRequest(frame []byte) (StoresRequest, error) {
	r := newReader(frame, kindStores)
	n := r.upTo(MaxStores)
	m := StoresRequest{Stores: make([][]byte, 0, n)}
	left := MaxStoredTogether
	for range n {
		one := r.bytes(left)
		left -= len(one)
		m.Stores = append(m.Stores, one)
	}
	return m, r.finish()
}

// Encode gives the frame.
func (m StoresAnswer) Encode() []byte {
	w := newWriter(kindStoresAnswer, 2+len(m.Stored))
	w.uint(uint64(len(m.Stored)))
	for _, stored := range m.Stored {
		w.bool(stored)
	}
	return w.buf
}

// DecodeStoresAnswer reads the frame that answers so many stores.
func DecodeStoresAnswer(frame []byte, stores int) (StoresAnswer, error) {
	r := newReader(frame, kindStoresAnswer)
	n := r.answers(MaxStores, stores, "stores")
	m := StoresAnswer{Stored: make([]bool, 0, n)}
	for range n {
		m.Stored = append(m.Stored, r.bool())
	}
	return m, r.finish()
}

package exchange

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// A captured body is what came, in chunks of whatever sizes; single bytes don't cost a chunk each.
func TestCaptureOfChunks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, most := range []int{1, 100, smallChunks, 3 * smallChunks} {
		var c capture
		var want []byte
		for len(want) < 20*smallChunks {
			chunk := bytes.Repeat([]byte{byte(len(want))}, 1+r.IntN(most))
			want = append(want, chunk...)
			c.add(chunk)
		}
		if n := len(c.chunks); n > 2*len(want)/smallChunks+1 {
			t.Errorf("%d chunks for %d bytes that came in chunks of up to %d", n, len(want), most)
		}
		if got := c.body(); !bytes.Equal(got, want) || !bytes.Equal(c.body(), want) {
			t.Errorf("chunks of up to %d: another body of %d bytes than came, %d", most, len(got), len(want))
		}
	}
	if got := new(capture).body(); len(got) != 0 {
		t.Errorf("nothing came, got %q", got)
	}
}

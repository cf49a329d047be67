package bench

import "testing"

func TestStolen(t *testing.T) {
	const before = "cpu  100 10 20 500 5 0 1 30 7 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
	for after, want := range map[string]float64{
		"cpu  150 10 20 530 5 0 1 50 9 0\n": 20, // of 100 ticks; a guest's own are in the first number already
		"cpu  100 10 20 500 5 0 1 30 7 0\n": 0,
		"cpu  150 10 20\n":                  0,
		"cpu  150 10 20 530 5 0 1 x 9 0\n":  0,
		"intr 1\n":                          0,
		"":                                  0,
	} {
		if got := parseTicks(before).stolenUntil(parseTicks(after)); got != want {
			t.Errorf("until %q: %v %%, want %v", after, got, want)
		}
	}
}

package loopback

import "testing"

func TestFreePortsAreDistinctAndOutsideTheOutgoingRange(t *testing.T) {
	seen := map[int]bool{}
	for range 200 {
		port, err := FreePort()
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] || port < 15000 || port >= 32000 {
			t.Errorf("port %d", port)
		}
		seen[port] = true
	}
}

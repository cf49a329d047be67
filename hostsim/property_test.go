package hostsim_test

import (
	"testing"

	"chatcache/hostsim"
)

// TestTheSizeOfARequest: what content-length says, where the module may see it, and otherwise the bytes that have come.
func TestTheSizeOfARequest(t *testing.T) {
	const none, five = `"\x00\x00\x00\x00\x00\x00\x00\x00"`, `"\x05\x00\x00\x00\x00\x00\x00\x00"`
	script := []string{"x-on-quiet", "1", "x-on-request-headers", "prop request.size", "x-on-request-end", "prop request.size", "x-on-done", "prop request.size"}
	s := probe(t, nil)
	s.Do(1, hostsim.Post("/x", "hello", script...))
	wantLogs(t, s, "prop request.size = "+five, "prop request.size = "+five, "prop request.size = "+five)

	s = probe(t, nil)
	chunked := hostsim.Post("/x", "", script...)
	chunked.Open = true
	st := s.Start(1, chunked)
	s.Settle()
	st.SendBody([]byte("he"))
	st.SendBody([]byte("llo"))
	st.EndBody()
	s.Finish(st)
	wantLogs(t, s, "prop request.size = "+none, "prop request.size = "+five, "prop request.size = "+five)
}

package main

import (
	"fmt"
	"strconv"
	"sync/atomic"
)

// traffic makes the requests of a row, and says what each answer must hold.
type traffic struct {
	// next appends a whole HTTP/1.1 request to b.
	next    func(b []byte) []byte
	path    func() string // the same for HTTP/2, GET only; nil: the row is HTTP/1.1 only
	status  string        // of every answer; "": 2xx
	anyCase bool          // field names need not be in lower case, as those of Envoy are
	// expect must stand in the header section of every answer, or the row doesn't
	// measure what it says.
	expect string
	// warm is how many requests make sure of that, before the first round.
	warm int
	ring *ring // of among
}

const authority = "bench.test"

// get asks for one path.
func get(path, expect string) traffic {
	return gets(func() string { return path }, expect, 4)
}

// anonymous asks for one path without saying who asks: what is authorized, shared caches leave alone.
func anonymous(path, expect string) traffic {
	t := get(path, expect)
	request := "GET " + path + " HTTP/1.1\r\nhost: " + authority + "\r\naccept: application/json\r\nuser-agent: bench\r\n\r\n"
	t.next = func(b []byte) []byte { return append(b, request...) }
	return t
}

// revalidated asks for one path by somebody who has it already.
func revalidated(path string) traffic {
	t := get(path, "detail=l1")
	request := "GET " + path + " HTTP/1.1\r\nhost: " + authority + "\r\nauthorization: Bearer bench\r\nif-none-match: " + sampleFields()["etag"] + "\r\n\r\n"
	t.next, t.status = func(b []byte) []byte { return append(b, request...) }, "304"
	return t
}

// compressed asks for one path by somebody who takes codings.
func compressed(path, expect string) traffic {
	t := get(path, expect)
	request := "GET " + path + " HTTP/1.1\r\nhost: " + authority + "\r\nauthorization: Bearer bench\r\naccept-encoding: gzip, deflate, br\r\n\r\n"
	t.next = func(b []byte) []byte { return append(b, request...) }
	return t
}

// among asks for prefix0 to prefix<n-1> in turns.
func among(prefix string, n int, expect string) traffic {
	r := &ring{prefix: prefix}
	r.widen(n)
	t := gets(r.path, expect, r.warm())
	t.ring = r
	return t
}

// ring is a number of paths that are asked for in turns.
type ring struct {
	prefix   string
	n, count atomic.Uint64
}

func (r *ring) path() string { return r.prefix + strconv.FormatUint(r.count.Add(1)%r.n.Load(), 10) }
func (r *ring) len() int     { return int(r.n.Load()) }
func (r *ring) widen(n int)  { r.n.Store(uint64(n)) }

// warm is how many requests ask for each path once, and for some of them again: by then every worker has them.
func (r *ring) warm() int { return r.len() + min(2*r.len(), 1000) }

var uniques atomic.Uint64

// unique asks for another path each time.
func unique(prefix, expect string) traffic {
	return gets(func() string { return prefix + "u" + strconv.FormatUint(uniques.Add(1), 10) }, expect, 4)
}

func gets(path func() string, expect string, warm int) traffic {
	return traffic{path: path, expect: expect, warm: warm, next: func(b []byte) []byte {
		b = append(append(b, "GET "...), path()...)
		return append(b, " HTTP/1.1\r\nhost: "+authority+"\r\nauthorization: Bearer bench\r\naccept: application/json\r\nuser-agent: bench\r\n\r\n"...)
	}}
}

// post sends one body to one path.
func post(path, body, expect string) traffic {
	request := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nhost: %s\r\nauthorization: Bearer bench\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", path, authority, len(body), body)
	return traffic{expect: expect, warm: 4, next: func(b []byte) []byte { return append(b, request...) }}
}

// Package loopback gives the tests the ports of 127.0.0.1 that their servers listen on.
package loopback

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// ErrPortTaken says that somebody else listens on a port that is wanted.
var ErrPortTaken = errors.New("port is taken")

var given = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// FreePort gives a port on 127.0.0.1 that nobody listens on, below the range
// that the kernel gives to outgoing connections: a part of the mesh that is
// down leaves its port free, and an outgoing connection (even the one that
// looks for that part) could take it before the part comes back. No port is
// given twice by one process.
func FreePort() (int, error) {
	given.Lock()
	defer given.Unlock()
	for range 100 {
		port := 15000 + rand.IntN(17000)
		if !given.ports[port] && CheckPort(port) == nil {
			given.ports[port] = true
			return port, nil
		}
	}
	return 0, errors.New("no free port found between 15000 and 32000 on 127.0.0.1")
}

// CheckPort tells whether one could listen on the port: ErrPortTaken, with the
// name of who does, if not.
func CheckPort(port int) error {
	l, err := net.Listen("tcp", Addr(port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: %s is in use%s", ErrPortTaken, Addr(port), listenerOf(port))
	}
	if err != nil {
		return err
	}
	return l.Close()
}

// Addr is a port of 127.0.0.1 as net.Dial and net.Listen want it.
func Addr(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

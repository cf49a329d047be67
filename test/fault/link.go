package fault

import (
	"net"
	"strconv"
	"sync"
	"time"
)

// Link is a way between two parts: connections to its port lead to another one, and can be
// cut, silenced and slowed. Its methods may be called from any goroutine.
type Link struct {
	Port int

	listener net.Listener
	mu       sync.Mutex
	target   int
	state    linkState
	delay    time.Duration
	changed  chan struct{} // closed when state or delay change
	conns    map[net.Conn]bool
	running  sync.WaitGroup
}

type linkState byte

const (
	linkOpen linkState = iota
	linkCut
	linkSilent
	linkClosed
)

// NewLink opens a way to a port on loopback.
func NewLink(target int) (*Link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &Link{
		Port: listener.Addr().(*net.TCPAddr).Port, listener: listener, target: target,
		changed: make(chan struct{}), conns: map[net.Conn]bool{},
	}
	l.running.Go(l.accept)
	return l, nil
}

// Heal lets everything pass; what was held by Silence passes late.
func (l *Link) Heal() { l.set(linkOpen, 0) }

// Cut resets every connection, those to come too.
func (l *Link) Cut() {
	l.set(linkCut, 0)
	l.reset()
}

// Silence holds all bytes back; connections stay, and new ones are taken.
func (l *Link) Silence() { l.set(linkSilent, 0) }

// Slow makes each way take longer by delay.
func (l *Link) Slow(delay time.Duration) { l.set(linkOpen, delay) }

// Lead makes the link lead to another port, and resets the connections that it has.
func (l *Link) Lead(target int) {
	l.mu.Lock()
	l.target = target
	l.mu.Unlock()
	l.reset()
}

// Close ends the link and everything on it.
func (l *Link) Close() error {
	err := l.listener.Close()
	l.set(linkClosed, 0)
	l.reset()
	l.running.Wait()
	return err
}

func (l *Link) set(s linkState, delay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state, l.delay = s, delay
	close(l.changed)
	l.changed = make(chan struct{})
}

// reset breaks all connections with a TCP reset.
func (l *Link) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	// First all: a copy that finds one side closed closes the other, which would end in order.
	for c := range l.conns {
		c.(*net.TCPConn).SetLinger(0)
	}
	for c := range l.conns {
		c.Close()
	}
}

func (l *Link) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return // closed
		}
		l.running.Go(func() { l.serve(near) })
	}
}

func (l *Link) serve(near net.Conn) {
	if !l.add(near) {
		return
	}
	defer l.remove(near)
	l.mu.Lock()
	target := l.target
	l.mu.Unlock()
	far, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(target)))
	if err != nil || !l.add(far) {
		return
	}
	defer l.remove(far)
	var both sync.WaitGroup
	both.Go(func() { l.copy(far, near) })
	both.Go(func() { l.copy(near, far) })
	both.Wait()
}

// add notes a connection, or resets it where the link is cut.
func (l *Link) add(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == linkCut || l.state == linkClosed {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
		return false
	}
	l.conns[c] = true
	return true
}

// remove closes a connection.
func (l *Link) remove(c net.Conn) {
	l.mu.Lock()
	delete(l.conns, c)
	l.mu.Unlock()
	c.Close()
}

// chunk is what was read at once, and when it may pass.
type chunk struct {
	bytes []byte
	due   time.Time
}

// copy passes bytes on until either side ends, and then ends the other.
func (l *Link) copy(to, from net.Conn) {
	chunks := make(chan chunk, 256)
	var writer sync.WaitGroup
	writer.Go(func() {
		defer from.Close() // a reader that waits ends
		for c := range chunks {
			l.wait(c.due)
			if _, err := to.Write(c.bytes); err != nil {
				break
			}
		}
		for range chunks {
		}
	})
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			l.mu.Lock()
			due := time.Now().Add(l.delay)
			l.mu.Unlock()
			chunks <- chunk{append([]byte(nil), buf[:n]...), due}
		}
		if err != nil {
			break
		}
	}
	close(chunks)
	writer.Wait()
	to.Close()
}

// wait returns when due has come and nothing is held back.
func (l *Link) wait(due time.Time) {
	time.Sleep(time.Until(due))
	for {
		l.mu.Lock()
		silent, changed := l.state == linkSilent, l.changed
		l.mu.Unlock()
		if !silent {
			return
		}
		<-changed
	}
}

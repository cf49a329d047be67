package exchange

// underWay are calls that a plugin's root context has sent, and whose each is: the answers to those of a
// plugin that ends are lost.
type underWay[T comparable] map[T]*Plugin

// land ends a call that is answered. It tells whether the answer is still waited for: not after takeBack.
func (u underWay[T]) land(p *Plugin, call T) bool {
	if u[call] != p {
		return false
	}
	delete(u, call)
	return true
}

// takeBack ends the calls of a plugin that ends, each with lost.
func (u underWay[T]) takeBack(p *Plugin, lost func(call T)) {
	for call, by := range u {
		if by == p {
			delete(u, call)
			lost(call)
		}
	}
}

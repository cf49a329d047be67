package hostsim

// ringSize bounds what a trace keeps: its first lines and, after a gap, its last.
const ringSize = 400

// ring is a bounded list of lines.
type ring struct {
	first, last []string
	dropped     int
}

func (r *ring) add(line string) {
	if len(r.first) < ringSize/2 {
		r.first = append(r.first, line)
		return
	}
	if len(r.last) == ringSize/2 {
		r.last = r.last[1:]
		r.dropped++
	}
	r.last = append(r.last, line)
}

func (r *ring) lines() []string {
	all := append([]string(nil), r.first...)
	if r.dropped > 0 {
		all = append(all, "…")
	}
	return append(all, r.last...)
}

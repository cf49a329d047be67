package policy

import "slices"

// meetings finds those of many patterns that match some request which a given one matches, too. It visits what they have in common once, where to
// compare each with each takes seconds at the language's bounds, and every worker does it at every configuration.
type meetings map[string]map[string]*junction // by method and host

// junction stands for the segments that lead to it.
type junction struct {
	literals literals[*junction]
	wild     *junction
	multi    []int // places of the patterns that end behind it with {name...} or a trailing slash,
	end      []int // with {$},
	ends     []int // and of those that end here
}

// add adds a pattern that has a place in its caller's list.
func (m meetings) add(p *pattern, place int) {
	hosts := m[p.method]
	if hosts == nil {
		hosts = map[string]*junction{}
		m[p.method] = hosts
	}
	if hosts[p.host] == nil {
		hosts[p.host] = &junction{}
	}
	hosts[p.host].add(p.segments, place)
}

func (j *junction) add(segments []segment, place int) {
	if len(segments) == 0 {
		j.ends = append(j.ends, place)
		return
	}
	switch s := segments[0]; s.kind {
	case multiSegment:
		j.multi = append(j.multi, place)
	case endSegment:
		j.end = append(j.end, place)
	case wildSegment:
		if j.wild == nil {
			j.wild = &junction{}
		}
		j.wild.add(segments[1:], place)
	default:
		next := j.literals.get(s.literal)
		if next == nil {
			next = &junction{}
			j.literals.add(s.literal, next)
		}
		next.add(segments[1:], place)
	}
}

// ofHost gives the places of patterns with the same method and host, in ascending order.
func (m meetings) ofHost(p *pattern) (places []int) {
	if j := m[p.method][p.host]; j != nil {
		places = j.meeting(p.segments, nil)
	}
	slices.Sort(places)
	return places
}

// ofRequests gives those of patterns that match some request of the pattern's method, in ascending order: without a host they do by any.
func (m meetings) ofRequests(p *pattern) (places []int) {
	for host, j := range m[p.method] {
		if host == p.host || host == "" || p.host == "" {
			places = j.meeting(p.segments, places)
		}
	}
	slices.Sort(places)
	return places
}

// ofURIs is ofRequests by whatever method.
func (m meetings) ofURIs(p *pattern) (places []int) {
	other := *p
	for method := range m {
		other.method = method
		places = append(places, m.ofRequests(&other)...)
	}
	return places
}

// meeting appends the places of patterns whose rest behind the junction matches some path that the segments match. None stands twice, since
// each ends in one place.
func (j *junction) meeting(segments []segment, places []int) []int {
	if len(segments) == 0 {
		return append(places, j.ends...)
	}
	s, rest := segments[0], segments[1:]
	places = append(places, j.multi...)
	switch s.kind {
	case endSegment:
		return append(places, j.end...)
	case multiSegment:
		return j.below(append(places, j.end...))
	case literalSegment:
		if next := j.literals.get(s.literal); next != nil {
			places = next.meeting(rest, places)
		}
	default:
		for _, l := range j.literals.all {
			places = l.leads.meeting(rest, places)
		}
	}
	if j.wild != nil {
		places = j.wild.meeting(rest, places)
	}
	return places
}

// below appends the places of all patterns that have another segment than the last one's behind the junction.
func (j *junction) below(places []int) []int {
	for _, l := range j.literals.all {
		places = l.leads.all(places)
	}
	if j.wild != nil {
		places = j.wild.all(places)
	}
	return places
}

func (j *junction) all(places []int) []int {
	places = append(append(append(places, j.ends...), j.multi...), j.end...)
	return j.below(places)
}

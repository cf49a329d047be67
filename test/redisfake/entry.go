package redisfake

import "strings"

// get gives a string that hasn't expired, and its remaining life in milliseconds.
func (s *Server) get(key string, now int64) (value any, left int64) {
	e, ok := s.Entries[key]
	if left = e.Expires - now; ok && left > 0 {
		return e.Value, left
	}
	return nil, -2
}

// put is SET key value PX milliseconds.
func (s *Server) put(c *call, key, value, life string) {
	s.Entries[key] = Entry{Value: value, Expires: c.now + integer(life)}
}

// entry is script/entry.lua.
func (s *Server) entry(c *call) (any, error) {
	var found []any
	bytes := 0
	for i, key := range c.keys {
		if i%2 == 0 && bytes > int(integer(c.args[0])) {
			break
		}
		value, left := s.get(key, c.now)
		text, _ := value.(string)
		bytes += len(text)
		found = append(found, value, left)
	}
	return found, nil
}

// claim is script/claim.lua.
func (s *Server) claim(c *call) (any, error) {
	value, _ := s.get(c.keys[0], c.now)
	entry, _ := value.(string)
	value, _ = s.get(c.keys[1], c.now)
	lease, _ := value.(string)
	began := entry[:min(len(entry), max(len(c.args[0]), 1))]
	if began != c.args[0] || lease != c.args[1] {
		return int64(0), nil
	}
	s.put(c, c.keys[1], c.args[2], c.args[3])
	return int64(1), nil
}

// piece is script/piece.lua.
func (s *Server) piece(c *call) (any, error) {
	value, _ := s.get(c.keys[0], c.now)
	upload, _ := value.(string)
	switch before := int(integer(c.args[0])); len(upload) {
	case before:
		upload += c.args[1]
	case before + len(c.args[1]):
	default:
		return int64(0), nil
	}
	s.put(c, c.keys[0], upload, c.args[2])
	return int64(1), nil
}

// store is script/store.lua.
func (s *Server) store(c *call) (any, error) {
	entry := c.args[0]
	if len(c.keys) > 2 {
		value, _ := s.get(c.keys[2], c.now)
		upload, _ := value.(string)
		if len(upload) != int(integer(entry)) {
			return int64(0), nil
		}
		entry = upload
		delete(s.Entries, c.keys[2])
	}
	s.put(c, c.keys[0], entry, c.args[1])
	if s.leasedTo(c, c.args[2]) {
		delete(s.Entries, c.keys[1])
	}
	return int64(1), nil
}

// release is script/release.lua.
func (s *Server) release(c *call) (any, error) {
	switch {
	case !s.leasedTo(c, c.args[0]):
	case c.args[1] == "0":
		delete(s.Entries, c.keys[1])
	default:
		s.put(c, c.keys[1], c.args[2], c.args[1])
	}
	return int64(1), nil
}

// leasedTo tells whether the fetch lease is that fetch's.
func (s *Server) leasedTo(c *call, fetch string) bool {
	value, _ := s.get(c.keys[1], c.now)
	lease, _ := value.(string)
	return fetch != "" && strings.HasPrefix(lease, fetch+" ")
}

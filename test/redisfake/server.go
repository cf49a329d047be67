package redisfake

import (
	"maps"
	"strings"
)

// Error is an error that the server answers with.
type Error string

func (e Error) Error() string { return string(e) }

// RedisError tells go-redis that the server answered.
func (Error) RedisError() {}

// errNoScript makes a client send the script's text.
const errNoScript = Error("NOSCRIPT No matching script. Please use EVAL.")

// Nil is the answer that there is nothing.
const Nil = Error("redis: nil")

// Server is one Redis server. It isn't safe for concurrent use.
type Server struct {
	// Now is the server's clock, milliseconds since 1970.
	Now func() int64
	// Identity is the process that holds the data and its line of replication, as the
	// scripts put them together; empty for a server that has none.
	Identity string

	policies map[string]*Validity
	Entries  map[string]Entry // and fetch leases

	call  call     // the last one
	words []string // of it
}

// Entry is a string with an expiry.
type Entry struct {
	Value   string
	Expires int64 // ms since 1970
}

// New gives an empty server.
func New(now func() int64) *Server {
	return &Server{Now: now, policies: make(map[string]*Validity), Entries: make(map[string]Entry)}
}

// Validity is what decides validity for a policy, nil before its first script.
func (s *Server) Validity(policy string) *Validity { return s.policies["{chatcache:"+policy+"}:"] }

// Do runs a command, given as go-redis sends it, and answers as go-redis reads it.
func (s *Server) Do(args []any) (any, error) {
	switch name := strings.ToLower(text(args[0])); name {
	case "evalsha", "eval":
		run, err := scriptOf(name, args[1].(string))
		if err != nil {
			return nil, err
		}
		return s.eval(run, args[2:])
	case "hgetall", "hget":
		return s.hash(args[1:])
	case "ping":
		return "PONG", nil
	default:
		return nil, Error("ERR redisfake: unknown command " + name)
	}
}

// hash reads what the bridge reads without a script: the controls, and which caches differ.
func (s *Server) hash(args []any) (any, error) {
	key := text(args[0])
	prefix, name, _ := strings.Cut(key, ":controls")
	if len(args) == 2 {
		prefix, name, _ = strings.Cut(key, ":state")
	}
	v := s.policies[prefix+":"]
	switch {
	case name != "" || len(args) == 2 && text(args[1]) != "differ":
		return nil, Error("ERR redisfake: unknown hash " + key)
	case len(args) == 1 && v == nil:
		return map[string]string{}, nil
	case len(args) == 1:
		return maps.Clone(v.Controls), nil
	case v == nil || v.Differ == "":
		return nil, Nil
	}
	return v.Differ, nil
}

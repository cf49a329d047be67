package redisfake

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"chatcache/test/stack"
)

// script is one of redisbridge/script, in Go.
type script func(*Server, *call) (any, error)

// handlers are the scripts by file name.
var handlers = map[string]script{
	"entry":    (*Server).entry,
	"claim":    (*Server).claim,
	"store":    (*Server).store,
	"piece":    (*Server).piece,
	"release":  (*Server).release,
	"lookup":   validity((*Validity).lookup),
	"suspend":  validity((*Validity).suspendScript),
	"close":    validity((*Validity).closeScript),
	"raise":    validity((*Validity).raiseScript),
	"feed":     validity((*Validity).feedScript),
	"controls": validity((*Validity).controlsScript),
}

// begin are the files that each script on validity begins with.
var begin = []string{"prelude", "operations", "standing", "start"}

// known are the scripts by the SHA-1 of the text that clients sent.
var known sync.Map // string → script

// sources reads the scripts' files, once.
var sources = sync.OnceValues(func() (map[string]string, error) {
	root, err := stack.Root()
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	for _, name := range append(names(), begin...) {
		b, err := os.ReadFile(filepath.Join(root, "redisbridge", "script", name+".lua"))
		if err != nil {
			return nil, err
		}
		texts[name] = string(b)
	}
	return texts, nil
})

func names() (list []string) {
	for name := range handlers {
		list = append(list, name)
	}
	return list
}

// scriptOf finds the script that a command names by its hash, or learns it from its text.
func scriptOf(command, word string) (script, error) {
	if command == "evalsha" {
		if found, ok := known.Load(word); ok {
			return found.(script), nil
		}
		return nil, errNoScript
	}
	files, err := sources()
	if err != nil {
		return nil, err
	}
	start := files["operations"] + files["standing"] + files["start"]
	for name, run := range handlers {
		whole := files[name]
		switch name {
		case "entry", "claim", "store", "piece", "release": // stand alone
		case "lookup":
			whole = files["prelude"] + whole + start + "return look()\n"
		default:
			whole = files["prelude"] + start + whole
		}
		if strings.HasSuffix(word, whole) {
			digest := sha1.Sum([]byte(word))
			known.Store(hex.EncodeToString(digest[:]), run)
			return run, nil
		}
	}
	return nil, Error("ERR redisfake: a script that isn't one of redisbridge/script as they were written")
}

// call is one run of a script, whose words are the server's until the next one.
type call struct {
	keys []string
	args []string
	now  int64
	own  []string // arguments after those of the prelude
}

func (s *Server) eval(run script, rest []any) (any, error) {
	s.words = s.words[:0]
	for _, word := range rest {
		s.words = append(s.words, text(word))
	}
	n := 1 + int(integer(s.words[0]))
	s.call = call{now: s.Now(), keys: s.words[1:n], args: s.words[n:]}
	return run(s, &s.call)
}

// text writes an argument as go-redis sends it.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	case int:
		return strconv.Itoa(v)
	case int64:
		return strconv.FormatInt(v, 10)
	}
	return fmt.Sprint(v)
}

func integer(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

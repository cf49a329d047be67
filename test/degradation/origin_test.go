package degradation

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"chatcache/policy"
	"chatcache/test/fault"
)

// originTakes is what every request takes at the origin.
const originTakes = 20 * time.Millisecond

// writeField is the request field with the number of a write.
const writeField = "X-Write"

// origin keeps a number for each cache and user, which each write raises.
type origin struct {
	policy *policy.Policy
	mu     sync.Mutex
	values map[register]int64
	resets bool            // every other write breaks off when it has been done
	broken map[string]bool // the writes that did
}

type register struct{ cache, user string }

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	cache, rule := o.policy.Match(r.Method, r.Host, r.URL.Path)
	time.Sleep(originTakes / 2)
	status, body := http.StatusOK, "done"
	switch {
	case cache != nil:
		body = strconv.FormatInt(o.value(register{cache.Name, user}), 10)
	case rule != nil:
		status = http.StatusCreated
		if o.raise(rule, user, r.Header.Get(writeField)) {
			panic(http.ErrAbortHandler) // net/http's way to break a connection off
		}
	default:
		status = http.StatusNotFound
	}
	time.Sleep(originTakes / 2)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	fmt.Fprint(w, body)
}

func (o *origin) value(r register) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.values[r]
}

// raise does a write, and tells whether it breaks off then.
func (o *origin) raise(rule *policy.Invalidation, user, write string) (breaks bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range rule.Caches {
		o.values[register{c.Name, user}]++
	}
	if breaks = o.resets && rand.IntN(2) == 0; breaks {
		o.broken[write] = true
	}
	return breaks
}

// broke tells whether the origin broke a write off.
func (o *origin) broke(write string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.broken[write]
}

// resets names the fault of resetting.
const resets = "origin resets after commit"

// resetting is the fault of an origin that breaks writes off when it has done them.
func (o *origin) resetting() fault.Fault {
	set := func(resets bool) func() error {
		return func() error {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.resets = resets
			return nil
		}
	}
	return fault.Fault{Name: resets, Begin: set(true), End: set(false), Proxy: -1}
}

package degradation

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"chatcache/policy"
)

// originTakes is what every request takes at the origin.
const originTakes = 20 * time.Millisecond

// origin keeps a number for each cache and user, which each write raises.
type origin struct {
	policy *policy.Policy
	mu     sync.Mutex
	values map[register]int64
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
		o.raise(rule, user)
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

func (o *origin) raise(rule *policy.Invalidation, user string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range rule.Caches {
		o.values[register{c.Name, user}]++
	}
}

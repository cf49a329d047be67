package linear

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"chatcache/hostsim"
	"chatcache/redisbridge"
)

// step does one random thing.
func (w *world) step(module []byte) {
	switch n := w.dice.IntN(1000); {
	case n < 475:
		w.read()
	case n < 493:
		w.write(users[w.dice.IntN(len(users))])
		w.disturb()
	case n < 510:
		w.leave()
		if w.dice.IntN(100) < w.mode.flushes { // when the write's last term has begun
			w.clock.Advance(4 * way)
			w.redis.FlushAll()
		}
	case n < 514:
		w.administer()
	case n < 526:
		w.clock.Advance(w.dice.Upto(w.mode.claim.Staleness + time.Second))
	case n < 526+w.mode.flushes/10:
		w.redis.FlushAll()
	case !w.mode.faults:
		w.clock.Advance(w.dice.Upto(w.mode.pace))
	case n < 550:
		w.weather = [...]weather{fair, fair, fair, stormy, stormy, refusing, garbled}[w.dice.IntN(7)]
		w.setClusters()
	case n < 553:
		w.restartBridge()
	case n < 556:
		w.kill(module)
	default:
		w.clock.Advance(w.dice.Upto(w.mode.pace))
	}
	w.collect(int64(w.clock.Since()))
	w.observe()
}

// leave lets a client go before it has its answer: rather a writer's, where there is one.
func (w *world) leave() {
	isWrite := func(x *exchange) bool { return x.write > 0 }
	i := slices.IndexFunc(w.open, isWrite)
	if i < 0 {
		if i = len(w.open) - 1; i < 0 {
			return
		}
	}
	w.open[i].left = true
	w.open[i].stream.Disconnect()
}

func (w *world) setClusters() {
	state := hostsim.ClusterUp
	if w.weather == refusing {
		state = hostsim.ClusterRefusing
	}
	for _, p := range w.proxies {
		p.SetCluster("redis-bridge", state)
	}
}

// restartBridge ends the bridge and whatever it was answering.
func (w *world) restartBridge() {
	w.bridge.Close()
	w.startBridge(false)
}

// kill ends a proxy as kill -9 does, and starts another in its place.
func (w *world) kill(module []byte) {
	i := w.dice.IntN(len(w.proxies))
	dead := w.proxies[i]
	w.open = slices.DeleteFunc(w.open, func(x *exchange) bool { return x.proxy == dead })
	dead.Close()
	w.history.Lose(dead.writes...)
	w.proxies[i] = w.startProxy(module)
	w.setClusters()
}

// administer invalidates or purges something through the bridge's administration. It
// changes nothing at the origin: no answer may become wrong by it.
func (w *world) administer() {
	ctx := context.Background()
	var err error
	switch user := users[w.dice.IntN(len(users))]; w.dice.IntN(4) {
	case 0:
		_, err = w.bridge.Purge(ctx, redisbridge.PurgeRequest{All: true})
	case 1:
		_, err = w.bridge.Purge(ctx, redisbridge.PurgeRequest{Cache: "stats"})
	default:
		identity := &redisbridge.Identity{Header: map[string]string{"authorization": "Bearer " + user}}
		_, err = w.bridge.Invalidate(ctx, redisbridge.InvalidateRequest{Rule: "save message", Identity: identity})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read() {
	proxy, worker := w.anywhere()
	user, to := w.writer, targets[w.hot] // rather what is being written
	if w.dice.IntN(2) == 0 {
		user, to = users[w.dice.IntN(len(users))], targets[w.dice.IntN(len(targets))]
	}
	w.begin(proxy, worker, user, "GET", to, 0)
}

// readAll reads every register at one worker.
func (w *world) readAll(proxy *simProxy, worker int) {
	for _, target := range targets {
		for _, user := range users {
			w.begin(proxy, worker, user, "GET", target, 0)
		}
	}
}

func (w *world) anywhere() (proxy *simProxy, worker int) {
	return w.proxies[w.dice.IntN(len(w.proxies))], 1 + w.dice.IntN(w.mode.workers)
}

// disturb may do something to a write that has just been forwarded.
func (w *world) disturb() {
	n := w.dice.IntN(6)
	if n < 3 {
		w.clock.Advance(4 * way)
	}
	switch n {
	case 0, 1:
		w.write(w.writer)
	case 2:
		w.administer()
	}
}

func (w *world) write(user string) {
	method, path, _ := strings.Cut(routes[w.dice.IntN(len(routes))], " ")
	id := w.history.BeginWrite(w.lane())
	proxy, worker := w.anywhere()
	proxy.writes = append(proxy.writes, id)
	w.writer, w.hot = user, w.dice.IntN(len(targets))
	w.begin(proxy, worker, w.writer, method, target{path: path}, id)
}

// begin sends a request; write is the id of a write.
func (w *world) begin(proxy *simProxy, worker int, user, method string, to target, write int) {
	request := hostsim.NewRequest(method, to.path, "authorization", "Bearer "+user)
	request.Authority = "chat.test"
	if write > 0 {
		request.Headers.Add(WriteField, strconv.Itoa(write))
	}
	x := &exchange{proxy: proxy, client: w.lane(), call: w.history.Now(), register: to.register(user), write: write}
	x.stream = proxy.Start(worker, request)
	w.open = append(w.open, x)
}

// lane is the first client that has nothing under way.
func (w *world) lane() int {
	for lane := 0; ; lane++ {
		if !slices.ContainsFunc(w.open, func(x *exchange) bool { return x.client == lane }) {
			return lane
		}
	}
}

// collect records what has ended, at a moment when it had.
func (w *world) collect(moment int64) {
	w.open = slices.DeleteFunc(w.open, func(x *exchange) bool {
		if !x.stream.Done() {
			return false
		}
		w.ended(x, moment)
		return true
	})
}

func (w *world) ended(x *exchange, moment int64) {
	r := x.stream.Response()
	answer := r.Headers.Get("cache-status")
	switch {
	case x.write > 0:
		w.history.EndWrite(x.write, answer, w.history.at(moment))
	case x.left: // what came of it doesn't matter
	case r.Status != http.StatusOK || !r.Complete:
		w.t.Errorf("a read failed: %d %q %s", r.Status, r.Body, r.Details)
	default:
		value, err := strconv.ParseInt(string(r.Body), 10, 64)
		if err != nil {
			w.t.Errorf("a read got %q", r.Body)
		}
		w.traces[x.call] = x.stream
		w.history.AddRead(Read{Client: x.client, Register: x.register, Value: value, Call: x.call, Return: w.history.at(moment), Answer: answer})
	}
}

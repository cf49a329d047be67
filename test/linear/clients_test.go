package linear

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"chatcache/policy"
	"chatcache/redisbridge/wire"
	"chatcache/test/fault"
	"chatcache/test/stack"
)

const (
	realClients = 12
	thinks      = 80 * time.Millisecond // a client between two requests, at most
	oneInWrites = 50                    // requests is a write
	leavesAfter = 50 * time.Millisecond // a client that doesn't wait for its write's answer, at most
	answerIn    = 20 * time.Second      // else a request has failed
)

// realUsers are many, so that few registers are suspended at a time.
var realUsers = []string{"ann", "bob", "cid", "dan", "eve", "fay", "gus", "hal"}

// clients are random ones over real proxies.
type clients struct {
	t       *testing.T
	mesh    *fault.Mesh
	policy  *policy.Policy
	groups  func(Register) []string
	dice    *Dice
	history *History
	http    http.Client

	mu     sync.Mutex
	writes [][]int // ids by proxy
	broken int     // requests that an Envoy's death broke
}

// run lets a client read and write until ctx is done.
func (c *clients) run(ctx context.Context, client int) {
	for ctx.Err() == nil {
		if c.dice.IntN(oneInWrites) == 0 {
			c.write(client)
		} else {
			c.read(client)
		}
		sleep(ctx, c.dice.Upto(thinks))
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// ask sends a request and gives the whole response.
func (c *clients) ask(ctx context.Context, proxy int, method, path, user, write string) (*http.Response, string, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.mesh.Envoys[proxy].URL()+path, nil)
	if err != nil {
		return nil, "", err
	}
	request.Host = "chat.test"
	request.Header.Set("Authorization", "Bearer "+user)
	if write != "" {
		request.Header.Set(WriteField, write)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

func (c *clients) read(client int) {
	c.readAt(client, c.dice.IntN(len(c.mesh.Envoys)), targets[c.dice.IntN(len(targets))], realUsers[c.dice.IntN(len(realUsers))])
}

func (c *clients) readAt(client, proxy int, to target, user string) {
	ctx, cancel := context.WithTimeout(context.Background(), answerIn)
	defer cancel()
	register := to.register(user)
	deaths, down := c.mesh.Deaths(proxy)
	call := c.history.Now()
	response, body, err := c.ask(ctx, proxy, "GET", to.path, user, "")
	value, number := strconv.ParseInt(body, 10, 64)
	if err == nil && response.StatusCode == http.StatusOK && number == nil {
		c.history.AddRead(Read{
			Client: client, Register: register, Value: value, Call: call, Return: c.history.Now(),
			Answer: response.Header.Get("Cache-Status"),
		})
		return
	}
	if now, _ := c.mesh.Deaths(proxy); down || now != deaths {
		c.mu.Lock()
		c.broken++
		c.mu.Unlock()
		return
	}
	c.t.Errorf("a read of %s failed after %v: %v, %q", register, time.Duration(c.history.Now()-call), describe(response, err), body)
}

func describe(r *http.Response, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(r.Status, " ", r.Header)
}

func (c *clients) write(client int) {
	ctx, cancel := context.WithTimeout(context.Background(), answerIn)
	defer cancel()
	if c.dice.IntN(10) == 0 {
		time.AfterFunc(c.dice.Upto(leavesAfter), cancel)
	}
	method, path, _ := strings.Cut(routes[c.dice.IntN(len(routes))], " ")
	user, proxy := realUsers[c.dice.IntN(len(realUsers))], c.dice.IntN(len(c.mesh.Envoys))
	id := c.history.BeginWrite(client)
	c.mu.Lock()
	c.writes[proxy] = append(c.writes[proxy], id)
	c.mu.Unlock()
	response, _, err := c.ask(ctx, proxy, method, path, user, strconv.Itoa(id))
	if response != nil { // the header section came, whatever became of the body
		c.history.EndWrite(id, response.Header.Get("Cache-Status"), c.history.Now())
	} else if err == nil {
		c.t.Error("neither a response nor an error")
	}
}

// lose records that an Envoy has died, with what its VMs owed.
func (c *clients) lose(proxy int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history.Lose(c.writes[proxy]...)
}

// administer invalidates and purges at random until ctx is done.
func (c *clients) administer(ctx context.Context) {
	for ctx.Err() == nil {
		sleep(ctx, c.dice.Upto(2*time.Second))
		path, ask := "/v1/purge", map[string]any{"policy": c.policy.Name, "cache": "stats"}
		switch c.dice.IntN(8) {
		case 0:
			ask = map[string]any{"policy": c.policy.Name, "all": true}
		case 1, 2, 3, 4:
			user := realUsers[c.dice.IntN(len(realUsers))]
			path, ask = "/v1/invalidate", map[string]any{
				"rule": "save message", "identity": map[string]any{"header": map[string]string{"authorization": "Bearer " + user}},
			}
		}
		body, _ := json.Marshal(ask)
		// It fails while the bridge is down: nobody asked for anything then.
		c.post(ctx, path, stack.AdminToken, body)
	}
}

// post makes a call to the bridge, past all links.
func (c *clients) post(ctx context.Context, path, token string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.mesh.Bridge.URL()+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	return answer, err
}

// observe looks at the feed all the time until ctx is done.
func (c *clients) observe(ctx context.Context) {
	ask := wire.FeedRequest{
		Scope: wire.Scope{Policy: c.policy.Name, Horizon: c.policy.MaxTTL().Milliseconds(), Quarantine: c.policy.MaxDeadline().Milliseconds()},
		VM:    "observer", Lease: 1,
	}
	for ; ctx.Err() == nil; sleep(ctx, 15*time.Millisecond) {
		poll := Poll{Begin: c.history.Now()}
		body, err := c.post(ctx, wire.PathFeed, stack.BridgeToken, ask.Encode())
		if err != nil {
			continue
		}
		answer, err := wire.DecodeFeedAnswer(body)
		if err != nil {
			c.t.Error(err)
			return
		}
		if answer.Continues(ask.Cursor) {
			poll.Raises = answer.Events
		}
		ask.Cursor, poll.Last, poll.End = answer.Last, answer.Last, c.history.Now()
		c.history.AddPoll(poll)
	}
}

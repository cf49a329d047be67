package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"chatcache/redisbridge"
	"chatcache/test/stack"
)

// administrator calls the bridge's administration.
type administrator struct{ bridge string }

func (a administrator) call(ctx context.Context, method, path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, a.bridge+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+stack.AdminToken)
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err = io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, path, response.Status, text)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, answer)
}

// purge raises the cache stats.
func (a administrator) purge(ctx context.Context, wait string) (answer redisbridge.RaiseAnswer, err error) {
	err = a.call(ctx, http.MethodPost, "/v1/purge", redisbridge.PurgeRequest{Cache: "stats", Wait: wait}, &answer)
	return answer, err
}

// receipts gives when each VM has applied a raise, in the order of their times.
func (a administrator) receipts(ctx context.Context, raise redisbridge.RaiseAnswer, vms int) ([]redisbridge.Receipt, error) {
	ask := url.Values{
		"policy": {raise.Policy}, "epoch": {raise.Epoch}, "sequence": {strconv.FormatUint(raise.Sequence, 10)},
		"raisedAt": {strconv.FormatInt(raise.RaisedAt, 10)}, "wait": {"10s"},
	}
	var receipts redisbridge.Receipts
	err := a.call(ctx, http.MethodGet, "/v1/receipts?"+ask.Encode(), nil, &receipts)
	if err == nil && (!receipts.Complete || len(receipts.Applied) != vms) {
		err = fmt.Errorf("%d of %d VMs have applied raise %d: %+v", len(receipts.Applied), vms, raise.Sequence, receipts)
	}
	return receipts.Applied, err
}

func (a administrator) status(ctx context.Context) (status redisbridge.Status, err error) {
	err = a.call(ctx, http.MethodGet, "/v1/status", nil, &status)
	return status, err
}

// followAll sends requests, each on a connection of its own, until each worker of each
// Envoy has seen one: only then its VM follows the feed.
func followAll(ctx context.Context, mesh *stack.Stack, a administrator, vms int) error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(2 * time.Minute); ; {
		for range 16 {
			for _, e := range mesh.Envoys {
				response, err := client.Get(e.URL() + "/api/models")
				if err != nil {
					return err
				}
				response.Body.Close()
			}
		}
		status, err := a.status(ctx)
		if err != nil {
			return err
		}
		if len(status.Policies) == 1 && status.Policies[0].VMs == vms && status.Policies[0].Behind == 0 {
			return nil
		}
		if time.Now().After(end) {
			return errors.New("not every VM follows the feed")
		}
	}
}

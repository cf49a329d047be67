package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"chatcache/redisbridge"
)

const (
	defaultBridge = "http://127.0.0.1:8470"
	// clientTimeout bounds one call to the bridge.
	clientTimeout = 5 * time.Second
	// maxAnswer bounds what is read of an answer, bytes.
	maxAnswer = 8 << 20
	// maxRefusal bounds what is shown of an answer that says no, bytes: a bridge says why in one line, another server in pages.
	maxRefusal = 2000
)

// errBridge says that the bridge can't be reached or said no.
var errBridge = errors.New("bridge")

// clientFlags are what the commands that call a bridge share.
type clientFlags struct {
	bridge, tokenFile string
	json              bool
}

func (f *clientFlags) register(set *flag.FlagSet) {
	set.StringVar(&f.bridge, "bridge", defaultBridge, "")
	set.StringVar(&f.tokenFile, "admin-token-file", "", "")
	set.BoolVar(&f.json, "json", false, "")
}

// client takes the token from the file or the environment.
func (f *clientFlags) client(env environment) (client, error) {
	base, err := baseURL(f.bridge)
	if err != nil {
		return client{}, fmt.Errorf("--bridge %w", err)
	}
	if f.tokenFile == "" {
		return client{base: base, token: env.getenv("CHATCACHE_ADMIN_TOKEN")}, nil
	}
	list, err := redisbridge.ReadTokens(f.tokenFile)
	if err != nil {
		return client{}, fmt.Errorf("--admin-token-file: %w", err)
	}
	return client{base: base, token: list[0].Value}, nil
}

// baseURL reads where somebody is to be asked: a URL, whose "http://" may be left out, or unix:/path.
func baseURL(name string) (string, error) {
	path, isUnix := strings.CutPrefix(name, "unix:")
	if isUnix && path != "" {
		return name, nil
	}
	base := name
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	u, err := url.Parse(base)
	if isUnix || err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery+u.Fragment != "" {
		return "", fmt.Errorf("%q: want http://host:port, host:port or unix:/path", name)
	}
	return strings.TrimSuffix(base, "/"), nil
}

// client calls a bridge's administration.
type client struct {
	base  string // http://host:port, https://host:port or unix:/path
	token string
}

// call sends body as JSON, if there is one, and reads the answer into answer.
func (c client) call(ctx context.Context, method, path string, body, answer any) error {
	interrupt := ctx
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	request, err := c.request(ctx, method, path, body)
	if err != nil {
		return err
	}
	response, err := c.http().Do(request)
	switch {
	case err != nil && interrupt.Err() != nil:
		return fmt.Errorf("%w before the bridge has answered", errInterrupted)
	case err != nil:
		return fmt.Errorf("%w at %s can't be reached: %w; is it the right --bridge?", errBridge, c.base, err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%w at %s: reading its answer: %w", errBridge, c.base, err)
	}
	if response.StatusCode != http.StatusOK {
		return refusal(response.StatusCode, string(b))
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("%w at %s gave no JSON: %w; is it the right --bridge?", errBridge, c.base, err)
	}
	return nil
}

// refusedError is an answer other than 200.
type refusedError struct {
	error
	status int
}

func (e refusedError) Unwrap() error { return e.error }

// isRefused tells whether a bridge has understood a call and done nothing.
func isRefused(err error) bool {
	var refused refusedError
	return errors.As(err, &refused) && refused.status < http.StatusInternalServerError
}

// refusal is the error of an answer other than 200.
func refusal(status int, text string) error {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	text = cmp.Or(text, http.StatusText(status))
	hint := ""
	switch {
	case status == http.StatusUnauthorized:
		hint = "; set CHATCACHE_ADMIN_TOKEN or --admin-token-file to the bridge's"
	case status == http.StatusNotFound && !strings.HasPrefix(text, redisbridge.ErrNotFound.Error()):
		hint = "; is it the right --bridge?"
	}
	if len(text) > maxRefusal {
		text = strings.ToValidUTF8(text[:maxRefusal], "") + "…"
	}
	return refusedError{fmt.Errorf("%w said %d: %s%s", errBridge, status, text, hint), status}
}

func (c client) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	base := c.base
	if strings.HasPrefix(base, "unix:") {
		base = "http://localhost"
	}
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(b)
	}
	request, err := http.NewRequestWithContext(ctx, method, base+path, content)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBridge, err)
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	return request, nil
}

func (c client) http() *http.Client {
	path, isUnix := strings.CutPrefix(c.base, "unix:")
	if !isUnix {
		return http.DefaultClient
	}
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, // nobody would use the connection again: the next call has a transport of its own
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
}

// text asks for a page that isn't JSON, and gives its Date field too.
func (c client) text(ctx context.Context, path string) (text string, status int, date string, err error) {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	request, err := c.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return "", 0, "", err
	}
	response, err := c.http().Do(request)
	if err != nil {
		return "", 0, "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return string(b), response.StatusCode, response.Header.Get("Date"), err
}

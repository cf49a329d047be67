package main

import (
	"bytes"
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
	base := strings.TrimSuffix(name, "/")
	if path, isUnix := strings.CutPrefix(base, "unix:"); isUnix && path != "" {
		return base, nil
	}
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	if u, err := url.Parse(base); err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("%q: want http://host:port, host:port or unix:/path", name)
	}
	return base, nil
}

// client calls a bridge's administration.
type client struct {
	base  string // http://host:port, https://host:port or unix:/path
	token string
}

// call sends body as JSON, if there is one, and reads the answer into answer.
func (c client) call(ctx context.Context, method, path string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	request, err := c.request(ctx, method, path, body)
	if err != nil {
		return err
	}
	response, err := c.http().Do(request)
	if err != nil {
		return fmt.Errorf("%w at %s can't be reached: %w; is it the right --bridge?", errBridge, c.base, err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%w at %s: reading its answer: %w", errBridge, c.base, err)
	}
	if response.StatusCode != http.StatusOK {
		hint := ""
		if response.StatusCode == http.StatusUnauthorized {
			hint = "; set CHATCACHE_ADMIN_TOKEN or --admin-token-file to the bridge's"
		}
		return fmt.Errorf("%w said %s: %s%s", errBridge, response.Status, strings.TrimSpace(string(b)), hint)
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("%w at %s gave no JSON: %w", errBridge, c.base, err)
	}
	return nil
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

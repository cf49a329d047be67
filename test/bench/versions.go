package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"chatcache/redisbridge"
	"chatcache/test/stack"
)

// Versions are those of a mesh's Envoy, if it has any, and of its Redis server.
func Versions(ctx context.Context, mesh *stack.Stack) (envoy, server string, err error) {
	for _, e := range mesh.Envoys[:min(len(mesh.Envoys), 1)] {
		text, err := e.Admin(ctx, "/server_info")
		if err != nil {
			return "", "", err
		}
		if found := regexp.MustCompile(`"version": "([^"]*/[^"]*)"`).FindStringSubmatch(text); found != nil {
			envoy = strings.Split(found[1], "/")[1] // commit/version/…
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, mesh.Bridge.URL()+"/v1/status", nil)
	if err != nil {
		return "", "", err
	}
	req.Header.Set("Authorization", "Bearer "+stack.AdminToken)
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", "", fmt.Errorf("the bridge's status: %s", response.Status)
	}
	var status redisbridge.Status
	err = json.NewDecoder(response.Body).Decode(&status)
	return envoy, status.Redis.Version, err
}

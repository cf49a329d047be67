package main

import (
	"strings"

	"chatcache/test/stack"
)

const bannerText = `
  chat API through Envoy  {envoy}
  Envoy admin             {admin}
  bridge                  {bridge}
  sample chat API         {origin}
  Redis                   {redis}
  logs                    {logs}

A miss takes what the API takes, a hit about a millisecond (any bearer token is a user):

  curl -s -o /dev/null -D - -w 'took %{time_total} s\n' -H 'authorization: Bearer ada' {envoy}/api/chat/stats

A write drops exactly what it made stale; ask again after it:

  curl -s -X POST -H 'authorization: Bearer ada' -d '{"title":"hello"}' {envoy}/api/chat/sessions

What the cache did:

  curl -s {admin}/stats/prometheus | grep ^chatcache_
  CHATCACHE_ADMIN_TOKEN={token} build/redisbridge status --bridge {bridge}

Ctrl-C stops everything.
`

// banner tells what runs and what to try.
func banner(s *stack.Stack, logs string) string {
	redis := "as REDIS_URL says"
	if s.Valkey != nil {
		redis = s.Valkey.URL()
	}
	return strings.NewReplacer(
		"{envoy}", s.Envoys[0].URL(), "{admin}", s.Envoys[0].AdminURL(), "{bridge}", s.Bridge.URL(),
		"{origin}", s.Origin.URL(), "{redis}", redis, "{logs}", logs, "{token}", stack.AdminToken,
	).Replace(bannerText)
}

package e2e

import (
	"fmt"
	"testing"
	"time"

	"chatcache/redisbridge"
	"chatcache/test/mesh"
)

func set(m mesh.Mesh, cache string, s redisbridge.ControlSettings) {
	m.Control(redisbridge.ControlsRequest{Policy: "chat-api", All: cache == "", Cache: cache, Set: s})
}

func unset(m mesh.Mesh, cache string, names ...string) {
	m.Control(redisbridge.ControlsRequest{Policy: "chat-api", All: cache == "", Cache: cache, Unset: names})
}

// heardWithin is far more than it takes until every worker has heard of a control, or of another proxy's policy.
const heardWithin = 20 * time.Second

// A cache is switched off and on again in every worker of every proxy, without touching one, and
// nothing comes back that was stored before.
func TestOffAndOnAgain(t *testing.T) {
	mesh.Each(t, mesh.Options{}, func(t *testing.T, m mesh.Mesh) {
		warm(t, m, "ann")
		stats, user := readStats.as("ann"), readUser.as("ann")
		set(m, "stats", redisbridge.ControlSettings{Off: true})
		took := m.Until(heardWithin, "stats are off in every worker", func() bool { return everyWorker(m, stats, bypassed("off")) })
		t.Log("off in every worker after", took)
		wantHit(t, "another cache", m.Do(0, user))
		off := m.Do(1, stats)

		unset(m, "stats", "off")
		m.Until(heardWithin, "stats are hit again", func() bool {
			r := m.Do(0, stats)
			if r.Serial() <= off.Serial() {
				t.Fatalf("%v is from before the cache was off (%d)", r, off.Serial())
			}
			return r.Hit()
		})

		set(m, "", redisbridge.ControlSettings{Off: true})
		m.Until(heardWithin, "everything is off", func() bool {
			return everyWorker(m, stats, bypassed("off")) && everyWorker(m, user, bypassed("off"))
		})
		if all := m.Status().Policies[0].Controls.All; !all.Off {
			t.Errorf("the status says %+v", all)
		}
	})
}

// A policy's controls outlive everything that is stored: Redis is emptied, and a cache stays off.
func TestOffOutlivesRedis(t *testing.T) {
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, quick)}, func(t *testing.T, m mesh.Mesh) {
		warm(t, m, "ann")
		stats, user := readStats.as("ann"), readUser.as("ann")
		set(m, "stats", redisbridge.ControlSettings{Off: true})
		m.Until(heardWithin, "stats are off", func() bool { return everyWorker(m, stats, bypassed("off")) })
		m.Flush()
		m.Until(20*time.Second, "another cache is hit again", func() bool {
			if r := m.Do(0, stats); r.Hit() {
				t.Fatalf("%v after a flush, it was off", r)
			}
			return m.Do(0, user).Hit()
		})
		m.Until(heardWithin, "stats are still off", func() bool { return everyWorker(m, stats, bypassed("off")) })
	})
}

// What is stored longer ago than the TTL that operators want isn't used, on any worker.
func TestTTLFromTheFeed(t *testing.T) {
	mesh.Each(t, mesh.Options{}, func(t *testing.T, m mesh.Mesh) {
		warm(t, m, "ann")
		stats := readStats.as("ann")
		stored := m.Origin().Serial()
		set(m, "stats", redisbridge.ControlSettings{TTL: "2s"})
		m.Until(20*time.Second, "nobody uses what was stored", func() bool {
			return everyWorker(m, stats, notBefore(stored+1))
		})
		m.Until(20*time.Second, "hits of two seconds at most", func() bool {
			ttl := 0
			n, _ := fmt.Sscanf(m.Do(0, stats).CacheStatus(), "chatcache; hit; ttl=%d", &ttl)
			return n == 1 && ttl <= 2
		})
	})
}

// Users are served or not, the same ones at each proxy; whoever is served stays so when more are.
func TestPercentOfTheUsers(t *testing.T) {
	mesh.Each(t, mesh.Options{}, func(t *testing.T, m mesh.Mesh) {
		everyWorker(m, readStats.as("nobody"), func(mesh.Response) bool { return true }) // all begin to follow
		served := func(percent float64) map[string]bool {
			set(m, "", redisbridge.ControlSettings{Percent: percent})
			m.Until(heardWithin, "every worker has heard", func() bool { return m.Status().Policies[0].Behind == 0 })
			within := map[string]bool{}
			for i := range 24 {
				user := fmt.Sprint("user", i)
				first := m.Do(i%mesh.Proxies, readStats.as(user))
				within[user] = !bypassed("percent")(first)
				for proxy := range mesh.Proxies {
					if r := m.Do(proxy, readUser.as(user)); bypassed("percent")(r) == within[user] {
						t.Errorf("%s at %v%%: %v, and then %v", user, percent, first, r)
					}
				}
			}
			return within
		}
		count := 0
		some := served(30)
		more := served(70)
		for user, in := range some {
			if in {
				count++
			}
			if in && !more[user] {
				t.Errorf("%s is served at 30%% and not at 70%%", user)
			}
		}
		if count == 0 || count == len(some) {
			t.Errorf("%d of %d users are served at 30%%", count, len(some))
		}
	})
}

// While proxies have connections that the policy before still decides about, a cache with another rule
// serves nobody; the others go on. Afterwards it begins empty.
func TestAnotherRule(t *testing.T) {
	mesh.Each(t, mesh.Options{}, func(t *testing.T, m mesh.Mesh) {
		warm(t, m, "ann")
		stats, user := readStats.as("ann"), readUser.as("ann")
		before := m.Origin().Serial()
		m.Reconfigure(mesh.ChatPolicy(t, anotherRule))
		m.Until(heardWithin, "stats wait for the rollout", func() bool { return everyWorker(m, stats, bypassed("rollout")) })
		wantHit(t, "another cache", m.Do(0, user))
		m.Until(60*time.Second, "the proxies have drained, and stats are hit again", func() bool {
			r := m.Do(0, stats)
			if r.Serial() <= before {
				t.Fatalf("%v was stored before the rollout", r)
			}
			return r.Hit()
		})
		if v := versions(m); len(v) != 1 || v[""] > 0 {
			t.Errorf("versions %v, want one", v)
		}
	})
}

// anotherRule gives a policy an invalidation that others don't know.
func anotherRule(document map[string]any) {
	document["invalidations"] = append(document["invalidations"].([]any), map[string]any{
		"name": "forget", "match": []any{"DELETE /api/chat/stats"}, "invalidate": []any{"stats"},
	})
}

// versions counts the workers that have each version of the policy at work.
func versions(m mesh.Mesh) map[string]int {
	count := map[string]int{}
	for _, vm := range m.Status().Policies[0].Followers {
		count[vm.PolicyVersion]++
	}
	return count
}

// A canary of a policy in one of the proxies: for as long as the other one doesn't know its rules, the cache that they are about
// serves nobody in either, and the others go on. Once both know them it is used again, and begins empty.
func TestCanaryOfAPolicy(t *testing.T) {
	mesh.Each(t, mesh.Options{}, func(t *testing.T, m mesh.Mesh) {
		warm(t, m, "ann")
		stats, user := readStats.as("ann"), readUser.as("ann")
		before := m.Origin().Serial()
		m.Reconfigure(mesh.ChatPolicy(t, anotherRule), 1)
		m.Until(heardWithin, "stats wait for the other proxy", func() bool { return everyWorker(m, stats, bypassed("rollout")) })
		m.Until(60*time.Second, "the canary has drained what it had before", func() bool {
			v := versions(m)
			for _, n := range v {
				if n != mesh.Workers {
					return false
				}
			}
			return len(v) == 2
		})
		if !everyWorker(m, stats, bypassed("rollout")) {
			t.Error("stats are served although one proxy only knows their rules")
		}
		for proxy := range mesh.Proxies {
			wantHit(t, "another cache", m.Do(proxy, user))
		}

		m.Reconfigure(mesh.ChatPolicy(t, anotherRule), 0)
		m.Until(60*time.Second, "both know the rules, and stats are hit again", func() bool {
			r := m.Do(0, stats)
			if r.Serial() <= before {
				t.Fatalf("%v was stored before the canary", r)
			}
			return r.Hit()
		})
	})
}

package e2e

import (
	"strings"
	"testing"
	"time"

	"chatcache/test/mesh"
)

// pendingWrite makes a write while the bridge is down, and gives its serial.
func pendingWrite(t *testing.T, m mesh.Mesh) int64 {
	t.Helper()
	save := m.Do(0, saveMessage.make(m))
	if save.CacheStatus() != "chatcache; fwd=method; detail=invalidation-pending" {
		t.Fatalf("save: %v, want it marked as pending", save)
	}
	return save.Serial()
}

// wantHonoured fails the test where a read by the other proxy is older than the write.
func wantHonoured(t *testing.T, m mesh.Mesh, written int64) {
	t.Helper()
	for _, r := range reads {
		if got := m.Do(1, r.as("ann")); saveMessage.reaches(r) && got.Serial() < written {
			t.Errorf("%v: the write made while the bridge was down is not honoured: %v", r, got)
		}
	}
}

// The backlog is shown, and a new configuration's root context delivers it.
func TestNewConfigurationDeliversTheJournal(t *testing.T) {
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, withoutL1)}, func(t *testing.T, m mesh.Mesh) {
		warm(t, m, "ann")
		m.Break(mesh.Bridge, mesh.Down)
		written := pendingWrite(t, m)
		m.Until(10*time.Second, "the backlog is shown", func() bool { return m.Gauge("chatcache.journal_entries") == 1 })
		m.Reconfigure(mesh.ChatPolicy(t, withoutL1, quick))
		m.Until(10*time.Second, "the new root context has taken the journal over", func() bool { return m.Gauge("chatcache.journal_entries") == 1 })
		m.Break(mesh.Bridge, mesh.Healthy)
		m.Settle()
		wantHonoured(t, m, written)
		m.Until(10*time.Second, "no backlog is shown", func() bool { return m.Gauge("chatcache.journal_entries") == 0 })
	})
}

// A policy that is replaced by one of another name leaves nobody behind who could deliver
// its journal: its last plugin stays until that is done.
func TestJournalOutlivesItsPolicy(t *testing.T) {
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, withoutL1)}, func(t *testing.T, m mesh.Mesh) {
		m.Do(0, readStats.as("ann"))
		m.Settle()
		m.Break(mesh.Bridge, mesh.Down)
		pendingWrite(t, m)
		closed := m.Sum("chatcache.writes_closed")
		m.Reconfigure(mesh.ChatPolicy(t, withoutL1, func(document map[string]any) { document["name"] = "another" }))
		m.Until(2*time.Minute, "the old plugin is told to end, and waits", func() bool {
			return strings.Contains(m.Logs(), "the plugin waits for the bridge to acknowledge the ends of 1 writes")
		})
		m.Break(mesh.Bridge, mesh.Healthy)
		m.Until(20*time.Second, "the journal is delivered", func() bool { return m.Sum("chatcache.writes_closed") > closed })
	})
}

// A journal that overflows becomes one entry for everything: this VM bypasses whatever it is
// asked, and everything is invalidated everywhere once the bridge is back.
func TestJournalOverflow(t *testing.T) {
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, withoutL1)}, func(t *testing.T, m mesh.Mesh) {
		models := mesh.Request{Method: "GET", Path: "/api/models"} // no write ever concerns it
		wantStored(t, "models", m.Do(0, models))
		m.Settle()
		wantHit(t, "models", m.Do(1, models))
		m.Break(mesh.Bridge, mesh.Down)
		save := saveMessage.make(m)
		for n := 0; m.Sum("chatcache.journal_merged") == 0; n += 100 {
			if n > 10_000 {
				t.Fatalf("no overflow after %d writes", n)
			}
			for range 100 {
				m.Do(0, save)
			}
		}
		m.Break(mesh.Bridge, mesh.Healthy)
		m.Until(time.Minute, "the backlog is delivered", func() bool { return m.Gauge("chatcache.journal_entries") == 0 })
		m.Until(resumeWithin, "everything was invalidated, and caching resumes", func() bool {
			return m.Do(1, models).Stored()
		})
	})
}

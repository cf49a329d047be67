package e2e

import (
	"testing"
	"time"

	"chatcache/test/mesh"
)

// A rule's also_after drops what was stored since the write's end, also where no request
// comes that would ask the bridge: memories follow the feed.
func TestAlsoAfter(t *testing.T) {
	const after = 4 * time.Second // long enough for the reads before it on a loaded machine
	settlesLater := func(document map[string]any) {
		for _, rule := range document["invalidations"].([]any) {
			if rule := rule.(map[string]any); rule["name"] == "save message" {
				rule["also_after"] = after.String()
			}
		}
	}
	for name, edits := range map[string][]func(map[string]any){"L1": {settlesLater}, "no L1": {settlesLater, withoutL1}} {
		t.Run(name, func(t *testing.T) {
			mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, edits...)}, func(t *testing.T, m mesh.Mesh) {
				warm(t, m, "ann", "bob")
				m.Do(0, saveMessage.make(m))
				m.Settle()
				read := readStats
				var between mesh.Response // once every worker has heard of the write, it may be stored
				m.Until(after/2, "stored again", func() bool {
					between = m.Do(1, read.as("ann"))
					return between.Stored()
				})
				m.Settle()
				wantHit(t, "until the other raise", m.Do(0, read.as("ann")))
				m.Until(2*after, "every worker asks the origin again", func() bool {
					return everyWorker(m, read.as("ann"), notBefore(between.Serial()+1))
				})
				wantHit(t, "bob's", m.Do(0, read.as("bob")))
			})
		})
	}
}

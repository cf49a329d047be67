package redisbridge

import (
	"slices"
	"testing"
)

// Redis has every script before a call needs one, and again when it has started anew.
func TestScriptsAreLoadedBeforeTheFirstCall(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		var digests []string
		for _, s := range w.scripts.all() {
			digests = append(digests, s.Hash())
		}
		loaded := func() bool {
			there, err := w.raw.ScriptExists(w.ctx, digests...).Result()
			return err == nil && len(there) == len(digests) && !slices.Contains(there, false)
		}
		eventually(t, "Redis has the scripts", loaded)
		if w.server == nil {
			return
		}
		w.server.Restart()
		eventually(t, "Redis has them after a restart", loaded)
	})
}

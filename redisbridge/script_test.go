package redisbridge

import "testing"

// Redis has every script before a call needs one, and again when it has started anew.
func TestScriptsAreLoadedBeforeTheFirstCall(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) { // which waits for them
		if w.server == nil {
			return
		}
		w.server.Restart()
		eventually(t, "Redis has them after a restart", w.loaded)
	})
}

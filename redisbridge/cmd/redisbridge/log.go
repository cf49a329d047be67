package main

import (
	"context"
	"fmt"
	"log/slog"
)

// redisLog passes on what go-redis has to say; the bridge's own lines tell of
// failed calls already.
type redisLog struct{ *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, args ...any) {
	l.DebugContext(ctx, fmt.Sprintf(format, args...))
}

package redisbridge

import (
	"net/http"

	"chatcache/redisbridge/wire"
)

// traceOf gives the trace id of a call's traceparent field (W3C Trace Context), or "":
// a field that isn't one is never repeated in a log.
func traceOf(r *http.Request) string {
	id, _ := wire.TraceID(r.Header.Get("Traceparent"))
	return id
}

// Package chatapi is the sample backend of chatcache: a small chat API whose
// data lives in memory, really changes on writes (so that a stale answer shows),
// takes as long as a real backend, and counts what it is asked.
//
// A user is a bearer token; each starts with the same sample data. Models and
// rankings belong to nobody and need no token.
//
//	GET    /api/chat/stats                                500 ms
//	GET    /api/chat/search?q=…                           200 ms
//	GET    /api/chat/sessions?page=…&limit=…              200 ms
//	POST   /api/chat/sessions                             201
//	GET    /api/chat/sessions/{session}                   200 ms
//	PUT    /api/chat/sessions/{session}
//	PATCH  /api/chat/sessions/{session}
//	DELETE /api/chat/sessions/{session}                   204
//	GET    /api/chat/sessions/{session}/messages          200 ms
//	POST   /api/chat/sessions/{session}/messages          201, or an event stream with "stream": true
//	DELETE /api/chat/sessions/{session}/messages/{message} 204
//	GET    /api/user/me                                   300 ms
//	GET    /api/activity                                  200 ms
//	GET    /api/models                                    100 ms, no user
//	GET    /api/rankings                                  200 ms, no user
//	POST   /v1/initialize                                 150 ms
//	GET    /_counts                                       requests by route
//	GET    /_fault?kind=…                                 a broken or odd answer, see Fault
//
// A read looks at the data first and answers after its latency: the worst case
// for a cache, since a write may come in between. A write is committed before
// its answer; a streamed one at the stream's end.
package chatapi

// Package scenario reads and runs scenario files: requests to a proxy, what
// the origin behind it answers, time that passes, and what is expected of each
// answer. The same file runs on the simulator and on a real proxy.
//
//	# The second request is a hit, until ten minutes have passed.
//	origin GET /api/stats 200 {"total": 1}
//	  header cache-control: max-age=600
//
//	user alice
//	GET /api/stats
//	  expect status 200
//	  expect cache-status fwd=uri-miss
//	  expect origin 1
//	GET /api/stats
//	  expect cache-status hit
//	  expect origin 0
//	advance 601s
//	GET /api/stats
//	  expect cache-status fwd=stale
//
// A line that isn't indented is a step; indented lines belong to the step
// above. "#" begins a comment, at the beginning of a line or after a space.
//
// # Steps
//
//	METHOD PATH                       a request
//	  header NAME: VALUE                a header field
//	  body TEXT                         the rest of the line
//	  size N                            a body of N bytes instead
//	  worker N                          1 is the first; the default
//	  http2                             over HTTP/2
//	  metadata JSON                     dynamic metadata by filter name (simulator only)
//	user NAME                         later requests carry "authorization: Bearer NAME"; "user -" none
//	origin METHOD PATH STATUS [BODY]  what the origin answers from now on; METHOD and PATH may be *,
//	                                  PATH is without a query and not escaped
//	  header NAME: VALUE
//	  size N                            a body of N bytes instead
//	  delay DURATION                    before it answers
//	  fault KIND                        truncated, cut, close-delimited, no-answer or hang
//	advance DURATION                  time passes
//	cluster NAME STATE                up, refusing, no-hosts or hanging (takes requests, never answers)
//	call CLUSTER METHOD PATH [BODY]   a request to a cluster beside the proxy, a purge for example
//	virtual time only                 what follows needs time that can be moved, also in every
//	                                  cluster; runs against real servers end here
//
// # Expectations
//
//	expect status N
//	expect header NAME: VALUE         exactly this value (of several fields: joined with ", ")
//	expect header NAME ~ REGEXP
//	expect no header NAME
//	expect body TEXT
//	expect body ~ REGEXP
//	expect cache-status PARAM…        hit, fwd=uri-miss, !stored: parameters of the last member (RFC 9211),
//	                                  which must be there; "no header cache-status" where it mustn't
//	expect origin N                   requests that reached the origin because of this one
//	expect cut                        the response didn't end well; without it every response must
//	expect counter NAME N             after a request or call: the counter's value; one that the module hasn't defined
//	                                  and that no list names (hostsim test --counters) isn't 0, but an error
package scenario

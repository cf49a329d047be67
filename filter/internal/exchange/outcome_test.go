package exchange

import "testing"

func TestJudge(t *testing.T) {
	upstream := func(status int, attempts uint64) observed {
		return observed{forwarded: true, status: status, end: true, details: "via_upstream", attempts: attempts}
	}
	local := func(status int, details string, attempts uint64) observed {
		return observed{forwarded: true, status: status, end: true, details: details, attempts: attempts}
	}
	rolledBack := func(o observed) observed { o.rolledBack = true; return o }
	retrying := upstream(409, 1)
	retrying.raiseOn4xx = true
	cut := upstream(200, 1)
	cut.end = false
	for name, test := range map[string]struct {
		seen observed
		want outcome
	}{
		"201":                                   {upstream(201, 1), changed},
		"302":                                   {upstream(302, 1), changed},
		"500":                                   {upstream(500, 1), changed},
		"500 that writes nothing":               {rolledBack(upstream(500, 1)), unchanged},
		"that 500 after a retry":                {rolledBack(upstream(500, 2)), unknown},
		"that 500, attempts unknown":            {rolledBack(upstream(500, 0)), changed},
		"that 500, cut short":                   {rolledBack(observed{forwarded: true, status: 500, details: "via_upstream", attempts: 1}), unknown},
		"that 500, by a later filter":           {rolledBack(local(500, "direct_response", 0)), unknown},
		"that 500, by the proxy that gave up":   {rolledBack(local(500, "response_payload_too_large", 1)), unknown},
		"503, whatever the policy says":         {rolledBack(upstream(503, 1)), unknown},
		"404, one attempt":                      {upstream(404, 1), unchanged},
		"404 after a retry":                     {upstream(404, 2), unknown},
		"201 after a retry":                     {upstream(201, 2), unknown},
		"404, attempts unknown":                 {upstream(404, 0), changed},
		"409, raise_on_4xx":                     {retrying, changed},
		"408":                                   {upstream(408, 1), unknown},
		"502":                                   {upstream(502, 1), unknown},
		"503":                                   {upstream(503, 1), unknown},
		"504":                                   {upstream(504, 1), unknown},
		"200 cut short":                         {cut, unknown},
		"429 by a later filter":                 {local(429, "rate_limited", 0), unchanged},
		"413 after the upstream had a part":     {local(413, "request_payload_too_large", 1), unknown},
		"reset before the response":             {local(503, "upstream_reset_before_response_started{remote_reset}", 1), unknown},
		"route timeout":                         {local(504, "upstream_response_timeout", 1), unknown},
		"client gone":                           {observed{forwarded: true, details: "downstream_remote_disconnect", attempts: 1}, unknown},
		"client gone while it was still paused": {observed{}, unchanged},
	} {
		if got := judge(test.seen); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

package exchange

import "strings"

// resultOf is the access log's result that belongs to a Cache-Status: every test that looks at
// the one has the other checked.
func resultOf(status string) string {
	_, detail, _ := strings.Cut(status, "detail=")
	switch {
	case strings.Contains(status, "; hit;"):
		return "hit:" + detail
	case strings.Contains(status, "; collapsed;"):
		return "collapsed:" + detail
	case strings.Contains(status, "fwd-status=304"):
		return "validated"
	case strings.HasSuffix(status, "detail=stale-if-error"):
		return "stale:error"
	case strings.HasSuffix(status, "detail=only-if-cached"):
		return "uncached"
	case strings.HasSuffix(status, "detail=misdirected"):
		return "misdirected"
	case strings.HasSuffix(status, "; stored"):
		return "stored"
	case strings.Contains(status, "fwd=uri-miss"), strings.Contains(status, "fwd=stale"), strings.Contains(status, "fwd=request"):
		return "miss:" + detail
	case strings.Contains(status, "fwd=bypass"):
		return "bypass:" + detail
	case strings.Contains(status, "fwd=method") && detail != "":
		return "write:" + detail
	case strings.Contains(status, "fwd=method"):
		return "write"
	case status != "":
		return "refused"
	}
	return ""
}

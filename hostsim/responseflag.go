package hostsim

import "strings"

// responseFlags are Envoy's (CoreResponseFlag of stream_info.h): one bit for each
// thing that went wrong, which here the response code details tell.
var responseFlags = []struct {
	details string // contained in the details
	bit     uint
}{
	{"no_healthy_upstream", 1},
	{"response_timeout", 2},
	{"remote_reset}", 4},
	{"remote_connection_failure", 5},
	{"connection_termination", 6},
	{"overflow}", 7},
	{"route_not_found", 8},
	{"downstream_remote_disconnect", 14},
	{"low_version", 18},
	{"filter_removed_required_request_headers", 18},
	{"protocol_error}", 23},
	{"cluster_not_found", 24},
	{"http2.remote_reset", 28},
}

// retryLimitExceeded is the flag of a stream whose last attempt failed, too.
const retryLimitExceeded = 15

func (st *Stream) responseFlags() int64 {
	var flags int64
	for _, f := range responseFlags {
		if strings.Contains(st.details, f.details) {
			flags |= 1 << f.bit
		}
	}
	if st.router.exhausted {
		flags |= 1 << retryLimitExceeded
	}
	return flags
}

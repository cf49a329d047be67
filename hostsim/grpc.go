package hostsim

// grpcCalls: not simulated. The calls answer InternalFailure, which is what
// Envoy says when the client can't be made; streams and tokens are unknown.
var grpcCalls = []hostcall{
	{"proxy_grpc_call", "iiiiiiiiiiii", func(*callArgs) status { return statusInternalFailure }},
	{"proxy_grpc_stream", "iiiiiiiii", func(*callArgs) status { return statusInternalFailure }},
	{"proxy_grpc_cancel", "i", func(*callArgs) status { return statusBadArgument }},
	{"proxy_grpc_close", "i", func(*callArgs) status { return statusBadArgument }},
	{"proxy_grpc_send", "iiii", func(*callArgs) status { return statusBadArgument }},
}

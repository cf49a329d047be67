package hostsim

import "fmt"

// status is what a host call returns (proxy-wasm ABI 0.2, WasmResult of
// proxy-wasm-cpp-host).
type status uint32

const (
	statusOK              status = 0
	statusNotFound        status = 1
	statusBadArgument     status = 2
	statusSerialization   status = 3
	statusParseFailure    status = 4
	statusInvalidMemory   status = 6
	statusEmpty           status = 7
	statusCasMismatch     status = 8
	statusInternalFailure status = 10
	statusUnimplemented   status = 12
)

var statusNames = map[status]string{
	statusOK: "Ok", statusNotFound: "NotFound", statusBadArgument: "BadArgument",
	statusSerialization: "SerializationFailure", statusParseFailure: "ParseFailure",
	statusInvalidMemory: "InvalidMemoryAccess", statusEmpty: "Empty",
	statusCasMismatch: "CasMismatch", statusInternalFailure: "InternalFailure",
	statusUnimplemented: "Unimplemented",
}

func (s status) String() string {
	if name, ok := statusNames[s]; ok {
		return name
	}
	return fmt.Sprintf("status(%d)", uint32(s))
}

// mapType is a header map's number in the ABI.
type mapType uint32

const (
	mapRequestHeaders mapType = iota
	mapRequestTrailers
	mapResponseHeaders
	mapResponseTrailers
	mapGrpcInitialMetadata
	mapGrpcTrailingMetadata
	mapCallHeaders
	mapCallTrailers
	mapMax = mapCallTrailers
)

var mapNames = [...]string{
	"RequestHeaders", "RequestTrailers", "ResponseHeaders", "ResponseTrailers",
	"GrpcReceiveInitialMetadata", "GrpcReceiveTrailingMetadata",
	"HttpCallResponseHeaders", "HttpCallResponseTrailers",
}

func (m mapType) String() string {
	if m <= mapMax {
		return mapNames[m]
	}
	return fmt.Sprintf("map(%d)", uint32(m))
}

// bufferType is a buffer's number in the ABI.
type bufferType uint32

const (
	bufferRequestBody bufferType = iota
	bufferResponseBody
	bufferDownstreamData
	bufferUpstreamData
	bufferCallBody
	bufferGrpc
	bufferVMConfiguration
	bufferPluginConfiguration
	bufferCallData
	bufferMax = bufferCallData
)

var bufferNames = [...]string{
	"HttpRequestBody", "HttpResponseBody", "NetworkDownstreamData", "NetworkUpstreamData",
	"HttpCallResponseBody", "GrpcReceiveBuffer", "VmConfiguration", "PluginConfiguration", "CallData",
}

func (b bufferType) String() string {
	if b <= bufferMax {
		return bufferNames[b]
	}
	return fmt.Sprintf("buffer(%d)", uint32(b))
}

package main

import (
	"unsafe"

	"chatcache/filter/internal/httpcache"
)

// The host calls that every request makes, without the SDK's way over slices of string pairs: a header
// section is read where the host has put it, and given in the layout that stored responses have already.
// Statuses are those of the ABI: 0 is success.

//go:wasmimport env proxy_get_header_map_pairs
func getHeaderMapPairs(mapType int32, data unsafe.Pointer, size *int32) uint32

//go:wasmimport env proxy_get_header_map_value
func getHeaderMapValue(mapType int32, name *byte, nameSize int32, data unsafe.Pointer, size *int32) uint32

//go:wasmimport env proxy_send_local_response
func sendLocalResponse(status uint32, detail *byte, detailSize int32, body *byte, bodySize int32,
	fields *byte, fieldsSize int32, grpcStatus int32) uint32

//go:wasmimport env proxy_increment_metric
func incrementMetric(number uint32, by int64) uint32

//go:wasmimport env proxy_record_metric
func recordMetric(number uint32, value int64) uint32

//go:wasmimport wasi_snapshot_preview1 clock_time_get
func clockTimeGet(clock int32, precision int64, time *int64) uint32

// monotonic is the clock of WASI's that never goes back.
const monotonic = 1

//go:wasmimport env proxy_set_property
func setProperty(path *byte, pathSize int32, value *byte, valueSize int32) uint32

// headerMap reads a whole header section. The host has let the SDK allocate it, so it is the garbage collector's.
func headerMap(mapType int32) (httpcache.Pairs, bool) {
	if getHeaderMapPairs(mapType, unsafe.Pointer(&returned.data), &returned.size) != 0 {
		return nil, false
	}
	pairs := unsafe.Slice(returned.data, returned.size)
	returned.data = nil
	return pairs, true
}

// callStatus gives the status of a call's response, "" if it has none: the call has failed.
func callStatus() string {
	if getHeaderMapValue(httpCallResponseHeaders, unsafe.SliceData(statusField), int32(len(statusField)), unsafe.Pointer(&returned.data), &returned.size) != 0 {
		return ""
	}
	value := unsafe.String(returned.data, returned.size)
	returned.data = nil
	return value
}

var statusField = []byte(":status")

// returned is where the host says what it returns. Variables of the caller's would be allocated by each call.
var returned struct {
	data *byte
	size int32
	time int64
}

// now is the monotonic clock, nanoseconds. time.Now asks for the wall clock, too, and time.Since goes a longer way.
func now() int64 {
	clockTimeGet(monotonic, 1, &returned.time)
	return returned.time
}

func localReply(status uint32, fields httpcache.Pairs, body []byte) bool {
	const noGRPCStatus = -1
	return sendLocalResponse(status, nil, 0, unsafe.SliceData(body), int32(len(body)),
		unsafe.SliceData(fields), int32(len(fields)), noGRPCStatus) == 0
}

// described is the property's path, which has one part.
var described = []byte("chatcache")

// describe sets the property that access logs show.
func describe(value []byte) {
	setProperty(unsafe.SliceData(described), int32(len(described)), unsafe.SliceData(value), int32(len(value)))
}

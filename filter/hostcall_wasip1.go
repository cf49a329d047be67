package main

import (
	"time"
	"unsafe"

	"chatcache/filter/internal/httpcache"
)

// The host calls that requests make, without what the SDK's allocate, and without its way over slices of string pairs: a header
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

// The clocks of WASI: the wall clock, and the one that never goes back.
const (
	realtime  = 0
	monotonic = 1
)

//go:wasmimport env proxy_set_property
func setProperty(path *byte, pathSize int32, value *byte, valueSize int32) uint32

//go:wasmimport env proxy_get_property
func getProperty(path *byte, pathSize int32, data unsafe.Pointer, size *int32) uint32

//go:wasmimport env proxy_get_buffer_bytes
func getBufferBytes(bufferType int32, from, most int32, data unsafe.Pointer, size *int32) uint32

// headerMap reads a whole header section. The host has let the SDK allocate what it returns, so it is the garbage collector's.
func headerMap(mapType int32) (httpcache.Pairs, bool) {
	return took(getHeaderMapPairs(mapType, unsafe.Pointer(&returned.data), &returned.size))
}

// callStatus gives the status of a call's response, "" if it has none: the call has failed.
func callStatus() string {
	value, _ := took(getHeaderMapValue(httpCallResponseHeaders, unsafe.SliceData(statusField), int32(len(statusField)), unsafe.Pointer(&returned.data), &returned.size))
	return unsafe.String(unsafe.SliceData(value), len(value))
}

var statusField = []byte(":status")

// buffer reads the first n bytes of a body.
func buffer(bufferType int32, n int) ([]byte, bool) {
	return took(getBufferBytes(bufferType, 0, int32(n), unsafe.Pointer(&returned.data), &returned.size))
}

// property reads one. The parts of its path are separated by zero bytes.
func property(path []byte) ([]byte, bool) {
	return took(getProperty(unsafe.SliceData(path), int32(len(path)), unsafe.Pointer(&returned.data), &returned.size))
}

// returned is where the host says what it returns. Variables of the caller's would be allocated by each call.
var returned struct {
	data *byte
	size int32
	time int64
}

// took takes what a host call with that status has returned.
func took(status uint32) ([]byte, bool) {
	if status != 0 {
		return nil, false
	}
	value := unsafe.Slice(returned.data, returned.size)
	returned.data, returned.size = nil, 0
	return value, true
}

// now is the monotonic clock, nanoseconds. time.Now asks for the wall clock, too, and time.Since goes a longer way.
func now() int64 { return clock(monotonic) }

// unix is the wall clock, seconds.
func unix() int64 { return clock(realtime) / int64(time.Second) }

func clock(of int32) int64 {
	clockTimeGet(of, 1, &returned.time)
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

package main

import (
	"strconv"
	"strings"
	"unsafe"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
)

// Host calls that the SDK doesn't make, or whose results it hides.

//go:wasmimport env proxy_get_header_map_size
func headerMapSize(kind uint32, size *uint32) uint32

//go:wasmimport env proxy_get_buffer_status
func bufferStatus(kind uint32, size, flags *uint32) uint32

//go:wasmimport env proxy_get_buffer_bytes
func bufferBytes(kind, start, length uint32, data unsafe.Pointer, size *uint32) uint32

//go:wasmimport env proxy_set_buffer_bytes
func setBufferBytes(kind, start, length uint32, data *byte, size uint32) uint32

//go:wasmimport env proxy_get_status
func callStatus(code *uint32, text unsafe.Pointer, size *uint32) uint32

//go:wasmimport env proxy_continue_stream
func continueStream(kind uint32) uint32

//go:wasmimport env proxy_define_metric
func defineMetric(kind uint32, name *byte, size uint32, id *uint32) uint32

//go:wasmimport env proxy_increment_metric
func incrementMetric(id uint32, by int64) uint32

//go:wasmimport env proxy_record_metric
func recordMetric(id uint32, value uint64) uint32

//go:wasmimport env proxy_get_metric
func metricValue(id uint32, value *uint64) uint32

//go:wasmimport env proxy_get_property
func property(path *byte, size uint32, data unsafe.Pointer, length *uint32) uint32

var metricID uint32

// raw are the commands that log a host call's result and what it gave.
func (s *stream) raw(c []string) error {
	n := func(i int) uint32 { v, _ := strconv.ParseInt(c[i], 10, 64); return uint32(v) }
	var size, flags uint32
	var data *byte
	switch c[0] {
	case "map-size":
		result := headerMapSize(n(1), &size)
		logf("map-size %s: %d %d", c[1], result, size)
	case "buffer-status":
		result := bufferStatus(n(1), &size, &flags)
		logf("buffer-status %s: %d %d %d", c[1], result, size, flags)
	case "get-buffer": // get-buffer KIND START LENGTH
		result := bufferBytes(n(1), n(2), n(3), unsafe.Pointer(&data), &size)
		logf("get-buffer %s: %d %q", c[1], result, bytesAt(data, size))
	case "set-buffer": // set-buffer KIND START LENGTH TEXT
		logf("set-buffer %s: %d", c[1], setBufferBytes(n(1), n(2), n(3), unsafe.StringData(c[4]), uint32(len(c[4]))))
	case "status":
		result := callStatus(&flags, unsafe.Pointer(&data), &size)
		logf("status: %d %d %q", result, flags, bytesAt(data, size))
	case "continue":
		logf("continue %s: %d", c[1], continueStream(n(1)))
	case "property": // property PATH, | for the zero byte
		path := strings.ReplaceAll(c[1], "|", "\x00")
		result := property(unsafe.StringData(path), uint32(len(path)), unsafe.Pointer(&data), &size)
		logf("property %s: %d %q", c[1], result, bytesAt(data, size))
	case "define": // define KIND NAME: the metric of the next commands
		logf("define: %d", defineMetric(n(1), unsafe.StringData(c[2]), uint32(len(c[2])), &metricID))
	case "increment":
		by, _ := strconv.ParseInt(c[1], 10, 64)
		logf("increment: %d", incrementMetric(metricID, by))
	case "record-raw":
		logf("record: %d", recordMetric(metricID, uint64(n(1))))
	case "metric":
		var value uint64
		result := metricValue(metricID, &value)
		logf("metric: %d %d", result, value)
	default:
		return s.edit(c)
	}
	return nil
}

func bytesAt(data *byte, size uint32) string {
	if data == nil {
		return ""
	}
	return unsafe.String(data, size)
}

// edit are the commands that change header fields: add and remove one, or set all of them.
func (s *stream) edit(c []string) error {
	response := c[1] == "response"
	switch c[0] {
	case "add":
		if response {
			return proxywasm.AddHttpResponseHeader(c[2], c[3])
		}
		return proxywasm.AddHttpRequestHeader(c[2], c[3])
	case "remove":
		if response {
			return proxywasm.RemoveHttpResponseHeader(c[2])
		}
		return proxywasm.RemoveHttpRequestHeader(c[2])
	case "set-all": // set-all request|response NAME=VALUE…
		var all [][2]string
		for _, f := range c[2:] {
			if name, value, ok := strings.Cut(f, "="); ok {
				all = append(all, [2]string{name, value})
			}
		}
		if response {
			return proxywasm.ReplaceHttpResponseHeaders(all)
		}
		return proxywasm.ReplaceHttpRequestHeaders(all)
	case "trailers":
		get := proxywasm.GetHttpRequestTrailers
		if response {
			get = proxywasm.GetHttpResponseTrailers
		}
		t, err := get()
		logf("trailers %v", t)
		return err
	case "set-trailer":
		if response {
			return proxywasm.ReplaceHttpResponseTrailer(c[2], c[3])
		}
		return proxywasm.ReplaceHttpRequestTrailer(c[2], c[3])
	case "remove-trailer":
		if response {
			return proxywasm.RemoveHttpResponseTrailer(c[2])
		}
		return proxywasm.RemoveHttpRequestTrailer(c[2])
	case "dequeue":
		b, err := proxywasm.DequeueSharedQueue(queue)
		if err == nil {
			logf("dequeue %q", b)
		}
		return err
	case "cas": // cas KEY VALUE CAS
		cas, _ := strconv.Atoi(c[3])
		return proxywasm.SetSharedData(c[1], []byte(c[2]), uint32(cas))
	}
	return s.measure(c)
}

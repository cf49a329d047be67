package hostsim

// bufferCalls: bodies and configurations.
var bufferCalls = []hostcall{
	{"proxy_get_buffer_bytes", "iiiii", callGetBuffer},
	{"proxy_set_buffer_bytes", "iiiii", callSetBuffer},
	{"proxy_get_buffer_status", "iii", callBufferStatus},
}

// buffer is a buffer's content; ok is false when the ABI answers NotFound.
// Bodies outside their callbacks are empty, not missing; so is what TCP and gRPC have. A request's body that is buffered
// can still be read and changed after the stream was told to go on, for it goes on only when the callback returns.
func (c *vmContext) buffer(t bufferType) (content []byte, mutable *[]byte, ok bool) {
	root := c.rootContext()
	switch t {
	case bufferRequestBody:
		if mutable = c.requestBody; mutable == nil && c.stream != nil && c.stream.request.cumulative {
			mutable = &c.stream.request.buffer
		}
	case bufferResponseBody:
		mutable = c.responseBody
	case bufferVMConfiguration:
		return c.vm.opts.VMConfig, nil, true
	case bufferPluginConfiguration:
		return []byte(root.key.config), nil, root.configure
	case bufferCallBody:
		if root.response == nil {
			return nil, nil, false
		}
		return root.response.body, nil, true
	case bufferDownstreamData, bufferUpstreamData, bufferGrpc, bufferCallData:
		return nil, nil, true
	default:
		return nil, nil, false
	}
	if mutable == nil {
		return nil, nil, true
	}
	return *mutable, mutable, true
}

func callGetBuffer(a *callArgs) status {
	t, start, length := bufferType(a.ptr(0)), a.ptr(1), a.ptr(2)
	a.in = append(a.in, t.String())
	if t > bufferMax {
		return statusBadArgument
	}
	content, _, ok := a.ctx.buffer(t)
	if !ok {
		return statusNotFound
	}
	from := min(uint64(start), uint64(len(content)))
	to := min(from+uint64(length), uint64(len(content)))
	return a.give(content[from:to], 3, 4)
}

// callSetBuffer puts data in the place of a body's first bytes, none or all of them
// too, or behind its end; nowhere else.
func callSetBuffer(a *callArgs) status {
	t, start, length := bufferType(a.ptr(0)), a.ptr(1), a.ptr(2)
	a.in = append(a.in, t.String())
	data := a.bytes(3)
	if t > bufferMax {
		return statusBadArgument
	}
	_, b, ok := a.ctx.buffer(t)
	switch {
	case !ok:
		return statusNotFound
	case b == nil:
		return statusBadArgument
	case start == 0:
		*b = append(data, (*b)[min(uint64(length), uint64(len(*b))):]...)
	case uint64(start) >= uint64(len(*b)):
		*b = append(*b, data...)
	default:
		return statusBadArgument
	}
	return statusOK
}

func callBufferStatus(a *callArgs) status {
	t := bufferType(a.num(0))
	if t > bufferMax {
		return statusBadArgument
	}
	content, _, ok := a.ctx.buffer(t)
	if !ok {
		return statusNotFound
	}
	if s := a.giveUint32(uint32(len(content)), 1); s != statusOK {
		return s
	}
	return a.giveUint32(0, 2)
}

package hostsim

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"io"
)

// foreignFunctions are those of Envoy (source/extensions/common/wasm/foreign.cc)
// that are simulated. Envoy's expr_… are not, they need CEL: a test can supply them
// through Options.ForeignFunctions.
var foreignFunctions = map[string]func(c *vmContext, argument []byte) ([]byte, status){
	"compress":               func(_ *vmContext, b []byte) ([]byte, status) { return compress(b), statusOK },
	"uncompress":             uncompress,
	"clear_route_cache":      func(*vmContext, []byte) ([]byte, status) { return nil, statusOK },
	"declare_property":       declareProperty,
	"set_envoy_filter_state": setFilterState,
	"sign":                   sign,
	"verify_signature":       verifySignature,
}

func compress(b []byte) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

// uncompress makes no more than the module's memory could hold.
func uncompress(c *vmContext, b []byte) ([]byte, status) {
	limit := c.vm.opts.MemoryLimit
	r, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, statusSerialization
	}
	out, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, statusSerialization
	case int64(len(out)) > limit:
		return nil, statusInvalidMemory
	}
	return out, statusOK
}

// declareProperty accepts any declaration: of what a property is, only its bytes are seen here.
func declareProperty(_ *vmContext, argument []byte) ([]byte, status) {
	if _, ok := protoFields(argument); !ok {
		return nil, statusBadArgument
	}
	return nil, statusOK
}

// setFilterState takes SetEnvoyFilterStateArguments: path (1) and value (2)
// are strings, the life span (3) makes no difference here.
func setFilterState(c *vmContext, argument []byte) ([]byte, status) {
	fields, ok := protoFields(argument)
	if !ok {
		return nil, statusBadArgument
	}
	valid, known := filterStates[string(fields[1])]
	switch {
	case !known:
		return nil, statusNotFound
	case !valid(string(fields[2])):
		return nil, statusBadArgument
	case c.stream == nil:
		return nil, statusNotFound
	}
	c.stream.envoyState[string(fields[1])] = fields[2]
	return nil, statusOK
}

// protoFields are a protobuf message's length-delimited fields by number;
// varints are skipped, anything else is refused.
func protoFields(b []byte) (map[uint64][]byte, bool) {
	fields := map[uint64][]byte{}
	for len(b) > 0 {
		tag, rest, ok := uvarint(b)
		if !ok {
			return nil, false
		}
		n, rest, ok := uvarint(rest)
		if !ok {
			return nil, false
		}
		switch tag & 7 {
		case 0:
		case 2:
			if n > uint64(len(rest)) {
				return nil, false
			}
			fields[tag>>3], rest = rest[:n], rest[n:]
		default:
			return nil, false
		}
		b = rest
	}
	return fields, true
}

func uvarint(b []byte) (uint64, []byte, bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

func callForeignFunction(a *callArgs) status {
	name, argument := a.str(0), a.bytes(2)
	if a.bad {
		return statusInvalidMemory
	}
	var result []byte
	s := statusOK
	switch own, builtin := a.ctx.sim().opts.ForeignFunctions[name], foreignFunctions[name]; {
	case own != nil:
		var err error
		if result, err = own(argument); err != nil {
			return statusBadArgument
		}
	case builtin != nil:
		result, s = builtin(a.ctx, argument)
	default:
		return statusNotFound
	}
	if s != statusOK {
		return s
	}
	return a.give(result, 4, 5)
}

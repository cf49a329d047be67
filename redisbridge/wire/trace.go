package wire

// TraceField is the name of the header field by which a filter hands the trace of a
// request on to the bridge, as W3C Trace Context has it.
const TraceField = "traceparent"

// TraceID reads the trace id out of a traceparent: of version 00, or of a later one
// whose beginning is the same. Another value is no traceparent, and isn't handed on.
func TraceID(traceparent string) (id string, ok bool) {
	const length = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	t := traceparent
	if len(t) < length || len(t) > 2*length || t[2] != '-' || t[35] != '-' || t[52] != '-' {
		return "", false
	}
	version, id, parent, flags := t[:2], t[3:35], t[36:52], t[53:length]
	switch {
	case !isHex(version) || !isHex(id) || !isHex(parent) || !isHex(flags):
		return "", false
	case version == "ff" || isZero(id) || isZero(parent):
		return "", false
	case len(t) > length && (version == "00" || t[length] != '-' || !isPlain(t[length:])):
		return "", false
	}
	return id, true
}

// isHex wants lower case, as the specification does.
func isHex(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isZero(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '0' {
			return false
		}
	}
	return true
}

func isPlain(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

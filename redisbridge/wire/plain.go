package wire

// NotPlain gives where s has something else than letters, digits and "-_.", which is all that ids and the names of policies and caches
// consist of; -1 if nowhere.
func NotPlain(s string) int {
	for i := range len(s) {
		c := s[i]
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' {
			continue
		}
		return i
	}
	return -1
}

// IsID tells whether s can be the id of a suspension, a fetch lease or a VM.
func IsID(s string) bool { return s != "" && len(s) <= MaxID && NotPlain(s) < 0 }

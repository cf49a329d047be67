package strictjson

import "strings"

var escapeToken = strings.NewReplacer("~", "~0", "/", "~1")

// Pointer appends a token to a JSON pointer (RFC 6901 section 3).
func Pointer(path, token string) string { return path + "/" + escapeToken.Replace(token) }

package gowasm

// hint says what becomes of a branch, most of the time.
type hint byte

const (
	noHint hint = iota
	unlikely
	likely
)

// hintSection is the name of the custom section of branch hints (WebAssembly 3.0, appendix "Custom Sections").
const hintSection = "metadata.code.branch_hint"

// branchHint is the hint of the branch at a function's byte, counted from its declarations of locals.
type branchHint struct {
	at int
	hint
}

// appendHints appends a function's part of the section.
func appendHints(b []byte, function uint32, list []branchHint) []byte {
	b = appendU32(appendU32(b, function), len(list))
	for _, h := range list {
		taken := byte(0)
		if h.hint == likely {
			taken = 1
		}
		b = append(appendU32(b, h.at), 1, taken)
	}
	return b
}

// hintRare marks what hardly happens: a branch to the function's outermost block, which unwinds the stack, and an if with a call, which
// Go's compiler writes where the stack has to grow and where a pointer is nil.
func hintRare(code []instruction) {
	depth := 0
	for i := range code {
		switch in := &code[i]; {
		case in.op == opIf && hasCall(code[i+1:]):
			in.hint = unlikely
			depth++
		case in.opens():
			depth++
		case in.op == opEnd:
			depth--
		case in.is(opBrIf, int64(depth-1)):
			in.hint = unlikely
		}
	}
}

// hasCall reports whether there is a call, or what can't go on, before the end or the else of the block that the code is in.
func hasCall(code []instruction) bool {
	depth := 0
	for _, in := range code {
		switch {
		case in.calls(), in.op == opUnreachable:
			return true
		case in.opens():
			depth++
		case in.op == opEnd && depth == 0, in.op == opElse && depth == 0:
			return false
		case in.op == opEnd:
			depth--
		}
	}
	return false
}

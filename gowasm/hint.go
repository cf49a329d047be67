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
	calling := callingArms(code)
	depth := 0
	for i := range code {
		switch in := &code[i]; {
		case in.op == opIf && calling[i]:
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

// callingArms tells of each instruction that begins an arm (an if or an else, or a block, which has one alone) whether there is a call in that
// arm, or what can't go on. It goes through the code once, however deep the arms lie in each other: there is one where the last call before the arm's
// end is behind its begin.
func callingArms(code []instruction) []bool {
	calling := make([]bool, len(code))
	var begun []int // the arms that the code is in
	lastCall := -1
	for i, in := range code {
		if last := len(begun) - 1; last >= 0 && (in.op == opEnd || in.op == opElse) {
			calling[begun[last]] = lastCall > begun[last]
			begun = begun[:last]
		}
		switch {
		case in.opens(), in.op == opElse:
			begun = append(begun, i)
		case in.calls(), in.op == opUnreachable:
			lastCall = i
		}
	}
	return calling
}

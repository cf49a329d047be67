package gowasm

import (
	"bytes"
	"slices"
)

// V8 without counts of calls (wasm/inlining-tree.h, NoLiftoffBudget) inlines each call it comes to of a function that is smaller than what is left of its
// caller's budget: two to five times the caller's own bytes, less what has been inlined already. What it comes to first is what Go's functions begin with: growing
// the stack, and what that may crash in. So that is where the budget is spent on functions that do nothing, the fillers, of 2¹⁵ bytes, 2¹⁴ and so on: whatever
// the budget is, each that fits takes its part of it, and of what is left hardly anything real fits into. What is made of them is nothing, since they do nothing, and
// they are in the way of nobody, since the stack grows rarely. Other engines have an if with calls of functions that do nothing.

// Sizes of the fillers, as powers of two. Of functions below 32 bytes V8 has no more to do for them than for their calls.
const (
	leastFiller = 5
	mostFiller  = 15
)

// budgetFactor is how many times its own bytes a function's budget may be. Fillers that don't fit are called.
const budgetFactor = 3

// addFillers adds the fillers to the module, and what calls them.
func (m *module) addFillers() {
	for k := mostFiller; k >= leastFiller; k-- {
		const frame = 2 // no locals, and the end
		body := append([]byte{0}, bytes.Repeat([]byte{opNop}, 1<<k-frame)...)
		m.fillers = append(m.fillers, withIndex(opCall, uint32(len(m.types)+len(m.added))))
		m.added = append(m.added, append(body, opEnd))
	}
}

// filled spends the budget of a function of so many bytes, if the first that it calls is called where the stack has to grow.
func (m *module) filled(code []instruction, length int) []instruction {
	calling := callingArms(code)
	for i, in := range code {
		switch {
		case in.calls():
			return code
		case in.is(opIf, void) && calling[i]:
			if m.fillers == nil {
				m.addFillers()
			}
			m.summary.Filled++
			fit := m.fillers
			for most := mostFiller; most > leastFiller && 1<<most > budgetFactor*length; most-- {
				fit = fit[1:]
			}
			return slices.Insert(slices.Clone(code), i+1, fit...)
		}
	}
	return code
}

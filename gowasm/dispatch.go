package gowasm

import "slices"

// pc is the local that says where a function continues: its parameter.
const pc = 0

// dispatch is how a function continues where it was: the loop around the blocks of its regions, and the br_table. A function that jumps nowhere has no loop.
type dispatch struct {
	table  int      // where the br_table is among the function's instructions
	loop   int      // and the loop; -1 if it has none
	around int      // blocks around those of its regions, and the loop
	blocks int      // as many as regions: region r begins where the r-th of them, from within, ends
	labels []uint32 // of the br_table: the region of each pc, and at last of all higher ones
}

// findDispatch finds a function's, if it has one of Go's shape. It holds what is needed for direct to be right: loop and blocks have neither
// parameters nor results, every label of the br_table is a region, and the pc is read nowhere else but after it was set.
func findDispatch(code []instruction) (d dispatch, ok bool) {
	d.loop = -1
	open := 0
	i := 0
	for ; i < len(code) && code[i].op != opBrTable; i++ {
		switch in := code[i]; {
		case in.is(opBlock, void):
			open++
		case in.is(opLoop, void) && d.loop < 0:
			open++
			d.loop, d.around = i, open
		case in.op == opLocalGet, in.op == opLocalSet, in.op == opGlobalGet: // the stack pointer, as a local, and the pc
		default:
			return d, false
		}
	}
	if i == 0 || i == len(code) || !code[i-1].is(opLocalGet, pc) {
		return d, false
	}
	d.table, d.labels = i, code[i].labels
	if d.loop < 0 {
		d.around = open - int(slices.Max(d.labels)) - 1
	}
	d.blocks = open - d.around
	for _, label := range d.labels {
		if int64(label) >= int64(d.blocks) || d.around < 1 {
			return d, false
		}
	}
	for i := d.table + 1; i < len(code); i++ {
		justSet := code[i-1].op == opI32Const && code[i-2].is(opLocalSet, pc) // an operand was put below it
		if code[i].is(opLocalGet, pc) && !justSet {
			return d, false
		}
	}
	return d, true
}

// region is where a function continues that is called with this pc.
func (d dispatch) region(pc int64) int {
	last := len(d.labels) - 1
	if pc < 0 || pc >= int64(last) { // it has no sign
		return int(d.labels[last])
	}
	return int(d.labels[pc])
}

// position is a place in the code behind the br_table.
type position struct {
	depth  int // blocks that are open
	region int // whose code it is; -1 before the first
}

func (d dispatch) start() position { return position{depth: d.depth(0), region: -1} }

// depth is how many blocks are open within the one that a region begins after.
func (d dispatch) depth(region int) int { return d.around + d.blocks - region }

// after is the position after an instruction.
func (d dispatch) after(p position, in instruction) position {
	switch {
	case in.opens():
		p.depth++
	case in.op == opEnd:
		if p.depth == d.depth(p.region+1) && p.region+1 < d.blocks {
			p.region++
		}
		p.depth--
	}
	return p
}

// isLoop reports whether a label means the loop.
func (d dispatch) isLoop(p position, label int64) bool {
	return d.loop >= 0 && int64(p.depth)-label == int64(d.around)
}

// goesTo reports whether an instruction may go to the loop.
func (d dispatch) goesTo(p position, in instruction) bool {
	switch in.op {
	case opBr, opBrIf:
		return d.isLoop(p, in.value)
	case opBrTable:
		return slices.ContainsFunc(in.labels, func(label uint32) bool { return d.isLoop(p, int64(label)) })
	}
	return false
}

// label means the end of the block that a later region begins after.
func (d dispatch) label(p position, region int) uint32 {
	return uint32(p.depth - d.depth(region))
}

// jump finds a jump to another region at the begin of the code: the pc is set, and the loop is gone to.
func (d dispatch) jump(p position, code []instruction) (region int, ok bool) {
	if len(code) < 3 || code[0].op != opI32Const || !code[1].is(opLocalSet, pc) || code[2].op != opBr || !d.isLoop(p, code[2].value) {
		return 0, false
	}
	return d.region(code[0].value), true
}

// direct lets jumps forward leave the blocks up to their target. Such a jump sets the pc, goes to the begin of the loop, where nothing is done but to
// take the br_table's way by that pc, and so is at the region; the pc isn't read afterwards. It also lets a function that is called, with a pc of 0, not
// take the br_table's way, whose target a processor that hasn't seen it lately can't foresee.
func (m *module) direct(d dispatch, code []instruction) []instruction {
	rare := d.rare(code)
	out := append([]instruction{}, code[:d.table-1]...)
	entry := withIndex(opBrIf, d.labels[0])
	entry.hint = likely
	out = append(out, withIndex(opLocalGet, pc), plain(opI32Eqz), entry)
	out = append(out, code[d.table-1:d.table+1]...)
	at, again := d.start(), false // whether the loop is gone to
	for i := d.table + 1; i < len(code); i++ {
		if code[i].is(opIf, void) && i+4 < len(code) && code[i+4].op == opEnd {
			within := position{at.depth + 1, at.region}
			if region, ok := d.jump(within, code[i+1:]); ok && region > at.region {
				branch := withIndex(opBrIf, d.label(at, region))
				if rare[region] {
					branch.hint = unlikely
				}
				out = append(out, branch)
				m.summary.Direct++
				i += 4
				continue
			}
		}
		if region, ok := d.jump(at, code[i:]); ok {
			if region > at.region {
				out = append(out, withIndex(opBr, d.label(at, region)))
				m.summary.Direct++
				i += 2
				continue
			}
			m.summary.Back++
		}
		again = again || d.goesTo(at, code[i])
		out = append(out, code[i])
		at = d.after(at, code[i])
	}
	if d.loop >= 0 && !again {
		out[d.loop] = block()
		m.summary.Straight++
	}
	return out
}

// rare tells which regions only end in what can't go on: they jump and return nowhere, and what follows them doesn't either. These are the calls that panic.
func (d dispatch) rare(code []instruction) []bool {
	leaves, stuck := make([]bool, d.blocks), make([]bool, d.blocks)
	at := d.start()
	for _, in := range code[d.table+1:] {
		if at.region >= 0 {
			switch in.op {
			case opBr, opBrTable, opReturn:
				leaves[at.region] = true
			case opUnreachable:
				stuck[at.region] = stuck[at.region] || at.depth == d.depth(at.region+1)
			}
		}
		if at = d.after(at, in); at.depth < d.around {
			break // behind the loop, where Go's compiler has put an unreachable
		}
	}
	rare := make([]bool, d.blocks)
	for r := d.blocks - 1; r >= 0; r-- {
		rare[r] = !leaves[r] && (stuck[r] || r+1 == d.blocks || rare[r+1])
	}
	return rare
}

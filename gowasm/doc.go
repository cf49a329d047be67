// Package gowasm makes a WebAssembly module that Go's compiler has written quicker to load and to run in a proxy. [Optimize] changes how
// the module's functions are written, and nothing of what they do: for each request of the filter Envoy spends less processor time, and it starts in a third of the time
// (3.25 s instead of 10.07, test/bench/proxy/RESULT.md).
//
// # What Go writes, and what V8 makes of it
//
// Go's goroutines are switched by unwinding the stack of WebAssembly and by calling the same functions again, which continue where they were. So each function is a loop around as
// many nested blocks as there are places to continue at, its regions, and begins with a br_table that goes to one of them:
//
//	block                                  ;; the unwind exit
//	  loop
//	    block block block                  ;; one for each region
//	      local.get $pc  br_table 0 1 2
//	    end …                              ;; region 0
//	    end …  call $f  br_if unwind exit  ;; region 1: calls return 1 to unwind
//	    end …                              ;; region 2, where the call continues
//
// Whatever the compiler can't do within a region it does by that loop: a jump of an if or a switch sets $pc, goes back to the loop and through the br_table.
//
// Envoy's V8 compiles a module with its optimizing compiler alone, before the first request (--no-liftoff in proxy-wasm-cpp-host), and has no counts of calls
// then. Of what it inlines, which since its version 12 is what fits into a budget, the first are what each function begins with: growing the stack,
// with the crashes that it may end in. In V8 14.6 (Envoy 1.40) two thirds of the time to compile the filter went there, and three fifths of its machine code.
//
// # What is changed
//
//   - Jumps forward leave the blocks up to their target instead of going through the loop, which a function without others doesn't get (file dispatch.go).
//   - A function that is called, not continued, tests for that before the br_table.
//   - Where the stack has to grow functions that do nothing are called, on which V8 spends what it would inline (file inlining.go).
//   - What hardly happens is named in a section of branch hints (metadata.code.branch_hint): unwinding, growing the stack, panics. V8 moves that
//     out of the way of the rest. Engines that don't know the section skip it (file hint.go).
//   - What Go writes and V8 doesn't see through: conditions that become numbers and conditions again, and a stack pointer that is set twice (file redundant.go).
//   - Addresses relative to the stack pointer are written as the offsets of loads and stores, masks of signed loads as unsigned loads, and
//     nops are left out (file address.go).
//   - Functions that are called by each request lie together, if their names are said (file order.go).
//
// All of it holds whatever the function does, as the files say, and isn't done where a function looks different.
//
// # Files
//
//	module       [Optimize], [Summary] and a module's sections
//	function     a function's body, and the steps that rewrite it
//	instruction  instructions, read and written
//	reader       numbers and vectors of the binary format
//	order        which functions come first
//	dispatch     the regions of a function, and its jumps
//	inlining     what V8 inlines
//	hint         branch hints
//	address      addresses and masks
//	redundant    conditions, and the stack pointer
package gowasm

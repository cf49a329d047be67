// Package model is an explicit-state checker of the consistency protocol: it
// walks every interleaving of a small system, breadth first, and prints the
// shortest one in which a guarantee breaks.
//
// # The protocol
//
// A lookup takes a ticket (epoch and sequence) before the origin is asked; what
// is stored carries it, and is valid only in the same epoch and while the group's
// generation is not above it. A write suspends the group before it is forwarded
// (lookups bypass meanwhile), and when its response has ended it closes its
// suspension with a raise, which gives the group a new generation. Where the
// outcome is unknown it renews the suspension to a last term, settle, which ends
// as a raise, too. A VM's own memory, L1, is used only under a lease from its last
// poll of the feed; suspensions and raises in the feed make what it holds unusable.
//
// # Steps
//
//	server   a deadline passes; the quarantine of a new epoch ends; a purge; a
//	         generation is lost; the epoch ends (restart or failover, the
//	         entries stay: the harder case)
//	read     lookup sent; validity read and entry read, in either order; answer
//	         arrives; call is lost; timeout; origin answers; response ends (L1
//	         fill, store sent); store arrives; given up
//	feed     poll sent; bridge reads the feed, trimmed or not; answer arrives; lost
//	write    suspend sent; executed, at any time, also after the VM gave up on it;
//	         acknowledged; timeout (forwarded, pending); origin commits; response
//	         ends (changed, rejected, unknown); renewal sent; close or settle
//	         executed; acknowledged, or the acknowledgement lost and all repeated
//	time     l1.max_staleness passes, which ends every lease from an older poll; also_after
//	         passes, until when an origin that has answered a write may still commit it
//	crash    a VM dies and starts anew
//
// A read that L1 answers is no step: it holds of every state that what L1 would
// answer is allowed.
//
// # What is required
//
// Versions count the origin's commits. A commit is covered while the write's
// suspension is acknowledged and its deadline has not passed. A read that begins
// after a covered commit never gets an older version from L2, nor from the L1 of
// the VM that wrote; other L1s follow before l1.max_staleness has passed after the
// commit. A pending write (bridge unreachable, forward) is covered in its own VM
// at once, everywhere once its journal entry was executed. Nobody waits for ever:
// every read that is under way, and every suspension, has a step that ends it.
//
// The exceptions of the guarantee are marks on the state, see [Exception]: a
// commit that they explain raises no requirement until a later raise does.
//
// # Bounds and abstractions
//
// One key in one group. The largest run of the test has two VMs, two readers and
// one writer with L1 and feed; others add deadlines, faults, both orders of a
// lookup's reads and a second writer, each in a smaller system, see [Model]. Where only VM B
// polls, VM A keeps the lease that it began with. Two VMs; two readers that read again and again in either
// VM; each writer writes once, with one renewal and one repeated delivery; faults up
// to the model's number, among them at most one purge, one new epoch and one crash. An L1 slot's mark is one bit per
// read and per entry: has the slot moved since the lookup was sent. Deadlines pass
// at any time; a VM can tell that the term of a suspension is over that it has asked for, and
// takes an acknowledgement that comes then for none. A quarantine is not shorter than any deadline:
// when it ends, a suspension that was not renewed has ended, too. An origin that has answered does
// not commit later; in particular an attempt that the proxy gave up and repeated is over
// when the repeated one has answered, which a retrying proxy can't know.
// Collapsed reads and response-named groups are not modelled.
package model

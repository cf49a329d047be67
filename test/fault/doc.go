// Package fault makes the parts of a mesh of processes (package stack) fail, and the ways between
// them: killed, stopped, cut, silent, slow, out of order. Tests that let everything
// fail under load share its list ([Mesh.All]).
//
// A [Link] does what toxiproxy (github.com/Shopify/toxiproxy/v2) does. Embedded in its place, with
// a toxic of our own that reads nothing until it is removed, that one is slow, silent and
// late like a link: what its toxic timeout drops is held and passes late, as a protocol of
// leases and suspensions has to survive it. What it can't do is to cut:
//
//   - Its proxy's Stop ends the connections that it has in order; the other side sees an end of
//     file, and no reset as when a host dies. Its toxic reset_peer resets only connections that
//     have begun after the toxic was added, and only when bytes come.
//   - With reset_peer always there, but never in effect ("toxicity": 0), Stop resets. But so
//     does every orderly end: of 300 answers of 1 MiB that were followed by the connection's
//     end 209 were cut short. That is a fault that nobody has asked for, in every test.
//   - Its connections are unexported, and a toxic doesn't see them.
package fault

// Package fault makes the parts of a mesh of processes (package stack) fail, and the ways between
// them: killed, stopped, cut, silent, slow, out of order. Tests that let everything
// fail under load share its list ([Mesh.All]).
//
// A [Link] does what toxiproxy does, but for one thing that matters here: toxiproxy's timeout
// drops the bytes that it holds back, where a link lets them pass late. A poll's answer or a
// close that comes after everybody has given it up is what a protocol of leases and
// suspensions has to survive.
package fault

// Package fault makes the parts of a mesh of processes (package stack) fail, and the ways between
// them: killed, stopped, cut, silent, slow, out of order. Tests that let everything
// fail under load share its list ([Mesh.All]).
package fault

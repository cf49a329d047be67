// Package degradation lets every part of a mesh of processes fail under steady load, and tells
// what that costs: no request fails, and what a fault adds is in a table.
//
//	go test -v ./test/degradation    a few seconds for each fault
//	make degradation                 five, with the shipped policy as it is
package degradation

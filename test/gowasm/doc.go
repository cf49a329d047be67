// Package gowasm proves that what package gowasm of this module makes of a Go program does what the program does. There is nothing
// in it but tests: a program with all of the language and the runtime in it, and the tests of packages that the filter is made of.
package gowasm

// Package redisfake is the part of a Redis server that a bridge uses, written in
// Go: the scripts of redisbridge/script, and entries. It costs a thousandth of a
// server's time, so that millions of schedules of the real bridge can run on it.
//
// It proves nothing by itself: its test runs every command on a real server too
// and compares answers and what is stored, command by command.
//
// A script is known by its text. One that was changed is refused, so that
// nobody takes what this package does for what the changed script does.
package redisfake

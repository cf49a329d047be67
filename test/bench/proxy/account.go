package main

import (
	"errors"
	"os"

	"chatcache/test/bench"
)

// pin puts what is measured onto the first processor, and this process, client and origin,
// onto the second. With one processor they share it.
func (m *mesh) pin() error {
	allowed, err := bench.Processors()
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range m.processes() {
		errs = append(errs, bench.Pin(p.PID(), allowed[0]))
	}
	for _, p := range m.peers {
		pids, err := bench.WithChildren(p.PID())
		errs = append(errs, err)
		for _, pid := range pids {
			errs = append(errs, bench.Pin(pid, allowed[0]))
		}
	}
	return errors.Join(append(errs, bench.Pin(os.Getpid(), allowed[len(allowed)-1]))...)
}

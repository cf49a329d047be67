package redisbridge

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// errPanic is a defect of the bridge's. What met it is refused with status 500.
var errPanic = errors.New("internal error")

// guarded is for goroutines other than a call's own, where a panic would end the bridge: it is an error of what was begun.
// Panics in a call's own goroutine net/http keeps to that call.
func (b *Bridge) guarded(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v", errPanic, v)
			b.log.Error("a defect of the bridge: please report it", "error", err, "stack", string(debug.Stack()))
		}
	}()
	return f()
}

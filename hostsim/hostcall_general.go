package hostsim

import "time"

// generalCalls: logs, time, ticks, contexts, properties, foreign functions.
var generalCalls = []hostcall{
	{"proxy_log", "iii", callLog},
	{"proxy_get_log_level", "i", func(a *callArgs) status { return a.giveUint32(uint32(a.ctx.sim().opts.LogLevel), 0) }},
	{"proxy_get_current_time_nanoseconds", "i", func(a *callArgs) status {
		return a.giveUint64(uint64(a.vm.clock.Now().UnixNano()), 0)
	}},
	{"proxy_set_tick_period_milliseconds", "i", callSetTick},
	{"proxy_set_effective_context", "i", callSetEffectiveContext},
	{"proxy_done", "", callDone},
	{"proxy_get_status", "iii", callGetStatus},
	{"proxy_get_property", "iiii", callGetProperty},
	{"proxy_set_property", "iiii", callSetProperty},
	{"proxy_call_foreign_function", "iiiiii", callForeignFunction},
}

func callLog(a *callArgs) status {
	level := LogLevel(a.num(0))
	message := a.str(1)
	if level > LevelCritical {
		return statusBadArgument
	}
	if !a.bad {
		a.ctx.worker().log(level, message)
	}
	return statusOK
}

func callSetTick(a *callArgs) status {
	a.ctx.rootContext().setTick(a.num(0))
	return statusOK
}

// setTick starts, changes or (0) stops the root context's timer.
func (c *vmContext) setTick(ms uint32) {
	clock := c.vm.clock
	clock.stop(c.tick)
	c.tick, c.tickPeriod = nil, ms
	if ms > 0 {
		c.tick = clock.after(time.Duration(ms)*time.Millisecond, c.onTick)
	}
}

// onTick runs proxy_on_tick and sets the timer again after it, as Envoy does.
func (c *vmContext) onTick() {
	before := c.tick
	c.vm.callback(c, "proxy_on_tick", nil, uint64(c.id))
	if c.tick == before && c.tickPeriod > 0 && !c.vm.failed {
		c.setTick(c.tickPeriod)
	}
}

// callSetEffectiveContext leaves the previous context in place when the id is
// unknown: what follows then concerns another stream.
func callSetEffectiveContext(a *callArgs) status {
	id := a.num(0)
	if a.vm.contexts[id] == nil {
		return statusBadArgument
	}
	a.vm.effective = id
	return statusOK
}

func callGetStatus(a *callArgs) status {
	root := a.ctx.rootContext()
	if s := a.giveUint32(root.statusCode, 0); s != statusOK {
		return s
	}
	return a.give([]byte(root.statusText), 1, 2)
}

func callGetProperty(a *callArgs) status {
	path := a.str(0)
	if a.bad {
		return statusInvalidMemory
	}
	value, s := a.ctx.property(path)
	if s != statusOK {
		return s
	}
	return a.give(value, 2, 3)
}

func callSetProperty(a *callArgs) status {
	path, value := a.str(0), a.bytes(2)
	if a.bad {
		return statusInvalidMemory
	}
	if a.ctx.stream == nil {
		return statusNotFound
	}
	a.ctx.stream.filterState[path] = append([]byte{}, value...) // not nil
	return statusOK
}

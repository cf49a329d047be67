package hostsim

import (
	"context"
	"slices"
	"time"
)

// job is a handler of a cluster on its own goroutine. The loop and its jobs
// pass one baton, so that a run is deterministic:
//
//  1. The loop finds a job that can go on (new, or its wait is over) and sends on resume.
//  2. It then does nothing but wait for yield: only the job runs.
//  3. The job finishes, or waits through Clock.Wait or a body that has not
//     arrived yet; either way it sends on yield.
//  4. What the job posted meanwhile runs on the loop, before any other job
//     (unless an order chooses one).
type job struct {
	clock  *Clock
	name   string
	resume chan struct{}
	yield  chan struct{}
	canRun func() bool // nil: at once
	done   bool
}

type jobKey struct{}

// startJob runs f as a job when its turn comes.
func (c *Clock) startJob(ctx context.Context, name string, f func(ctx context.Context)) {
	j := &job{clock: c, name: name, resume: make(chan struct{}), yield: make(chan struct{})}
	c.mu.Lock()
	c.jobs = append(c.jobs, j)
	c.mu.Unlock()
	go func() {
		<-j.resume
		f(context.WithValue(ctx, jobKey{}, j))
		j.done = true
		j.yield <- struct{}{}
	}()
}

// park hands the baton back until canRun is true. Called on the job's goroutine.
func (j *job) park(canRun func() bool) {
	j.canRun = canRun
	j.yield <- struct{}{}
	<-j.resume
}

// wakeable are the jobs that can go on, the oldest first.
func (c *Clock) wakeable() []*job {
	c.mu.Lock()
	defer c.mu.Unlock()
	var able []*job
	for _, j := range c.jobs {
		if j.canRun == nil || j.canRun() {
			able = append(able, j)
		}
	}
	return able
}

// runJob lets j go on and waits, in real time, until it yields. A job that
// never does is given up after the watchdog's time and reported.
func (c *Clock) runJob(j *job) {
	dog := time.NewTimer(c.watchdog)
	defer dog.Stop()
	j.resume <- struct{}{}
	select {
	case <-j.yield:
		if j.done {
			c.removeJob(j)
		}
	case <-dog.C:
		c.removeJob(j)
		go func() { <-j.yield }() // let it end should it ever come back
		if c.onStuck != nil {
			c.onStuck(j)
		}
	}
}

func (c *Clock) removeJob(j *job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs = slices.DeleteFunc(c.jobs, func(other *job) bool { return other == j })
}

// pendingJobs names the handlers that have not finished.
func (c *Clock) pendingJobs() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := make([]string, 0, len(c.jobs))
	for _, j := range c.jobs {
		names = append(names, j.name)
	}
	return names
}

package exchange

import (
	"encoding/binary"
	"slices"
	"strconv"

	"chatcache/filter/internal/httpcache"
	"chatcache/policy"
	"chatcache/redisbridge/wire"
)

// write is a request that invalidates.
//
//  1. its groups are suspended, by one call that the bridge acknowledges
//  2. it is forwarded; reads of the groups go to the origin meanwhile and store nothing
//  3. its response streams through; where it names more groups, they are raised before its header
//     section goes on
//  4. when the stream is done the journal ends the suspension, as judge decides, and raises those once more
type write struct {
	*Exchange
	request *request
	rule    *policy.Invalidation

	id     string
	groups []string
	permit permit
	asked  int64 // when the suspension was asked for, monotonic nanoseconds

	suspended bool // the bridge has acknowledged the suspension
	pending   bool // it hasn't, and the write was forwarded all the same
	anonymous bool // it has no credential, so the caches whose writes the origin refuses then aren't suspended
	forwarded bool
	status    int
	end       bool
	headOnly  bool     // the response ended with its header section
	raise     *raise   // of the groups that the response names, until it is acknowledged or in the journal
	named     []string // the groups that the response names
	owed      bool     // their raise is in the journal
}

func newWrite(e *Exchange, target request, rule *policy.Invalidation) (*write, *request) {
	return &write{Exchange: e, request: &target, rule: rule}, &target
}

func (w *write) start(bool) Action {
	w.groups = atMost(w.affected())
	if len(w.groups) == 0 {
		w.forwarded = true
		return Continue // only its response may name what it invalidates
	}
	w.id = w.state.newID()
	w.state.move(w.groups)
	frame := w.plugin.suspension(w.id, w.groups, w.rule.Deadline, w.rule.AlsoAfter)
	permit, waits := w.plugin.admit()
	w.permit, w.asked = permit, w.plugin.host.Now()
	err := w.stream.Call(wire.PathSuspend, frame, w.plugin.Policy.Bridge.Timeout, w.answered)
	w.phase = paused
	if err == nil && waits {
		return PauseAll
	}
	// Where the breaker is open the suspension is asked for all the same: it may
	// arrive, and then the other VMs know of this write sooner.
	if w.unreachable() {
		w.phase = flowing
		return Continue
	}
	return PauseAll // replied
}

// affected lists the groups that are to be suspended. A request whose credentials make no identity may still be somebody's to
// the origin: only one without any credential is anonymous.
func (w *write) affected() []string {
	partition, identified := w.plugin.identify(w.request)
	if identified || !w.rule.RefusesSome() {
		return w.withURI(w.rule.Groups(partition.Parts()...))
	}
	credentials := w.plugin.identity.Credentials(w.request, w.rule)
	w.anonymous = len(credentials) == 0
	groups := w.rule.GroupsOfNobody(credentials)
	if w.refused() {
		return groups
	}
	return w.withURI(groups)
}

// withURI adds what is stored for the write's URI.
func (w *write) withURI(groups []string) []string {
	if c := w.plugin.Policy.Resource(w.request.authority, w.request.path); c != nil {
		groups = append(groups, groupURI(c, w.request.authority, w.request.path))
	}
	return groups
}

// refused tells whether the policy says that the origin refuses the write, by whichever rule the origin takes it.
func (w *write) refused() bool { return w.anonymous && w.rule.RefusesAnonymous }

// atMost gives the groups, or everything where one call doesn't take so many: several large rules that apply together have more.
func atMost(groups []string) []string {
	if len(groups) > wire.MaxGroups {
		return []string{wire.GroupAll}
	}
	return groups
}

func (w *write) body(int, bool) Action { return PauseForBody }

func (w *write) answered(a Answer) {
	w.plugin.report(w.permit, a)
	if w.phase != paused {
		return
	}
	open := &openWrite{id: w.id, groups: w.groups, deadline: w.rule.Deadline, also: w.rule.AlsoAfter}
	open.began(w.asked)
	if !a.acknowledges() || w.plugin.host.Now() >= open.renewAt {
		if w.unreachable() {
			w.resume()
		}
		return
	}
	w.suspended, w.forwarded = true, true
	w.state.move(w.groups)
	w.state.writes.add(open)
	w.resume()
}

// unreachable handles a suspension that wasn't acknowledged, as the rule says:
// it tells whether the write goes on, or has refused it.
func (w *write) unreachable() (forward bool) {
	if w.rule.Refuse {
		w.plugin.count(metricRefused)
		w.stream.Describe(w.rule.Name, resultRefused)
		w.reply(503, httpcache.Fields{
			{"content-type", "text/plain"}, {"retry-after", "1"}, {statusField, statusRefused()},
		}, []byte("chatcache: this write can't be made safely now: the cache bridge is unreachable\n"))
		return false
	}
	w.plugin.count(metricPending)
	w.pending, w.forwarded = true, true
	w.state.journal.block(w.groups)
	return true
}

func (w *write) response(fields httpcache.Fields, end bool) Action {
	w.status, _ = strconv.Atoi(fields.Get(":status"))
	w.end, w.headOnly = end, end
	groups := w.invalidated(fields)
	if w.anonymous && w.accomplished() {
		groups = append(groups, w.accepted()...)
	}
	if len(groups) > 0 && w.raiseNamed(groups) {
		w.phase = held
		return PauseAll
	}
	w.describe()
	return Continue
}

// succeeded tells whether the response says that the write was done. A redirect does, unless the origin is said to refuse the
// write: then it leads to a sign-in page.
func (w *write) succeeded() bool {
	return w.accomplished() || w.status >= 300 && w.status <= 399 && !w.refused()
}

// accomplished tells whether only a write that is done is answered with this status. After 101 it goes on until its stream ends.
func (w *write) accomplished() bool { return w.status >= 200 && w.status <= 299 || w.status == 101 }

// accepted lists the groups that are raised because the origin has done an anonymous write that it was said to refuse.
func (w *write) accepted() []string {
	groups := w.all()
	if len(groups) > 0 {
		w.plugin.disproved(w.rule.Name, w.status)
	}
	if len(w.groups) == 0 { // otherwise its end counts
		w.countInvalidations()
	}
	return groups
}

// all lists the groups that are invalidated where nobody knows whose write it is.
func (w *write) all() []string { return w.withURI(w.rule.Groups()) }

func (w *write) countInvalidations() {
	for _, c := range w.rule.Caches {
		w.plugin.host.Add(&w.plugin.metrics[c.Index].invalidations, 1)
	}
}

// describe says in the response what has become of the write, as far as that is known.
func (w *write) describe() {
	if w.pending || w.owed {
		w.addStatus(statusWrite(reasonPending))
		w.stream.Describe(w.rule.Name, resultPending)
		return
	}
	if len(w.groups)+len(w.named) == 0 { // nothing was done
		if w.refused() && len(w.all()) > 0 { // otherwise the identity wouldn't have mattered
			w.addStatus(statusWrite(reasonNoIdentity))
			w.stream.Describe(w.rule.Name, resultAnonymous)
		}
		return
	}
	w.addStatus(statusWrite(""))
	w.stream.Describe(w.rule.Name, resultWrite)
}

func (w *write) chunk(_ int, end bool) { w.end = end }

func (w *write) trailers() { w.end = true }

// abort takes the request as forwarded: it is let on whatever was known of it. Without
// an acknowledged suspension its groups are blocked, and without an identity they
// are whole caches.
func (w *write) abort() {
	w.forwarded = true
	w.owe()
	if w.suspended || w.pending {
		return
	}
	if w.id == "" {
		w.id, w.groups = w.state.newID(), atMost(w.all())
	}
	w.pending = true
	w.state.journal.block(w.groups)
}

// done ends the suspension. The call is made from the root context, since this
// stream would not hear the answer any more.
func (w *write) done() {
	w.owe() // its stream has ended before the raise was acknowledged
	if len(w.groups)+len(w.named) == 0 {
		return
	}
	o := judge(w.observed())
	w.raiseAgain(o)
	w.close(o)
}

// lost ends the suspension as that of a write whose outcome is unknown. Otherwise it would be renewed for as long as the VM lives.
func (w *write) lost() {
	w.abort()
	w.close(unknown)
	w.raiseAgain(unknown)
}

// close hands the end of the suspension to the journal.
func (w *write) close(o outcome) {
	if len(w.groups) == 0 {
		return
	}
	w.state.writes.remove(w.id)
	if o != unchanged {
		w.countInvalidations()
	}
	w.state.journal.add(&journalEntry{
		id: w.id, groups: w.groups, outcome: o,
		settle: w.rule.Settle, also: w.rule.AlsoAfter, blocks: w.pending,
	})
}

func (w *write) observed() observed {
	details, _ := w.stream.Property("response", "code_details")
	o := observed{
		forwarded: w.forwarded, status: w.status, end: w.end,
		details: string(details), raiseOn4xx: w.rule.RaiseOn4xx,
		rolledBack: slices.Contains(w.rule.UnchangedOn, w.status),
	}
	if raw, ok := w.stream.Property("upstream", "request_attempt_count"); ok && len(raw) == 8 {
		o.attempts = binary.LittleEndian.Uint64(raw)
	}
	return o
}

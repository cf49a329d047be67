package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"chatcache/redisbridge"
)

const (
	// waitStep is how long one call waits for receipts: after each, progress is shown.
	waitStep = time.Second
	// maxNamed bounds the VMs that are named.
	maxNamed = 10
)

// waitFlags say whether and how long a command waits for receipts.
type waitFlags struct {
	wait    bool
	timeout time.Duration
}

func (f *waitFlags) register(set *flag.FlagSet) {
	set.BoolVar(&f.wait, "wait", false, "")
	durationFlag(set, &f.timeout, "timeout", 10*time.Second)
}

// firstWait is what the call that raises waits for receipts itself, unless others are to be made first.
func (f *waitFlags) firstWait(others bool) string {
	if !f.wait || others {
		return ""
	}
	return min(f.timeout, waitStep).String()
}

// await goes on waiting for receipts, and says what came of it, unless that is silent.
func (f *waitFlags) await(ctx context.Context, env environment, bridge client, answer *redisbridge.RaiseAnswer, silent bool) int {
	began := time.Now()
	if answer.Receipts != nil {
		began = began.Add(-min(f.timeout, waitStep)) // the first call may have waited so long
	}
	for answer.Receipts == nil || !answer.Receipts.Complete && !answer.Receipts.NewEpoch {
		left := f.timeout - time.Since(began)
		if answer.Receipts != nil {
			if left <= 0 {
				break
			}
			printProgress(env.stderr, *answer.Receipts, time.Since(began))
		}
		var next redisbridge.Receipts
		if err := bridge.call(ctx, http.MethodGet, receiptsPath(*answer, min(left, waitStep)), nil, &next); err != nil {
			return env.fail(exitWait, err)
		}
		answer.Receipts = &next
	}
	if !silent {
		printReceipts(env.stdout, *answer.Receipts)
	}
	if !answer.Receipts.Complete || nobody(*answer.Receipts) {
		return exitWait
	}
	return exitOK
}

// nobody tells whether no VM was there to be waited for: then nothing shows that proxies know this policy.
func nobody(r redisbridge.Receipts) bool {
	return r.Complete && len(r.Applied)+len(r.LeaseOut)+len(r.Pending) == 0
}

func receiptsPath(raise redisbridge.RaiseAnswer, wait time.Duration) string {
	return "/v1/receipts?" + url.Values{
		"policy": {raise.Policy}, "epoch": {raise.Epoch},
		"sequence": {strconv.FormatUint(raise.Sequence, 10)}, "raisedAt": {strconv.FormatInt(raise.RaisedAt, 10)},
		"wait": {max(wait, time.Millisecond).String()},
	}.Encode()
}

func printProgress(w io.Writer, r redisbridge.Receipts, after time.Duration) {
	all := len(r.Applied) + len(r.LeaseOut) + len(r.Pending)
	waiting := []string{}
	if len(r.Pending) > 0 {
		waiting = append(waiting, names(r.Pending))
	}
	if r.QuarantineMS > 0 {
		waiting = append(waiting, fmt.Sprintf("the new epoch's quarantine, %v more", quarantine(r)))
	}
	fmt.Fprintf(w, "after %v: %d of %d VMs have applied it, the leases of %d have run out; waiting for %s\n",
		after.Round(time.Second/10), len(r.Applied), all, len(r.LeaseOut), strings.Join(waiting, ", and for "))
}

func quarantine(r redisbridge.Receipts) time.Duration {
	return time.Duration(r.QuarantineMS) * time.Millisecond
}

func printReceipts(w io.Writer, r redisbridge.Receipts) {
	if r.NewEpoch {
		fmt.Fprintln(w, "Redis has begun a new epoch since: each VM forgets everything when it hears of that, or when its lease runs out")
	}
	if r.Error != "" {
		fmt.Fprintln(w, "receipts can't be read:", r.Error)
	}
	if r.QuarantineMS > 0 {
		fmt.Fprintf(w, "Redis has begun its epoch so lately that for %v more a VM may use its memory that Redis doesn't know of\n", quarantine(r))
	}
	if nobody(r) {
		fmt.Fprintln(w, "no VM follows the feed of this policy, so none has answered: is it the proxies' policy, and has one had a request?")
		return
	}
	fmt.Fprintln(w, summary(r.Applied, "applied it"))
	if len(r.LeaseOut) > 0 {
		fmt.Fprintln(w, summary(r.LeaseOut, "didn't, and its lease has run out"))
	}
	if len(r.Pending) > 0 {
		fmt.Fprintf(w, "not known of %d: %s\n", len(r.Pending), names(r.Pending))
	}
}

// summary says how many VMs did something, and how long each took, the last first.
func summary(list []redisbridge.Receipt, did string) string {
	vms := "VMs"
	if len(list) == 1 {
		vms = "VM"
	}
	if len(list) == 0 {
		return fmt.Sprintf("0 %s %s", vms, did)
	}
	took := func(r redisbridge.Receipt) time.Duration { return time.Duration(r.MS) * time.Millisecond }
	last := slices.Clone(list)
	slices.Reverse(last)
	return fmt.Sprintf("%d %s %s, the last after %v: %s", len(list), vms, did, took(last[0]),
		some(last, func(r redisbridge.Receipt) string { return fmt.Sprintf("%s %v", r.VM, took(r)) }))
}

func names(list []redisbridge.Receipt) string {
	return some(list, func(r redisbridge.Receipt) string { return r.VM })
}

// some names the first of a list, and how many more there are.
func some(list []redisbridge.Receipt, name func(redisbridge.Receipt) string) string {
	var words []string
	for _, r := range list[:min(len(list), maxNamed)] {
		words = append(words, name(r))
	}
	if more := len(list) - len(words); more > 0 {
		words = append(words, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, ", ")
}

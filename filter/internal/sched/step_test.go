//go:build !wasip1

package sched

import (
	"fmt"
	"time"
)

// kind says what a step does.
type kind uint8

const (
	readBegins     kind = iota // who: stream, n: VM, x: readsElsewhere, or 0
	writeBegins                // who: stream, n: VM, x: rule
	arrives                    // who, n: call, x: VM, where a proxy has sent it to itself
	executed                   // who, n: call, x: its command
	failsBefore                // likewise: the connection breaks before the command is executed
	failsAfter                 // likewise: after
	executedLate               // likewise: the bridge has given the command up
	answered                   // who, n: call
	lost                       // who, n: call: no answer will come
	originReads                // who: stream
	originEnds                 // who: stream, x: originFails, or 0
	commits                    // who: stream
	responseEnds               // who: stream, x: ending
	clientLeaves               // who: stream
	purge                      // who: pseudo stream
	dies                       // n: VM
	bridgeRestarts             // n: bridge
	redisFails                 // x: failure
	timePasses                 // n: milliseconds
	configures                 // n: VM, x: policy
	pluginEnds                 // n: VM, x: which of its plugins
	operates                   // who: pseudo stream, x: setting
	locally                    // who: stream
	goesOn                     // who: stream, whose response has been seen as far as its header section
)

// step is one step of a schedule. Its name says the same in every schedule.
type step struct {
	kind kind
	who  int16
	n    int16
	x    int16
}

// Owners of calls that belong to no stream.
const (
	rootOwner     = 1000 // plus the number of the VM's life
	purgeOwner    = 2000
	operatorOwner = 2100
)

// readsElsewhere has a read be of a cache that no write invalidates. What it gets isn't judged: it is there to be read together with
// others, whose groups are other ones.
const readsElsewhere = 1

// These are other kinds of reads, see readKinds.
const (
	readsHead      = 2 + iota
	readsAfresh    // max-age=0
	readsCached    // only-if-cached
	readsRange     // the first byte
	readsCondition // If-None-Match, of the first version

	readsVariant = 16 // beside these: with an Accept-Language
)

// readKinds are what they are called.
var readKinds = map[int16]string{
	readsHead: "HEAD", readsAfresh: "max-age=0", readsCached: "only-if-cached", readsRange: "Range", readsCondition: "If-None-Match",
}

// ending is how a write's response ends.
type ending int16

const (
	changed ending = iota
	rejected
	cutOff
	unavailable // 503 of the proxy, which the origin has not seen the end of
	retriedRejected
	retriedChanged
	changedLater // the rule's also_after covers what the origin commits then
)

func (e ending) String() string {
	return [...]string{"201", "422", "cut off", "503, the origin goes on", "422 to a retry, the first attempt goes on",
		"201 to a retry, the first attempt goes on", "201, the origin goes on"}[e]
}

// failure is a loss in Redis.
type failure int16

const (
	feedTrimmed failure = iota
	generationLost
	entryLost
	stateLost
	allLost
	serverRestarts
	failures
)

func (f failure) String() string {
	return [...]string{"the feed is trimmed", "the generations are lost", "the entries are lost",
		"the state is lost", "all is lost", "the server restarts"}[f]
}

// name tells of a stream, or of the root context of a VM's life.
func name(who int16) string {
	switch {
	case who >= operatorOwner:
		return fmt.Sprint("operator ", who-operatorOwner)
	case who >= purgeOwner:
		return fmt.Sprint("purge ", who-purgeOwner)
	case who >= rootOwner:
		return fmt.Sprintf("VM %c%d", 'A'+(who-rootOwner)%2, (who-rootOwner)/2)
	}
	return fmt.Sprint("stream ", who)
}

func (s step) String() string {
	who := name(s.who)
	call := fmt.Sprintf("%s, %s", who, callKind(s.n))
	vm := fmt.Sprintf("VM %c", 'A'+s.n)
	switch s.kind {
	case readBegins:
		if s.x > readsElsewhere {
			text := fmt.Sprintf("%s: a read begins in %s", who, vm)
			if kind := readKinds[s.x&^readsVariant]; kind != "" {
				text += ", " + kind
			}
			if s.x&readsVariant > 0 {
				text += ", in another language"
			}
			return text
		}
		if s.x == readsElsewhere {
			return fmt.Sprintf("%s: a read of another cache begins in %s", who, vm)
		}
		return fmt.Sprintf("%s: a read begins in %s", who, vm)
	case writeBegins:
		return fmt.Sprintf("%s: a write begins in %s (%s)", who, vm, rules[s.x].name)
	case arrives:
		if paths[int(s.n)/perPath] == pathSelf {
			return fmt.Sprintf("%s: arrives in VM %c", call, 'A'+s.x)
		}
		return call + ": arrives at the bridge"
	case executed:
		return fmt.Sprintf("%s: Redis executes command %d", call, s.x)
	case failsBefore:
		return fmt.Sprintf("%s: command %d is lost", call, s.x)
	case failsAfter:
		return fmt.Sprintf("%s: Redis executes command %d, its answer is lost", call, s.x)
	case executedLate:
		return fmt.Sprintf("%s: Redis executes command %d, which the bridge has given up", call, s.x)
	case answered:
		return call + ": the answer arrives"
	case lost:
		return call + ": the answer is lost"
	case originReads:
		return who + ": the origin reads"
	case originEnds:
		if s.x == originFails {
			return who + ": the origin fails"
		}
		return who + ": the origin's response ends"
	case commits:
		return who + ": the origin commits"
	case responseEnds:
		return fmt.Sprintf("%s: the response ends: %v", who, ending(s.x))
	case clientLeaves:
		return who + ": the client leaves"
	case goesOn:
		return who + ": the rest of the response passes"
	case locally:
		return who + ": the proxy answers"
	case purge:
		return who + " begins"
	case dies:
		return vm + " dies, another one starts"
	case bridgeRestarts:
		return fmt.Sprintf("bridge %d restarts", s.n)
	case configures:
		if s.x >= freshUnruled {
			return fmt.Sprintf("%s: a plugin without rules for what is read begins", vm)
		}
		return fmt.Sprintf("%s: a plugin with max_staleness %v begins", vm, policies[s.x].L1.MaxStaleness)
	case pluginEnds:
		return fmt.Sprintf("%s: its plugin %d ends", vm, s.x)
	case operates:
		return fmt.Sprintf("%s %v", who, setting(s.x))
	case redisFails:
		return fmt.Sprintf("Redis: %v", failure(s.x))
	default:
		return fmt.Sprint(time.Duration(s.n)*time.Millisecond, " pass")
	}
}

// callKind names a call: its path, and the how manyth it is of its owner.
func callKind(n int16) string {
	if int(n)/perPath >= len(paths) {
		return ""
	}
	return fmt.Sprintf("%s %d", paths[int(n)/perPath], int(n)%perPath+1)
}

// perPath bounds the calls of one path and owner.
const perPath = 2000

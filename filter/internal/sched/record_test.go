//go:build !wasip1

package sched

import (
	"fmt"
	"strings"

	"chatcache/filter/internal/exchange"
	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"
)

// recording is what one VM was told in a schedule and what it did, step by step.
type recording []window

// window is one step: what the VM was told, if anything, and what it did until then.
type window struct {
	at      int64 // ms since the world's start, after the step
	input   *input
	outputs []string
}

// input is one thing that the VM was told.
type input struct {
	kind   kind
	stream int16
	rule   *rule
	body   string // of an answer to a read
	ending ending
	call   recordedCall
	answer exchange.Answer
}

// recordedCall names a call by what it says and the how manyth it is that says so.
type recordedCall struct {
	says   string
	number int
}

// told notes what a VM is about to be told.
func (v *vm) told(i input) {
	if v.record != nil {
		v.record.input = new(input)
		*v.record.input = i
	}
}

// did notes what a VM does.
func (v *vm) did(format string, args ...any) {
	if v.record != nil {
		v.record.outputs = append(v.record.outputs, fmt.Sprintf(format, args...))
	}
}

// got notes what the stream's client has got.
func (s *stream) got(status int, fields httpcache.Fields, body string, whole bool) {
	if s.vm.record != nil {
		s.vm.did("stream %d: %s", s.number, ended(status, fields.Get("cache-status"), body, whole))
	}
}

// cut ends the windows of all VMs.
func (w *world) cut() {
	for i, v := range w.vms {
		if v.record == nil {
			continue
		}
		v.record.at = w.now()
		w.recordings[i] = append(w.recordings[i], *v.record)
		*v.record = window{}
	}
}

// says writes a call without what differs from VM to VM: its random id.
func says(path string, frame []byte) string {
	switch path {
	case wire.PathLookup:
		m, err := wire.DecodeLookupRequest(frame)
		m.Fetch = plain(m.Fetch)
		return fmt.Sprintf("%s %+v %v", path, m, err)
	case wire.PathJoin:
		m, err := wire.DecodeJoinRequest(frame)
		m.Follow.VM, m.Lookup.Fetch = "", plain(m.Lookup.Fetch)
		return fmt.Sprintf("%s %+v %v", path, m, err)
	case wire.PathStore:
		m, err := wire.DecodeStoreRequest(frame)
		m.Fetch = plain(m.Fetch)
		return fmt.Sprintf("%s %s %d %s %q %v", path, m.Key, m.TTL, m.Fetch, m.Entry, err)
	case wire.PathPiece:
		m, err := wire.DecodePieceRequest(frame)
		m.Upload = plain(m.Upload)
		return fmt.Sprintf("%s %s %s %d %q %v", path, m.Key, m.Upload, m.Offset, m.Bytes, err)
	case wire.PathCommit:
		m, err := wire.DecodeCommitRequest(frame)
		m.Fetch, m.Upload = plain(m.Fetch), plain(m.Upload)
		return fmt.Sprintf("%s %+v %v", path, m, err)
	case wire.PathRelease:
		m, err := wire.DecodeReleaseRequest(frame)
		m.Fetch = plain(m.Fetch)
		return fmt.Sprintf("%s %+v %v", path, m, err)
	case wire.PathSuspend:
		m, err := wire.DecodeSuspendRequest(frame)
		m.ID = plain(m.ID)
		return fmt.Sprintf("%s %+v %v", path, m, err)
	case wire.PathClose:
		m, err := wire.DecodeCloseRequest(frame)
		m.ID = plain(m.ID)
		return fmt.Sprintf("%s %+v %v", path, m, err)
	case wire.PathFollow:
		m, err := wire.DecodeFollowRequest(frame)
		m.VM, m.Report = "", wire.Report{} // of times, among others
		return fmt.Sprintf("%s %+v %v", path, m, err)
	}
	return fmt.Sprintf("%s %q", path, frame)
}

// plain leaves the VM's part out of an id.
func plain(id string) string { return id[strings.LastIndex(id, "-")+1:] }

// ended says what a client has got.
func ended(status int, cacheStatus, body string, whole bool) string {
	if !whole {
		return "cut off"
	}
	if status == 503 {
		body = "" // the proxy's own words
	}
	return fmt.Sprintf("%d %q %q", status, cacheStatus, body)
}

package redisbridge

import (
	"net/http"
	"slices"
	"testing"

	"chatcache/redisbridge/wire"
)

// storeFrame is a store of the world's key, with the TTL in milliseconds.
func (w *world) storeFrame(ticket wire.Ticket, ttl int64) []byte {
	return wire.StoreRequest{Scope: w.scope, Key: w.key, TTL: ttl, Entry: entryOf(ticket)}.Encode()
}

// Stores that come together are each done or not as they would be by themselves.
func TestStoresTogether(t *testing.T) {
	w := newMemoryWorld(t, nil)
	ticket := w.look().Ticket
	foreign := wire.StoreRequest{Scope: w.scope, Key: "session:1", TTL: 1000, Entry: entryOf(ticket)}.Encode()
	status, body := call(w, "POST", wire.PathStores, "", wire.StoresRequest{Stores: [][]byte{foreign, w.storeFrame(ticket, 1000), w.storeFrame(ticket, 0)}}.Encode())
	answer, err := wire.DecodeStoresAnswer([]byte(body), 3)
	if status != 200 || err != nil || !slices.Equal(answer.Stored, []bool{false, true, false}) {
		t.Errorf("%d %v (%v)", status, answer.Stored, err)
	}
	w.want(wire.LookupHit, "the one that can be stored")
}

func TestStoresTogetherAreChecked(t *testing.T) {
	w := newMemoryWorld(t, nil)
	ticket := w.look().Ticket
	for want, stores := range map[string][][]byte{
		"bad request: no stores, want 1 to 16\n":                                         nil,
		"bad request: store 2 of 2: wire: not a valid frame: cut short\n":                {w.storeFrame(ticket, 1000), nil},
		"bad request: store with a TTL of 0 ms, want 1 to 2592000000\n":                  {w.storeFrame(ticket, 0)},
		"bad request: key is not one of policy \"chat\", as wire.EntryKey builds them\n": {wire.StoreRequest{Scope: w.scope, Key: "session:1", TTL: 1, Entry: entryOf(ticket)}.Encode(), w.storeFrame(ticket, 0)},
	} {
		status, body := call(w, "POST", wire.PathStores, "", wire.StoresRequest{Stores: stores}.Encode())
		if status != http.StatusBadRequest || body != want {
			t.Errorf("%d %q, want 400 %q", status, body, want)
		}
	}
	w.want(wire.LookupMiss, "nothing was stored")
}

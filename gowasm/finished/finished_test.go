package finished

import "testing"

func TestSet(t *testing.T) {
	Add(3)
	Add(Slots + 4)
	for slot, want := range map[int]uint32{3: 3, 4: Slots + 4, 5: 0} {
		if set.Slots[slot] != want {
			t.Errorf("slot %d is %d, want %d", slot, set.Slots[slot], want)
		}
	}
	Add(Slots + 3) // in the place of 3
	Remove(3)      // isn't there any more
	Remove(Slots + 4)
	if set.Slots[3] != Slots+3 || set.Slots[4] != 0 {
		t.Errorf("slots %d and %d, want %d and 0", set.Slots[3], set.Slots[4], Slots+3)
	}
}

package l1

// SharePlace tells whether two groups are remembered in one place.
func SharePlace(a, b Slot) bool { return a.place() == b.place() }

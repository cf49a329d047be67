package wire

// JoinRequest is a lookup of a VM that the registry may not know yet: the VM is registered
// first, as by a poll without a hold. Both are of one policy.
type JoinRequest struct {
	Follow FollowRequest
	Lookup LookupRequest
}

// JoinAnswer is the answer to a JoinRequest; the controls are of a moment before the
// lookup's, after the VM was registered.
type JoinAnswer struct {
	Controls Controls
	Lookup   LookupAnswer
}

// Encode gives the frame.
func (m JoinRequest) Encode() []byte {
	w := newWriter(kindJoin, 256+len(m.Lookup.Key)+64*len(m.Lookup.Groups))
	w.follow(m.Follow)
	w.lookup(m.Lookup)
	return w.buf
}

// DecodeJoinRequest reads the frame.
func DecodeJoinRequest(frame []byte) (JoinRequest, error) {
	r := newReader(frame, kindJoin)
	m := JoinRequest{Follow: r.follow()}
	m.Lookup = r.lookup(m.Follow.Scope)
	return m, r.finish()
}

// Encode gives the frame.
func (m JoinAnswer) Encode() []byte {
	w := newWriter(kindJoinAnswer, 64+len(m.Lookup.Entry))
	w.controls(m.Controls)
	w.lookupAnswer(m.Lookup)
	return w.buf
}

// DecodeJoinAnswer reads the frame; the entry aliases it.
func DecodeJoinAnswer(frame []byte) (JoinAnswer, error) {
	r := newReader(frame, kindJoinAnswer)
	m := JoinAnswer{Controls: r.controls(), Lookup: r.lookupAnswer()}
	return m, r.finish()
}

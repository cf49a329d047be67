package httpcache

// PlanCopy says what the body of a response must look like to be known whole, whether
// or not it may be stored. end tells that it has no body.
func PlanCopy(f Fields, end, anyFraming bool) (Plan, Reason) {
	length, reason := bodyLength(f, end, anyFraming)
	return Plan{Length: length}, reason
}

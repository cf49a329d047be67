package policy

// Request is what keys and identities are made of.
type Request interface {
	Method() string
	Scheme() string // as it was sent; "" where it isn't known: then the one in X-Forwarded-Proto, or http
	Authority() string
	Path() string // the raw :path, query and all
	// Header gives all values of a field, in order, until it is called again; name is lower case.
	Header(name string) []string
	// Steered is the most that [Steers] says of any of its fields, or more.
	Steered() Steering
	// Property reads one of Envoy's properties.
	Property(path ...string) ([]byte, bool)
}

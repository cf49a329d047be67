package policy

// Request is what keys and identities are made of.
type Request interface {
	Method() string
	Scheme() string // in any case; "" where it isn't known: then the one in X-Forwarded-Proto, or http
	Authority() string
	Path() string // the raw :path, query and all
	// Header gives all values of a field, in order, until it is called again; name is lower case.
	Header(name string) []string
	// Steered tells whether the request may have a field for which [Steers] is true.
	Steered() bool
	// Property reads one of Envoy's properties.
	Property(path ...string) ([]byte, bool)
}

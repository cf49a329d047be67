package policy

import "strings"

// fakeRequest is a request in tests.
type fakeRequest struct {
	method, authority, path string
	scheme                  string
	headers                 map[string][]string
	properties              map[string]string
}

func (r *fakeRequest) Method() string              { return r.method }
func (r *fakeRequest) Authority() string           { return r.authority }
func (r *fakeRequest) Scheme() string              { return r.scheme }
func (r *fakeRequest) Path() string                { return r.path }
func (r *fakeRequest) Steered() Steering           { return Disguised }
func (r *fakeRequest) Header(name string) []string { return r.headers[name] }

func (r *fakeRequest) Property(path ...string) ([]byte, bool) {
	v, ok := r.properties[strings.Join(path, "/")]
	return []byte(v), ok
}

func get(path string) *fakeRequest {
	return &fakeRequest{method: "GET", authority: "h", path: path, headers: map[string][]string{}}
}

// Package policy reads the policy: the JSON document that says which responses of an API are cached, for
// whom, for how long, and which requests invalidate them.
package policy

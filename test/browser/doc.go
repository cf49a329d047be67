// Package browser tests the bridge's page in a real Chromium. It is a module of its own: what
// drives the browser stays out of the product's dependencies.
package browser

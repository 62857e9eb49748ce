// Package discovery holds the kinds of discovery.k8s.io: where services are found.
//
// It follows the laws of package core beside it: one function a kind, all that is particular to it in its files; endpoints.go judges the
// endpoints, of which a slice may have a thousand.
package discovery

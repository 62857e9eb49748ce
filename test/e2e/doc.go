// Package e2e tries floe as its users get it: the built program, real containers, kubectl.
//
// The tests run in a network and a mount namespace of their own, so that links, addresses and mounts end with them; cgroups
// stand below one root of the run's own, which is emptied at the end, also after a failure.
package e2e

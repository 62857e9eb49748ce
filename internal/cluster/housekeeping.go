package cluster

import "slices"

// Housekeeping are the controllers, in the terms of Controllers.Enabled, of a control plane whose tests set by hand what other controllers would work out: a
// namespace that is deleted goes, with what is in it; what nobody owns any more goes; service accounts and quotas are as in any cluster. None of them makes an
// object that a test of something else could stumble over, but for the service account "default" of each namespace.
func Housekeeping() []string {
	return []string{"namespace-controller", "garbage-collector-controller", "serviceaccount-controller", "serviceaccount-token-controller", "resourcequota-controller"}
}

// AddNodes adds n nodes that do not exist to a control plane, and what keeps nodes' taints: a new node has one until it has said that it is ready. n is not negative.
func (c *Config) AddNodes(n int) {
	c.Simulation.Nodes = n
	if n > 0 {
		c.Controllers.Enabled = append(slices.Clone(c.Controllers.Enabled), "node-lifecycle-controller")
	}
}

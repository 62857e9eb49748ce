package cluster

// Housekeeping are the controllers, in the terms of Controllers.Enabled, of a control plane whose tests set by hand what other controllers would work out: a
// namespace that is deleted goes, with what is in it; what nobody owns any more goes; service accounts and quotas are as in any cluster. None of them makes an
// object that a test of something else could stumble over, but for the service account "default" of each namespace.
func Housekeeping() []string {
	return []string{"namespace-controller", "garbage-collector-controller", "serviceaccount-controller", "serviceaccount-token-controller", "resourcequota-controller"}
}

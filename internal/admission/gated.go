package admission

// gated are plug-ins of upstream's that act only with feature gates which are off in v1.36, and which floe has as off alone: GenericWorkload (pod groups),
// WorkloadWithJob and ClusterTrustBundle.
var gated = [...]string{"PodGroupProtection", "ClusterTrustBundleAttest", "PodGroupWorkloadExists", "JobValidation"}

// Gated returns plug-ins that do nothing, since their gates are off, and can be named all the same.
func Gated() (list []Plugin) {
	for _, name := range gated {
		list = append(list, Plugin{Name: name})
	}
	return list
}

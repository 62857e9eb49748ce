package admission

import (
	"fmt"
	"slices"
)

// order is upstream's, of all the plug-ins that it has.
var order = [...]string{
	"AlwaysAdmit",
	"NamespaceAutoProvision",
	"NamespaceLifecycle",
	"NamespaceExists",
	"LimitPodHardAntiAffinityTopology",
	"LimitRanger",
	"ServiceAccount",
	"NodeRestriction",
	"TaintNodesByCondition",
	"AlwaysPullImages",
	"ImagePolicyWebhook",
	"PodSecurity",
	"PodNodeSelector",
	"Priority",
	"DefaultTolerationSeconds",
	"PodTolerationRestriction",
	"EventRateLimit",
	"ExtendedResourceToleration",
	"DefaultStorageClass",
	"StorageObjectInUseProtection",
	"PodGroupProtection",
	"OwnerReferencesPermissionEnforcement",
	"PersistentVolumeClaimResize",
	"RuntimeClass",
	"CertificateApproval",
	"CertificateSigning",
	"ClusterTrustBundleAttest",
	"CertificateSubjectRestriction",
	"DefaultIngressClass",
	"DenyServiceExternalIPs",
	"PodTopologyLabels",
	"PodGroupWorkloadExists",
	"NodeDeclaredFeatureValidator",
	"JobValidation",
	"PodResizeValidator",

	// What others configure comes after what is built in, and sees what that made of the object.
	"MutatingAdmissionPolicy",
	"MutatingAdmissionWebhook",
	"ValidatingAdmissionPolicy",
	"ValidatingAdmissionWebhook",
	// What is counted is what nothing else has refused.
	"ResourceQuota",
	"AlwaysDeny",
}

// Order lists the names of all of upstream's plug-ins, in the order in which they are asked. It is the caller's.
func Order() []string { return slices.Clone(order[:]) }

// rank is the place of a plug-in in the order; -1: upstream has none of the name.
func rank(name string) int { return slices.Index(order[:], name) }

// ordered returns a copy of list in upstream's order. It panics when one has a name that upstream does not know.
func ordered(list []Plugin) []Plugin {
	for _, p := range list {
		if rank(p.Name) < 0 {
			panic(fmt.Sprintf("admission plug-in %q has no place in the order", p.Name))
		}
	}
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(a, b Plugin) int { return rank(a.Name) - rank(b.Name) })
	return out
}

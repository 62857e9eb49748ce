package core

import (
	"crypto/tls"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
	"github.com/floe-k8s/floe/internal/kinds/volumespec"
)

// This file is what who writes an object of the core group is told, though it is taken.

// podWarnings tell who makes a pod. Who changes one is no person, mostly.
func podWarnings(obj, old kinds.Object) []string {
	if old != nil {
		return nil
	}
	return podspec.PodWarnings(obj.(*corev1.Pod))
}

func podTemplateWarnings(obj, old kinds.Object) []string {
	return podspec.WorkloadWarnings(obj, old, &obj.(*corev1.PodTemplate).Template, false, field.NewPath("template"))
}

// controllerWarnings tell of a changed controller's old template, as upstream does.
func controllerWarnings(obj, old kinds.Object) []string {
	t := obj.(*corev1.ReplicationController).Spec.Template
	if old != nil {
		t = old.(*corev1.ReplicationController).Spec.Template
	}
	if t == nil {
		return nil
	}
	return podspec.WorkloadWarnings(obj, old, t, true, field.NewPath("spec", "template"))
}

func serviceWarnings(obj, _ kinds.Object) (list []string) {
	svc, path := obj.(*corev1.Service), field.NewPath("spec")
	s := &svc.Spec
	add := func(when bool, text string) {
		if when {
			list = append(list, text)
		}
	}
	_, hints := svc.Annotations[corev1.DeprecatedAnnotationTopologyAwareHints]
	add(hints, fmt.Sprintf("annotation %s is deprecated, please use %s instead", corev1.DeprecatedAnnotationTopologyAwareHints, corev1.AnnotationTopologyMode))
	if s.ClusterIP != "" && s.ClusterIP != corev1.ClusterIPNone {
		for i, ip := range s.ClusterIPs {
			list = append(list, utilvalidation.GetWarningsForIP(path.Child("clusterIPs").Index(i), ip)...)
		}
	}
	headless, elsewhere := s.Type == corev1.ServiceTypeClusterIP && s.ClusterIP == corev1.ClusterIPNone, s.Type == corev1.ServiceTypeExternalName
	outside := len(s.ExternalIPs) > 0
	add(headless && s.LoadBalancerIP != "", "spec.loadBalancerIP is ignored for headless services")
	add(headless && outside, "spec.externalIPs is ignored for headless services")
	add(headless && s.SessionAffinity != corev1.ServiceAffinityNone, "spec.SessionAffinity is ignored for headless services")
	for i, ip := range s.ExternalIPs {
		list = append(list, utilvalidation.GetWarningsForIP(path.Child("externalIPs").Index(i), ip)...)
	}
	add(outside && !headless && !elsewhere, "spec.externalIPs is deprecated and may no longer be implemented in some clusters")
	if s.LoadBalancerIP != "" {
		list = append(list, utilvalidation.GetWarningsForIP(path.Child("loadBalancerIP"), s.LoadBalancerIP)...)
	}
	for i, cidr := range s.LoadBalancerSourceRanges {
		list = append(list, utilvalidation.GetWarningsForCIDR(path.Child("loadBalancerSourceRanges").Index(i), cidr)...)
	}
	add(elsewhere && outside, `spec.externalIPs is ignored when spec.type is "ExternalName"`)
	add(!elsewhere && s.ExternalName != "", `spec.externalName is ignored when spec.type is not "ExternalName"`)
	near := s.TrafficDistribution
	add(near != nil && *near == corev1.ServiceTrafficDistributionPreferClose, `spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"`)
	return list
}

func volumeWarnings(obj, _ kinds.Object) (list []string) {
	pv := obj.(*corev1.PersistentVolume)
	for _, old := range []struct{ key, msg string }{
		{corev1.BetaStorageClassAnnotation, `deprecated since v1.8; use "storageClassName" attribute instead`},
		{mountOptions, `deprecated since v1.31; use "mountOptions" attribute instead`},
	} {
		if _, ok := pv.Annotations[old.key]; ok {
			list = append(list, fmt.Sprintf("metadata.annotations[%s]: %s", old.key, old.msg))
		}
	}
	s := &pv.Spec
	if s.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRecycle {
		list = append(list, "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.")
	}
	if s.NodeAffinity != nil && s.NodeAffinity.Required != nil {
		for i, term := range s.NodeAffinity.Required.NodeSelectorTerms {
			list = append(list, podspec.NodeTermWarnings(term, false, field.NewPath("spec", "nodeAffinity", "required", "nodeSelectorTerms").Index(i))...)
		}
	}
	for _, old := range []struct {
		set       bool
		name, msg string
	}{
		{s.CephFS != nil, "cephfs", "deprecated in v1.28, non-functional in v1.31+"},
		{s.PhotonPersistentDisk != nil, "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"},
		{s.ScaleIO != nil, "scaleIO", "deprecated in v1.16, non-functional in v1.22+"},
		{s.StorageOS != nil, "storageOS", "deprecated in v1.22, non-functional in v1.25+"},
		{s.Glusterfs != nil, "glusterfs", "deprecated in v1.25, non-functional in v1.26+"},
		{s.RBD != nil, "rbd", "deprecated in v1.28, non-functional in v1.31+"},
	} {
		if old.set {
			list = append(list, "spec."+old.name+": "+old.msg)
		}
	}
	return list
}

func claimWarnings(obj, _ kinds.Object) (list []string) {
	c := obj.(*corev1.PersistentVolumeClaim)
	if _, ok := c.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		list = append(list, fmt.Sprintf(`metadata.annotations[%s]: deprecated since v1.8; use "storageClassName" attribute instead`, corev1.BetaStorageClassAnnotation))
	}
	return append(list, volumespec.ClaimWarnings(&c.Spec, field.NewPath("spec"))...)
}

func nodeWarnings(obj, _ kinds.Object) (list []string) {
	s := &obj.(*corev1.Node).Spec
	//lint:ignore SA1019 clients may still send it, and are told
	if s.ConfigSource != nil {
		list = append(list, "spec.configSource: the feature is removed")
	}
	if s.DoNotUseExternalID != "" {
		list = append(list, "spec.externalID: this field is deprecated, and is unused by Kubernetes")
	}
	for i, cidr := range s.PodCIDRs {
		list = append(list, utilvalidation.GetWarningsForCIDR(field.NewPath("spec", "podCIDRs").Index(i), cidr)...)
	}
	return list
}

// secretWarnings tell of a key and a certificate that do not belong together.
func secretWarnings(obj, _ kinds.Object) []string {
	s := obj.(*corev1.Secret)
	if s.Type != corev1.SecretTypeTLS {
		return nil
	}
	if _, err := tls.X509KeyPair(s.Data[corev1.TLSCertKey], s.Data[corev1.TLSPrivateKeyKey]); err != nil {
		return []string{err.Error()}
	}
	return nil
}

func accountWarnings(obj, old kinds.Object) []string {
	const key = "kubernetes.io/enforce-mountable-secrets"
	if old != nil {
		if _, ok := old.GetAnnotations()[key]; ok {
			return nil
		}
	}
	if _, ok := obj.GetAnnotations()[key]; !ok {
		return nil
	}
	return []string{"metadata.annotations[" + key + "]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"}
}

// quotaWarnings tell who makes a quota of requests that no limit lets be used.
func quotaWarnings(obj, old kinds.Object) (list []string) {
	if old != nil {
		return nil
	}
	hard := obj.(*corev1.ResourceQuota).Spec.Hard
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceStorage, corev1.ResourceEphemeralStorage} {
		asked := "requests." + name
		request, ok := hard[asked]
		if !ok && (name == corev1.ResourceCPU || name == corev1.ResourceMemory) {
			asked = name
			request, ok = hard[asked]
		}
		limit, limited := hard["limits."+name]
		if ok && limited && request.Cmp(limit) > 0 {
			list = append(list, fmt.Sprintf("ResourceQuota %s (%s) should be less than limits.%s (%s)", asked, request.String(), name, limit.String()))
		}
	}
	return list
}

// endpointsWarnings are not for what the controller makes of services: who wrote those addresses is told with them.
func endpointsWarnings(obj, _ kinds.Object) (list []string) {
	//lint:ignore SA1019 clients still use it
	e := obj.(*corev1.Endpoints)
	if e.Labels["endpoints.kubernetes.io/managed-by"] == "endpoint-controller" {
		return nil
	}
	for i, set := range e.Subsets {
		at := field.NewPath("subsets").Index(i)
		for j, a := range set.Addresses {
			list = append(list, utilvalidation.GetWarningsForIP(at.Child("addresses").Index(j).Child("ip"), a.IP)...)
		}
		for j, a := range set.NotReadyAddresses {
			list = append(list, utilvalidation.GetWarningsForIP(at.Child("notReadyAddresses").Index(j).Child("ip"), a.IP)...)
		}
	}
	return list
}

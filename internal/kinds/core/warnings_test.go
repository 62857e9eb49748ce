package core_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/core"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func TestWarningsOfTheCore(t *testing.T) {
	for name, c := range map[string]struct {
		kind *kinds.Kind
		obj  kinds.Object
		want []string
	}{
		"recycled": {core.PersistentVolume(), &corev1.PersistentVolume{Spec: corev1.PersistentVolumeSpec{PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRecycle}}, []string{
			"spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.",
		}},
		"claim of old": {core.PersistentVolumeClaim(), &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{corev1.BetaStorageClassAnnotation: "a"}}}, []string{
			`metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use "storageClassName" attribute instead`,
		}},
		"external": {core.Service(core.ServiceNetwork{}), &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, ExternalIPs: []string{"1.2.3.4"}}}, []string{
			"spec.externalIPs is deprecated and may no longer be implemented in some clusters",
		}},
		"headless": {core.Service(core.ServiceNetwork{}), &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: "None", SessionAffinity: corev1.ServiceAffinityClientIP}}, []string{
			"spec.SessionAffinity is ignored for headless services",
		}},
		"odd range": {core.Node(), &corev1.Node{Spec: corev1.NodeSpec{PodCIDRs: []string{"10.0.0.1/24"}}}, []string{
			`spec.podCIDRs[0]: CIDR value "10.0.0.1/24" is ambiguous in this context (should be "10.0.0.0/24" or "10.0.0.1/32"?)`,
		}},
		"no key": {core.Secret(), &corev1.Secret{Type: corev1.SecretTypeTLS}, []string{"tls: failed to find any PEM data in certificate input"}},
		"quota": {core.ResourceQuota(), &corev1.ResourceQuota{Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"cpu": resource.MustParse("2"), "limits.cpu": resource.MustParse("1")}}}, []string{
			"ResourceQuota cpu (2) should be less than limits.cpu (1)",
		}},
	} {
		kindtest.Same(t, name, c.kind.Warnings(c.obj, nil), c.want)
	}
}

package volumes

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// Names of upstream's plug-ins that this package answers for.
const (
	VolumeRestrictions = "VolumeRestrictions"
	NodeVolumeLimits   = "NodeVolumeLimits"
	VolumeBinding      = "VolumeBinding"
	VolumeZone         = "VolumeZone"
)

// Reasons, upstream's.
const (
	reasonDisk        = "node(s) had no available disk"
	reasonOncePod     = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
	reasonLimit       = "node(s) exceed max volume count"
	reasonAffinity    = "node(s) didn't match PersistentVolume's node affinity"
	reasonNoMatch     = "node(s) didn't find available persistent volumes to bind"
	reasonNoSpace     = "node(s) did not have enough free storage"
	reasonNoVolume    = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
	reasonImmediate   = "pod has unbound immediate PersistentVolumeClaims"
	reasonZone        = "node(s) had no available volume zone"
	reasonNoClaim     = "PersistentVolumeClaim had no name"
	reasonNoClass     = "PersistentVolumeClaim had no pv name and storageClass name"
	reasonNotAssigned = "PersistentVolume had no name"
)

// Names are the plug-ins in the order of upstream's default profile, where they stand between NodeResourcesFit and PodTopologySpread.
func Names() []string {
	return []string{VolumeRestrictions, NodeVolumeLimits, VolumeBinding, VolumeZone}
}

func refuse(code place.Code, reasons ...string) *place.Status {
	return &place.Status{Code: code, Reasons: reasons}
}

// never is a pod that fits nowhere.
func never(reason string) place.Prepared {
	return place.Prepared{Refuse: refuse(place.Unresolvable, reason)}
}

// everywhere is a pod that every node refuses in the same way.
func everywhere(s *place.Status) place.Prepared {
	return place.Prepared{Key: s.Code.String() + s.Message(), Filter: func(place.Site) *place.Status { return s }}
}

// ownedBy says whether a claim was made for a pod's ephemeral volume.
func ownedBy(c *corev1.PersistentVolumeClaim, pod metav1.Object) bool {
	return c.Namespace == pod.GetNamespace() && metav1.IsControlledBy(c, pod)
}

func notOwned(claim fmt.Stringer, namespace, pod string) string {
	return fmt.Sprintf("PVC %s was not created for pod %s/%s (pod is not owner)", claim, namespace, pod)
}

// modeUnset is upstream's word for a class that does not say when to bind, which no API stores.
func modeUnset(class string) string {
	return fmt.Sprintf("VolumeBindingMode not set for StorageClass %q", class)
}

// keyWriter writes keys that are equal only if all their parts are.
type keyWriter struct{ strings.Builder }

func (w *keyWriter) str(s string) {
	w.WriteString(strconv.Itoa(len(s)))
	w.WriteByte(':')
	w.WriteString(s)
}

func (w *keyWriter) num(n uint64) {
	w.WriteString(strconv.FormatUint(n, 36))
	w.WriteByte(';')
}

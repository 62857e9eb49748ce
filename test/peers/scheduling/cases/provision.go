package cases

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// unboundVolumes are claims that wait: for free volumes, local and not, or for a volume to be made, where there is capacity; claims that do not
// wait; and none at all.
var unboundVolumes = trait{before: func(w *world) { classes(w); w.freeVolumes(); w.capacities() }, asked: func(w *world, p *corev1.Pod) {
	for range w.between(1, 2) {
		switch w.r.IntN(30) {
		case 0:
			useClaim(p, "claim-missing")
		case 1:
			w.use(p, w.claim(p.Namespace, "now")) // unbound, and it does not wait
		case 2:
			w.use(p, w.claim(p.Namespace, "absent"))
		case 3:
			pvc := w.claim(p.Namespace, one(w, "wait", "capacity"))
			pvc.Annotations = map[string]string{selected: fmt.Sprintf("n%02d", w.between(0, 4))}
			w.use(p, pvc)
		case 4:
			pvc := w.claim(p.Namespace, "wait")
			pvc.DeletionTimestamp, pvc.Finalizers = new(metav1.NewTime(epoch)), []string{"kubernetes.io/pvc-protection"}
			w.use(p, pvc)
		case 5:
			w.ephemeral(p)
		default:
			pvc := w.claim(p.Namespace, one(w, "wait", "regional", "local", "local", "capacity", "capacity"))
			if w.once(4) {
				pvc.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"grade": "gold"}}
			}
			if w.once(8) {
				pvc.Spec.VolumeMode = new(corev1.PersistentVolumeBlock)
			}
			w.use(p, pvc)
		}
	}
}}

// freeVolumes are volumes that claims may get, most of them on one node's disk.
func (w *world) freeVolumes() {
	for range w.between(2, 12) {
		class := one(w, "local", "local", "local", "wait", "now")
		modes := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
		if w.once(2) {
			modes = append(modes, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOncePod)
		}
		pv := w.freeVolume(class, modes, bytesOf(int64(w.between(1, 30))*gibi))
		if class == "local" {
			pv.Spec.NodeAffinity = volumeAffinity(corev1.LabelHostname, fmt.Sprintf("n%02d", w.between(0, 6)))
			pv.Spec.PersistentVolumeSource = corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/disk"}}
		} else if w.once(2) {
			pv.Spec.NodeAffinity = volumeAffinity(corev1.LabelTopologyZone, one(w, zones...))
		}
		if w.once(3) {
			pv.Labels = map[string]string{"grade": one(w, "gold", "silver")}
		}
		if w.once(8) {
			pv.Status.Phase = corev1.VolumeReleased
		}
		w.add(pv)
	}
}

// capacities say where the driver of the class "capacity" can make volumes, and how large.
func (w *world) capacities() {
	for i := range w.between(0, 5) {
		c := &storagev1.CSIStorageCapacity{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("capacity-%d", i), Namespace: "default", UID: w.uid()}, StorageClassName: one(w, "capacity",
				"capacity", "wait"),
			NodeTopology: one(w, nil, &metav1.LabelSelector{},
				&metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelTopologyZone: one(w, zones...)}},
				&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{in("disk", some(w, 2, valuesOf("disk"))...)}}),
			Capacity: new(bytesOf(int64(w.between(1, 30)) * gibi)),
		}
		if w.once(3) {
			c.MaximumVolumeSize = new(bytesOf(int64(w.between(1, 20)) * gibi))
		}
		if w.once(8) {
			c.Capacity = nil
		}
		w.add(c)
	}
}

// ephemeral gives a pod a volume of its own, whose claim has been made, has been made by another, or not yet.
func (w *world) ephemeral(p *corev1.Pod) {
	name := fmt.Sprintf("v%d", len(p.Spec.Volumes))
	template := &corev1.PersistentVolumeClaimTemplate{Spec: corev1.PersistentVolumeClaimSpec{
		StorageClassName: new("wait"),
		AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, VolumeMode: new(corev1.PersistentVolumeFilesystem),
		Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: bytesOf(gibi)}},
	}}
	p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{
		Name: name, VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: template}},
	})
	if w.once(3) {
		return
	}
	pvc := w.claim(p.Namespace, "wait")
	pvc.Name = p.Name + "-" + name
	if !w.once(4) {
		pvc.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: p.Name, UID: p.UID, Controller: new(true)}}
	}
}

// volumeLimits are nodes that can attach only so many volumes, some of which are attached for pods that are gone, and volumes of the kinds that
// count.
var volumeLimits = trait{
	before: classes,
	node: func(w *world, n *corev1.Node) {
		if w.once(5) {
			return
		}
		csi := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: n.Name, UID: w.uid()}}
		if w.once(6) {
			csi.Annotations = map[string]string{"storage.alpha.kubernetes.io/migrated-plugins": "kubernetes.io/aws-ebs,kubernetes.io/gce-pd"}
		}
		for _, driver := range some(w, w.between(1, 3), []string{csiDriver, otherDriver, "ebs.csi.aws.com"}) {
			d := storagev1.CSINodeDriver{Name: driver, NodeID: n.Name}
			if !w.once(4) {
				d.Allocatable = &storagev1.VolumeNodeResources{Count: new(int32(w.between(0, 3)))}
			}
			csi.Spec.Drivers = append(csi.Spec.Drivers, d)
		}
		w.add(csi)
		for range w.between(0, 2) {
			w.attached(n.Name)
		}
	},
	pod: func(w *world, p *corev1.Pod) {
		for range w.between(0, 2) {
			if w.once(5) {
				p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: fmt.Sprintf("v%d", len(p.Spec.Volumes)), VolumeSource: corev1.VolumeSource{
					AWSElasticBlockStore: &corev1.AWSElasticBlockStoreVolumeSource{VolumeID: one(w, "vol-1", "vol-2", "vol-3"), ReadOnly: true},
				}})
				continue
			}
			if w.once(4) && w.sharedClaim(p) {
				continue
			}
			pvc := w.claim(p.Namespace, "wait")
			if !w.once(4) {
				pv := w.volume(pvc)
				pv.Spec.CSI.Driver = one(w, csiDriver, csiDriver, otherDriver)
				w.add(pv)
			}
			w.use(p, pvc)
		}
	},
}

// attached adds a volume that is attached to a node, whether a pod uses it there or not.
func (w *world) attached(node string) {
	pv := w.freeVolume("wait", []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, bytesOf(gibi))
	w.add(pv, &storagev1.VolumeAttachment{
		ObjectMeta: metav1.ObjectMeta{Name: "attached-" + pv.Name, UID: w.uid()},
		Spec: storagev1.VolumeAttachmentSpec{Attacher: csiDriver, NodeName: node,
			Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: new(pv.Name)}},
		Status: storagev1.VolumeAttachmentStatus{Attached: !w.once(4)},
	})
}

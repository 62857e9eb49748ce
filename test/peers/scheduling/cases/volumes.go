package cases

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	csiDriver   = "disk.example.com"
	otherDriver = "file.example.com"
	bindDone    = "pv.kubernetes.io/bind-completed"
	bindByUs    = "pv.kubernetes.io/bound-by-controller"
	selected    = "volume.kubernetes.io/selected-node"
)

// boundVolumes are claims that have their volume: with node affinity and zone labels, on local disks, and with all access modes; and claims that
// went wrong.
var boundVolumes = trait{before: classes, pod: func(w *world, p *corev1.Pod) {
	for range w.between(0, 2) {
		if w.once(2) && w.sharedClaim(p) {
			continue
		}
		pvc := w.claim(p.Namespace, one(w, "wait", "now", "regional"))
		pv := w.volume(pvc)
		if w.once(25) {
			pvc.Spec.VolumeName = "pv-missing"
		}
		if w.once(25) { // its volume is another claim's
			pv.Spec.ClaimRef.UID = "00000000-0000-4000-9000-00000000dead"
		}
		w.restrict(pv)
		w.add(pv)
		w.use(p, pvc)
	}
}}

// classes are storage classes of both binding modes, and drivers.
func classes(w *world) {
	if w.claims > 0 {
		return
	}
	w.claims = 1
	now, wait := storagev1.VolumeBindingImmediate, storagev1.VolumeBindingWaitForFirstConsumer
	class := func(name, provisioner string, mode storagev1.VolumeBindingMode, allowed ...string) {
		c := &storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{Name: name, UID: w.uid()}, Provisioner: provisioner, VolumeBindingMode: &mode,
			ReclaimPolicy: new(corev1.PersistentVolumeReclaimDelete),
		}
		if len(allowed) > 0 {
			in := []corev1.TopologySelectorLabelRequirement{{Key: corev1.LabelTopologyZone, Values: allowed}}
			c.AllowedTopologies = []corev1.TopologySelectorTerm{{MatchLabelExpressions: in}}
		}
		w.add(c)
	}
	class("now", csiDriver, now)
	class("wait", csiDriver, wait)
	class("regional", csiDriver, wait, some(w, 2, zones)...)
	class("local", "kubernetes.io/no-provisioner", wait)
	class("capacity", otherDriver, wait)
	for _, driver := range []string{csiDriver, otherDriver} {
		w.add(&storagev1.CSIDriver{
			ObjectMeta: metav1.ObjectMeta{Name: driver, UID: w.uid()},
			Spec:       storagev1.CSIDriverSpec{AttachRequired: new(true), StorageCapacity: new(driver == otherDriver)},
		})
	}
}

// claim makes a claim without a volume, and adds it.
func (w *world) claim(namespace, class string) *corev1.PersistentVolumeClaim {
	w.claims++
	pvc := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("claim-%d", w.claims), Namespace: namespace, UID: w.uid(), CreationTimestamp: metav1.NewTime(epoch)},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: new(class), VolumeMode: new(corev1.PersistentVolumeFilesystem),
			AccessModes: []corev1.PersistentVolumeAccessMode{one(w, corev1.ReadWriteOnce, corev1.ReadWriteOnce, corev1.ReadWriteMany, corev1.ReadOnlyMany,
				corev1.ReadWriteOncePod)},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: bytesOf(int64(w.between(1, 20)) * gibi)}},
		},
		Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending},
	}
	w.add(pvc)
	return pvc
}

// volume makes the volume that a claim is bound to.
func (w *world) volume(pvc *corev1.PersistentVolumeClaim) *corev1.PersistentVolume {
	pv := w.freeVolume(*pvc.Spec.StorageClassName, pvc.Spec.AccessModes, pvc.Spec.Resources.Requests[corev1.ResourceStorage])
	pv.Status.Phase = corev1.VolumeBound
	pv.Annotations = map[string]string{bindByUs: "yes"}
	pv.Spec.ClaimRef = &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: pvc.Namespace, Name: pvc.Name, UID: pvc.UID}
	pvc.Spec.VolumeName = pv.Name
	pvc.Annotations = map[string]string{bindDone: "yes", bindByUs: "yes"}
	pvc.Status.Phase = corev1.ClaimBound
	return pv
}

// freeVolume makes a volume that no claim has.
func (w *world) freeVolume(class string, modes []corev1.PersistentVolumeAccessMode, size resource.Quantity) *corev1.PersistentVolume {
	w.claims++
	name := fmt.Sprintf("pv-%d", w.claims)
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: w.uid(), CreationTimestamp: metav1.NewTime(epoch)},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: corev1.ResourceList{corev1.ResourceStorage: size}, AccessModes: modes, StorageClassName: class,
			VolumeMode:                    new(corev1.PersistentVolumeFilesystem),
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: csiDriver,
				VolumeHandle: "handle-" + name}},
		},
		Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeAvailable},
	}
}

// restrict ties a volume to some nodes, by affinity, or by the zone labels that old volumes have.
func (w *world) restrict(pv *corev1.PersistentVolume) {
	switch w.r.IntN(5) {
	case 0:
		pv.Spec.NodeAffinity = volumeAffinity(corev1.LabelTopologyZone, some(w, w.between(1, 2), zones)...)
	case 1:
		pv.Labels = map[string]string{one(w, corev1.LabelTopologyZone, corev1.LabelFailureDomainBetaZone): one(w, "z1", "z2", "z1__z3")}
	case 2:
		pv.Spec.NodeAffinity = volumeAffinity(corev1.LabelHostname, fmt.Sprintf("n%02d", w.between(0, 6)))
		pv.Spec.StorageClassName = "local"
		pv.Spec.PersistentVolumeSource = corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/disk"}}
	case 3:
		pv.Labels = map[string]string{corev1.LabelTopologyRegion: one(w, "r1", "r2")}
	}
}

func volumeAffinity(key string, values ...string) *corev1.VolumeNodeAffinity {
	return &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpIn, Values: values}},
	}}}}
}

// use gives a pod a claim.
func (w *world) use(p *corev1.Pod, pvc *corev1.PersistentVolumeClaim) { useClaim(p, pvc.Name) }

func useClaim(p *corev1.Pod, name string) {
	p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{
		Name:         fmt.Sprintf("v%d", len(p.Spec.Volumes)),
		VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}},
	})
}

// sharedClaim gives a pod a claim that another has, if its namespace has any, and says whether.
func (w *world) sharedClaim(p *corev1.Pod) bool {
	var have []string
	for _, o := range w.objects {
		if pvc, ok := o.(*corev1.PersistentVolumeClaim); ok && pvc.Namespace == p.Namespace {
			have = append(have, pvc.Name)
		}
	}
	if len(have) == 0 {
		return false
	}
	name := one(w, have...)
	for _, v := range p.Spec.Volumes {
		if v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == name {
			return true
		}
	}
	useClaim(p, name)
	return true
}

// inlineVolumes are disks that pods name themselves, of the kinds that must not be shared, and claims for one pod only.
var inlineVolumes = trait{before: classes, pod: func(w *world, p *corev1.Pod) {
	for range w.between(0, 2) {
		v := corev1.Volume{Name: fmt.Sprintf("v%d", len(p.Spec.Volumes))}
		disk := one(w, "d1", "d2", "d3")
		readOnly := w.once(2)
		switch w.r.IntN(5) {
		case 0:
			v.GCEPersistentDisk = &corev1.GCEPersistentDiskVolumeSource{PDName: disk, ReadOnly: readOnly}
		case 1:
			v.AWSElasticBlockStore = &corev1.AWSElasticBlockStoreVolumeSource{VolumeID: disk, ReadOnly: readOnly}
		case 2:
			v.ISCSI = &corev1.ISCSIVolumeSource{TargetPortal: "10.0.0.9:3260", IQN: "iqn.2026-01.example:" + disk, ReadOnly: readOnly,
				ISCSIInterface: "default"}
		case 3:
			v.RBD = &corev1.RBDVolumeSource{CephMonitors: some(w, 2, []string{"m1", "m2", "m3"}), RBDImage: disk, RBDPool: one(w, "rbd", "fast"),
				ReadOnly: readOnly}
		default:
			if !w.once(2) || !w.sharedClaim(p) {
				pvc := w.claim(p.Namespace, "wait")
				pvc.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{one(w, corev1.ReadWriteOncePod, corev1.ReadWriteOncePod, corev1.ReadWriteOnce)}
				w.add(w.volume(pvc))
				w.use(p, pvc)
			}
			continue
		}
		p.Spec.Volumes = append(p.Spec.Volumes, v)
	}
}}

package volumes

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func gib(n int) resource.Quantity { return *resource.NewQuantity(int64(n)<<30, resource.BinarySI) }

func (h *history) node(i int) {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("n", i), Labels: map[string]string{corev1.LabelHostname: fmt.Sprint("n", i)}}}
	if h.Intn(6) > 0 {
		n.Labels[corev1.LabelTopologyZone] = h.one("z1", "z2")
	}
	n.Status.Allocatable = corev1.ResourceList{corev1.ResourcePods: resource.MustParse("20")}
	h.set(n)
}

func (h *history) class(name string) {
	c := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, VolumeBindingMode: new(storagev1.VolumeBindingWaitForFirstConsumer)}
	c.Provisioner = map[string]string{"local": noProvisioner, "tracked": trackedDriver}[name]
	c.Provisioner = cmp.Or(c.Provisioner, driver)
	if name == "now" {
		c.VolumeBindingMode = new(storagev1.VolumeBindingImmediate)
	}
	if name == "wait" && h.Intn(2) > 0 {
		c.AllowedTopologies = []corev1.TopologySelectorTerm{{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{
			{Key: corev1.LabelTopologyZone, Values: []string{h.one("z1", "z2")}}}}}
	}
	h.set(c)
}

func (h *history) volume() {
	pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("pv", h.Intn(14))}}
	pv.UID = types.UID(pv.Name)
	if old, ok := h.objects[keyOf(pv)].(*corev1.PersistentVolume); ok && h.Intn(3) > 0 { // only what may change
		pv = old.DeepCopy()
		pv.Status.Phase = corev1.PersistentVolumePhase(h.one("Available", "Available", "Released"))
		h.set(pv)
		return
	}
	pv.Labels = map[string]string{"grade": h.one("gold", "gold", "silver")}
	pv.Spec = corev1.PersistentVolumeSpec{StorageClassName: h.one(classNames()...), AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Capacity: corev1.ResourceList{corev1.ResourceStorage: gib(1 + h.Intn(3))}}
	pv.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: driver, VolumeHandle: h.one("one", "two", "three", "four", "five")}
	if h.Intn(6) == 0 {
		pv.Spec.CSI, pv.Spec.AWSElasticBlockStore = nil, &corev1.AWSElasticBlockStoreVolumeSource{VolumeID: "vol-1"}
		pv.Labels[corev1.LabelTopologyZone] = h.one("z1", "z2", "z1__z2")
	}
	in := func(key string, values ...string) {
		pv.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpIn, Values: values}}}}}}
	}
	switch h.Intn(5) {
	case 0, 1:
		in(corev1.LabelHostname, fmt.Sprint("n", h.Intn(6)))
	case 2, 3:
		in(corev1.LabelTopologyZone, []string{"z1", "z2"}[h.Intn(2):]...)
	}
	if c, ok := some(h, all[*corev1.PersistentVolumeClaim](h)); ok && h.Intn(4) == 0 {
		pv.Spec.ClaimRef = &corev1.ObjectReference{Namespace: c.Namespace, Name: c.Name}
	}
	pv.Status.Phase = corev1.VolumeAvailable
	h.set(pv)
}

func (h *history) claim() {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: fmt.Sprint("c", h.Intn(12))}}
	if _, ok := h.objects[keyOf(c)]; ok {
		return
	}
	c.UID = types.UID(fmt.Sprint(c.Name, "-", h.version))
	c.Spec = corev1.PersistentVolumeClaimSpec{StorageClassName: new(h.one("local", "wait", "tracked", "local", "wait", "tracked", "local", "wait", "tracked", "now", "absent")),
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: gib(1 + h.Intn(3))}}}
	if h.Intn(5) == 0 {
		c.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"grade": "gold"}}
	}
	if h.Intn(6) == 0 {
		c.Spec.AccessModes[0] = corev1.ReadWriteOncePod
	}
	if pv, ok := some(h, all[*corev1.PersistentVolume](h)); ok && h.Intn(4) == 0 {
		bind(c, pv.Name)
	}
	h.set(c)
}

func bind(c *corev1.PersistentVolumeClaim, volume string) {
	c.Spec.VolumeName = volume
	metav1.SetMetaDataAnnotation(&c.ObjectMeta, bindCompleted, "yes")
}

// pod makes a pod of some claims and disks.
func (h *history) pod() *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: fmt.Sprint("p", h.version, "-", h.Intn(1000))}}
	p.UID = types.UID(p.Name)
	for i := range 1 + h.Intn(2) {
		v := corev1.Volume{Name: fmt.Sprint("v", i)}
		if h.Intn(5) == 0 {
			v.AWSElasticBlockStore = &corev1.AWSElasticBlockStoreVolumeSource{VolumeID: h.one("vol-1", "vol-2")}
		} else {
			v.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: fmt.Sprint("c", h.Intn(12))}
			open := slices.DeleteFunc(all[*corev1.PersistentVolumeClaim](h), bound)
			if c, ok := some(h, open); ok && h.Intn(2) > 0 {
				v.PersistentVolumeClaim.ClaimName = c.Name
			}
		}
		p.Spec.Volumes = append(p.Spec.Volumes, v)
	}
	return p
}

func (h *history) csiNode(i int) {
	o := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("n", i)}}
	o.Spec.Drivers = []storagev1.CSINodeDriver{{Name: driver, Allocatable: &storagev1.VolumeNodeResources{Count: new(int32(h.Intn(4)))}},
		{Name: "ebs.csi.aws.com", Allocatable: &storagev1.VolumeNodeResources{Count: new(int32(h.Intn(2)))}}}
	h.set(o)
}

func (h *history) capacity() {
	o := &storagev1.CSIStorageCapacity{ObjectMeta: metav1.ObjectMeta{Namespace: "b", Name: fmt.Sprint("c", h.Intn(4))}, StorageClassName: "tracked",
		NodeTopology: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelTopologyZone: h.one("z1", "z2")}}, Capacity: new(gib(h.Intn(5)))}
	if h.Intn(3) == 0 {
		o.NodeTopology = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: corev1.LabelTopologyZone, Operator: metav1.LabelSelectorOpExists}}}
	}
	h.set(o)
}

func (h *history) attachment() {
	o := &storagev1.VolumeAttachment{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("a", h.Intn(5))}}
	o.Spec = storagev1.VolumeAttachmentSpec{Attacher: driver, NodeName: fmt.Sprint("n", h.Intn(6)),
		Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: new(fmt.Sprint("pv", h.Intn(14)))}}
	h.set(o)
}

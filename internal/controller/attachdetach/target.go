package attachdetach

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/component-helpers/storage/ephemeral"
	csitranslation "k8s.io/csi-translation-lib"
	"k8s.io/klog/v2"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/kinds"
)

// target is a volume of a driver that pods of a node use.
type target struct {
	driver, handle string
	name           string // as people know it
	source         storagev1.VolumeAttachmentSource
	modes          []corev1.PersistentVolumeAccessMode
	migrated       bool // a plug-in's, for which the driver stands in
	users          []*corev1.Pod
}

// plugin begins the unique names of drivers' volumes.
const plugin = "kubernetes.io/csi"

// unique is what nodes call the volume.
func (t target) unique() corev1.UniqueVolumeName {
	return corev1.UniqueVolumeName(plugin + "/" + kinds.AttachedInline(t.driver, t.handle))
}

// attachment is the name of the attachment of the volume to a node.
func attachment(driver, handle, node string) string {
	return fmt.Sprintf("csi-%x", sha256.Sum256([]byte(handle+driver+node)))
}

// attachmentOf is the name of the attachment to a node of a volume that the node calls by its unique name; "": it is of no driver.
func attachmentOf(unique corev1.UniqueVolumeName, node string) string {
	rest, of := strings.CutPrefix(string(unique), plugin+"/")
	driver, handle, ok := strings.Cut(rest, "^")
	if !of || !ok {
		return ""
	}
	return attachment(driver, handle, node)
}

// indexed is where the attachments of the volume stand in kinds.AttachedIndex.
func (t target) indexed() string {
	if t.source.PersistentVolumeName != nil {
		return *t.source.PersistentVolumeName
	}
	return kinds.AttachedInline(t.driver, t.handle)
}

// shared says that several nodes may have the volume, or that nobody knows better.
func (t target) shared() bool {
	return len(t.modes) == 0 || slices.Contains(t.modes, corev1.ReadWriteMany) || slices.Contains(t.modes, corev1.ReadOnlyMany)
}

// targetOf is the volume of a pod; nil: it is none that is attached. unready: it may become one when its claim is bound.
func targetOf(view client.View, pod *corev1.Pod, v *corev1.Volume) (t *target, unready bool) {
	name := pods.ClaimOf(pod, v)
	if name == "" {
		return inline(view, pod, v), false
	}
	c, ok := view.Get(claims(), pod.Namespace, name).(*corev1.PersistentVolumeClaim)
	if !ok || c.Status.Phase != corev1.ClaimBound || c.Spec.VolumeName == "" || v.Ephemeral != nil && ephemeral.VolumeIsForPod(pod, c) != nil {
		return nil, true
	}
	pv, ok := view.Get(volumes(), "", c.Spec.VolumeName).(*corev1.PersistentVolume)
	if !ok || pv.Spec.ClaimRef == nil || pv.Spec.ClaimRef.UID != c.UID {
		return nil, true
	}
	return ofVolume(view, pv), false
}

// ofVolume is a volume; nil when no driver has to attach it.
func ofVolume(view client.View, pv *corev1.PersistentVolume) *target {
	translator, migrated := csitranslation.New(), false
	name := pv.Name
	if translator.IsPVMigratable(pv) {
		translated, err := translator.TranslateInTreePVToCSI(klog.Background(), pv)
		if err != nil {
			return nil
		}
		pv, migrated = translated, true
	}
	t := &target{name: name, source: storagev1.VolumeAttachmentSource{PersistentVolumeName: &name}, modes: pv.Spec.AccessModes, migrated: migrated}
	return t.by(view, pv)
}

// inline is a volume that a pod has without a claim: of a plug-in for which a driver stands in.
func inline(view client.View, pod *corev1.Pod, v *corev1.Volume) *target {
	translator := csitranslation.New()
	if !translator.IsInlineMigratable(v) {
		return nil
	}
	pv, err := translator.TranslateInTreeInlineVolumeToCSI(klog.Background(), v, pod.Namespace)
	if err != nil {
		return nil
	}
	t := &target{name: pv.Name, source: storagev1.VolumeAttachmentSource{InlineVolumeSpec: &pv.Spec}, modes: pv.Spec.AccessModes, migrated: true}
	return t.by(view, pv)
}

// by is t with the driver of a volume; nil when there is none, or it does without attaching.
func (t *target) by(view client.View, pv *corev1.PersistentVolume) *target {
	if pv.Spec.CSI == nil {
		return nil
	}
	t.driver, t.handle = pv.Spec.CSI.Driver, pv.Spec.CSI.VolumeHandle
	driver, ok := view.Get(drivers(), "", t.driver).(*storagev1.CSIDriver)
	if ok && driver.Spec.AttachRequired != nil && !*driver.Spec.AttachRequired {
		return nil
	}
	return t
}

// wanted are the volumes of a node's pods by the names of their attachments. unready: there are pods whose claims are not bound.
func wanted(view client.View, node string) (list map[string]*target, unready bool) {
	list = map[string]*target{}
	for obj := range view.Lookup(pods.Resource(), "spec.nodeName", node) {
		pod := obj.(*corev1.Pod)
		if pods.Stopped(pod) {
			continue
		}
		for i := range pod.Spec.Volumes {
			t, later := targetOf(view, pod, &pod.Spec.Volumes[i])
			unready = unready || later
			if t == nil {
				continue
			}
			name := attachment(t.driver, t.handle, node)
			if list[name] == nil {
				list[name] = t
			}
			list[name].users = append(list[name].users, pod)
		}
	}
	return list, unready
}

// owner is the volume of an attachment of a node, if the controller made it; nil: it is somebody else's. known are the names that the node reports, which tell of
// volumes that are there no longer.
func owner(view client.View, a *storagev1.VolumeAttachment, known map[string]corev1.UniqueVolumeName) (unique corev1.UniqueVolumeName, migrated, ok bool) {
	var t *target
	switch s := a.Spec.Source; {
	case s.PersistentVolumeName != nil:
		if pv, there := view.Get(volumes(), "", *s.PersistentVolumeName).(*corev1.PersistentVolume); there {
			t = ofVolume(view, pv)
		}
	case s.InlineVolumeSpec != nil && s.InlineVolumeSpec.CSI != nil:
		t = &target{driver: s.InlineVolumeSpec.CSI.Driver, handle: s.InlineVolumeSpec.CSI.VolumeHandle, migrated: true}
	}
	if t != nil && attachment(t.driver, t.handle, a.Spec.NodeName) == a.Name {
		return t.unique(), t.migrated, true
	}
	unique, ok = known[a.Name]
	return unique, false, ok
}

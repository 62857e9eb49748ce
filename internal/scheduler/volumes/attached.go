package volumes

import (
	"fmt"
	"iter"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	csitranslation "k8s.io/csi-translation-lib"
	"k8s.io/csi-translation-lib/plugins"
	"k8s.io/klog/v2"
)

// handle is a volume as its driver knows it; the zero value is none.
type handle struct{ driver, id string }

// unique is upstream's name of the volume.
func (h handle) unique() string { return h.driver + "/" + h.id }

// replaced says whether upstream takes an in-tree plug-in's volumes for those of the driver that stands in for it. The rest that the
// translation knows (vSphere, Azure files) it leaves alone.
func replaced(plugin string) bool {
	switch plugin {
	case plugins.AWSEBSInTreePluginName, plugins.PortworxVolumePluginName, plugins.GCEPDInTreePluginName, plugins.AzureDiskInTreePluginName,
		plugins.CinderInTreePluginName:
		return true
	}
	return false
}

// volumePlugin is the in-tree plug-in of a volume that a driver stands in for; "" for others. The sources of such plug-ins are looked at
// first, since the translation is slow to say no.
func volumePlugin(object *corev1.PersistentVolume) string {
	o := &object.Spec
	if o.AWSElasticBlockStore == nil && o.PortworxVolume == nil && o.GCEPersistentDisk == nil && o.AzureDisk == nil && o.Cinder == nil {
		return ""
	}
	plugin, err := csitranslation.New().GetInTreePluginNameFromSpec(object, nil)
	if err != nil || !replaced(plugin) {
		return ""
	}
	return plugin
}

// inlinePlugin is the same of a pod's own volume.
func inlinePlugin(v *corev1.Volume) string {
	if v.AWSElasticBlockStore == nil && v.PortworxVolume == nil && v.GCEPersistentDisk == nil && v.AzureDisk == nil && v.Cinder == nil {
		return ""
	}
	plugin, err := csitranslation.New().GetInTreePluginNameFromSpec(nil, v)
	if err != nil || !replaced(plugin) {
		return ""
	}
	return plugin
}

// handleOf is the zero handle for a volume that no driver attaches.
func handleOf(object *corev1.PersistentVolume, plugin string) handle {
	if plugin != "" {
		var err error
		if object, err = csitranslation.New().TranslateInTreePVToCSI(klog.Background(), object); err != nil {
			return handle{}
		}
	}
	if s := object.Spec.CSI; s != nil && s.VolumeHandle != "" && s.Driver != "" {
		return handle{s.Driver, s.VolumeHandle}
	}
	return handle{}
}

// inlineHandle is the handle of a pod's own volume; zero when no driver attaches it.
func inlineHandle(v *corev1.Volume, namespace string) (handle, error) {
	plugin := inlinePlugin(v)
	if plugin == "" {
		return handle{}, nil
	}
	translator := csitranslation.New()
	object, err := translator.TranslateInTreeInlineVolumeToCSI(klog.Background(), v, namespace)
	if err != nil {
		return handle{}, fmt.Errorf("converting volume(%s) from inline to csi: %w", v.Name, err)
	}
	driver, err := translator.GetCSINameFromInTreeName(plugin)
	if err != nil {
		return handle{}, fmt.Errorf("looking up CSI driver name for provisioner %s: %w", plugin, err)
	}
	if object.Spec.CSI == nil {
		return handle{}, nil
	}
	return handle{driver, object.Spec.CSI.VolumeHandle}, nil
}

// handleOfClaim is the volume that a claim has, or stands for as long as it has none; zero when no driver attaches it.
func (x *Index) handleOfClaim(c *corev1.PersistentVolumeClaim) handle {
	if v := x.volumes[c.Spec.VolumeName]; v != nil && v.object != nil {
		return v.handle
	}
	class := x.classes[className(c)]
	if class == nil || class.object == nil {
		return handle{}
	}
	driver, translator := class.object.Provisioner, csitranslation.New()
	if translator.IsMigratableIntreePluginByName(driver) {
		if !replaced(driver) {
			return handle{}
		}
		driver, _ = translator.GetCSINameFromInTreeName(driver) // which it knows, as it says
	}
	if driver == "" {
		return handle{}
	}
	return handle{driver, "\x00" + c.Namespace + "/" + c.Name} // no driver gives such a one
}

// attached is what a node's volumes are, by the handle's unique name, and how many each driver has.
type attached struct {
	pods   map[string]bool // of pods on the node
	counts map[string]int64
	broken string // what cannot be counted; "" for nothing
}

// SetCSINode adds or updates a CSINode.
func (x *Index) SetCSINode(object *storagev1.CSINode) {
	n := x.nodeOf(object.Name)
	n.csi, n.limits, n.replaced = true, nil, nil
	for _, d := range object.Spec.Drivers {
		if d.Allocatable != nil && d.Allocatable.Count != nil {
			if n.limits == nil {
				n.limits = map[string]int64{}
			}
			n.limits[d.Name] = int64(*d.Allocatable.Count)
		}
	}
	if list := object.Annotations[corev1.MigratedPluginsAnnotationKey]; list != "" {
		n.replaced = strings.Split(list, ",")
	}
	x.recount(n)
}

// RemoveCSINode removes a CSINode; one that is not known is ignored.
func (x *Index) RemoveCSINode(name string) {
	if n := x.nodes[name]; n != nil {
		n.csi, n.limits, n.replaced = false, nil, nil
		x.recount(n)
		x.forgetNode(n)
	}
}

// attachment is a VolumeAttachment of a volume that has a name.
type attachment struct {
	driver string
	node   *node
	volume *volume
}

// SetAttachment adds or updates a VolumeAttachment.
func (x *Index) SetAttachment(object *storagev1.VolumeAttachment) {
	if a := x.attachments[object.Name]; a != nil && a.driver == object.Spec.Attacher && a.node.name == object.Spec.NodeName &&
		a.volume.name == text(object.Spec.Source.PersistentVolumeName) {
		return // its status does not matter
	}
	x.RemoveAttachment(object.Name)
	if object.Spec.Attacher == "" || object.Spec.Source.PersistentVolumeName == nil {
		return
	}
	a := &attachment{driver: object.Spec.Attacher, node: x.nodeOf(object.Spec.NodeName), volume: x.volumeOf(*object.Spec.Source.PersistentVolumeName)}
	x.attachments[object.Name] = a
	a.node.attachments[a], a.volume.attachments[a] = true, true
	x.recount(a.node)
}

// RemoveAttachment removes a VolumeAttachment; one that is not known is ignored.
func (x *Index) RemoveAttachment(name string) {
	a := x.attachments[name]
	if a == nil {
		return
	}
	delete(x.attachments, name)
	delete(a.node.attachments, a)
	delete(a.volume.attachments, a)
	x.recount(a.node)
	x.forgetNode(a.node)
	x.forgetVolume(a.volume)
}

// count says what is attached to a node with some pods. Volumes of attachments count where no pod has them there.
func (x *Index) count(n *node, pods iter.Seq[*pod]) *attached {
	out := &attached{pods: map[string]bool{}, counts: map[string]int64{}}
	add := func(h handle) {
		if h.driver != "" && !out.pods[h.unique()] {
			out.pods[h.unique()] = true
			out.counts[h.driver]++
		}
	}
	for p := range pods {
		for _, c := range p.claims {
			switch {
			case c.object == nil:
			case c.own && !ownedBy(c.object, &p.object.ObjectMeta):
				out.broken = max(out.broken, notOwned(c.name, p.object.Namespace, p.object.Name))
			default:
				add(x.handleOfClaim(c.object))
			}
		}
		for _, h := range p.inline {
			add(h)
		}
		out.broken = max(out.broken, p.broken)
	}
	seen := map[string]bool{}
	for a := range n.attachments {
		object := a.volume.object
		if object == nil || object.Spec.CSI == nil {
			continue
		}
		name := handle{a.driver, object.Spec.CSI.VolumeHandle}.unique()
		if !out.pods[name] && !seen[name] {
			seen[name] = true
			out.counts[a.driver]++
		}
	}
	return out
}

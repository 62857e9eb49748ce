package volumes

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	csitranslation "k8s.io/csi-translation-lib"
	"k8s.io/klog/v2"
)

// volume is a PersistentVolume, or what stands for one that claims or attachments name and that does not exist.
type volume struct {
	name        string
	object      *corev1.PersistentVolume // nil: does not exist
	assumed     *corev1.PersistentVolume // nil: nothing is assumed
	claims      map[*claim]bool          // that name it
	attachments map[*attachment]bool     // that name it

	handle   handle    // as the driver knows it
	affinity *affinity // of object
	plugin   string    // the in-tree plug-in whose volume it is, if a driver stands in for it
	replaced *affinity // as the driver that stands in sees it, once seen
	broken   error     // why that cannot be told, once seen
	seen     bool

	// Where it can be found by claims that wait; see pool.
	pool     *pool
	group    *group               // of free volumes; nil when it is not free
	reserved types.NamespacedName // the claim that it is reserved for; zero for none
	size     resource.Quantity
	labels   map[string]string
	alike    string // size and labels
}

// now is the volume as it will be; nil when it does not exist.
func (v *volume) now() *corev1.PersistentVolume {
	if v.assumed != nil {
		return v.assumed
	}
	return v.object
}

func (x *Index) volumeOf(name string) *volume {
	v := x.volumes[name]
	if v == nil {
		v = &volume{name: name, claims: map[*claim]bool{}, attachments: map[*attachment]bool{}}
		x.volumes[name] = v
	}
	return v
}

func (x *Index) forgetVolume(v *volume) {
	if v.object == nil && len(v.claims) == 0 && len(v.attachments) == 0 {
		delete(x.volumes, v.name)
	}
}

// volumeNamed is the volume as the API has it, or upstream's error.
func (x *Index) volumeNamed(name string) (*volume, error) {
	if v := x.volumes[name]; v != nil && v.object != nil {
		return v, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("persistentvolume"), name)
}

// SetVolume adds or updates a PersistentVolume. A version other than the one that is assumed on ends the assumption.
func (x *Index) SetVolume(object *corev1.PersistentVolume) {
	v := x.volumeOf(object.Name)
	if v.assumed != nil && v.assumed.ResourceVersion != object.ResourceVersion {
		v.assumed = nil
	}
	x.replace(v, object)
}

// RemoveVolume removes a PersistentVolume; one that is not known is ignored.
func (x *Index) RemoveVolume(name string) {
	if v := x.volumes[name]; v != nil {
		v.assumed = nil
		x.replace(v, nil)
		x.forgetVolume(v)
	}
}

func (x *Index) replace(v *volume, object *corev1.PersistentVolume) {
	old := v.object
	v.object = object
	had := v.handle
	if old == nil || object == nil || old.UID != object.UID || old.ResourceVersion != object.ResourceVersion || object.ResourceVersion == "" {
		x.parse(v)
	}
	if had != v.handle || (old == nil) != (object == nil) {
		x.recountHandle(v, had)
	}
	x.shelve(v)
}

// parse reads what does not depend on assumptions.
func (x *Index) parse(v *volume) {
	v.affinity, v.plugin, v.seen, v.handle = nil, "", false, handle{}
	if v.object != nil {
		v.affinity = parseAffinity(v.object.Spec.NodeAffinity)
		v.plugin = volumePlugin(v.object)
		v.handle = handleOf(v.object, v.plugin)
	}
}

// recountHandle tells everyone who may have counted the volume by another handle.
func (x *Index) recountHandle(v *volume, had handle) {
	if had.driver != "" {
		x.forgetHandle(had)
	}
	if v.handle.driver != "" {
		x.handles[v.handle.unique()]++
	}
	for c := range v.claims {
		x.recountUsers(c)
	}
	for a := range v.attachments {
		x.recount(a.node)
	}
}

func (x *Index) forgetHandle(h handle) {
	if x.handles[h.unique()]--; x.handles[h.unique()] == 0 {
		delete(x.handles, h.unique())
	}
}

// reach is what a volume says of the nodes that can get at it.
func (x *Index) reach(name string) reached {
	v := x.volumes[name]
	if v == nil || v.object == nil {
		return reached{missing: true}
	}
	if v.plugin == "" {
		return reached{affinity: v.affinity}
	}
	if !v.seen {
		object, err := csitranslation.New().TranslateInTreePVToCSI(klog.Background(), v.object)
		if v.replaced, v.broken, v.seen = nil, nil, true; err != nil {
			v.broken = fmt.Errorf("could not translate pv: %w", err)
		} else {
			v.replaced = parseAffinity(object.Spec.NodeAffinity)
		}
	}
	return reached{affinity: v.affinity, plugin: v.plugin, replaced: v.replaced, broken: v.broken}
}

// stoodIn says whether a driver stands in for an in-tree plug-in on a node.
func (x *Index) stoodIn(plugin, node string) bool {
	n := x.nodes[node]
	return n != nil && slices.Contains(n.replaced, plugin)
}

package volumes

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// Index knows the cluster's volumes and what speaks of them. Objects that it is given must not change afterwards.
type Index struct {
	touch func(node string) // the table is to ask again about a node

	generation  uint64 // the last one given out
	claims      map[types.NamespacedName]*claim
	volumes     map[string]*volume
	pools       map[string]*pool // by class
	classes     map[string]*class
	drivers     map[string]*storagev1.CSIDriver
	capacities  map[types.NamespacedName]*capacity
	attachments map[string]*attachment
	handles     map[string]int // how many volumes have a handle
	nodes       map[string]*node
	places      map[string]map[string]map[string]bool // label key, value, names of nodes: of keys that reaches have
	pods        map[types.UID]*pod

	plenty  int         // manyAlike, but in tests
	shelved uint64      // rises whenever free volumes come or go
	scratch corev1.Node // selectors of volumes see a node's labels only
	found   found       // of the last look

	statuses [againstVolume << 1]*place.Status // by reasons
}

// New returns an empty index; see Reset.
func New(touch func(node string)) *Index {
	x := &Index{}
	x.Reset(touch)
	return x
}

// Reset empties the index, whose rules stay those that policies were compiled with. touch is called whenever rules would answer
// otherwise about a node: place.Table.Touch.
func (x *Index) Reset(touch func(node string)) {
	*x = Index{
		touch: touch, plenty: manyAlike, claims: map[types.NamespacedName]*claim{}, volumes: map[string]*volume{}, pools: map[string]*pool{},
		classes: map[string]*class{}, drivers: map[string]*storagev1.CSIDriver{}, capacities: map[types.NamespacedName]*capacity{},
		attachments: map[string]*attachment{}, handles: map[string]int{}, nodes: map[string]*node{},
		places: map[string]map[string]map[string]bool{}, pods: map[types.UID]*pod{},
	}
}

// Rules are upstream's volume plug-ins, in the order of its default profile.
func (x *Index) Rules() []place.Rule {
	return []place.Rule{restrictions{x}, limits{x}, binding{x}, zone{x}}
}

// next is a generation that no key has seen.
func (x *Index) next() uint64 {
	x.generation++
	return x.generation
}

// class is a StorageClass.
type class struct {
	object     *storagev1.StorageClass
	allowed    []labels.Selector // of AllowedTopologies
	generation uint64            // of what provisioning goes by
	capacities shelf[*capacity]
	reserves   uint64 // generation of capacities
}

// waits says whether claims wait for their first consumer; false when the class does not say.
func (c *class) waits() bool {
	mode := c.object.VolumeBindingMode
	return mode != nil && *mode == storagev1.VolumeBindingWaitForFirstConsumer
}

// classOf returns the record of a class, which stands also for one that does not exist, if something speaks of it.
func (x *Index) classOf(name string) *class {
	c := x.classes[name]
	if c == nil {
		c = &class{generation: x.next(), reserves: x.next()}
		x.classes[name] = c
	}
	return c
}

// forgetClass drops a record that nothing speaks of.
func (x *Index) forgetClass(name string) {
	if c := x.classes[name]; c.object == nil && c.capacities.empty() {
		delete(x.classes, name)
	}
}

// SetClass adds or updates a StorageClass.
func (x *Index) SetClass(object *storagev1.StorageClass) {
	c := x.classOf(object.Name)
	c.object, c.generation, c.allowed = object, x.next(), nil
	for _, term := range object.AllowedTopologies {
		if s, ok := topology(term); ok {
			c.allowed = append(c.allowed, s)
		}
	}
	x.recountAll()
}

// RemoveClass removes a StorageClass; one that is not known is ignored.
func (x *Index) RemoveClass(name string) {
	if c := x.classes[name]; c != nil {
		c.object, c.allowed, c.generation = nil, nil, x.next()
		x.forgetClass(name)
		x.recountAll()
	}
}

// SetDriver adds or updates a CSIDriver.
func (x *Index) SetDriver(object *storagev1.CSIDriver) { x.drivers[object.Name] = object }

// RemoveDriver removes a CSIDriver; one that is not known is ignored.
func (x *Index) RemoveDriver(name string) { delete(x.drivers, name) }

// tracked says whether a provisioner tells how much it can make where.
func (x *Index) tracked(provisioner string) bool {
	d := x.drivers[provisioner]
	return d != nil && d.Spec.StorageCapacity != nil && *d.Spec.StorageCapacity
}

// capacity is a CSIStorageCapacity that can be reached from somewhere.
type capacity struct {
	object   *storagev1.CSIStorageCapacity
	reach    reach
	selector labels.Selector
	limit    int64 // bytes; the largest volume that can be made
}

// SetCapacity adds or updates a CSIStorageCapacity.
func (x *Index) SetCapacity(object *storagev1.CSIStorageCapacity) {
	name := types.NamespacedName{Namespace: object.Namespace, Name: object.Name}
	before, after := x.capacities[name], newCapacity(object)
	if before != nil && after != nil && before.object.StorageClassName == object.StorageClassName && before.limit == after.limit &&
		before.selector.String() == after.selector.String() {
		return
	}
	x.RemoveCapacity(name)
	if after == nil {
		return
	}
	x.capacities[name] = after
	c := x.classOf(object.StorageClassName)
	c.capacities.add(after.reach, after)
	x.moved(after.reach, &c.reserves)
}

// RemoveCapacity removes a CSIStorageCapacity; one that is not known is ignored.
func (x *Index) RemoveCapacity(name types.NamespacedName) {
	old := x.capacities[name]
	if old == nil {
		return
	}
	delete(x.capacities, name)
	c := x.classOf(old.object.StorageClassName)
	c.capacities.remove(old.reach, old)
	x.moved(old.reach, &c.reserves)
	x.forgetClass(old.object.StorageClassName)
}

// SetNode adds or updates a node.
func (x *Index) SetNode(object *corev1.Node) {
	n := x.nodeOf(object.Name)
	for key, values := range x.places {
		was, had := n.labels[key]
		is, has := object.Labels[key]
		if had == has && was == is {
			continue
		}
		if had {
			drop(values, was, n.name)
		}
		if has {
			put(values, is, n.name)
		}
	}
	n.known, n.labels = true, object.Labels
}

// RemoveNode removes a node; one that is not known is ignored.
func (x *Index) RemoveNode(name string) {
	n := x.nodes[name]
	if n == nil {
		return
	}
	for key, values := range x.places {
		if was, had := n.labels[key]; had {
			drop(values, was, name)
		}
	}
	n.known, n.labels = false, nil
	x.forgetNode(n)
}

func put(values map[string]map[string]bool, value, name string) {
	if values[value] == nil {
		values[value] = map[string]bool{}
	}
	values[value][name] = true
}

func drop(values map[string]map[string]bool, value, name string) {
	if delete(values[value], name); len(values[value]) == 0 {
		delete(values, value)
	}
}

package volumes

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// pool is the volumes of a class that claims may get.
type pool struct {
	class      string
	generation uint64 // of what is not told by touching nodes
	groups     map[groupName]*group
	shelf      shelf[*group]
	reserved   map[types.NamespacedName][]*volume // by name
}

// groupName is what volumes of a group have in common.
type groupName struct {
	affinity   string
	mode       corev1.PersistentVolumeMode
	attributes string // VolumeAttributesClass
	modes      string // of access, sorted
}

// group is free volumes that differ in size, labels and name only, the smallest first.
type group struct {
	groupName
	*affinity
	access []corev1.PersistentVolumeAccessMode
	list   []*volume
	alike  map[string]int // how many volumes have a size and labels
}

// manyAlike is how many volumes that nothing tells apart but the name are so many that one more or less makes no difference to a pod
// with fewer claims: those of such pods are looked at each time.
const manyAlike = 128

func (g *group) reach() reach {
	if g.affinity == nil {
		return reach{}
	}
	return g.affinity.reach
}

func (x *Index) poolOf(class string) *pool {
	p := x.pools[class]
	if p == nil {
		p = &pool{class: class, generation: x.next(), groups: map[groupName]*group{}, reserved: map[types.NamespacedName][]*volume{}}
		x.pools[class] = p
	}
	return p
}

// volumeClass is the class that a volume belongs to; "" for none.
func volumeClass(v *corev1.PersistentVolume) string {
	if name, ok := v.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		return name
	}
	return v.Spec.StorageClassName
}

func modeOf(mode *corev1.PersistentVolumeMode) corev1.PersistentVolumeMode {
	if mode == nil {
		return corev1.PersistentVolumeFilesystem
	}
	return *mode
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// shelve puts a volume where claims look for it, or nowhere. It must be called whenever object or assumed changed.
func (x *Index) shelve(v *volume) {
	object := v.now()
	if object == nil || object.DeletionTimestamp != nil {
		x.takeDown(v)
		return
	}
	ref, size := object.Spec.ClaimRef, object.Spec.Capacity[corev1.ResourceStorage]
	switch {
	case ref != nil:
		x.takeDown(v)
		v.size, v.reserved, v.pool = size, types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}, x.poolOf(volumeClass(v.object))
		v.pool.reserved[v.reserved] = append(v.pool.reserved[v.reserved], v)
	case object.Status.Phase == corev1.VolumeAvailable:
		x.offer(v, object, size)
	default:
		x.takeDown(v)
	}
}

// offer puts a free volume into its group. One that has changed in nothing that matters stays.
func (x *Index) offer(v *volume, object *corev1.PersistentVolume, size resource.Quantity) {
	access := slices.Sorted(slices.Values(object.Spec.AccessModes))
	name := groupName{v.affinity.string(), modeOf(object.Spec.VolumeMode), text(object.Spec.VolumeAttributesClassName), ""}
	for _, m := range access {
		name.modes += string(m) + ","
	}
	class := volumeClass(v.object)
	if v.group != nil && v.pool == x.pools[class] && v.group.groupName == name && v.size.Cmp(size) == 0 && maps.Equal(v.labels, object.Labels) {
		return
	}
	x.takeDown(v)
	p := x.poolOf(class)
	g := p.groups[name]
	if g == nil {
		g = &group{groupName: name, affinity: v.affinity, access: access, alike: map[string]int{}}
		p.groups[name] = g
		p.shelf.add(g.reach(), g)
	}
	v.pool, v.group, v.size, v.labels = p, g, size, object.Labels
	i, _ := slices.BinarySearchFunc(g.list, v, bySize)
	g.list = slices.Insert(g.list, i, v)
	v.alike = size.String() + " " + labels.Set(object.Labels).String()
	if g.alike[v.alike]++; g.alike[v.alike] <= x.plenty {
		x.moved(g.reach(), &p.generation)
	}
	x.shelved++
}

func bySize(a, b *volume) int { return cmp.Or(a.size.Cmp(b.size), cmp.Compare(a.name, b.name)) }

// takeDown takes a volume from where claims look for it.
func (x *Index) takeDown(v *volume) {
	p := v.pool
	if p == nil {
		return
	}
	if g := v.group; g != nil {
		i, _ := slices.BinarySearchFunc(g.list, v, bySize)
		if g.list = slices.Delete(g.list, i, i+1); len(g.list) == 0 {
			delete(p.groups, g.groupName)
			p.shelf.remove(g.reach(), g)
		}
		left := g.alike[v.alike] - 1
		if g.alike[v.alike] = left; left == 0 {
			delete(g.alike, v.alike)
		}
		if left < x.plenty {
			x.moved(g.reach(), &p.generation)
		}
		x.shelved++
	} else {
		list := p.reserved[v.reserved]
		i := slices.Index(list, v)
		if list = slices.Delete(list, i, i+1); len(list) == 0 {
			delete(p.reserved, v.reserved)
		} else {
			p.reserved[v.reserved] = list
		}
	}
	if len(p.groups) == 0 && len(p.reserved) == 0 {
		delete(x.pools, p.class)
	}
	v.pool, v.group, v.reserved, v.labels = nil, nil, types.NamespacedName{}, nil
}

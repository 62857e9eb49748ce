package volumes

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// binding is VolumeBinding: volumes that can be reached from the node, found, or made there.
type binding struct{ x *Index }

var _ place.Rule = binding{}

// Name implements place.Rule.
func (binding) Name() string { return VolumeBinding }

// Prepare implements place.Rule.
func (r binding) Prepare(object *corev1.Pod) (place.Prepared, error) {
	reason, any := r.x.unready(object)
	if reason != "" {
		return never(reason), nil
	}
	if !any {
		return place.Prepared{}, nil
	}
	w, err := r.x.wishes(object)
	if err != nil {
		return place.Prepared{}, err
	}
	if w.immediate {
		return never(reasonImmediate), nil
	}
	return place.Prepared{Key: w.key(), Filter: func(s place.Site) *place.Status {
		return r.x.status(r.x.look(w, s.Node.Name, s.Node.Labels))
	}}, nil
}

// unready is why a pod's claims cannot be used at all; "" when they can. any says whether there are claims.
func (x *Index) unready(object *corev1.Pod) (reason string, any bool) {
	for name, own := range claimNames(object) {
		any = true
		c, err := x.claimNamed(name)
		switch {
		case err != nil && own:
			return fmt.Sprintf("waiting for ephemeral volume controller to create the persistentvolumeclaim %q", name.Name), true
		case err != nil:
			return err.Error(), true
		case c.Status.Phase == corev1.ClaimLost:
			return fmt.Sprintf("persistentvolumeclaim %q bound to non-existent persistentvolume %q", c.Name, c.Spec.VolumeName), true
		case c.DeletionTimestamp != nil:
			return fmt.Sprintf("persistentvolumeclaim %q is being deleted", c.Name), true
		case own && !ownedBy(c, object):
			return notOwned(name, object.Namespace, object.Name), true
		}
	}
	return "", any
}

// wishes are the claims of a pod, by what is to be done about them. The table keeps them with the key, beyond the lives of the
// objects that they were made of, so what they say of volumes they say by value.
type wishes struct {
	x         *Index
	bound     []reached
	chosen    []*wish // waiting, for a node that has been selected already
	open      []*wish // waiting, the smallest first
	immediate bool    // some ought to be bound and are not
}

// reached is what a volume that a claim has says of the nodes that can get at it.
type reached struct {
	missing  bool // there is no such volume
	affinity *affinity
	plugin   string // the in-tree plug-in that a driver stands in for; "" for none
	replaced *affinity
	broken   error // why replaced cannot be told
}

// holder is a volume that is reserved for a claim.
type holder struct {
	*volume
	affinity *affinity
}

// wish is a claim that waits.
type wish struct {
	claim    *corev1.PersistentVolumeClaim
	class    *class
	size     resource.Quantity
	pool     *pool // nil: there are no volumes of the class
	reserved []holder
	selector labels.Selector // nil: any labels will do
	node     string          // selected; "" for none
	mode     corev1.PersistentVolumeMode

	asked  uint64         // Index.shelved when starts were found
	starts map[*group]int // where volumes begin that are large enough; -1: none of the group will do
}

func (x *Index) wishes(object *corev1.Pod) (*wishes, error) {
	w := &wishes{x: x}
	for name := range claimNames(object) {
		c := x.claims[name].now()
		if bound(c) {
			w.bound = append(w.bound, x.reach(c.Spec.VolumeName))
			continue
		}
		class := x.classes[className(c)]
		if className(c) == "" || class == nil || class.object == nil {
			w.immediate = true
			continue
		}
		if class.object.VolumeBindingMode == nil {
			return nil, errors.New(modeUnset(class.object.Name))
		}
		if !class.waits() || c.Spec.VolumeName != "" {
			w.immediate = true
			continue
		}
		if err := w.add(c, class); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(w.open, func(a, b *wish) int { return a.size.Cmp(b.size) })
	return w, nil
}

func (w *wishes) add(c *corev1.PersistentVolumeClaim, class *class) error {
	one := &wish{claim: c, class: class, size: c.Spec.Resources.Requests[corev1.ResourceStorage],
		mode: modeOf(c.Spec.VolumeMode), starts: map[*group]int{}}
	if node, ok := c.Annotations[selectedNode]; ok {
		one.node = node
		w.chosen = append(w.chosen, one)
		return nil
	}
	if one.pool = w.x.pools[class.object.Name]; one.pool != nil {
		for _, v := range one.pool.reserved[nameOf(c)] {
			if one.mayHave(v) {
				one.reserved = append(one.reserved, holder{v, v.affinity})
			}
		}
		slices.SortFunc(one.reserved, func(a, b holder) int { return strings.Compare(a.name, b.name) })
	}
	if c.Spec.Selector != nil {
		selector, err := metav1.LabelSelectorAsSelector(c.Spec.Selector)
		if err != nil {
			return fmt.Errorf("error creating internal label selector for claim: %v: %w", nameOf(c), err)
		}
		one.selector = selector
	}
	w.open = append(w.open, one)
	return nil
}

// mayHave says whether a volume that is reserved for a claim of this name will do.
func (w *wish) mayHave(v *volume) bool {
	object, c := v.now(), w.claim
	return (object.Spec.ClaimRef.UID == "" || object.Spec.ClaimRef.UID == c.UID) && v.size.Cmp(w.size) >= 0 &&
		modeOf(object.Spec.VolumeMode) == w.mode &&
		text(object.Spec.VolumeAttributesClassName) == text(c.Spec.VolumeAttributesClassName)
}

// key stands for all that look goes by, but what is told by touching nodes.
func (w *wishes) key() string {
	var k keyWriter
	for _, r := range w.bound {
		if r.missing {
			k.WriteByte('-')
			continue
		}
		k.WriteByte('a')
		k.str(r.affinity.string())
		if r.plugin != "" {
			k.WriteByte('=')
			k.str(r.plugin)
			k.str(r.replaced.string())
			if r.broken != nil {
				k.str(r.broken.Error())
			}
		}
	}
	for _, one := range w.chosen {
		k.WriteByte('c')
		k.str(one.node)
		one.keyOfMaking(w.x, &k)
	}
	if len(w.open) >= w.x.plenty {
		k.num(w.x.next())
	}
	for _, one := range w.open {
		k.WriteByte('o')
		one.keyOfMatch(&k)
		one.keyOfMaking(w.x, &k)
	}
	return k.String()
}

func (w *wish) keyOfMatch(k *keyWriter) {
	if w.pool == nil {
		return
	}
	k.num(w.pool.generation)
	k.str(string(w.mode))
	k.str(text(w.claim.Spec.VolumeAttributesClassName))
	for _, m := range w.claim.Spec.AccessModes {
		k.str(string(m))
	}
	if w.selector != nil {
		k.WriteByte('s')
		k.str(w.selector.String())
	}
	for _, v := range w.reserved {
		k.WriteByte('r')
		k.str(v.name)
		k.str(v.affinity.string())
	}
}

func (w *wish) keyOfMaking(x *Index, k *keyWriter) {
	k.WriteByte('p')
	k.str(w.class.object.Name)
	k.num(w.class.generation)
	if _, ok := w.claim.Spec.Resources.Requests[corev1.ResourceStorage]; ok {
		k.str(w.size.String())
	}
	if x.tracked(w.class.object.Provisioner) {
		k.num(w.class.reserves)
	}
}

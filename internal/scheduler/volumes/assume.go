package volumes

import (
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/floe-k8s/floe/internal/kinds"
)

// BindTimeout is how long upstream waits for a pod's claims to be bound, unless VolumeBindingArgs.bindTimeoutSeconds says
// otherwise. ErrLate is what is said then.
const BindTimeout = 600 * time.Second

// ErrLate is the error of a pod whose claims were not bound in time, upstream's.
var ErrLate = errors.New("binding volumes: context deadline exceeded")

// ErrChanged says that a node that was chosen for a pod will not do any more.
var ErrChanged = errors.New("volumes have changed")

// Bindings is what has been decided about a pod's claims and is to be written before the pod is bound.
type Bindings struct {
	node    string
	volumes []*promise[*corev1.PersistentVolume]
	claims  []*promise[*corev1.PersistentVolumeClaim]
}

// promise is an object as it is to be.
type promise[T kinds.Object] struct {
	object T                    // never changed; once written, as the API answered
	claim  types.NamespacedName // that is to be bound
	todo   bool                 // it differs from what the API has
	done   bool                 // written
}

// open says that the API has yet to be told.
func (p *promise[T]) open() bool { return p.todo && !p.done }

// Assume counts what a pod's claims get on a node, until the API says so itself or Undo takes it back. Call it after the pod has
// been decided and before anything else changes. Nil bindings mean that there is nothing to write and nothing to wait for.
// ErrChanged says that the node will not do after all.
func (x *Index) Assume(object *corev1.Pod, node string) (*Bindings, error) {
	reason, any := x.unready(object)
	if reason == "" && !any {
		return nil, nil
	}
	fail := func(why string) error {
		return fmt.Errorf("pod %s: node %s: %w: %s", nameOf(object), node, ErrChanged, why)
	}
	if reason != "" {
		return nil, fail(reason)
	}
	w, err := x.wishes(object)
	if err != nil {
		return nil, fmt.Errorf("pod %s: %w", nameOf(object), err)
	}
	if w.immediate {
		return nil, fail(reasonImmediate)
	}
	if len(w.open) == 0 && len(w.chosen) == 0 {
		return nil, nil
	}
	n := x.nodes[node]
	if n == nil || !n.known {
		return nil, fail("the node is gone")
	}
	f := x.look(w, node, n.labels)
	if s := x.status(f); s.Failed() {
		return nil, fail(s.Message())
	}
	b := &Bindings{node: node}
	for _, m := range f.static {
		b.volumes = append(b.volumes, x.reserve(m))
	}
	for _, one := range f.make {
		b.claims = append(b.claims, x.send(one.claim, node))
	}
	return b, nil
}

// send assumes that a claim's volume is to be made for a node. Another pod that shares the claim may have done so.
func (x *Index) send(c *corev1.PersistentVolumeClaim, node string) *promise[*corev1.PersistentVolumeClaim] {
	p := &promise[*corev1.PersistentVolumeClaim]{object: c, claim: nameOf(c)}
	if c.Annotations[selectedNode] != node {
		p.object, p.todo = c.DeepCopy(), true
		metav1.SetMetaDataAnnotation(&p.object.ObjectMeta, selectedNode, node)
		x.claims[p.claim].assumed = p.object
	}
	return p
}

// reserve assumes that a volume is a claim's.
func (x *Index) reserve(m match) *promise[*corev1.PersistentVolume] {
	object, c := m.volume.now(), m.claim
	p := &promise[*corev1.PersistentVolume]{object: object, claim: nameOf(c)}
	ref := object.Spec.ClaimRef
	if ref != nil && ref.UID == c.UID { // and the name, since it was found for the claim
		return p
	}
	p.object, p.todo = object.DeepCopy(), true
	p.object.Spec.ClaimRef = &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: c.Namespace, Name: c.Name,
		UID: c.UID, ResourceVersion: c.ResourceVersion}
	if ref == nil && !metav1.HasAnnotation(p.object.ObjectMeta, boundByController) {
		metav1.SetMetaDataAnnotation(&p.object.ObjectMeta, boundByController, "yes")
	}
	m.volume.assumed = p.object
	x.shelve(m.volume)
	return p
}

// Writes are the objects to be updated, in this order, each with the resourceVersion that was decided on: volumes first, then
// claims. They belong to the caller; nil has none. What the API answers goes to Wrote; the first refusal ends it, with Undo.
func (b *Bindings) Writes() []kinds.Object {
	if b == nil {
		return nil
	}
	var out []kinds.Object
	for _, p := range b.volumes {
		if p.open() {
			out = append(out, p.object.DeepCopy())
		}
	}
	for _, p := range b.claims {
		if p.open() {
			out = append(out, p.object.DeepCopy())
		}
	}
	return out
}

// Wrote says that the API has taken one of the Writes. What has been written stays, whatever becomes of the pod, as upstream
// has it: Undo leaves it alone, and a later try finds it.
func (b *Bindings) Wrote(answer kinds.Object) {
	switch o := answer.(type) {
	case *corev1.PersistentVolume:
		for _, p := range b.volumes {
			if p.object.Name == o.Name {
				p.object, p.done = o, true
			}
		}
	case *corev1.PersistentVolumeClaim:
		for _, p := range b.claims {
			if nameOf(p.object) == nameOf(o) {
				p.object, p.done = o, true
			}
		}
	}
}

// Undo takes back what Assume counted and has not been written. Calling it again does nothing; b may be nil.
func (x *Index) Undo(b *Bindings) {
	if b == nil {
		return
	}
	for _, p := range b.volumes {
		v := x.volumes[p.object.Name]
		if p.open() && v != nil && v.assumed == p.object {
			v.assumed = nil
			x.shelve(v)
		}
	}
	for _, p := range b.claims {
		c := x.claims[p.claim]
		if p.open() && c != nil && c.assumed == p.object {
			c.assumed = nil
		}
	}
	b.volumes, b.claims = nil, nil
}

// Check says whether all that was written has come to a binding, so that the pod can be bound. An error, upstream's, says that
// it will not: Undo, and the pod is to be scheduled anew. It goes by what the index was told, so it is worth asking again
// after changes of volumes, claims and nodes. That the pod still exists is for the caller to know. With nil all is done.
func (x *Index) Check(b *Bindings) (bool, error) {
	if b == nil {
		return true, nil
	}
	n := x.nodes[b.node]
	if n == nil || !n.known {
		return false, bindingError("failed to get node %q: node %q not found", b.node, b.node)
	}
	for _, p := range b.volumes {
		if ok, err := x.checkVolume(n, p); !ok || err != nil {
			return false, err
		}
	}
	for _, p := range b.claims {
		if ok, err := x.checkClaim(n, p); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

func bindingError(format string, args ...any) error {
	return fmt.Errorf("binding volumes: "+format, args...)
}

func (x *Index) checkVolume(n *node, p *promise[*corev1.PersistentVolume]) (bool, error) {
	v, c := x.volumes[p.object.Name], x.claims[p.claim]
	if v == nil || v.object == nil {
		return false, bindingError("failed to check binding: persistentvolumes %q not found", p.object.Name)
	}
	if c == nil || c.object == nil {
		return false, bindingError("failed to check binding: persistentvolumeclaims %q not found", p.claim)
	}
	if older(v.object, p.object) {
		return false, nil
	}
	if err := x.checkReach(n, v, "failed to translate pv to csi: %w"); err != nil {
		return false, err
	}
	if ref := v.object.Spec.ClaimRef; ref == nil || ref.UID == "" {
		return false, bindingError("ClaimRef got reset for pv %q", v.name)
	}
	return bound(c.object), nil
}

func (x *Index) checkClaim(n *node, p *promise[*corev1.PersistentVolumeClaim]) (bool, error) {
	c := x.claims[p.claim]
	if c == nil || c.object == nil {
		return false, bindingError("failed to check provisioning pvc: persistentvolumeclaims %q not found", p.claim)
	}
	switch {
	case older(c.object, p.object):
		return false, nil
	case c.object.Annotations == nil:
		return false, bindingError("selectedNode annotation reset for PVC %q", c.name.Name)
	case c.object.Annotations[selectedNode] != n.name:
		return false, bindingError("provisioning failed for PVC %q", c.name.Name)
	}
	if name := c.object.Spec.VolumeName; name != "" {
		v := x.volumes[name]
		if v.object == nil {
			return false, nil // its stream has not come that far; or it is gone, and the claim will say so
		}
		if err := x.checkReach(n, v, "%w"); err != nil {
			return false, err
		}
	}
	return bound(c.object), nil
}

func (x *Index) checkReach(n *node, v *volume, translating string) error {
	var f found
	x.lookBound(&wishes{bound: []reached{x.reach(v.name)}}, n.name, n.labels, &f)
	if f.broken != nil {
		return bindingError(translating, f.broken)
	}
	if f.against != 0 {
		return bindingError("pv %q node affinity doesn't match node %q: no matching NodeSelectorTerms", v.name, n.name)
	}
	return nil
}

// older says whether a version is from before another. Versions that are not comparable are not.
func older(have, want metav1.Object) bool {
	order, err := resourceversion.CompareResourceVersion(have.GetResourceVersion(), want.GetResourceVersion())
	return err == nil && order < 0
}

package volumes

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/kinds"
)

func (w world) assume(name, node string, sources ...corev1.VolumeSource) *Bindings {
	w.t.Helper()
	b, err := w.x.Assume(newPod(name, sources...), node)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// TestWrites: what is written is what upstream writes: the volume reserved for the claim, the claim with the node.
func TestWrites(t *testing.T) {
	w := newWorld(t, newClaim("big", "local"), newClaim("made", "wait"), newVolume("v3", "local", 3), newVolume("v2", "local", 2),
		newVolume("far", "local", 2, on(corev1.LabelHostname, "n2")))
	b := w.assume("p", "n1", use("big"), use("made"))
	writes := b.Writes()
	if len(writes) != 2 {
		t.Fatalf("%d writes", len(writes))
	}
	v, c := writes[0].(*corev1.PersistentVolume), writes[1].(*corev1.PersistentVolumeClaim)
	big := w.x.claims[types.NamespacedName{Namespace: "a", Name: "big"}].object
	want := corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: "a", Name: "big", UID: "big", ResourceVersion: big.ResourceVersion}
	if v.Name != "v2" || *v.Spec.ClaimRef != want || v.Annotations["pv.kubernetes.io/bound-by-controller"] != "yes" {
		t.Errorf("volume %s, reserved for %v, annotations %v", v.Name, v.Spec.ClaimRef, v.Annotations)
	}
	if c.Name != "made" || c.Annotations["volume.kubernetes.io/selected-node"] != "n1" {
		t.Errorf("claim %s, annotations %v", c.Name, c.Annotations)
	}
	if other := w.assume("q", "n1", use("big")); other == nil || len(other.Writes()) != 0 {
		t.Errorf("a pod that shares a claim writes %v", other.Writes())
	}
	nothing := w.assume("r", "n1")
	if done, err := w.x.Check(nothing); nothing != nil || len(nothing.Writes()) != 0 || !done || err != nil {
		t.Errorf("a pod without claims gets %v; done %v, %v", nothing, done, err)
	}
}

// TestReservedByUser: a volume that its user has reserved keeps that; only the UID is filled in.
func TestReservedByUser(t *testing.T) {
	w := newWorld(t, newClaim("c", "local"), newVolume("v", "local", 3, func(v *corev1.PersistentVolume) {
		v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "a", Name: "c"}
	}))
	v := w.assume("p", "n1", use("c")).Writes()[0].(*corev1.PersistentVolume)
	if v.Spec.ClaimRef.UID != "c" || v.Annotations != nil {
		t.Errorf("reserved for %v, annotations %v", v.Spec.ClaimRef, v.Annotations)
	}
}

// TestChanged: a node that will not do any more is told.
func TestChanged(t *testing.T) {
	w := newWorld(t, newClaim("c", "local"), newClaim("now", "now"), newVolume("v", "local", 2, on(corev1.LabelHostname, "n2")))
	for _, c := range []struct{ claim, node string }{{"c", "n1"}, {"c", "n3"}, {"now", "n1"}, {"absent", "n1"}} {
		if b, err := w.x.Assume(newPod("p", use(c.claim)), c.node); !errors.Is(err, ErrChanged) || b != nil {
			t.Errorf("claim %s on %s: %v, %v", c.claim, c.node, b, err)
		}
	}
}

// TestCheck follows a pod's claims from Assume to the binding, or to the word of upstream that says why there is none.
func TestCheck(t *testing.T) {
	set := func(change func(v *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim)) func(world) {
		return func(w world) {
			v := w.objects[keyOf(&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "v"}})].DeepCopyObject().(*corev1.PersistentVolume)
			c := w.objects[keyOf(newClaim("made", ""))].DeepCopyObject().(*corev1.PersistentVolumeClaim)
			change(v, c)
			w.set(v)
			w.set(c)
		}
	}
	boundMade := set(func(_ *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) { bind(c, "new") })
	for name, c := range map[string]struct {
		then []func(world)
		done bool
		err  string
	}{
		"written":   {nil, false, ""},
		"one bound": {[]func(world){boundMade}, false, ""},
		"all bound": {[]func(world){boundMade, func(w world) { w.set(newVolume("new", "wait", 2)); w.set(newClaim("c", "local", boundTo("v"))) }}, true, ""},
		"reset": {[]func(world){set(func(v *corev1.PersistentVolume, _ *corev1.PersistentVolumeClaim) { v.Spec.ClaimRef = nil })}, false,
			`binding volumes: ClaimRef got reset for pv "v"`},
		"moved": {[]func(world){set(func(v *corev1.PersistentVolume, _ *corev1.PersistentVolumeClaim) { on("rack", "1")(v) })}, false,
			`binding volumes: pv "v" node affinity doesn't match node "n1": no matching NodeSelectorTerms`},
		"failed": {[]func(world){func(w world) { w.set(newClaim("c", "local", boundTo("v"))) },
			set(func(_ *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) { c.Annotations[selectedNode] = "" })}, false,
			`binding volumes: provisioning failed for PVC "made"`},
		"no annotations": {[]func(world){func(w world) { w.set(newClaim("c", "local", boundTo("v"))) },
			set(func(_ *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) { c.Annotations = nil })}, false,
			`binding volumes: selectedNode annotation reset for PVC "made"`},
		"no volume": {[]func(world){func(w world) { w.x.RemoveVolume("v") }}, false,
			`binding volumes: failed to check binding: persistentvolumes "v" not found`},
		"no claim": {[]func(world){func(w world) { w.x.RemoveClaim(types.NamespacedName{Namespace: "a", Name: "c"}) }}, false,
			`binding volumes: failed to check binding: persistentvolumeclaims "a/c" not found`},
		"no claim to make": {[]func(world){func(w world) {
			w.set(newClaim("c", "local", boundTo("v")))
			w.x.RemoveClaim(types.NamespacedName{Namespace: "a", Name: "made"})
		}}, false, `binding volumes: failed to check provisioning pvc: persistentvolumeclaims "a/made" not found`},
		"no node": {[]func(world){func(w world) { w.x.RemoveNode("n1") }}, false, `binding volumes: failed to get node "n1": node "n1" not found`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, newClaim("c", "local"), newClaim("made", "wait"), newVolume("v", "local", 2))
			b := w.assume("p", "n1", use("c"), use("made"))
			for _, o := range b.Writes() {
				w.set(o)
				b.Wrote(o)
			}
			for _, f := range c.then {
				f(w)
			}
			done, err := w.x.Check(b)
			if got := text(message(err)); done != c.done || got != c.err {
				t.Errorf("done %v, %s; want %v, %s", done, got, c.done, c.err)
			}
		})
	}
}

func message(err error) *string {
	if err == nil {
		return nil
	}
	return new(err.Error())
}

// TestUndo: what was not written is as before; what was written stays.
func TestUndo(t *testing.T) {
	w := newWorld(t, newClaim("c", "local"), newClaim("d", "local"), newVolume("v2", "local", 2), newVolume("v3", "local", 3))
	b := w.assume("p", "n1", use("c"), use("d"))
	if _, err := w.x.Assume(newPod("q", use("other")), "n1"); err == nil {
		t.Error("a claim that does not exist was assumed")
	}
	var o kinds.Object = b.Writes()[0]
	b.Wrote(o)
	w.x.Undo(b)
	w.x.Undo(b)
	if w.x.volumes["v2"].assumed == nil || w.x.volumes["v3"].assumed != nil {
		t.Errorf("assumed: v2 %v, v3 %v", w.x.volumes["v2"].assumed, w.x.volumes["v3"].assumed)
	}
	w.set(o)
	if w.x.volumes["v2"].assumed != nil {
		t.Error("the assumption outlived the version that it was about")
	}
	w.x.Undo(nil)
}

// TestShared: pods that share claims; what one of them undoes is not the other's.
func TestShared(t *testing.T) {
	w := newWorld(t, newClaim("c", "local"), newClaim("made", "wait"), newVolume("v", "local", 2))
	first := w.assume("p", "n1", use("c"), use("made"))
	second := w.assume("q", "n1", use("c"), use("made"))
	w.x.SetVolume(w.x.volumes["v"].object) // told again of the same version
	w.x.Undo(second)
	made := w.x.claims[types.NamespacedName{Namespace: "a", Name: "made"}]
	if w.x.volumes["v"].assumed == nil || made.assumed == nil {
		t.Errorf("assumed: v %v, made %v", w.x.volumes["v"].assumed, made.assumed)
	}
	third := w.assume("r", "n1", use("c"), use("made"))
	w.x.Undo(first)
	if w.x.volumes["v"].assumed != nil || made.assumed != nil {
		t.Errorf("assumed: v %v, made %v", w.x.volumes["v"].assumed, made.assumed)
	}
	if done, err := w.x.Check(third); done || err == nil {
		t.Errorf("what another took back is still hoped for: %v, %v", done, err)
	}
}

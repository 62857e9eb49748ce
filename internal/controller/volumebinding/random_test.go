package volumebinding_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/volumebinding"
)

// world is volumes and claims that come and go by chance, and whose volume has been whose.
type world struct {
	*bed.Bed
	made  int
	holds map[types.UID]string    // by claim: the volume of its complete binding
	found map[types.UID]types.UID // by claim that is bound: the volume, which may be gone while another has its name
}

// look holds what is true at all times: a complete binding stays, and no two claims have one with a volume that names the other.
func (w *world) look() {
	w.Helper()
	view, err := w.Client.View(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	bound := map[string]types.UID{}
	for obj := range view.List(claims, "") {
		c := obj.(*corev1.PersistentVolumeClaim)
		if _, done := c.Annotations["pv.kubernetes.io/bind-completed"]; !done {
			continue
		}
		if was, ok := w.holds[c.UID]; ok && was != c.Spec.VolumeName {
			w.Fatalf("claim %s went from volume %s to %s", c.Name, was, c.Spec.VolumeName)
		}
		w.holds[c.UID] = c.Spec.VolumeName
		if c.Status.Phase != corev1.ClaimBound {
			continue
		}
		if other, ok := bound[c.Spec.VolumeName]; ok {
			w.Fatalf("volume %s is bound to claims %s and %s", c.Spec.VolumeName, other, c.UID)
		}
		bound[c.Spec.VolumeName] = c.UID
		v, ok := view.Get(volumes, "", c.Spec.VolumeName).(*corev1.PersistentVolume)
		if !ok {
			continue
		}
		mine := v.Spec.ClaimRef != nil && v.Spec.ClaimRef.UID == c.UID
		if mine {
			w.found[c.UID] = v.UID
		}
		if w.found[c.UID] == v.UID && !mine {
			w.Fatalf("claim %s is bound to volume %s, which is not its", c.Name, v.Name)
		}
	}
}

func (w *world) act() {
	w.made++
	i := w.Rand.Intn(4)
	names := func() (v, c string) { return fmt.Sprintf("v%d", i), fmt.Sprintf("c%d", w.Rand.Intn(4)) }
	volume, claim := names()
	switch n := w.Rand.Intn(12); {
	case n < 4 && bed.Get[*corev1.PersistentVolume](w.Bed, volumes, "", volume) == nil:
		v := pv(volume, "", 1+w.Rand.Intn(3))
		switch w.Rand.Intn(4) {
		case 0:
			reserve(claim)(v)
		case 1:
			policy(corev1.PersistentVolumeReclaimRecycle)(v)
		}
		put(w.Bed, v)
	case n < 8 && bed.Get[*corev1.PersistentVolumeClaim](w.Bed, claims, "default", claim) == nil:
		c := pvc(claim, "", 1+w.Rand.Intn(3))
		if w.Rand.Intn(4) == 0 {
			named(volume)(c)
		}
		put(w.Bed, c)
	case n == 8:
		bed.Change(w.Bed, volumes, "", volume, "", func(v *corev1.PersistentVolume) { v.Finalizers = nil })
		w.Remove(volumes, "", volume)
	case n < 11:
		bed.Change(w.Bed, claims, "default", claim, "", func(c *corev1.PersistentVolumeClaim) { c.Finalizers = nil })
		w.Remove(claims, "default", claim)
	case n == 11:
		bed.Change(w.Bed, volumes, "", volume, "", func(v *corev1.PersistentVolume) {
			if v.Status.Phase == corev1.VolumeReleased {
				v.Spec.ClaimRef = nil // a person gives it free
			}
		})
	}
	w.look()
}

// TestByChance: whatever comes in between, bindings that are complete stay, and in the end what can be bound is.
func TestByChance(t *testing.T) {
	t.Parallel()
	for seed := range int64(30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := &world{Bed: bed.New(t, seed), holds: map[types.UID]string{}, found: map[types.UID]types.UID{}}
			w.Sim.Add(volumebinding.New(volumebinding.NewMetrics(nil)))
			w.Sim.Writing = func(string, engine.Write) { w.look() }
			put(w.Bed, class("w", "kubernetes.io/no-provisioner", storagev1.VolumeBindingWaitForFirstConsumer))
			w.Chance(300, w.act)
			w.atRest()
		})
	}
}

// atRest holds what is true when nothing is left to do.
func (w *world) atRest() {
	w.Helper()
	view, err := w.Client.View(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	var free []*corev1.PersistentVolume
	for obj := range view.List(volumes, "") {
		v := obj.(*corev1.PersistentVolume)
		ref := v.Spec.ClaimRef
		switch v.Status.Phase {
		case corev1.VolumeAvailable:
			if ref == nil {
				free = append(free, v)
			} else if ref.UID != "" {
				w.Errorf("volume %s is available and names claim %s", v.Name, ref.UID)
			}
		case corev1.VolumeBound:
			c, ok := view.Get(claims, ref.Namespace, ref.Name).(*corev1.PersistentVolumeClaim)
			if !ok || c.UID != ref.UID || c.Spec.VolumeName != v.Name || c.Status.Phase != corev1.ClaimBound {
				w.Errorf("volume %s is bound to claim %s, which is not bound to it", v.Name, ref.Name)
			}
		case corev1.VolumeReleased, corev1.VolumeFailed:
			if c, ok := view.Get(claims, ref.Namespace, ref.Name).(*corev1.PersistentVolumeClaim); ok && c.UID == ref.UID && c.Spec.VolumeName == v.Name {
				w.Errorf("volume %s is %s while its claim is there", v.Name, v.Status.Phase)
			}
		default:
			w.Errorf("volume %s is %s", v.Name, v.Status.Phase)
		}
	}
	for obj := range view.List(claims, "") {
		c := obj.(*corev1.PersistentVolumeClaim)
		if c.Status.Phase == corev1.ClaimPending && c.Spec.VolumeName == "" {
			for _, v := range free {
				if v.Spec.Capacity.Storage().Cmp(*c.Spec.Resources.Requests.Storage()) >= 0 {
					w.Errorf("claim %s waits, and volume %s would do", c.Name, v.Name)
				}
			}
		}
	}
}

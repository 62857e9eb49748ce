package scheduler

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/kinds"
)

const selectedNode = "volume.kubernetes.io/selected-node"

func claimResource() client.Resource {
	return corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")
}

// lazyClass binds its claims for their first consumer.
func lazyClass() *storagev1.StorageClass {
	return &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "lazy"}, Provisioner: "example.com/p",
		VolumeBindingMode: new(storagev1.VolumeBindingWaitForFirstConsumer)}
}

func testClaim(name string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PersistentVolumeClaimSpec{
		StorageClassName: new("lazy"), AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: units(1 << 30)}}}}
}

func testVolume(name string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeSpec{StorageClassName: "lazy",
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, Capacity: corev1.ResourceList{corev1.ResourceStorage: units(1 << 30)},
		PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "example.com/p", VolumeHandle: name}}},
		Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeAvailable}}
}

func claimingPod(name, claim string) *corev1.Pod {
	p := testPod(name, 100)
	p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}}
	return p
}

func (r *rig) claim(name string) *corev1.PersistentVolumeClaim {
	r.Helper()
	obj, err := r.api.Get(r.Context(), claimResource(), "default", name)
	if err != nil {
		r.Fatal(err)
	}
	return obj.(*corev1.PersistentVolumeClaim)
}

// bindClaim does what the controller of claims does once there is a volume.
func (r *rig) bindClaim(name, volume string) {
	r.Helper()
	next := r.claim(name).DeepCopy()
	next.Spec.VolumeName, next.Status.Phase = volume, corev1.ClaimBound
	metav1.SetMetaDataAnnotation(&next.ObjectMeta, "pv.kubernetes.io/bind-completed", "yes")
	if _, err := r.api.Update(r.Context(), claimResource(), next, ""); err != nil {
		r.Fatal(err)
	}
	synctest.Wait()
}

// provision makes the volume that a claim waits for.
func (r *rig) provision(name string) {
	r.Helper()
	c, v := r.claim(name), testVolume("made-for-"+name)
	v.Spec.ClaimRef = &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: "default", Name: name, UID: c.UID}
	r.create(v)
	r.bindClaim(name, v.Name)
}

func TestAClaimIsProvisionedBeforeItsPodIsBound(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		r := start(t, api, nil)
		defer r.stop()
		r.create(testNode("n", 1000, 10), lazyClass(), testClaim("c"), claimingPod("p", "c"))
		if got := r.claim("c").Annotations[selectedNode]; got != "n" {
			t.Fatalf("selected node %q", got)
		}
		if p := r.pod("p"); p.Spec.NodeName != "" || p.Status.NominatedNodeName != "n" {
			t.Errorf("before the claim is bound: on %q, nominated to %q", p.Spec.NodeName, p.Status.NominatedNodeName)
		}
		r.create(testPod("other", 100))
		if r.pod("other").Spec.NodeName != "n" {
			t.Error("a pod that waits for its claim holds up others")
		}
		r.provision("c")
		if got := r.pod("p").Spec.NodeName; got != "n" {
			t.Errorf("pod on %q after its claim was bound", got)
		}
	})
}

func TestAStaticVolumeIsReserved(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		r := start(t, api, nil)
		defer r.stop()
		class := lazyClass()
		class.Provisioner = "kubernetes.io/no-provisioner"
		r.create(testNode("n", 1000, 10), class, testVolume("v"), testClaim("c"), testClaim("d"), claimingPod("p", "c"), claimingPod("q", "d"))
		obj, err := api.Get(t.Context(), resourceOf(testVolume("v")), "", "v")
		if err != nil {
			t.Fatal(err)
		}
		if ref := obj.(*corev1.PersistentVolume).Spec.ClaimRef; ref == nil || ref.Name != "c" || ref.UID != r.claim("c").UID {
			t.Fatalf("claimRef %+v", ref)
		}
		r.bindClaim("c", "v")
		if r.pod("p").Spec.NodeName != "n" || r.pod("q").Spec.NodeName != "" {
			t.Errorf("p on %q, q on %q: there is one volume", r.pod("p").Spec.NodeName, r.pod("q").Spec.NodeName)
		}
		second := testVolume("w")
		r.create(second)
		r.pass(3 * time.Second)
		r.bindClaim("d", "w")
		if r.pod("q").Spec.NodeName != "n" {
			t.Error("a new volume does not wake the pod that waits for one")
		}
	})
}

func TestAClaimThatIsLate(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		r := start(t, api, nil)
		defer r.stop()
		r.create(testNode("n", 1000, 10), lazyClass(), testClaim("c"), claimingPod("p", "c"))
		r.pass(601 * time.Second)
		c := r.pod("p").Status.Conditions
		want := `running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded`
		if len(c) != 1 || c[0].Reason != corev1.PodReasonSchedulerError || c[0].Message != want {
			t.Errorf("conditions %+v, want %s", c, want)
		}
		r.pass(3 * time.Second) // it is tried again, and waits anew
		r.provision("c")
		if r.pod("p").Spec.NodeName != "n" {
			t.Error("a pod whose claim was late is not tried again")
		}
	})
}

func TestAClaimThatCannotBeWritten(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		var refuse atomic.Bool
		refuse.Store(true)
		api.Fail(func(verb string, res client.Resource, obj kinds.Object) error {
			if res == claimResource() && verb == "update" && refuse.Load() {
				return errors.New("disk")
			}
			return nil
		})
		r := start(t, api, nil)
		defer r.stop()
		r.create(testNode("n", 150, 10), lazyClass(), testClaim("c"), claimingPod("p", "c"))
		c := r.pod("p").Status
		if len(c.Conditions) != 1 || !strings.HasPrefix(c.Conditions[0].Message, `running PreBind plugin "VolumeBinding": `) || c.NominatedNodeName != "" {
			t.Errorf("status %+v", c)
		}
		r.create(testPod("other", 100)) // takes the room that was given back
		if r.pod("other").Spec.NodeName != "n" {
			t.Error("the room of a pod whose claims failed is not given back")
		}
		if _, err := api.Delete(t.Context(), podResource(), "default", "other", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		refuse.Store(false)
		r.pass(10 * time.Second)
		r.provision("c")
		if r.pod("p").Spec.NodeName != "n" {
			t.Error("a pod whose claim could not be written is not tried again")
		}
	})
}

// A scheduler that dies after it has chosen a node for a claim is followed by one that goes on there.
func TestAKillBetweenClaimAndBinding(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		var writes atomic.Int64
		api.Fail(func(verb string, res client.Resource, obj kinds.Object) error {
			if c, ok := obj.(*corev1.PersistentVolumeClaim); ok && verb == "update" && c.Spec.VolumeName == "" {
				writes.Add(1)
			}
			return nil
		})
		first := start(t, api, nil)
		first.create(testNode("n", 1000, 10), lazyClass(), testClaim("c"), claimingPod("p", "c"))
		first.stop()
		first.create(testNode("larger", 100000, 100))
		first.provision("c")
		second := start(t, api, nil)
		synctest.Wait()
		defer second.stop()
		if got := second.pod("p").Spec.NodeName; got == "" || writes.Load() != 1 {
			t.Errorf("pod on %q, a node selected %d times", got, writes.Load())
		}
	})
}

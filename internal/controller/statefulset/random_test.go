package statefulset_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/controller/revision"
	"github.com/floe-k8s/floe/internal/controller/statefulset"
)

func sets() client.Resource { return appsv1.SchemeGroupVersion.WithResource("statefulsets") }
func claims() client.Resource {
	return corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")
}

// world is a set whose spec and pods change by chance.
type world struct {
	*bed.Bed
	kind bool // nothing happens to pods but what the set wants and what brings them on
}

func newWorld(t *testing.T, seed int64, change func(*appsv1.StatefulSetSpec)) *world {
	w := &world{Bed: bed.New(t, seed)}
	l := map[string]string{"app": "web"}
	spec := appsv1.StatefulSetSpec{Replicas: ptr.To[int32](3), Selector: &metav1.LabelSelector{MatchLabels: l}, ServiceName: "svc", RevisionHistoryLimit: ptr.To[int32](2),
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: l}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i0"}}}},
		VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}, Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{"storage": resource.MustParse("1Gi")}}}}}}
	if change != nil {
		change(&spec)
	}
	w.Put(sets(), &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Spec: spec})
	w.Sim.Add(statefulset.New(false))
	w.Sim.Writing = func(_ string, write engine.Write) { w.look(write) }
	return w
}

func (w *world) set() *appsv1.StatefulSet {
	return bed.Get[*appsv1.StatefulSet](w.Bed, sets(), "default", "web")
}

func ordinal(w *world, name string) int {
	n, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
	if err != nil {
		w.Fatal(err)
	}
	return n
}

// look holds the laws of order before a write to a pod: when nobody else meddles, those below are ready when one is made, and one goes at a time.
func (w *world) look(write engine.Write) {
	set := w.set()
	if write.Resource != pods.Resource() || write.Verb == engine.Patch || !w.kind || set.Spec.PodManagementPolicy == appsv1.ParallelPodManagement {
		return
	}
	there := map[int]*corev1.Pod{}
	for _, p := range w.Pods("default") {
		if there[ordinal(w, p.Name)] = p; p.DeletionTimestamp != nil {
			w.Errorf("%s %s%s while %s goes", write.Verb, write.Name, nameOf(write), p.Name)
		}
	}
	if write.Verb != engine.Create {
		return
	}
	first := 0
	if set.Spec.Ordinals != nil {
		first = int(set.Spec.Ordinals.Start)
	}
	for o := first; o < ordinal(w, write.Object.GetName()); o++ {
		if p := there[o]; p == nil || !pods.Ready(p) {
			w.Errorf("%s is made before web-%d is ready", write.Object.GetName(), o)
		}
	}
}

func nameOf(write engine.Write) string {
	if write.Object == nil {
		return ""
	}
	return write.Object.GetName()
}

// meddle changes the set, or lets a pod go on, or, when it is not to be kind, harms one.
func (w *world) meddle() {
	change := func(f func(s *appsv1.StatefulSetSpec)) {
		bed.Change(w.Bed, sets(), "default", "web", "", func(set *appsv1.StatefulSet) { f(&set.Spec) })
	}
	list := w.Pods("default")
	switch n := w.Rand.Intn(24); {
	case n == 0:
		change(func(s *appsv1.StatefulSetSpec) { s.Replicas = ptr.To(int32(w.Rand.Intn(5))) })
	case n == 1:
		change(func(s *appsv1.StatefulSetSpec) { s.Template.Spec.Containers[0].Image = fmt.Sprint("i", w.Rand.Intn(4)) })
	case n == 2:
		change(func(s *appsv1.StatefulSetSpec) {
			s.UpdateStrategy.RollingUpdate.Partition = ptr.To(int32(w.Rand.Intn(3)))
		})
	case n == 3:
		change(func(s *appsv1.StatefulSetSpec) {
			policies := []appsv1.PersistentVolumeClaimRetentionPolicyType{appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType}
			s.PersistentVolumeClaimRetentionPolicy.WhenDeleted = policies[w.Rand.Intn(2)]
		})
	case len(list) == 0:
	case n < 9 && !w.kind:
		w.harm(n, list[w.Rand.Intn(len(list))])
	default:
		w.Run(list[w.Rand.Intn(len(list))])
	}
}

func (w *world) harm(how int, p *corev1.Pod) {
	switch {
	case how == 4:
		if metav1.GetControllerOf(p) == nil {
			return // a name that nobody frees is tried for ever
		}
		w.Remove(pods.Resource(), "default", p.Name)
	case how == 5:
		w.End(p)
	case p.Spec.NodeName == "" || p.DeletionTimestamp != nil || pods.Ended(p):
	case how == 6:
		w.Fail(p)
	case how == 7:
		w.Ready(p, false)
	case how == 8:
		bed.Change(w.Bed, pods.Resource(), "default", p.Name, "", func(p *corev1.Pod) { p.OwnerReferences = nil })
	}
}

// settled holds what is so in the end: the pods that the spec asks for, of the right revisions, with their claims, and a status that says so.
func (w *world) settled() {
	w.Helper()
	for _, p := range w.Pods("default") { // what does not become ready by itself
		if p.Status.Phase == corev1.PodRunning && !pods.Ready(p) {
			w.Ready(p, true)
		}
	}
	w.Rest("default")
	set, list := w.set(), w.Pods("default")
	n, st := *set.Spec.Replicas, set.Status
	if int32(len(list)) != n || st.Replicas != n || st.ReadyReplicas != n || st.AvailableReplicas != n || st.ObservedGeneration != set.Generation {
		w.Fatalf("%d pods, %d wanted, status %+v", len(list), n, st)
	}
	updated := int32(0)
	for _, p := range list {
		o := ordinal(w, p.Name)
		rev := p.Labels[appsv1.StatefulSetRevisionLabel]
		if rev == st.UpdateRevision {
			updated++
		}
		if image := p.Spec.Containers[0].Image; o >= int(*set.Spec.UpdateStrategy.RollingUpdate.Partition) && (rev != st.UpdateRevision || image != set.Spec.Template.Spec.Containers[0].Image) {
			w.Errorf("pod %s is of revision %s and image %s: %+v", p.Name, rev, image, st)
		}
		if ref := metav1.GetControllerOf(p); ref == nil || ref.UID != set.UID || o >= int(n) {
			w.Errorf("pod %s of %d is controlled by %v", p.Name, n, ref)
		}
		w.claimed(set, "data-"+p.Name)
	}
	if st.UpdatedReplicas != updated || st.CurrentRevision == st.UpdateRevision && st.CurrentReplicas != n {
		w.Errorf("status %+v with %d pods of the update revision", st, updated)
	}
	w.kept(set, list)
}

func (w *world) claimed(set *appsv1.StatefulSet, name string) {
	w.Helper()
	c := bed.Get[*corev1.PersistentVolumeClaim](w.Bed, claims(), "default", name)
	if c == nil {
		w.Fatalf("there is no claim %s", name)
	}
	deleted := set.Spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted == appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	if got := metav1.IsControlledBy(c, set); got != deleted {
		w.Errorf("claim %s goes with the set: %t, want %t", name, got, deleted)
	}
}

// kept holds that no revision is lost that is needed, and no more are kept than the limit says.
func (w *world) kept(set *appsv1.StatefulSet, list []*corev1.Pod) {
	w.Helper()
	needed := map[string]bool{set.Status.CurrentRevision: true, set.Status.UpdateRevision: true}
	for _, p := range list {
		needed[p.Labels[appsv1.StatefulSetRevisionLabel]] = true
	}
	view, err := w.Client.View(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	past := int32(0)
	for obj := range view.List(revision.Resource(), "default") {
		if !needed[obj.GetName()] {
			past++
		}
		delete(needed, obj.GetName())
	}
	if len(needed) > 0 || past > *set.Spec.RevisionHistoryLimit {
		w.Errorf("revisions %v are lost, %d past ones are kept", needed, past)
	}
}

func seeds(t *testing.T, f func(t *testing.T, seed int64)) {
	n := int64(12)
	if testing.Short() {
		n = 3
	}
	for seed := range n {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { f(t, seed) })
	}
}

func start(s *appsv1.StatefulSetSpec)    { s.Ordinals = &appsv1.StatefulSetOrdinals{} }
func parallel(s *appsv1.StatefulSetSpec) { s.PodManagementPolicy = appsv1.ParallelPodManagement }

// TestOrder: while nobody harms pods, the order of a set holds at every write, whatever fails and wherever the controller stops.
func TestOrder(t *testing.T) {
	seeds(t, func(t *testing.T, seed int64) {
		w := newWorld(t, seed, start)
		w.kind = true
		w.Chance(300, w.meddle)
		w.settled()
	})
}

// TestSettles: whatever happens to pods, claims and the controller, all is as it should be in the end.
func TestSettles(t *testing.T) {
	for name, change := range map[string]func(*appsv1.StatefulSetSpec){"ordered": nil, "parallel": parallel} {
		seeds(t, func(t *testing.T, seed int64) {
			w := newWorld(t, seed, change)
			w.Chance(300, w.meddle)
			w.settled()
			if t.Failed() {
				t.Log(name)
			}
		})
	}
}

// TestDeletion: a set that goes changes nothing any more, and its pods are the collector's.
func TestDeletion(t *testing.T) {
	w := newWorld(t, 1, nil)
	w.Rest("default")
	policy := metav1.DeletePropagationForeground
	if _, err := w.Client.Delete(t.Context(), sets(), "default", "web", metav1.DeleteOptions{PropagationPolicy: &policy}); err != nil {
		t.Fatal(err)
	}
	w.End(w.Pods("default")[0])
	w.Rest("default")
	if set := w.set(); set.Status.Replicas != 2 || len(w.Pods("default")) != 2 {
		t.Errorf("status %+v, pods %d", set.Status, len(w.Pods("default")))
	}
	if _, err := w.Client.Get(t.Context(), pods.Resource(), "default", "web-0"); !apierrors.IsNotFound(err) {
		t.Errorf("web-0: %v", err)
	}
}

package attachdetach_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/controller/attachdetach"
	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

var (
	claims      = corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")
	volumes     = corev1.SchemeGroupVersion.WithResource("persistentvolumes")
	nodes       = corev1.SchemeGroupVersion.WithResource("nodes")
	pods        = corev1.SchemeGroupVersion.WithResource("pods")
	drivers     = storagev1.SchemeGroupVersion.WithResource("csidrivers")
	attachments = storagev1.SchemeGroupVersion.WithResource("volumeattachments")
)

const driver = "d.example.com"

// world is nodes and volumes of a driver, whose attacher and whose kubelets act when they are told to.
type world struct {
	*bed.Bed
	ctl engine.Controller
}

func newWorld(t *testing.T, seed int64) *world {
	w := &world{bed.New(t, seed), attachdetach.New(attachdetach.NewMetrics(nil))}
	for _, name := range []string{"n1", "n2", "n3"} {
		w.Put(nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"volumes.kubernetes.io/controller-managed-attach-detach": "true"}}})
		w.ready(name, corev1.ConditionTrue)
	}
	return w
}

func (w *world) ready(node string, status corev1.ConditionStatus) {
	w.Helper()
	bed.Change(w.Bed, nodes, "", node, "status", func(n *corev1.Node) {
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}
	})
}

// volume makes a bound volume and its claim, of one name.
func (w *world) volume(name string, mode corev1.PersistentVolumeAccessMode) {
	w.Helper()
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	modes := []corev1.PersistentVolumeAccessMode{mode}
	c := w.Put(claims, &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: modes, VolumeName: name, Resources: corev1.VolumeResourceRequirements{Requests: size}}})
	w.Put(volumes, &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeSpec{
		AccessModes: modes, Capacity: size, ClaimRef: &corev1.ObjectReference{Namespace: "default", Name: name, UID: c.GetUID()},
		PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: driver, VolumeHandle: "handle-" + name}}}})
	bed.Change(w.Bed, claims, "default", name, "status", func(c *corev1.PersistentVolumeClaim) { c.Status.Phase = corev1.ClaimBound })
}

func (w *world) pod(name, node, claim string) {
	w.Helper()
	w.Put(pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PodSpec{
		NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "i"}}, Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}}}})
}

func (w *world) kill(pod string) {
	w.Helper()
	if bed.Get[*corev1.Pod](w.Bed, pods, "default", pod) == nil {
		return
	}
	if _, err := w.Client.Delete(w.Context(), pods, "default", pod, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
		w.Fatal(err)
	}
}

// id is the name of an attachment.
func id(volume, node string) string {
	return fmt.Sprintf("csi-%x", sha256.Sum256([]byte("handle-"+volume+driver+node)))
}

func unique(volume string) corev1.UniqueVolumeName {
	return corev1.UniqueVolumeName("kubernetes.io/csi/" + driver + "^handle-" + volume)
}

// attacher is the driver's: it attaches, holds what is attached, and lets go of what is to be detached.
func (w *world) attacher() {
	w.Helper()
	for _, a := range w.attachments() {
		const hold = "external-attacher/d-example-com"
		switch {
		case a.DeletionTimestamp != nil:
			bed.Change(w.Bed, attachments, "", a.Name, "", func(a *storagev1.VolumeAttachment) { a.Finalizers = nil })
		case len(a.Finalizers) == 0:
			bed.Change(w.Bed, attachments, "", a.Name, "", func(a *storagev1.VolumeAttachment) { a.Finalizers = []string{hold} })
		case !a.Status.Attached:
			bed.Change(w.Bed, attachments, "", a.Name, "status", func(a *storagev1.VolumeAttachment) { a.Status.Attached = true })
		}
	}
}

func (w *world) attachments() (list []*storagev1.VolumeAttachment) {
	view, err := w.Client.View(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	for obj := range view.List(attachments, "") {
		list = append(list, obj.(*storagev1.VolumeAttachment))
	}
	return list
}

// kubelet mounts what the node is told that it has and its pods use, and unmounts the rest.
func (w *world) kubelet(node string) {
	w.Helper()
	view, err := w.Client.View(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	n := bed.Get[*corev1.Node](w.Bed, nodes, "", node)
	var use []corev1.UniqueVolumeName
	for obj := range view.List(pods, "default") {
		pod := obj.(*corev1.Pod)
		name := unique(pod.Spec.Volumes[0].PersistentVolumeClaim.ClaimName)
		told := slices.Contains(n.Status.VolumesAttached, corev1.AttachedVolume{Name: name})
		if pod.Spec.NodeName == node && told && !slices.Contains(use, name) {
			use = append(use, name)
		}
	}
	bed.Change(w.Bed, nodes, "", node, "status", func(n *corev1.Node) { n.Status.VolumesInUse = use })
}

// all lets everybody do all that is to do.
func (w *world) all() {
	w.Helper()
	for range 4 {
		w.Settle()
		w.attacher()
		w.attacher()
		w.Settle()
		for _, n := range []string{"n1", "n2", "n3"} {
			if bed.Get[*corev1.Node](w.Bed, nodes, "", n) != nil {
				w.kubelet(n)
			}
		}
	}
	w.Settle()
}

func (w *world) attached(node string) (names []string) {
	for _, v := range bed.Get[*corev1.Node](w.Bed, nodes, "", node).Status.VolumesAttached {
		names = append(names, string(v.Name))
	}
	return names
}

func (w *world) events(node string) (list []string) {
	w.Helper()
	for _, ev := range w.Reconcile(w.ctl, engine.Key{Resource: nodes, Name: node}, w.Clock.Now()).Events {
		list = append(list, ev.About.Name+": "+ev.Type+" "+ev.Reason+" "+ev.Message)
	}
	return list
}

// TestLifeOfAnAttachment goes from a pod's coming to its end.
func TestLifeOfAnAttachment(t *testing.T) {
	w := newWorld(t, 1)
	w.Sim.Add(w.ctl)
	w.volume("v", corev1.ReadWriteOnce)
	w.pod("p", "n1", "v")
	w.Settle()
	a := bed.Get[*storagev1.VolumeAttachment](w.Bed, attachments, "", id("v", "n1"))
	if a == nil || a.Spec.Attacher != driver || a.Spec.NodeName != "n1" || ptr.Deref(a.Spec.Source.PersistentVolumeName, "") != "v" {
		t.Fatalf("the attachment is %+v", a)
	}
	if got := w.attached("n1"); len(got) > 0 {
		t.Errorf("the node is told that it has %v before the driver has attached it", got)
	}
	w.attacher()
	w.attacher()
	if got, want := w.events("n1"), []string{`p: Normal SuccessfulAttachVolume AttachVolume.Attach succeeded for volume "v" `}; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
	w.all()
	if got, want := w.attached("n1"), []string{string(unique("v"))}; !slices.Equal(got, want) {
		t.Errorf("the node has %v, want %v", got, want)
	}
	w.kill("p")
	w.Settle()
	if a := bed.Get[*storagev1.VolumeAttachment](w.Bed, attachments, "", id("v", "n1")); a == nil || a.DeletionTimestamp != nil {
		t.Error("a volume is detached that is mounted")
	}
	w.all()
	if len(w.attachments()) > 0 || len(w.attached("n1")) > 0 {
		t.Errorf("left: %v, and the node has %v", w.attachments(), w.attached("n1"))
	}
}

// TestMultiAttach: what one node may have is not attached to a second one, whose pod is told why, once.
func TestMultiAttach(t *testing.T) {
	w := newWorld(t, 1)
	w.Sim.Add(w.ctl)
	w.volume("v", corev1.ReadWriteOnce)
	w.pod("p", "n1", "v")
	w.all()
	w.pod("q", "n2", "v")
	want := []string{`q: Warning FailedAttachVolume Multi-Attach error for volume "v" Volume is already used by pod(s) p`}
	if got := w.events("n2"); !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
	if got := w.events("n2"); len(got) > 0 {
		t.Errorf("told again: %q", got)
	}
	w.all()
	if list := w.attachments(); len(list) != 1 || list[0].Spec.NodeName != "n1" {
		t.Errorf("attachments: %v", list)
	}
	w.kill("p")
	w.all()
	if list := w.attachments(); len(list) != 1 || list[0].Spec.NodeName != "n2" {
		t.Errorf("attachments after the first pod went: %v", list)
	}
}

// TestForced: when a volume is detached that a node has mounted.
func TestForced(t *testing.T) {
	for _, c := range []struct {
		name  string
		node  func(w *world)
		after time.Duration
		want  bool
	}{
		{"a ready node may take its time", func(*world) {}, time.Hour, false},
		{"a node that is not ready, for a while", func(w *world) { w.ready("n1", corev1.ConditionUnknown) }, 5 * time.Minute, false},
		{"a node that is not ready", func(w *world) { w.ready("n1", corev1.ConditionUnknown) }, 6 * time.Minute, true},
		{"a node out of service", func(w *world) {
			bed.Change(w.Bed, nodes, "", "n1", "", func(n *corev1.Node) {
				n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeOutOfService, Effect: corev1.TaintEffectNoExecute})
			})
		}, 0, true},
		{"a node that is gone", func(w *world) { w.Remove(nodes, "", "n1") }, 6 * time.Minute, true},
	} {
		w := newWorld(t, 1)
		w.volume("v", corev1.ReadWriteOnce)
		w.pod("p", "n1", "v")
		key := engine.Key{Resource: nodes, Name: "n1"}
		settled := attachdetach.New(nil)
		w.Sim.Add(settled)
		w.all()
		w.kill("p")
		c.node(w)
		w.Reconcile(w.ctl, key, w.Clock.Now())
		got := false
		for _, write := range w.Reconcile(w.ctl, key, w.Clock.Now().Add(c.after)).Writes {
			got = got || write.Verb == engine.Delete && write.Name == id("v", "n1")
		}
		if got != c.want {
			t.Errorf("%s: detached %v, want %v", c.name, got, c.want)
		}
	}
}

// TestTold: pods are told what the driver says, and when it says nothing.
func TestTold(t *testing.T) {
	w := newWorld(t, 1)
	w.Sim.Add(attachdetach.New(nil))
	w.volume("v", corev1.ReadWriteOnce)
	w.pod("p", "n1", "v")
	w.Settle()
	made := bed.Get[*storagev1.VolumeAttachment](w.Bed, attachments, "", id("v", "n1")).CreationTimestamp.Time
	plan := w.Reconcile(w.ctl, engine.Key{Resource: nodes, Name: "n1"}, made.Add(2*time.Minute))
	const late = `AttachVolume.Attach failed for volume "v" : timed out waiting for external-attacher of d.example.com CSI driver to attach volume handle-v`
	if len(plan.Events) != 1 || plan.Events[0].Message != late {
		t.Errorf("events %+v, want %q", plan.Events, late)
	}
	bed.Change(w.Bed, attachments, "", id("v", "n1"), "status", func(a *storagev1.VolumeAttachment) {
		a.Status.AttachError = &storagev1.VolumeError{Time: metav1.NewTime(made.Add(3 * time.Minute)), Message: "no such disk"}
	})
	plan = w.Reconcile(w.ctl, engine.Key{Resource: nodes, Name: "n1"}, made.Add(4*time.Minute))
	const refused = `AttachVolume.Attach failed for volume "v" : no such disk`
	if len(plan.Events) != 1 || plan.Events[0].Message != refused {
		t.Errorf("events %+v, want %q", plan.Events, refused)
	}
}

// TestLeftAlone: what the controller did not make stays, and drivers that need no attaching have none.
func TestLeftAlone(t *testing.T) {
	w := newWorld(t, 1)
	w.Sim.Add(w.ctl)
	w.Put(drivers, &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: driver}, Spec: storagev1.CSIDriverSpec{AttachRequired: ptr.To(false)}})
	w.volume("v", corev1.ReadWriteOnce)
	w.pod("p", "n1", "v")
	w.Put(attachments, &storagev1.VolumeAttachment{ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Spec: storagev1.VolumeAttachmentSpec{
		Attacher: driver, NodeName: "n1", Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: ptr.To("v")}}})
	w.Settle()
	if list := w.attachments(); len(list) != 1 || list[0].Name != "mine" {
		t.Errorf("attachments: %v", list)
	}
}

// TestByChance: an exclusive volume has one attachment at most, none goes that a node has mounted, and in the end pods have what they need.
func TestByChance(t *testing.T) {
	for seed := range int64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, seed)
			w.Sim.Add(w.ctl)
			w.volume("once", corev1.ReadWriteOnce)
			w.volume("many", corev1.ReadWriteMany)
			w.Sim.Writing = func(_ string, write engine.Write) { w.look(write) }
			w.Chance(250, w.act)
			w.all()
			w.atRest()
		})
	}
}

func (w *world) act() {
	node, claim := fmt.Sprint("n", 1+w.Rand.Intn(3)), []string{"once", "many"}[w.Rand.Intn(2)]
	pod := node + claim
	switch w.Rand.Intn(6) {
	case 0, 1:
		if bed.Get[*corev1.Pod](w.Bed, pods, "default", pod) == nil {
			w.pod(pod, node, claim)
		}
	case 2:
		w.kill(pod)
	case 3:
		w.attacher()
	default:
		w.kubelet(node)
	}
}

func (w *world) look(write engine.Write) {
	w.Helper()
	exclusive := 0
	for _, a := range w.attachments() {
		if *a.Spec.Source.PersistentVolumeName == "once" {
			exclusive++
		}
		if write.Verb == engine.Delete && write.Name == a.Name {
			n := bed.Get[*corev1.Node](w.Bed, nodes, "", a.Spec.NodeName)
			name := unique(*a.Spec.Source.PersistentVolumeName)
			if slices.Contains(n.Status.VolumesInUse, name) {
				w.Fatalf("%s is detached from node %s, which has it mounted", name, n.Name)
			}
		}
	}
	if exclusive > 1 {
		w.Fatalf("%d attachments of an exclusive volume", exclusive)
	}
}

func (w *world) atRest() {
	w.Helper()
	users := map[string]bool{}
	view, err := w.Client.View(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	for obj := range view.List(pods, "default") {
		pod := obj.(*corev1.Pod)
		users[id(pod.Spec.Volumes[0].PersistentVolumeClaim.ClaimName, pod.Spec.NodeName)] = true
	}
	exclusive := false
	for _, a := range w.attachments() {
		if !users[a.Name] || !a.Status.Attached {
			w.Errorf("attachment of %s to %s: attached %v, wanted %v", *a.Spec.Source.PersistentVolumeName, a.Spec.NodeName, a.Status.Attached, users[a.Name])
		}
		exclusive = exclusive || *a.Spec.Source.PersistentVolumeName == "once"
		delete(users, a.Name)
	}
	for _, n := range []string{"n1", "n2", "n3"} {
		if users[id("many", n)] || users[id("once", n)] && !exclusive {
			w.Errorf("node %s waits for a volume that it could have", n)
		}
	}
}

package volumebinding_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/volumebinding"
	"github.com/floe-k8s/floe/internal/kinds"
)

var (
	volumes = corev1.SchemeGroupVersion.WithResource("persistentvolumes")
	claims  = corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")
	classes = storagev1.SchemeGroupVersion.WithResource("storageclasses")
	pods    = corev1.SchemeGroupVersion.WithResource("pods")
)

const (
	once = corev1.ReadWriteOnce
	many = corev1.ReadWriteMany
)

func size(gi int) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(fmt.Sprintf("%dGi", gi))}
}

// pv is a volume of a class and size, changed by with.
func pv(name, class string, gi int, with ...func(*corev1.PersistentVolume)) *corev1.PersistentVolume {
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{once}, Capacity: size(gi), StorageClassName: class,
		PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/x"}},
	}}
	for _, f := range with {
		f(v)
	}
	return v
}

// pvc is a claim of a class and size; a class of "?" says nothing of classes.
func pvc(name, class string, gi int, with ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{once}, Resources: corev1.VolumeResourceRequirements{Requests: size(gi)}, StorageClassName: &class,
	}}
	if class == "?" {
		c.Spec.StorageClassName = nil
	}
	for _, f := range with {
		f(c)
	}
	return c
}

func class(name, provisioner string, mode storagev1.VolumeBindingMode, with ...func(*storagev1.StorageClass)) *storagev1.StorageClass {
	c := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: provisioner, VolumeBindingMode: &mode}
	for _, f := range with {
		f(c)
	}
	return c
}

func reserve(name string) func(*corev1.PersistentVolume) {
	return func(v *corev1.PersistentVolume) {
		v.Spec.ClaimRef = &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: "default", Name: name}
	}
}

func policy(p corev1.PersistentVolumeReclaimPolicy) func(*corev1.PersistentVolume) {
	return func(v *corev1.PersistentVolume) { v.Spec.PersistentVolumeReclaimPolicy = p }
}

func modes(m ...corev1.PersistentVolumeAccessMode) func(*corev1.PersistentVolume) {
	return func(v *corev1.PersistentVolume) { v.Spec.AccessModes = m }
}

func named(volume string) func(*corev1.PersistentVolumeClaim) {
	return func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = volume }
}

func ofDriver(v *corev1.PersistentVolume) {
	v.Spec.PersistentVolumeSource = corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "d.example.com", VolumeHandle: "h"}}
}

func put(b *bed.Bed, objects ...kinds.Object) {
	b.Helper()
	for _, obj := range objects {
		b.Put(resourceOf(obj), obj)
	}
}

func resourceOf(obj kinds.Object) client.Resource {
	switch obj.(type) {
	case *corev1.PersistentVolume:
		return volumes
	case *corev1.PersistentVolumeClaim:
		return claims
	case *storagev1.StorageClass:
		return classes
	}
	return pods
}

// show prints volumes and claims, a line each: name, phase, the other one, and those of the controller's annotations that are there.
func show(b *bed.Bed) (lines []string) {
	view, err := b.Client.View(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	notes := func(obj kinds.Object) (text string) {
		for _, key := range []string{"pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller", "pv.kubernetes.io/migrated-to", "volume.kubernetes.io/storage-provisioner"} {
			if v, ok := obj.GetAnnotations()[key]; ok {
				text += " " + key[strings.Index(key, "/")+1:] + "=" + v
			}
		}
		return text
	}
	for obj := range view.List(volumes, "") {
		v, claim := obj.(*corev1.PersistentVolume), "-"
		if v.Spec.ClaimRef != nil {
			claim = v.Spec.ClaimRef.Name
		}
		lines = append(lines, fmt.Sprintf("%s %s %s%s", v.Name, v.Status.Phase, claim, notes(v)))
	}
	for obj := range view.List(claims, "") {
		c := obj.(*corev1.PersistentVolumeClaim)
		lines = append(lines, fmt.Sprintf("%s %s %s%s", c.Name, c.Status.Phase, strings.TrimSpace(c.Spec.VolumeName+" "+c.Status.Capacity.Storage().String()), notes(c)))
	}
	return lines
}

func TestBinding(t *testing.T) {
	t.Parallel()
	const done, own = " bind-completed=yes", " bound-by-controller=yes"
	block := corev1.PersistentVolumeBlock
	for _, c := range []struct {
		name    string
		objects []kinds.Object
		want    []string
	}{
		{"a volume alone is available", []kinds.Object{pv("v", "", 1)}, []string{"v Available -"}},
		{"a claim alone waits", []kinds.Object{pvc("c", "", 1)}, []string{"c Pending 0"}},
		{"the smallest that will do", []kinds.Object{pv("v1", "", 1), pv("v3", "", 3), pv("v2", "", 2), pvc("c", "", 2)},
			[]string{"v1 Available -", "v2 Bound c" + own, "v3 Available -", "c Bound v2 2Gi" + done + own}},
		{"fewest modes first", []kinds.Object{pv("v1", "", 1, modes(once, many)), pv("v9", "", 9), pvc("c", "", 1)},
			[]string{"v1 Available -", "v9 Bound c" + own, "c Bound v9 9Gi" + done + own}},
		{"not of another class", []kinds.Object{pv("v", "a", 1), pvc("c", "", 1)}, []string{"v Available -", "c Pending 0"}},
		{"not of another mode", []kinds.Object{pv("v", "", 1, func(v *corev1.PersistentVolume) { v.Spec.VolumeMode = &block }), pvc("c", "", 1)},
			[]string{"v Available -", "c Pending 0"}},
		{"by labels", []kinds.Object{
			pv("a", "", 1), pv("b", "", 1, func(v *corev1.PersistentVolume) { v.Labels = map[string]string{"k": "v"} }),
			pvc("c", "", 1, func(c *corev1.PersistentVolumeClaim) {
				c.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"k": "v"}}
			}),
		}, []string{"a Available -", "b Bound c" + own, "c Bound b 1Gi" + done + own}},
		{"the reserved one, whatever its class and size", []kinds.Object{pv("a", "", 1), pv("z", "other", 5, reserve("c")), pvc("c", "", 1)},
			[]string{"a Available -", "z Bound c", "c Bound z 5Gi" + done + own}},
		{"one that is reserved for another is not free", []kinds.Object{pv("a", "", 1, reserve("d")), pvc("c", "", 1)},
			[]string{"a Available d", "c Pending 0"}},
		{"a claim's own choice", []kinds.Object{pv("a", "", 1), pv("b", "", 7), pvc("c", "", 1, named("b"))},
			[]string{"a Available -", "b Bound c" + own, "c Bound b 7Gi" + done}},
		{"a claim's own choice that is too small", []kinds.Object{pv("a", "", 1), pvc("c", "", 2, named("a"))},
			[]string{"a Available -", "c Pending a 0"}},
		{"a claim's own choice that is not there", []kinds.Object{pvc("c", "", 2, named("a"))}, []string{"c Pending a 0"}},
		{"a claim's own choice that is another's", []kinds.Object{pv("a", "", 1, reserve("d")), pvc("c", "", 1, named("a"))},
			[]string{"a Available d", "c Pending a 0"}},
		{"both chose each other", []kinds.Object{pv("a", "", 1, reserve("c")), pvc("c", "", 1, named("a"))},
			[]string{"a Bound c", "c Bound a 1Gi" + done}},
		{"two claims, one volume", []kinds.Object{pv("a", "", 1), pvc("c", "", 1, named("a")), pvc("d", "", 1, named("a"))},
			[]string{"a Bound c" + own, "c Bound a 1Gi" + done, "d Pending a 0"}},
		{"a class that waits", []kinds.Object{class("w", "kubernetes.io/no-provisioner", storagev1.VolumeBindingWaitForFirstConsumer), pv("a", "w", 1), pvc("c", "w", 1)},
			[]string{"a Available -", "c Pending 0"}},
		{"a class that waits, and a volume that is reserved", []kinds.Object{
			class("w", "kubernetes.io/no-provisioner", storagev1.VolumeBindingWaitForFirstConsumer), pv("a", "w", 1, reserve("c")), pvc("c", "w", 1)},
			[]string{"a Bound c", "c Bound a 1Gi" + done + own}},
		{"a node is selected", []kinds.Object{class("w", "d.example.com", storagev1.VolumeBindingWaitForFirstConsumer),
			pvc("c", "w", 1, func(c *corev1.PersistentVolumeClaim) {
				c.Annotations = map[string]string{"volume.kubernetes.io/selected-node": "n"}
			})},
			[]string{"c Pending 0 storage-provisioner=d.example.com"}},
		{"an external provisioner", []kinds.Object{class("e", "d.example.com", storagev1.VolumeBindingImmediate), pvc("c", "e", 1)},
			[]string{"c Pending 0 storage-provisioner=d.example.com"}},
		{"a driver that has taken over", []kinds.Object{class("e", "kubernetes.io/aws-ebs", storagev1.VolumeBindingImmediate), pvc("c", "e", 1)},
			[]string{"c Pending 0 storage-provisioner=ebs.csi.aws.com"}},
		{"nobody provisions", []kinds.Object{class("e", "kubernetes.io/glusterfs", storagev1.VolumeBindingImmediate), pvc("c", "e", 1)}, []string{"c Pending 0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := bed.New(t, 1)
			b.Sim.Add(volumebinding.New(nil))
			for _, obj := range c.objects {
				put(b, obj)
				b.Settle()
			}
			if diff := cmp.Diff(c.want, show(b)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestLaterWakes: what a claim waited for comes later.
func TestLaterWakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		claim *corev1.PersistentVolumeClaim
		later []kinds.Object
		want  string
	}{
		{"a volume", pvc("c", "", 1), []kinds.Object{pv("v", "", 1)}, "c Bound v 1Gi bind-completed=yes bound-by-controller=yes"},
		{"the volume", pvc("c", "", 1, named("v")), []kinds.Object{pv("v", "", 1)}, "c Bound v 1Gi bind-completed=yes"},
		{"a class", pvc("c", "e", 1), []kinds.Object{class("e", "d.example.com", storagev1.VolumeBindingImmediate)}, "c Pending 0 storage-provisioner=d.example.com"},
		{"a default class", pvc("c", "?", 1), []kinds.Object{class("e", "d.example.com", storagev1.VolumeBindingImmediate, func(c *storagev1.StorageClass) {
			c.Annotations = map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}
		})}, "c Pending 0 storage-provisioner=d.example.com"},
	} {
		b := bed.New(t, 1)
		b.Sim.Add(volumebinding.New(nil))
		put(b, c.claim)
		b.Settle()
		put(b, c.later...)
		b.Settle()
		if got := show(b); got[len(got)-1] != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestReclaim: what becomes of a volume whose claim goes.
func TestReclaim(t *testing.T) {
	t.Parallel()
	made := func(by string) func(*corev1.PersistentVolume) {
		return func(v *corev1.PersistentVolume) {
			v.Annotations = map[string]string{"pv.kubernetes.io/provisioned-by": by}
		}
	}
	for _, c := range []struct {
		name   string
		volume *corev1.PersistentVolume
		want   string
		says   string
	}{
		{"retain", pv("v", "", 1), "v Released c bound-by-controller=yes", ""},
		{"delete, by a driver", pv("v", "", 1, policy("Delete"), ofDriver), "v Released c bound-by-controller=yes", ""},
		{"delete, by a provisioner", pv("v", "", 1, policy("Delete"), made("p.example.com")), "v Released c bound-by-controller=yes", ""},
		{"delete, by nobody", pv("v", "", 1, policy("Delete"), func(v *corev1.PersistentVolume) {
			v.Spec.PersistentVolumeSource = corev1.PersistentVolumeSource{NFS: &corev1.NFSVolumeSource{Server: "s", Path: "/"}}
		}), "v Failed c bound-by-controller=yes", `error getting deleter volume plugin for volume "v": no deletable volume plugin matched`},
		{"delete, by what is no more", pv("v", "", 1, policy("Delete"), made("kubernetes.io/glusterfs")),
			"v Failed c bound-by-controller=yes", "no volume plugin matched name: kubernetes.io/glusterfs"},
		{"recycle", pv("v", "", 1, policy("Recycle")), "v Failed c bound-by-controller=yes", "No recycler plugin found for the volume!"},
	} {
		b := bed.New(t, 1)
		b.Sim.Add(volumebinding.New(nil))
		put(b, c.volume, pvc("c", "", 1))
		b.Settle()
		bed.Change(b, claims, "default", "c", "", func(c *corev1.PersistentVolumeClaim) { c.Finalizers = nil })
		b.Remove(claims, "default", "c")
		b.Settle()
		if got := show(b); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		if got := bed.Get[*corev1.PersistentVolume](b, volumes, "", "v").Status.Message; got != c.says {
			t.Errorf("%s: message %q, want %q", c.name, got, c.says)
		}
	}
}

// TestLost: a claim that was bound is never pending again.
func TestLost(t *testing.T) {
	t.Parallel()
	b := bed.New(t, 1)
	b.Sim.Add(volumebinding.New(nil))
	put(b, pv("v", "", 1), pvc("c", "", 1))
	b.Settle()
	bed.Change(b, volumes, "", "v", "", func(v *corev1.PersistentVolume) { v.Finalizers = nil })
	b.Remove(volumes, "", "v")
	b.Settle()
	put(b, pv("w", "", 1))
	b.Settle()
	want := []string{"w Available -", "c Lost v 0 bind-completed=yes bound-by-controller=yes"}
	if diff := cmp.Diff(want, show(b)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestEvents: what is told of a claim or volume, in upstream's words.
func TestEvents(t *testing.T) {
	t.Parallel()
	waits := class("w", "kubernetes.io/no-provisioner", storagev1.VolumeBindingWaitForFirstConsumer)
	user := func(name string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "c", Image: "i"}}, Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}}},
		}}
	}
	block := corev1.PersistentVolumeBlock
	for _, c := range []struct {
		objects []kinds.Object
		about   engine.Key
		want    []string
	}{
		{[]kinds.Object{pvc("c", "", 1)}, engine.Key{}, []string{"Normal FailedBinding no persistent volumes available for this claim and no storage class is set"}},
		{[]kinds.Object{pvc("c", "x", 1)}, engine.Key{}, []string{`Warning ProvisioningFailed storageclass.storage.k8s.io "x" not found`}},
		{[]kinds.Object{waits, pvc("c", "w", 1)}, engine.Key{}, []string{"Normal WaitForFirstConsumer waiting for first consumer to be created before binding"}},
		{[]kinds.Object{waits, pvc("c", "w", 1), user("p")}, engine.Key{}, []string{"Normal WaitForPodScheduled waiting for pod p to be scheduled"}},
		{[]kinds.Object{waits, pvc("c", "w", 1), user("p"), user("q")}, engine.Key{}, []string{"Normal WaitForPodScheduled waiting for pods p,q to be scheduled"}},
		{[]kinds.Object{pv("v", "", 1), pvc("c", "", 2, named("v"))}, engine.Key{},
			[]string{`Warning VolumeMismatch Cannot bind to requested volume "v": requested PV is too small`}},
		{[]kinds.Object{pv("v", "", 1, reserve("d")), pvc("c", "", 1, named("v"))}, engine.Key{},
			[]string{`Warning FailedBinding volume "v" already bound to a different claim.`}},
		{[]kinds.Object{class("e", "d.example.com", storagev1.VolumeBindingImmediate), pvc("c", "e", 1)}, engine.Key{}, []string{
			"Normal ExternalProvisioning Waiting for a volume to be created either by the external provisioner 'd.example.com' or manually by the system administrator. " +
				"If volume creation is delayed, please verify that the provisioner is running and correctly registered."}},
		{[]kinds.Object{class("e", "kubernetes.io/no-provisioner", storagev1.VolumeBindingImmediate), pvc("c", "e", 1)}, engine.Key{},
			[]string{"Warning ProvisioningFailed no volume plugin matched name: kubernetes.io/no-provisioner"}},
		{[]kinds.Object{pvc("c", "", 1, func(c *corev1.PersistentVolumeClaim) { c.UID = "u" }),
			pv("v", "", 1, reserve("c"), func(v *corev1.PersistentVolume) { v.Spec.VolumeMode = &block; v.Spec.ClaimRef.UID = "(the claim's)" })},
			engine.Key{Resource: volumes, Name: "v"}, []string{
				`Warning VolumeMismatch Cannot bind PersistentVolume to requested PersistentVolumeClaim "c" due to incompatible volumeMode.`,
				`Warning VolumeMismatch Cannot bind PersistentVolume "v" to requested PersistentVolumeClaim due to incompatible volumeMode.`}},
	} {
		b := bed.New(t, 1)
		for _, obj := range c.objects {
			if v, ok := obj.(*corev1.PersistentVolume); ok && v.Spec.ClaimRef != nil && v.Spec.ClaimRef.UID != "" {
				v.Spec.ClaimRef.UID = bed.Get[*corev1.PersistentVolumeClaim](b, claims, "default", "c").UID
			}
			put(b, obj)
		}
		key := c.about
		if key.Name == "" {
			key = engine.Key{Resource: claims, Namespace: "default", Name: "c"}
		}
		var got []string
		for _, ev := range b.Reconcile(volumebinding.New(nil), key, b.Clock.Now()).Events {
			got = append(got, ev.Type+" "+ev.Reason+" "+ev.Message)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}

// TestRepeats: what a claim waits for is told again, ever less often.
func TestRepeats(t *testing.T) {
	t.Parallel()
	b := bed.New(t, 1)
	put(b, pvc("c", "", 1))
	key := engine.Key{Resource: claims, Namespace: "default", Name: "c"}
	for after, want := range map[time.Duration]time.Duration{0: 15 * time.Second, time.Hour: 5 * time.Minute} {
		if got := b.Reconcile(volumebinding.New(nil), key, b.Clock.Now().Add(after)).After; got != want {
			t.Errorf("after %s: again in %s, want %s", after, got, want)
		}
	}
}

// TestAttributesClass: a claim gets a volume of its class of attributes only, and its status tells which that is.
func TestAttributesClass(t *testing.T) {
	t.Parallel()
	b := bed.New(t, 1)
	b.Sim.Add(volumebinding.New(nil))
	gold := func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeAttributesClassName = ptr.To("gold") }
	put(b, pv("a", "", 1, ofDriver), pv("b", "", 1, ofDriver, func(v *corev1.PersistentVolume) { v.Spec.VolumeAttributesClassName = ptr.To("gold") }), pvc("c", "", 1, gold))
	b.Settle()
	got := bed.Get[*corev1.PersistentVolumeClaim](b, claims, "default", "c")
	if got.Spec.VolumeName != "b" || ptr.Deref(got.Status.CurrentVolumeAttributesClassName, "") != "gold" {
		t.Errorf("bound to %q with attributes %v", got.Spec.VolumeName, got.Status.CurrentVolumeAttributesClassName)
	}
}

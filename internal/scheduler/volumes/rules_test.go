package volumes

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// world is two nodes, classes, and what a test adds.
type world struct {
	*history
}

func newWorld(t *testing.T, objects ...kinds.Object) world {
	h := &history{t: t, table: place.NewTable(), objects: map[string]kinds.Object{}, placed: map[types.UID]string{}}
	h.x = New(h.table.Touch)
	w := world{h}
	for _, name := range []string{"n1", "n2"} {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelTopologyZone: "z-" + name}}}
		n.Status.Allocatable = corev1.ResourceList{corev1.ResourcePods: gib(1)}
		w.set(n)
	}
	wait, now := new(storagev1.VolumeBindingWaitForFirstConsumer), new(storagev1.VolumeBindingImmediate)
	w.set(&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "wait"}, Provisioner: driver, VolumeBindingMode: wait})
	w.set(&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "local"}, Provisioner: noProvisioner, VolumeBindingMode: wait})
	w.set(&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "now"}, Provisioner: driver, VolumeBindingMode: now})
	w.set(&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "unset"}, Provisioner: driver})
	for _, o := range objects {
		w.set(o)
	}
	return w
}

func newClaim(name, class string, change ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name, UID: types.UID(name)}}
	if class != "" {
		c.Spec.StorageClassName = &class
	}
	c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: gib(2)}
	for _, f := range change {
		f(c)
	}
	return c
}

func boundTo(volume string) func(*corev1.PersistentVolumeClaim) {
	return func(c *corev1.PersistentVolumeClaim) { bind(c, volume) }
}

func newVolume(name, class string, size int, change ...func(*corev1.PersistentVolume)) *corev1.PersistentVolume {
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}}
	v.Spec = corev1.PersistentVolumeSpec{StorageClassName: class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Capacity: corev1.ResourceList{corev1.ResourceStorage: gib(size)}}
	v.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: driver, VolumeHandle: name}
	v.Status.Phase = corev1.VolumeAvailable
	for _, f := range change {
		f(v)
	}
	return v
}

func on(key, value string) func(*corev1.PersistentVolume) {
	return func(v *corev1.PersistentVolume) {
		v.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{value}}}}}}}
	}
}

func newPod(name string, sources ...corev1.VolumeSource) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name, UID: types.UID(name)}}
	for i, s := range sources {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: fmt.Sprint("v", i), VolumeSource: s})
	}
	return p
}

func use(name string) corev1.VolumeSource {
	return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}
}

func own() corev1.VolumeSource {
	return corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}
}

// TestRefusals holds the message of pods that fit nowhere against upstream's words.
func TestRefusals(t *testing.T) {
	owned := func(by string) func(*corev1.PersistentVolumeClaim) {
		return func(c *corev1.PersistentVolumeClaim) {
			c.OwnerReferences = []metav1.OwnerReference{{Kind: "Pod", Name: by, UID: types.UID(by), Controller: new(true)}}
		}
	}
	lost := func(c *corev1.PersistentVolumeClaim) { c.Status.Phase = corev1.ClaimLost }
	going := func(c *corev1.PersistentVolumeClaim) { c.DeletionTimestamp = &metav1.Time{} }
	sent := func(node string) func(*corev1.PersistentVolumeClaim) {
		return func(c *corev1.PersistentVolumeClaim) { c.Annotations = map[string]string{selectedNode: node} }
	}
	reserved := func(claim, uid string) func(*corev1.PersistentVolume) {
		return func(v *corev1.PersistentVolume) {
			v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "a", Name: claim, UID: types.UID(uid)}
		}
	}
	const all = "0/2 nodes are available: "
	for name, c := range map[string]struct {
		objects []kinds.Object
		volumes []corev1.VolumeSource
		want    string // "": the nodes of fits will do
		fits    string
	}{
		"no claims":  {nil, []corev1.VolumeSource{{EmptyDir: &corev1.EmptyDirVolumeSource{}}}, "", "n1 n2 "},
		"no claim":   {nil, []corev1.VolumeSource{use("c")}, all + `persistentvolumeclaim "c" not found.`, ""},
		"no own":     {nil, []corev1.VolumeSource{own()}, all + `waiting for ephemeral volume controller to create the persistentvolumeclaim "p-v0".`, ""},
		"not own":    {[]kinds.Object{newClaim("p-v0", "wait")}, []corev1.VolumeSource{own()}, all + `PVC a/p-v0 was not created for pod a/p (pod is not owner).`, ""},
		"own":        {[]kinds.Object{newClaim("p-v0", "wait", owned("p"))}, []corev1.VolumeSource{own()}, "", "n1 n2 "},
		"lost":       {[]kinds.Object{newClaim("c", "wait", boundTo("v"), lost)}, []corev1.VolumeSource{use("c")}, all + `persistentvolumeclaim "c" bound to non-existent persistentvolume "v".`, ""},
		"being gone": {[]kinds.Object{newClaim("c", "wait", going)}, []corev1.VolumeSource{use("c")}, all + `persistentvolumeclaim "c" is being deleted.`, ""},
		"immediate":  {[]kinds.Object{newClaim("c", "now")}, []corev1.VolumeSource{use("c")}, all + `pod has unbound immediate PersistentVolumeClaims.`, ""},
		"no class":   {[]kinds.Object{newClaim("c", "")}, []corev1.VolumeSource{use("c")}, all + `pod has unbound immediate PersistentVolumeClaims.`, ""},
		"no volume":  {[]kinds.Object{newClaim("c", "wait", boundTo("v"))}, []corev1.VolumeSource{use("c")}, all + `persistentvolume "v" not found.`, ""},
		"own, no volume": {[]kinds.Object{newClaim("p-v0", "wait", owned("p"), boundTo("v"))}, []corev1.VolumeSource{own()},
			all + `2 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s).`, ""},
		"elsewhere": {[]kinds.Object{newClaim("c", "wait", boundTo("v")), newVolume("v", "wait", 2, on("rack", "1"))}, []corev1.VolumeSource{use("c")},
			all + `2 node(s) didn't match PersistentVolume's node affinity.`, ""},
		"no match":  {[]kinds.Object{newClaim("c", "local"), newVolume("v", "local", 1)}, []corev1.VolumeSource{use("c")}, all + `2 node(s) didn't find available persistent volumes to bind.`, ""},
		"selected":  {[]kinds.Object{newClaim("c", "wait", sent("n2"))}, []corev1.VolumeSource{use("c")}, "", "n2 "},
		"match":     {[]kinds.Object{newClaim("c", "local"), newVolume("v", "local", 3, on(corev1.LabelHostname, "n1"))}, []corev1.VolumeSource{use("c")}, "", "n1 "},
		"reserved":  {[]kinds.Object{newClaim("c", "local"), newVolume("v", "local", 3, reserved("c", ""), on(corev1.LabelHostname, "n2")), newVolume("w", "local", 2)}, []corev1.VolumeSource{use("c")}, "", "n2 "},
		"another's": {[]kinds.Object{newClaim("c", "local"), newVolume("v", "local", 3, reserved("c", "other"))}, []corev1.VolumeSource{use("c")}, all + `2 node(s) didn't find available persistent volumes to bind.`, ""},
		"both": {[]kinds.Object{newClaim("c", "local"), newClaim("d", "wait", boundTo("v")), newVolume("v", "wait", 2, on("rack", "1"))}, []corev1.VolumeSource{use("c"), use("d")},
			all + `2 node(s) didn't find available persistent volumes to bind, 2 node(s) didn't match PersistentVolume's node affinity.`, ""},
		"zone": {[]kinds.Object{newClaim("c", "wait", boundTo("v")), newVolume("v", "wait", 2, func(v *corev1.PersistentVolume) {
			v.Labels = map[string]string{corev1.LabelFailureDomainBetaZone: "z-n1__z-n3"}
		})}, []corev1.VolumeSource{use("c")}, "", "n1 "},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.objects...)
			e, err := w.table.Explain(newPod("p", c.volumes...), newPolicy(t, w.x))
			if err != nil {
				t.Fatal(err)
			}
			got, fits := "", ""
			if e.Failure != nil {
				got = e.Failure.Message("")
			}
			for _, n := range e.Nodes {
				if n.Status == nil {
					fits += n.Node + " "
				}
			}
			if got != c.want || fits != c.fits {
				t.Errorf("got %q, nodes %q; want %q, nodes %q", got, fits, c.want, c.fits)
			}
		})
	}
}

// TestErrors: what no API stores is an error, in upstream's words.
func TestErrors(t *testing.T) {
	w := newWorld(t, newClaim("c", "unset"))
	_, err := w.table.Explain(newPod("p", use("c")), newPolicy(t, w.x))
	if want := `running PreFilter plugin "VolumeBinding": VolumeBindingMode not set for StorageClass "unset"`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestTrials: what preemption takes away counts no more: claims for one pod only, disks, and what is attached.
func TestTrials(t *testing.T) {
	disk := corev1.VolumeSource{GCEPersistentDisk: &corev1.GCEPersistentDiskVolumeSource{PDName: "d"}}
	alone := func(c *corev1.PersistentVolumeClaim) { c.Spec.AccessModes[0] = corev1.ReadWriteOncePod }
	limited := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
	limited.Spec.Drivers = []storagev1.CSINodeDriver{{Name: driver, Allocatable: &storagev1.VolumeNodeResources{Count: new(int32(1))}}}
	for name, c := range map[string]struct {
		theirs, wanted corev1.VolumeSource
		reason         string
	}{
		"one pod only": {use("alone"), use("alone"), reasonOncePod},
		"disk":         {disk, disk, reasonDisk},
		"limit":        {use("other"), use("c"), reasonLimit},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, newClaim("alone", "wait", boundTo("v1"), alone), newVolume("v1", "wait", 2), newClaim("c", "wait"),
				newClaim("other", "wait", boundTo("v2")), newVolume("v2", "wait", 2), limited.DeepCopy())
			there := newPod("there", c.theirs)
			w.table.SetPod(there, "n1")
			w.x.SetPod(there, "n1")
			tr, _, err := w.table.Try(newPod("p", c.wanted), newPolicy(t, w.x))
			if err != nil {
				t.Fatal(err)
			}
			tr.On("n1")
			if s := tr.Status(); s == nil || s.Message() != c.reason || s.Code != place.Unschedulable {
				t.Errorf("with the pod there: %v, want %s", s, c.reason)
			}
			tr.Without("there")
			if s := tr.Status(); s != nil {
				t.Errorf("without it: %v", s)
			}
		})
	}
}

// TestReplacedPlugins: a disk that a pod names itself is the same as a volume of the driver that stands in for its plug-in.
func TestReplacedPlugins(t *testing.T) {
	const ebs = "ebs.csi.aws.com"
	node := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "n1", Annotations: map[string]string{
		corev1.MigratedPluginsAnnotationKey: "kubernetes.io/gce-pd,kubernetes.io/aws-ebs"}}}
	node.Spec.Drivers = []storagev1.CSINodeDriver{{Name: ebs, Allocatable: &storagev1.VolumeNodeResources{Count: new(int32(1))}}}
	old := newVolume("v", "wait", 2, func(v *corev1.PersistentVolume) {
		v.Spec.CSI, v.Spec.AWSElasticBlockStore = nil, &corev1.AWSElasticBlockStoreVolumeSource{VolumeID: "vol-1"}
	}, on(corev1.LabelFailureDomainBetaZone, "z-n1"))
	w := newWorld(t, node, old, newClaim("c", "wait", boundTo("v")), newVolume("w", "wait", 2, func(v *corev1.PersistentVolume) {
		v.Spec.CSI.Driver = ebs
	}), newClaim("d", "wait", boundTo("w")))
	there := newPod("there", corev1.VolumeSource{AWSElasticBlockStore: &corev1.AWSElasticBlockStoreVolumeSource{VolumeID: "vol-1"}})
	w.table.SetPod(there, "n1")
	w.x.SetPod(there, "n1")
	got := w.statuses(w.table, newPolicy(t, w.x), newPod("p", use("c")))
	// The driver knows the volume's zone by its own label, which n1 does not have; n2 has no driver, and not the old label either.
	want := "n1:UnschedulableAndUnresolvableVolumeBinding[" + reasonAffinity + "]\nn2:UnschedulableAndUnresolvableVolumeBinding[" + reasonAffinity + "]\n"
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	got = w.statuses(w.table, newPolicy(t, w.x), newPod("q", use("d")))
	if want := "n1:UnschedulableNodeVolumeLimits[" + reasonLimit + "]\nn2:\n"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestAskedAgain: what a key's first pod found is not left over when volumes come and go without the key being another.
func TestAskedAgain(t *testing.T) {
	w := newWorld(t, newClaim("c", "local", func(c *corev1.PersistentVolumeClaim) {
		c.Spec.Resources.Requests[corev1.ResourceStorage] = gib(3)
	}), newVolume("v3", "local", 3, on(corev1.LabelHostname, "n1")))
	policy, p := newPolicy(t, w.x), newPod("p", use("c"))
	refused := func(node string) string {
		return node + ":UnschedulableAndUnresolvableVolumeBinding[" + reasonNoMatch + "]\n"
	}
	for i, step := range []struct {
		change func()
		want   string
	}{
		{func() {}, "n1:\n" + refused("n2")},
		{func() { w.set(newVolume("v1", "local", 1, on(corev1.LabelHostname, "n1"))) }, "n1:\n" + refused("n2")},
		{func() { w.remove(newVolume("v3", "local", 3)) }, refused("n1") + refused("n2")},
		{func() { w.set(newVolume("v4", "local", 4, on(corev1.LabelHostname, "n2"))) }, refused("n1") + "n2:\n"},
	} {
		step.change()
		if got := w.statuses(w.table, policy, p); got != step.want {
			t.Errorf("step %d:\n%swant\n%s", i, got, step.want)
		}
	}
}

// TestNominated: the volumes of pods that are nominated to a node count there for others of no higher priority.
func TestNominated(t *testing.T) {
	limited := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
	limited.Spec.Drivers = []storagev1.CSINodeDriver{{Name: driver, Allocatable: &storagev1.VolumeNodeResources{Count: new(int32(1))}}}
	disk := corev1.VolumeSource{ISCSI: &corev1.ISCSIVolumeSource{IQN: "d"}}
	for name, c := range map[string]struct {
		theirs, wanted corev1.VolumeSource
		refusal        string
	}{
		"limit": {use("other"), use("c"), "UnschedulableNodeVolumeLimits[" + reasonLimit + "]"},
		"same":  {use("c"), use("c"), ""},
		"disk":  {disk, disk, "UnschedulableVolumeRestrictions[" + reasonDisk + "]"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, newClaim("c", "wait"), newClaim("other", "wait"), limited.DeepCopy())
			coming, p := newPod("coming", c.theirs), newPod("p", c.wanted)
			w.table.Nominate(coming, "n1")
			w.x.Nominate(coming, true)
			policy := newPolicy(t, w.x)
			if got, want := w.statuses(w.table, policy, p), "n1:"+c.refusal+"\nn2:\n"; got != want {
				t.Errorf("got %s\nwant %s", got, want)
			}
			w.table.Nominate(coming, "")
			w.x.Nominate(coming, false)
			if got := w.statuses(w.table, policy, p); got != "n1:\nn2:\n" || len(w.x.pods) != 0 {
				t.Errorf("when the nomination has ended: %s, %d pods", got, len(w.x.pods))
			}
		})
	}
}

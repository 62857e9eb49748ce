package storage_test

import (
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds/kindtest"
	"github.com/floe-k8s/floe/internal/kinds/storage"
)

func driver(change func(*storagev1.CSIDriverSpec)) *storagev1.CSIDriver {
	d := &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "d"}}
	storage.CSIDriver().Default(d)
	change(&d.Spec)
	return d
}

func TestCSIDriver(t *testing.T) {
	k := storage.CSIDriver()
	for name, c := range map[string]struct {
		change func(*storagev1.CSIDriverSpec)
		want   []string
	}{
		"good": {func(*storagev1.CSIDriverSpec) {}, nil},
		"empty": {func(s *storagev1.CSIDriverSpec) { *s = storagev1.CSIDriverSpec{} }, []string{
			"spec.attachedRequired: Required value", "spec.podInfoOnMount: Required value", "spec.storageCapacity: Required value", "spec.seLinuxMount: Required value",
		}},
		"policy":  {func(s *storagev1.CSIDriverSpec) { s.FSGroupPolicy = p(storagev1.FSGroupPolicy("Odd")) }, []string{`spec.fsGroupPolicy: Unsupported value: "Odd": supported values: "File", "None", "ReadWriteOnceWithFSType"`}},
		"mode":    {func(s *storagev1.CSIDriverSpec) { s.VolumeLifecycleModes = []storagev1.VolumeLifecycleMode{"Odd"} }, []string{`spec.volumeLifecycleModes: Unsupported value: "Odd": supported values: "Persistent", "Ephemeral"`}},
		"period":  {func(s *storagev1.CSIDriverSpec) { s.NodeAllocatableUpdatePeriodSeconds = p(int64(9)) }, []string{"spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds"}},
		"secrets": {func(s *storagev1.CSIDriverSpec) { s.ServiceAccountTokenInSecrets = p(true) }, []string{"spec.serviceAccountTokenInSecrets: Invalid value: true: serviceAccountTokenInSecrets is set but no tokenRequests are specified"}},
		"tokens": {func(s *storagev1.CSIDriverSpec) {
			s.TokenRequests = []storagev1.TokenRequest{{Audience: "a", ExpirationSeconds: p(int64(599))}, {Audience: "a"}, {Audience: "b", ExpirationSeconds: p(int64(1<<32 + 1))}, {ExpirationSeconds: p(int64(600))}}
		}, []string{
			"spec.tokenRequests[0].expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes",
			`spec.tokenRequests[1].audience: Duplicate value: "a"`,
			"spec.tokenRequests[2].expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds",
		}},
	} {
		kindtest.Same(t, name, kindtest.Create(k, driver(c.change)), c.want)
	}
	other := driver(func(s *storagev1.CSIDriverSpec) {
		s.AttachRequired, s.VolumeLifecycleModes = p(false), []storagev1.VolumeLifecycleMode{"Ephemeral"}
		s.TokenRequests, s.PreventPodSchedulingIfMissing = []storagev1.TokenRequest{{Audience: "a"}, {Audience: "b"}}, p(true)
	})
	was := driver(func(*storagev1.CSIDriverSpec) {})
	kindtest.Same(t, "update", kindtest.Update(k, other, was), []string{
		"spec.attachedRequired: Invalid value: false: field is immutable", `spec.volumeLifecycleModes: Invalid value: ["Ephemeral"]: field is immutable`,
	})
	made := other.DeepCopy()
	k.PrepareCreate(kindtest.Env(), made)
	k.PrepareUpdate(kindtest.Env(), other, was)
	if made.Spec.PreventPodSchedulingIfMissing != nil || other.Spec.PreventPodSchedulingIfMissing != nil || made.Generation != 0 || other.Generation != 1 {
		t.Errorf("made %+v\nupdated %+v", made, other)
	}
	kept := other.DeepCopy()
	kept.Spec.PreventPodSchedulingIfMissing = p(true)
	same := kept.DeepCopy()
	if k.PrepareUpdate(kindtest.Env(), same, kept); !reflect.DeepEqual(same, kept) {
		t.Errorf("not kept: %+v", same)
	}
	header := []string{"Name/name", "AttachRequired:boolean", "PodInfoOnMount:boolean", "StorageCapacity:boolean", "TokenRequests", "RequiresRepublish:boolean", "Modes", "Age"}
	table(t, k, header, other, "d", false, false, false, "a,b", false, "Ephemeral", "<unknown>")
	table(t, k, header, &storagev1.CSIDriver{}, "", true, false, false, "<unset>", false, "<none>", "<unknown>")
}

func TestCSINode(t *testing.T) {
	k := storage.CSINode()
	of := func(list ...storagev1.CSINodeDriver) *storagev1.CSINode {
		return &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: storagev1.CSINodeSpec{Drivers: list}}
	}
	count := func(n int32) *storagev1.VolumeNodeResources { return &storagev1.VolumeNodeResources{Count: &n} }
	good := storagev1.CSINodeDriver{Name: "d.example.com", NodeID: "n", TopologyKeys: []string{"zone"}, Allocatable: count(0)}
	kindtest.Same(t, "good", kindtest.Create(k, of(good)), nil)
	kindtest.Same(t, "odd", kindtest.Create(k, of(storagev1.CSINodeDriver{}, good, good, storagev1.CSINodeDriver{Name: "e", NodeID: strings.Repeat("n", 257), Allocatable: count(-1), TopologyKeys: []string{"a", "a"}})), []string{
		"spec.drivers[0].name: Required value", "spec.drivers[0].nodeID: Required value", `spec.drivers[2].name: Duplicate value: "d.example.com"`,
		`spec.drivers[3].nodeID: Invalid value: "` + strings.Repeat("n", 257) + `": must be 256 characters or less`,
		"spec.drivers[3].allocatable.count: Invalid value: -1: must be greater than or equal to 0", `spec.drivers[3]: Duplicate value: "a"`,
	})
	more, moved := good, good
	more.Allocatable, moved.NodeID, moved.Allocatable = count(9), "m", count(3)
	kindtest.Same(t, "more room", kindtest.Update(k, of(more), of(good)), nil)
	kindtest.Same(t, "gone", kindtest.Update(k, of(), of(good)), nil)
	kindtest.Same(t, "moved", kindtest.Update(k, of(moved), of(good)), []string{`spec.drivers: Invalid value: {"Name":"d.example.com","NodeID":"m","TopologyKeys":["zone"],"Allocatable":null}: field is immutable`})
	if *moved.Allocatable.Count != 3 {
		t.Error("what was compared was changed")
	}
	table(t, k, []string{"Name/name", "Drivers:integer", "Age"}, of(good), "n", int64(1), "<unknown>")
}

func attachment(change func(*storagev1.VolumeAttachment)) *storagev1.VolumeAttachment {
	a := &storagev1.VolumeAttachment{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: storagev1.VolumeAttachmentSpec{
		Attacher: "d.example.com", NodeName: "n", Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: p("pv")},
	}}
	change(a)
	return a
}

func TestVolumeAttachment(t *testing.T) {
	k := storage.VolumeAttachment()
	for name, c := range map[string]struct {
		change func(*storagev1.VolumeAttachment)
		want   []string
	}{
		"good":        {func(*storagev1.VolumeAttachment) {}, nil},
		"no driver":   {func(a *storagev1.VolumeAttachment) { a.Spec.Attacher = "" }, []string{"spec.attacher: Required value"}},
		"long driver": {func(a *storagev1.VolumeAttachment) { a.Spec.Attacher = strings.Repeat("D", 64) }, []string{"spec.attacher: Too long: may not be more than 63 bytes"}},
		"no source":   {func(a *storagev1.VolumeAttachment) { a.Spec.Source.PersistentVolumeName = nil }, []string{"spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName"}},
		"two sources": {func(a *storagev1.VolumeAttachment) { a.Spec.Source.InlineVolumeSpec = &corev1.PersistentVolumeSpec{} }, []string{"spec.source: Forbidden: must specify exactly one of inlineVolumeSpec and persistentVolumeName"}},
		"status": {func(a *storagev1.VolumeAttachment) {
			a.Status.AttachmentMetadata = map[string]string{"a": strings.Repeat("b", 256<<10)}
			a.Status.AttachError = &storagev1.VolumeError{Message: strings.Repeat("b", 1025)}
			a.Status.DetachError = &storagev1.VolumeError{ErrorCode: p(int32(-1))}
		}, []string{
			"status.attachmentMetadata: Too long: may not be more than 262144 bytes", "status.attachError.message: Too long: may not be more than 262144 bytes",
			"status.detachError.errorCode: Invalid value: -1: must be between 0 and 2147483647, inclusive",
		}},
	} {
		kindtest.Same(t, name, kindtest.Create(k, attachment(c.change)), c.want)
	}
	if got := kindtest.Create(k, attachment(func(a *storagev1.VolumeAttachment) { *a.Spec.Source.PersistentVolumeName = "" })); len(got) != 2 ||
		got[0] != "spec.source.persistentVolumeName: Required value: must specify non empty persistentVolumeName" || !strings.HasPrefix(got[1], `spec.source.persistentVolumeName: Invalid value: "": `) {
		t.Errorf("no name: %q", got)
	}
	same := func(*storagev1.VolumeAttachment) {}
	other := attachment(func(a *storagev1.VolumeAttachment) { a.Spec.NodeName, a.Status.Attached = "m", true })
	kindtest.Same(t, "moved", kindtest.Update(k, other, attachment(same)), []string{
		`spec: Invalid value: {"Attacher":"d.example.com","Source":{"PersistentVolumeName":"pv","InlineVolumeSpec":null},"NodeName":"m"}: field is immutable`,
	})
	table(t, k, []string{"Name/name", "Attacher/name", "PV", "Node", "Attached:boolean", "Age"}, other, "a", "d.example.com", "pv", "m", true, "<unknown>")

	was := attachment(same)
	kindtest.Same(t, "attached", kindtest.Part(t, k, "status", other, was), nil)
	if other.Spec.NodeName != "n" || !other.Status.Attached {
		t.Errorf("status: %+v", other)
	}
	k.PrepareUpdate(kindtest.Env(), was, other)
	if !was.Status.Attached {
		t.Error("the status was not kept")
	}
	if k.PrepareCreate(kindtest.Env(), was); was.Status.Attached {
		t.Error("made as attached")
	}
	bad := attachment(func(a *storagev1.VolumeAttachment) {
		a.Status.AttachError = &storagev1.VolumeError{ErrorCode: p(int32(-1))}
	})
	kindtest.Same(t, "odd status", kindtest.Part(t, k, "status", bad, was), []string{"status.attachError.errorCode: Invalid value: -1: must be between 0 and 2147483647, inclusive"})
}

func TestInlineVolume(t *testing.T) {
	const at = "spec.source.inlineVolumeSpec"
	for name, c := range map[string]struct {
		change func(*corev1.PersistentVolumeSpec)
		want   []string
	}{
		"good": {func(*corev1.PersistentVolumeSpec) {}, nil},
		"modes": {func(s *corev1.PersistentVolumeSpec) {
			s.AccessModes = []corev1.PersistentVolumeAccessMode{"ReadWriteOncePod", "ReadWriteMany", "Odd"}
		}, []string{at + `.accessModes: Unsupported value: "Odd": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"`, at + ".accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"}},
		"empty": {func(s *corev1.PersistentVolumeSpec) { *s = corev1.PersistentVolumeSpec{} }, []string{at + ".csi: Required value: has to be specified in the context of inline volumes", at + ".accessModes: Required value", at + ": Required value: must specify a volume type"}},
		"of a volume": {func(s *corev1.PersistentVolumeSpec) {
			s.ClaimRef, s.Capacity, s.StorageClassName, s.VolumeMode = &corev1.ObjectReference{}, corev1.ResourceList{"storage": {}}, "c", p(corev1.PersistentVolumeBlock)
			s.PersistentVolumeReclaimPolicy, s.NodeAffinity = "Delete", &corev1.VolumeNodeAffinity{}
		}, []string{
			at + ".claimRef: Forbidden: may not be specified in the context of inline volumes", at + ".capacity: Forbidden: may not be specified in the context of inline volumes",
			at + ".persistentVolumeReclaimPolicy: Forbidden: may only be Retain in the context of inline volumes", at + ".nodeAffinity: Forbidden: may not be specified in the context of inline volumes",
			at + ".storageClassName: Forbidden: may not be specified in the context of inline volumes", at + ".volumeMode: Forbidden: may not specify volumeMode other than Filesystem in the context of inline volumes",
		}},
		"two": {func(s *corev1.PersistentVolumeSpec) { s.HostPath = &corev1.HostPathVolumeSource{Path: "/"} }, []string{at + ".csi: Forbidden: may not specify more than 1 volume type"}},
		"secret": {func(s *corev1.PersistentVolumeSpec) {
			s.CSI = &corev1.CSIPersistentVolumeSource{NodeExpandSecretRef: &corev1.SecretReference{}}
		}, []string{
			at + ".csi.driver: Required value", at + ".csi.volumeHandle: Required value", at + ".csi.nodeExpandSecretRef.name: Required value", at + ".csi.nodeExpandSecretRef.namespace: Required value",
		}},
	} {
		spec := corev1.PersistentVolumeSpec{AccessModes: []corev1.PersistentVolumeAccessMode{"ReadWriteOnce"}}
		spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: "d", VolumeHandle: "h"}
		c.change(&spec)
		a := attachment(func(a *storagev1.VolumeAttachment) {
			a.Spec.Source = storagev1.VolumeAttachmentSource{InlineVolumeSpec: &spec}
		})
		kindtest.Same(t, name, kindtest.Create(storage.VolumeAttachment(), a), c.want)
	}
}

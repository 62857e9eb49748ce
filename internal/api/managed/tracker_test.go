package managed_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/api/managed"
)

// pod is one as controllers create them, with its defaults.
func pod() *corev1.Pod {
	yes, seconds := true, int64(300)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "web-5d4f8c7b9-", Namespace: "default", Labels: map[string]string{"app": "web", "pod-template-hash": "5d4f8c7b9"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-5d4f8c7b9", UID: "0c6a5c1b-6d4e-4c9a-9d6b-2f2f7f0b9d11", Controller: &yes}},
		},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{
				Name: "main", Image: "registry.example/web:1.4", ImagePullPolicy: "IfNotPresent", TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: "File",
				Ports:        []corev1.ContainerPort{{ContainerPort: 80, Protocol: "TCP"}, {ContainerPort: 443, Protocol: "TCP"}},
				Env:          []corev1.EnvVar{{Name: "A", Value: "b"}, {Name: "B", Value: "c"}},
				Resources:    corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("64Mi")}},
				VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
			}},
			Volumes:       []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
			RestartPolicy: "Always", DNSPolicy: "ClusterFirst", SchedulerName: "default-scheduler", SecurityContext: &corev1.PodSecurityContext{},
			TerminationGracePeriodSeconds: &seconds, EnableServiceLinks: &yes,
		},
	}
}

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func write(manager string) managed.Write {
	return managed.Write{Manager: manager, APIVersion: "v1", Resets: []string{"status"}, Now: at}
}

// TestCreatingCostsLittle holds what tracking a new pod allocates: its set's text, an entry, the names of what has keys, and little else.
func TestCreatingCostsLittle(t *testing.T) {
	tracker, obj := managed.NewTracker(), pod()
	if n := testing.AllocsPerRun(100, func() {
		obj.ManagedFields = nil
		tracker.Update(write("kube-controller-manager"), nil, obj)
	}); n > 64 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCreate(b *testing.B) {
	tracker, obj := managed.NewTracker(), pod()
	for b.Loop() {
		obj.ManagedFields = nil
		tracker.Update(write("kube-controller-manager"), nil, obj)
	}
}

func BenchmarkUpdateStatus(b *testing.B) {
	tracker, live, obj := managed.NewTracker(), pod(), pod()
	tracker.Update(write("kube-controller-manager"), nil, live)
	live.UID = "u"
	obj.Status.Conditions = []corev1.PodCondition{{Type: "Ready", Status: "True"}, {Type: "Initialized", Status: "True"}}
	w := write("kubelet")
	w.Subresource, w.Resets = "status", []string{"spec", "metadata.deletionTimestamp", "metadata.ownerReferences"}
	for b.Loop() {
		obj.ManagedFields = live.ManagedFields // as clients send what they have read
		tracker.Update(w, live, obj)
	}
}

// TestUpdaters: eleven updaters are ten, the two eldest of which are one.
func TestUpdaters(t *testing.T) {
	tracker := managed.NewTracker()
	var live managed.Object
	for i := range 12 {
		obj := &corev1.ConfigMap{Data: map[string]string{}}
		for j := range i + 1 {
			obj.Data[fmt.Sprint("key", j)] = "x"
		}
		w := write(fmt.Sprint("manager", i))
		w.Now = at.Add(time.Duration(i) * time.Second)
		tracker.Update(w, live, obj)
		obj.UID = "u"
		live = obj
	}
	got := live.GetManagedFields()
	if len(got) != 10 || got[0].Manager != "ancient-changes" {
		t.Fatalf("got %d, the first by %s", len(got), got[0].Manager)
	}
	if text, want := got[0].FieldsV1.GetRawString(), `{"f:data":{".":{},"f:key0":{},"f:key1":{},"f:key2":{}}}`; text != want {
		t.Errorf("the eldest own %s, want %s", text, want)
	}
	if want := at.Add(2 * time.Second); !got[0].Time.Time.Equal(want) {
		t.Errorf("the eldest wrote at %v, want %v", got[0].Time, want)
	}
}

// TestSentFields: what clients say of managed fields is believed as far as upstream believes it.
func TestSentFields(t *testing.T) {
	entry := func(op metav1.ManagedFieldsOperationType, version, kind, fields string) metav1.ManagedFieldsEntry {
		f := &metav1.FieldsV1{}
		f.SetRawString(fields)
		return metav1.ManagedFieldsEntry{Manager: "sent", Operation: op, APIVersion: version, FieldsType: kind, FieldsV1: f, Time: &metav1.Time{Time: at}}
	}
	const data = `{"f:data":{"f:a":{}}}`
	none, kept := "", "one Update v1  FieldsV1 true {\"f:data\":{\".\":{},\"f:a\":{}}}\n"
	told := func(fields string) string { return "sent Update v1  FieldsV1 true " + fields + "\n" }
	for _, c := range []struct {
		name string
		sent []metav1.ManagedFieldsEntry
		want string
	}{
		{"absent", nil, kept},
		{"empty list", []metav1.ManagedFieldsEntry{}, none},
		{"list of nothing", []metav1.ManagedFieldsEntry{{}}, none},
		{"believed", []metav1.ManagedFieldsEntry{entry("Update", "v1", "FieldsV1", data)}, told(data)},
		{"written otherwise", []metav1.ManagedFieldsEntry{entry("Update", "v1", "FieldsV1", ` {"f:data" : {"f:b":{}, "f:a":{"x:":{}}}}`)}, told(`{"f:data":{"f:a":{},"f:b":{}}}`)},
		{"of a version that is not served", []metav1.ManagedFieldsEntry{entry("Update", "v9", "FieldsV1", data)}, none},
		{"of nothing", []metav1.ManagedFieldsEntry{entry("Update", "v1", "FieldsV1", "{}")}, none},
		{"no operation", []metav1.ManagedFieldsEntry{entry("", "v1", "FieldsV1", data)}, kept},
		{"no version", []metav1.ManagedFieldsEntry{entry("Update", "", "FieldsV1", data)}, kept},
		{"no type", []metav1.ManagedFieldsEntry{entry("Update", "v1", "", data)}, kept},
		{"no JSON", []metav1.ManagedFieldsEntry{entry("Update", "v1", "FieldsV1", "{")}, kept},
	} {
		tracker, live := managed.NewTracker(), &corev1.ConfigMap{Data: map[string]string{"a": "1"}}
		tracker.Update(write("one"), nil, live)
		live.UID = "u"
		obj := live.DeepCopy()
		obj.ManagedFields = c.sent
		tracker.Update(write("two"), live, obj)
		if got := shown(obj); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestManagerOf(t *testing.T) {
	for agent, want := range map[string]string{
		"kubectl/v1.36.3 (linux/amd64)": "kubectl", "": "", "/x": "", "one two": "one two", "a\x01\u200bb/c": "ab",
		strings.Repeat("é", 100): strings.Repeat("é", 64),
	} {
		if got := managed.ManagerOf(agent); got != want {
			t.Errorf("%q: got %q, want %q", agent, got, want)
		}
	}
}

package statefulset

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/controller/revision"
)

var now = time.Unix(100_000, 0)

func template(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image}}}}
}

// record is a revision of the template with an image, by its name "web-IMAGE" and not by its hash.
func record(image string, number int64) *appsv1.ControllerRevision {
	t := template(image)
	return &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-" + image, Labels: t.Labels},
		Data: runtime.RawExtension{Raw: revision.Data(&t)}, Revision: number}
}

// state is what a decision is made of. The set is web, at its image; pods and claims are given as "ORDINAL WORD...".
func state(image string, replicas int32, pods ...string) Input {
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "set", Generation: 1}, Spec: appsv1.StatefulSetSpec{
		Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, Template: template(image), ServiceName: "svc",
		UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType,
			RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: new(int32)}},
		RevisionHistoryLimit: ptr.To[int32](10),
	}, Status: appsv1.StatefulSetStatus{CurrentRevision: "web-one"}}
	in := Input{Set: set, Revisions: []*appsv1.ControllerRevision{record("one", 1)},
		Claim: func(string) *corev1.PersistentVolumeClaim { return nil }, Taken: func(string) *appsv1.ControllerRevision { return nil }}
	if image != "one" {
		in.Revisions = append(in.Revisions, record(image, 2))
	}
	for _, text := range pods {
		in.Pods = append(in.Pods, podOf(set, text))
	}
	return in
}

// podOf makes a pod, ready for long, of the revision one: "3", or "3 two pending": of another revision, and with what is not so.
func podOf(set *appsv1.StatefulSet, text string) *corev1.Pod {
	words := strings.Fields(text)
	r := &round{Input: Input{Set: set}, rev: revisions{current: record("one", 1), update: record("one", 1), updated: &set.Spec.Template, present: &set.Spec.Template}}
	p := r.pod(number(words[0]))
	p.UID = types.UID("pod-" + words[0])
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue,
		LastTransitionTime: metav1.NewTime(now.Add(-time.Hour))}}}
	for _, word := range words[1:] {
		switch word {
		case "two", "three":
			p.Labels[appsv1.StatefulSetRevisionLabel] = "web-" + word
		case "pending":
			p.Status = corev1.PodStatus{Phase: corev1.PodPending}
		case "unready":
			p.Status.Conditions = nil
		case "fresh":
			p.Status.Conditions[0].LastTransitionTime = metav1.NewTime(now.Add(-time.Second))
		case "going":
			p.DeletionTimestamp = &metav1.Time{Time: now}
		case "failed":
			p.Status.Phase = corev1.PodFailed
		case "done":
			p.Status.Phase = corev1.PodSucceeded
		case "nameless":
			delete(p.Labels, appsv1.StatefulSetPodNameLabel)
		}
	}
	return p
}

// text is a decision's steps: those that are done together joined by "+", with revisions of new pods.
func text(d Decision) string {
	var b strings.Builder
	for i, s := range d.Steps {
		switch {
		case i > 0 && s.Batch == d.Steps[i-1].Batch:
			b.WriteString(" + ")
		case i > 0:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %s", s.Verb, s.Object.GetName())
		if p, ok := s.Object.(*corev1.Pod); ok && s.Verb == 0 {
			fmt.Fprintf(&b, " (%s)", strings.TrimPrefix(revisionOf(p), "web-"))
		}
	}
	return b.String()
}

func parallel(in *Input) { in.Set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement }
func onDelete(in *Input) {
	in.Set.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
}
func minReady(in *Input)   { in.Set.Spec.MinReadySeconds = 60 }
func fromFive(in *Input)   { in.Set.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: 5} }
func deleted(in *Input)    { in.Set.DeletionTimestamp = &metav1.Time{Time: now} }
func partition2(in *Input) { in.Set.Spec.UpdateStrategy.RollingUpdate.Partition = ptr.To[int32](2) }
func several(in *Input) {
	in.SeveralUnavailable = true
	in.Set.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.FromInt32(2))
}

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		name    string
		in      Input
		change  []func(*Input)
		want    string
		waiting string
	}{
		{"the first", state("one", 3), nil, "create web-0 (one)", "pod web-0 to be made"},
		{"the next when one is ready", state("one", 3, "0"), nil, "create web-1 (one)", "pod web-1 to be made"},
		{"none while one is pending", state("one", 3, "0 pending"), nil, "", "pod web-0 to be ready"},
		{"none while one is not ready", state("one", 3, "0 unready"), nil, "", "pod web-0 to be ready"},
		{"none while one goes", state("one", 3, "0 going"), nil, "", "pod web-0 to be gone"},
		{"none before one is available", state("one", 3, "0 fresh"), []func(*Input){minReady}, "", "pod web-0 to be available"},
		{"a gap first", state("one", 3, "0", "2"), nil, "create web-1 (one)", "pod web-1 to be made"},
		{"what failed", state("one", 2, "0 failed"), nil, "delete web-0", "pod web-0, which has ended, to be gone"},
		{"what ended well", state("one", 2, "0 done"), nil, "delete web-0", "pod web-0, which has ended, to be gone"},
		{"what ended and goes", state("one", 2, "0 failed going"), nil, "", "pod web-0, which has ended, to be gone"},
		{"all there", state("one", 2, "0", "1"), nil, "", ""},
		{"identity", state("one", 2, "0 nameless", "1 nameless"), nil, "update web-0, update web-1", ""},

		{"start", state("one", 2, "0", "5"), []func(*Input){fromFive}, "create web-6 (one)", "pod web-6 to be made"},
		{"below the start", state("one", 2, "0", "5", "6"), []func(*Input){fromFive}, "delete web-0", ""},
		{"highest first", state("one", 1, "0", "1", "2"), nil, "delete web-2", ""},
		{"not while one goes", state("one", 1, "0", "1", "2 going"), nil, "", "pod web-2 to be gone"},
		{"not while another is broken", state("one", 1, "0", "1 unready", "2 unready"), nil, "", "pod web-2 to be ready before it goes"},
		{"the broken one goes", state("one", 1, "0", "1", "2 unready"), nil, "delete web-2", ""},
		{"not before it is available", state("one", 1, "0", "1 fresh", "2 fresh"), []func(*Input){minReady}, "", "pod web-2 to be available before it goes"},
		{"replicas first", state("one", 1, "0 unready", "1"), nil, "", "pod web-0 to be ready"},
		{"to none", state("one", 0, "0", "1"), nil, "delete web-1", ""},

		{"in waves", state("one", 5), []func(*Input){parallel},
			"create web-0 (one), create web-1 (one) + create web-2 (one), create web-3 (one) + create web-4 (one)", "pod web-0 to be made"},
		{"whatever the others do", state("one", 4, "0 pending", "2 failed"), []func(*Input){parallel}, "create web-1 (one) + delete web-2, create web-3 (one)", "pod web-1 to be made"},
		{"all at once down", state("one", 1, "0 unready", "1", "2 unready", "3 going"), []func(*Input){parallel}, "delete web-2 + delete web-1", "pod web-3 to be gone"},

		{"roll the highest", state("two", 3, "0", "1", "2"), nil, "delete web-2", "pod web-2 to be replaced"},
		{"made anew of the new", state("two", 3, "0", "1"), nil, "create web-2 (two)", "pod web-2 to be made"},
		{"wait for it", state("two", 3, "0", "1", "2 two unready"), nil, "", "pod web-2 to be ready"},
		{"then the next", state("two", 3, "0", "1", "2 two"), nil, "delete web-1", "pod web-1 to be replaced"},
		{"to the partition", state("two", 3, "0", "1", "2 two"), []func(*Input){partition2}, "", ""},
		{"below it of the old", state("two", 3, "0", "2 two"), []func(*Input){partition2}, "create web-1 (one)", "pod web-1 to be made"},
		{"a partition counts from the start", state("two", 3, "5", "6", "7"), []func(*Input){partition2, fromFive}, "delete web-7", "pod web-7 to be replaced"},
		{"below it, with a start", state("two", 3, "5", "7 two"), []func(*Input){partition2, fromFive}, "create web-6 (one)", "pod web-6 to be made"},
		{"on deletion only", state("two", 3, "0", "1", "2"), []func(*Input){onDelete}, "", ""},
		{"on deletion of the new", state("two", 3, "0", "1"), []func(*Input){onDelete}, "create web-2 (two)", "pod web-2 to be made"},
		{"scale before rolling", state("two", 2, "0", "1", "2"), nil, "delete web-2", ""},
		{"parallel rolls one too", state("two", 3, "0", "1", "2"), []func(*Input){parallel}, "delete web-2", "pod web-2 to be replaced"},
		{"parallel waits too", state("two", 3, "0", "1", "2 two unready"), []func(*Input){parallel}, "", "pod web-2 to be available"},
		{"parallel rolls the broken", state("two", 3, "0", "1", "2 unready"), []func(*Input){parallel}, "delete web-2", "pod web-2 to be replaced"},

		{"two at once", state("two", 4, "0", "1", "2", "3"), []func(*Input){parallel, several}, "delete web-3 + delete web-2", "pod web-3 to be replaced"},
		{"one when one is away", state("two", 4, "0", "1", "2", "3 two unready"), []func(*Input){parallel, several}, "delete web-2", "pod web-2 to be replaced"},
		{"none when two are", state("two", 4, "0 unready", "1", "2", "3 two unready"), []func(*Input){parallel, several}, "", "replicas to be available"},
		{"two above the partition", state("two", 4, "0", "1", "2", "3 two"), []func(*Input){several, partition2}, "delete web-2", "pod web-2 to be replaced"},

		{"being deleted", state("one", 3, "0 failed", "5"), []func(*Input){deleted}, "", ""},
	} {
		for _, change := range c.change {
			change(&c.in)
		}
		d, err := Decide(c.in, now)
		if got := text(d); err != nil || got != c.want || d.Waiting != c.waiting {
			t.Errorf("%s: got %q waiting for %q, %v\nwant %q waiting for %q", c.name, got, d.Waiting, err, c.want, c.waiting)
		}
	}
}

// TestBounds: a round of a set of a million pods is small.
func TestBounds(t *testing.T) {
	in := state("one", 1_000_000)
	parallel(&in)
	d, err := Decide(in, now)
	if err != nil || len(d.Steps) < burst || len(d.Steps) > 3*burst {
		t.Errorf("%d steps, %v", len(d.Steps), err)
	}
	together := map[int]int{}
	for _, s := range d.Steps {
		if together[s.Batch]++; together[s.Batch] > burst {
			t.Fatalf("more than %d pods are made at once", burst)
		}
	}
}

func TestNewPod(t *testing.T) {
	in := state("two", 3)
	in.Set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
	in.Set.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "data"}, {Name: "other"}}
	in.Revisions = nil
	d, err := Decide(in, now)
	if err != nil || len(d.Steps) != 3 {
		t.Fatalf("steps %q, %v", text(d), err)
	}
	rev, c, p := d.Steps[0].Object.(*appsv1.ControllerRevision), d.Steps[1].Object.(*corev1.PersistentVolumeClaim), d.Steps[2].Object.(*corev1.Pod)
	want := map[string]string{"app": "web", "statefulset.kubernetes.io/pod-name": "web-0", "apps.kubernetes.io/pod-index": "0", "controller-revision-hash": rev.Name}
	if fmt.Sprint(p.Labels) != fmt.Sprint(want) || p.Name != "web-0" || p.GenerateName != "web-" || p.Spec.Hostname != "web-0" || p.Spec.Subdomain != "svc" {
		t.Errorf("pod %+v", p)
	}
	if len(p.Spec.Volumes) != 2 || p.Spec.Volumes[0].PersistentVolumeClaim.ClaimName != "data-web-0" || p.Spec.Volumes[1].Name != "other" {
		t.Errorf("volumes %+v", p.Spec.Volumes)
	}
	if c.Name != "data-web-0" || c.Labels["app"] != "web" || len(c.OwnerReferences) != 0 {
		t.Errorf("claim %+v", c)
	}
	if ref := metav1.GetControllerOf(p); ref == nil || ref.Kind != "StatefulSet" || ref.UID != "set" {
		t.Errorf("owner %+v", ref)
	}
}

func TestStatus(t *testing.T) {
	in := state("two", 3, "0", "1 unready", "2 two fresh", "3 two going")
	minReady(&in)
	d, err := Decide(in, now)
	if err != nil || d.Status == nil {
		t.Fatal(err)
	}
	want := appsv1.StatefulSetStatus{ObservedGeneration: 1, Replicas: 4, ReadyReplicas: 3, AvailableReplicas: 2, CurrentReplicas: 2, UpdatedReplicas: 1,
		CurrentRevision: "web-one", UpdateRevision: "web-two", CollisionCount: new(int32)}
	if fmt.Sprint(d.Status) != fmt.Sprint(&want) {
		t.Errorf("got  %+v\nwant %+v", d.Status, want)
	}
	if d.After != 59*time.Second {
		t.Errorf("looks again after %s", d.After)
	}
	in.Set.Status = *d.Status
	if d, _ = Decide(in, now); d.Status != nil {
		t.Errorf("writes again what it says already: %+v", d.Status)
	}
}

// TestComplete: a rollout is complete when all replicas are of the new revision and ready; the pod that it deletes is no longer counted as current.
func TestComplete(t *testing.T) {
	d, _ := Decide(state("two", 2, "0", "1"), now)
	if d.Status.CurrentReplicas != 1 || d.StatusOnFailure.CurrentReplicas != 2 || d.Status.CurrentRevision != "web-one" {
		t.Errorf("status %+v, on failure %+v", d.Status, d.StatusOnFailure)
	}
	d, _ = Decide(state("two", 2, "0 two", "1 two"), now)
	if d.Status.CurrentRevision != "web-two" || d.Status.CurrentReplicas != 2 {
		t.Errorf("status %+v", d.Status)
	}
	in := state("two", 2, "0 two", "1 two")
	onDelete(&in)
	if d, _ = Decide(in, now); d.Status.CurrentRevision != "web-one" {
		t.Errorf("status %+v although nothing rolls", d.Status)
	}
}

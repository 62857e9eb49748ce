package deployment

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/controller/engine"
)

var now = time.Unix(100_000, 0)

func template(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image}}}}
}

// set is web-IMAGE: wanted replicas, available ones, its revision; desired is the deployment's size that it has a share of, surge 1 above it.
func set(image string, wanted, available int32, revision string, desired int) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-" + image, UID: types.UID(image), Generation: 1,
		CreationTimestamp: metav1.NewTime(now.Add(-time.Hour + time.Duration(len(revision)))),
		Annotations:       map[string]string{revisionKey: revision, desiredKey: fmt.Sprint(desired), maxKey: fmt.Sprint(desired + 1)}},
		Spec:   appsv1.ReplicaSetSpec{Replicas: &wanted, Template: template(image)},
		Status: appsv1.ReplicaSetStatus{Replicas: wanted, AvailableReplicas: available, ObservedGeneration: 1, TerminatingReplicas: new(int32)}}
}

// state is a deployment web of an image with surge 1 and nothing unavailable, and its sets.
func state(image string, replicas int32, sets ...*appsv1.ReplicaSet) Input {
	return Input{Sets: sets, Running: map[string]int{}, Deployment: &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "d", Generation: 1},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Template: template(image), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
			ProgressDeadlineSeconds: ptr.To[int32](600), RevisionHistoryLimit: ptr.To[int32](1), Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: ptr.To(intstr.FromInt32(1)), MaxUnavailable: ptr.To(intstr.FromInt32(0))}}}}}
}

func paused(in *Input) { in.Deployment.Spec.Paused = true }
func recreate(in *Input) {
	in.Deployment.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
}
func complete(in *Input) {
	in.Deployment.Status = appsv1.DeploymentStatus{Replicas: 3, UpdatedReplicas: 3, AvailableReplicas: 3, ObservedGeneration: 1}
}

func text(d Decision) string {
	var list []string
	for _, e := range d.Events {
		list = append(list, strings.NewReplacer("Scaled ", "", "replica set web-", "").Replace(e.Message))
	}
	for _, rs := range d.Delete {
		list = append(list, "delete "+rs.Name)
	}
	return strings.Join(list, ", ")
}

func TestDecide(t *testing.T) {
	running := func(in *Input) { in.Running["web-a"] = 1 }
	for _, c := range []struct {
		name   string
		in     Input
		change []func(*Input)
		want   string
	}{
		{"old shrinks", state("bb", 3, set("a", 3, 3, "1", 3), set("bb", 1, 1, "22", 3)), nil, "down a from 3 to 2"},
		{"new grows", state("bb", 3, set("a", 2, 2, "1", 3), set("bb", 1, 1, "22", 3)), nil, "up bb from 1 to 2"},
		{"not while the new is not available", state("bb", 3, set("a", 3, 3, "1", 3), set("bb", 1, 0, "22", 3)), nil, ""},
		{"what is not available goes first", state("bb", 3, set("a", 3, 2, "1", 3), set("bb", 1, 1, "22", 3)), nil, "down a from 3 to 2"},
		{"not by a status that is behind", state("bb", 3, set("a", 2, 3, "1", 3), set("bb", 2, 2, "22", 3)), nil, ""},
		{"history goes when all is done", state("ccc", 3, set("a", 0, 0, "1", 3), set("bb", 0, 0, "22", 3), set("ccc", 3, 3, "333", 3)), []func(*Input){complete}, "delete web-a"},
		{"not before", state("ccc", 3, set("a", 0, 0, "1", 3), set("bb", 0, 0, "22", 3), set("ccc", 3, 3, "333", 3)), nil, ""},
		{"recreate empties the old", state("bb", 3, set("a", 3, 3, "1", 3)), []func(*Input){recreate}, "down a from 3 to 0"},
		{"and waits for what its set counts", state("bb", 3, func() *appsv1.ReplicaSet { s := set("a", 0, 0, "1", 3); s.Status.Replicas = 1; return s }()), []func(*Input){recreate}, ""},
		{"and for its pods", state("bb", 3, set("a", 0, 0, "1", 3)), []func(*Input){recreate, running}, ""},
		{"paused nothing rolls", state("bb", 3, set("a", 3, 3, "1", 3)), []func(*Input){paused}, ""},
		{"paused it scales", state("bb", 5, set("a", 3, 3, "1", 3)), []func(*Input){paused}, "up a from 3 to 5"},
		{"in proportion up", state("bb", 10, set("a", 4, 4, "1", 5), set("bb", 2, 2, "22", 5)), nil, "up a from 4 to 7, up bb from 2 to 4"},
		{"in proportion down", state("bb", 2, set("a", 4, 4, "1", 5), set("bb", 2, 2, "22", 5)), nil, "down a from 4 to 2, down bb from 2 to 1"},
		{"to none", state("bb", 0, set("a", 4, 4, "1", 5), set("bb", 2, 2, "22", 5)), nil, "down a from 4 to 0, down bb from 2 to 0"},
	} {
		for _, change := range c.change {
			change(&c.in)
		}
		if got := text(Decide(c.in, now)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestRollback: by the deprecated annotation, to a number or to the revision before.
func TestRollback(t *testing.T) {
	for _, c := range []struct{ to, image, event string }{
		{"1", "a", `Rolled back deployment "web" to revision 1`},
		{"0", "a", `Rolled back deployment "web" to revision 1`},
		{"22", "bb", `The rollback revision contains the same template as current deployment "web"`},
		{"7", "bb", "Unable to find the revision to rollback to."},
	} {
		in := state("bb", 3, set("a", 0, 0, "1", 3), set("bb", 3, 3, "22", 3))
		in.Sets[0].Annotations["note"] = "first"
		in.Deployment.Annotations = map[string]string{appsv1.DeprecatedRollbackTo: c.to, revisionKey: "22", "note": "second"}
		d := Decide(in, now)
		if d.Return == nil || d.Status != nil {
			t.Fatalf("to %s: %+v", c.to, d)
		}
		note := map[string]string{"a": "first", "bb": "second"}[c.image]
		_, asked := d.Return.Annotations[appsv1.DeprecatedRollbackTo]
		if got := d.Return.Spec.Template.Spec.Containers[0].Image; got != c.image || text(d) != c.event || asked || d.Return.Annotations["note"] != note {
			t.Errorf("to %s: image %s, events %q, annotations %v", c.to, got, text(d), d.Return.Annotations)
		}
	}
	in := state("a", 3)
	in.Deployment.Annotations = map[string]string{appsv1.DeprecatedRollbackTo: "0"}
	if got := text(Decide(in, now)); !strings.HasPrefix(got, "Unable to find last revision.") {
		t.Errorf("without a history: %q", got)
	}
}

// TestRevisions: a set that becomes the new one again has the highest number, and remembers those that it had.
func TestRevisions(t *testing.T) {
	in := state("a", 3, set("a", 0, 0, "1", 3), set("bb", 3, 3, "22", 3))
	in.Sets[0].Annotations[historyKey] = strings.Repeat("123456789,", 199) + "12345678"
	in.Deployment.Annotations = map[string]string{"note": "x", corev1.LastAppliedConfigAnnotation: "y", maxKey: "z"}
	d := Decide(in, now)
	got := d.Update[0].Annotations
	if d.Revision != "23" || got[revisionKey] != "23" || len(got[historyKey]) > 2000 || !strings.HasSuffix(got[historyKey], ",1") || got["note"] != "x" || got[corev1.LastAppliedConfigAnnotation] != "" || got[maxKey] == "z" {
		t.Errorf("revision %s, annotations %v", d.Revision, got)
	}
	if got := setName(strings.Repeat("a", 253), "12345"); len(got) != 253 || !strings.HasSuffix(got, "a-12345") {
		t.Errorf("name %s", got)
	}
}

// TestDeadline: a rollout that does not go on has timed out when more than the deadline has passed, and is looked at then.
func TestDeadline(t *testing.T) {
	progressing := func(d Decision) (reason string) {
		if c := findCondition(d.Status, appsv1.DeploymentProgressing); c != nil {
			return c.Reason
		}
		return ""
	}
	in := state("bb", 3, set("a", 3, 3, "1", 3), set("bb", 1, 0, "22", 3))
	d := Decide(in, now)
	if progressing(d) != "ReplicaSetUpdated" && progressing(d) != "FoundNewReplicaSet" || d.After != 601*time.Second {
		t.Errorf("%s, looks again after %s", progressing(d), d.After)
	}
	in.Deployment.Status = *d.Status
	if d = Decide(in, now.Add(600*time.Second)); d.Status != nil || d.After != time.Second {
		t.Errorf("at the deadline: %+v, looks again after %s", d.Status, d.After)
	}
	d = Decide(in, now.Add(601*time.Second))
	if progressing(d) != reasonTimedOut || d.After != 0 {
		t.Errorf("after it: %s, looks again after %s", progressing(d), d.After)
	}
	in.Deployment.Status = *d.Status
	in.Deployment.Spec.Paused = true
	if d = Decide(in, now.Add(700*time.Second)); d.Status != nil {
		t.Errorf("a pause hides what has timed out: %+v", d.Status.Conditions)
	}
}

func TestTerminating(t *testing.T) {
	in := state("a", 3, set("a", 3, 3, "1", 3), set("bb", 0, 0, "22", 3))
	in.Sets[1].Status.TerminatingReplicas = ptr.To[int32](2)
	if st := Decide(in, now).Status; st.TerminatingReplicas == nil || *st.TerminatingReplicas != 2 {
		t.Errorf("terminating %v", st.TerminatingReplicas)
	}
	in.Sets[0].Status.TerminatingReplicas = nil
	if st := Decide(in, now).Status; st.TerminatingReplicas != nil {
		t.Errorf("terminating %v, though one set does not say", *st.TerminatingReplicas)
	}
}

// TestNotMade: what is told when the new set is refused.
func TestNotMade(t *testing.T) {
	in := state("a", 3)
	p := plan(nil, in, Decide(in, now))
	name := p.Writes[0].Object.GetName()
	refused := &engine.WriteError{Verb: "create", Resource: sets(), Err: errors.New("exceeded quota")}
	want := fmt.Sprintf("Failed to create new replica set %q: exceeded quota", name)
	if events := p.FailureEvents(refused); len(events) != 1 || events[0].Reason != "ReplicaSetCreateError" || events[0].Message != want {
		t.Errorf("events %+v, want %s", events, want)
	}
	writes := p.OnFailure(refused)
	if len(writes) != 1 || findCondition(&writes[0].Object.(*appsv1.Deployment).Status, appsv1.DeploymentProgressing).Message != want {
		t.Errorf("writes %+v", writes)
	}
	leaving := apierrors.NewForbidden(corev1.Resource("x"), "x", errors.New("x"))
	leaving.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	for name, err := range map[string]error{"its namespace goes": &engine.WriteError{Verb: "create", Resource: sets(), Err: leaving}, "another write": &engine.WriteError{Verb: "update", Resource: sets(), Err: errors.New("x")}} {
		if len(p.OnFailure(err)) != 0 || len(p.FailureEvents(err)) != 0 {
			t.Errorf("%s: something is told", name)
		}
	}
}

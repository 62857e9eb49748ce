package statefulset

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/controller/revision"
)

func TestRevisions(t *testing.T) {
	own := func(image string, collisions int32) string {
		tmpl := template(image)
		return revision.Name("web", revision.DataHash(revision.Data(&tmpl), &collisions))
	}
	for _, c := range []struct {
		name               string
		in                 Input
		change             func(*Input)
		current, update    string
		steps              string
		number, collisions int64
	}{
		{name: "the first", in: state("one", 0), change: func(in *Input) { in.Revisions = nil }, current: own("one", 0), update: own("one", 0), steps: "create " + own("one", 0), number: 1},
		{name: "the same", in: state("one", 0), current: "web-one", update: "web-one", number: 1},
		{name: "a new one", in: state("two", 0), change: func(in *Input) { in.Revisions = in.Revisions[:1] }, current: "web-one", update: own("two", 0),
			steps: "create " + own("two", 0), number: 2},
		{name: "under way", in: state("two", 0), current: "web-one", update: "web-two", number: 2},
		{name: "back", in: state("one", 0), change: func(in *Input) { in.Revisions = append(in.Revisions, record("two", 2)) }, current: "web-one", update: "web-one",
			steps: "update web-one", number: 3},
		{name: "current is lost", in: state("two", 0), change: func(in *Input) { in.Set.Status.CurrentRevision = "gone" }, current: "web-two", update: "web-two", number: 2},
		{name: "twice the same", in: state("one", 0), change: func(in *Input) {
			again := record("one", 2)
			again.Name = "web-again"
			in.Revisions = append(in.Revisions, again)
		}, current: "web-one", update: "web-again", number: 2},
		{name: "the name is another's", in: state("two", 0), change: func(in *Input) {
			in.Revisions = in.Revisions[:1]
			in.Taken = func(name string) *appsv1.ControllerRevision {
				if name == own("two", 0) {
					return record("three", 1)
				}
				return nil
			}
		}, current: "web-one", update: own("two", 1), steps: "create " + own("two", 1), number: 2, collisions: 1},
		{name: "it is there, but not the set's", in: state("two", 0), change: func(in *Input) {
			in.Revisions = in.Revisions[:1]
			in.Taken = func(string) *appsv1.ControllerRevision { return record("two", 7) }
		}, current: "web-one", update: "web-two", number: 7},
		{name: "defaults that were not written out", in: state("one", 0), change: func(in *Input) {
			in.Set.Spec.Template.Spec = corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "one", ImagePullPolicy: "Always", TerminationMessagePath: "/dev/termination-log",
				TerminationMessagePolicy: "File"}}, RestartPolicy: "Always", DNSPolicy: "ClusterFirst", SchedulerName: "default-scheduler",
				TerminationGracePeriodSeconds: ptr.To[int64](30), SecurityContext: &corev1.PodSecurityContext{}}
		}, current: "web-one", update: "web-one", number: 1},
	} {
		if c.change != nil {
			c.change(&c.in)
		}
		rev, err := revisionsOf(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := text(Decision{Steps: rev.steps}); rev.current.Name != c.current || rev.update.Name != c.update || got != c.steps ||
			rev.update.Revision != c.number || int64(rev.collisions) != c.collisions {
			t.Errorf("%s: got current %s, update %s of number %d, %q after %d collisions\nwant %+v", c.name, rev.current.Name, rev.update.Name, rev.update.Revision, got, rev.collisions, c)
		}
	}
}

// TestNewRevision: it says whose it is and what the set says of itself.
func TestNewRevision(t *testing.T) {
	in := state("one", 0)
	in.Revisions, in.Set.Annotations = nil, map[string]string{"cause": "why"}
	rev, err := revisionsOf(in)
	if err != nil {
		t.Fatal(err)
	}
	r := rev.update
	if r.Labels["app"] != "web" || "web-"+r.Labels[hashLabel] != r.Name || r.Annotations["cause"] != "why" || len(r.OwnerReferences) != 1 || in.Set.Spec.Template.Labels[hashLabel] != "" {
		t.Errorf("revision %+v, template's labels %v", r.ObjectMeta, in.Set.Spec.Template.Labels)
	}
}

// TestHistory: the oldest revisions go that no pod has.
func TestHistory(t *testing.T) {
	in := state("two", 1, "0 three")
	in.Revisions = []*appsv1.ControllerRevision{record("a", 1), record("one", 2), record("three", 3), record("b", 4), record("c", 5), record("two", 6)}
	for limit, want := range map[int32]string{0: "web-a web-b web-c", 1: "web-a web-b", 2: "web-a", 3: "", -1: ""} {
		in.Set.Spec.RevisionHistoryLimit = &limit
		d, err := Decide(in, now)
		var got []string
		for _, r := range d.Forget {
			got = append(got, r.Name)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("limit %d: forgets %v, %v, want %s", limit, got, err, want)
		}
	}
}

// TestBroken: a history that cannot be read stops the set, and says which revision it is.
func TestBroken(t *testing.T) {
	in := state("two", 1)
	in.Revisions[0].Data.Raw = []byte("{")
	if _, err := Decide(in, now); err == nil || !strings.Contains(err.Error(), "default/web-one") {
		t.Errorf("got %v", err)
	}
}

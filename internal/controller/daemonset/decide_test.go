package daemonset

import (
	"fmt"
	"slices"
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

// nodesOf makes nodes: "n1", or "n1 WORD..." with taints.
func nodesOf(texts ...string) (list []*corev1.Node) {
	for _, text := range texts {
		words := strings.Fields(text)
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: words[0], Labels: map[string]string{"on": "yes"}}}
		for _, word := range words[1:] {
			taint := map[string]corev1.Taint{
				"off":    {},
				"closed": {Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule},
				"lost":   {Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoExecute},
				"pid":    {Key: corev1.TaintNodePIDPressure, Effect: corev1.TaintEffectNoSchedule},
				"bare":   {Key: corev1.TaintNodeNetworkUnavailable, Effect: corev1.TaintEffectNoSchedule},
				"mine":   {Key: "mine", Effect: corev1.TaintEffectNoSchedule},
				"evicts": {Key: "mine", Effect: corev1.TaintEffectNoExecute},
				"maybe":  {Key: "mine", Effect: corev1.TaintEffectPreferNoSchedule},
			}[word]
			if word == "off" {
				n.Labels["on"] = "no"
				continue
			}
			n.Spec.Taints = append(n.Spec.Taints, taint)
		}
		list = append(list, n)
	}
	return list
}

// state is what a decision is made of: a set on all nodes that are on, with the template "new" on record, and pods "NAME NODE WORD...".
func state(nodes []*corev1.Node, pods ...string) Input {
	l := map[string]string{"app": "d"}
	set := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "d", UID: "set", Generation: 1}, Spec: appsv1.DaemonSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: l}, RevisionHistoryLimit: ptr.To[int32](2),
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: l}, Spec: corev1.PodSpec{
			NodeSelector: map[string]string{"on": "yes"}, Containers: []corev1.Container{{Name: "c", Image: "new"}}}},
		UpdateStrategy: rolling("1", "0"),
	}}
	in := Input{Set: set, Nodes: nodes, Held: func(string) time.Duration { return 0 }, Taken: func(string) *appsv1.ControllerRevision { return nil }}
	in.Revisions = []*appsv1.ControllerRevision{record(set, "old", 1), record(set, "new", 2)}
	for _, text := range pods {
		in.Pods = append(in.Pods, podOf(text))
	}
	return in
}

func rolling(down, surge string) appsv1.DaemonSetUpdateStrategy {
	return appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &appsv1.RollingUpdateDaemonSet{
		MaxUnavailable: ptr.To(intstr.Parse(down)), MaxSurge: ptr.To(intstr.Parse(surge))}}
}

// record is a revision of the template with an image, by that name and not by its hash.
func record(set *appsv1.DaemonSet, image string, number int64) *appsv1.ControllerRevision {
	t := set.Spec.Template.DeepCopy()
	t.Spec.Containers[0].Image = image
	return &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "d-" + image, UID: types.UID(image), Labels: map[string]string{hashLabel: image}},
		Data: runtime.RawExtension{Raw: revision.Data(t)}, Revision: number}
}

// podOf makes a pod of the template "new" that has been ready for an hour, but for what the words say.
func podOf(text string) *corev1.Pod {
	words := strings.Fields(text)
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: words[0], UID: types.UID(words[0]), Labels: map[string]string{hashLabel: "new"}},
		Spec: corev1.PodSpec{NodeName: words[1]}}
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue,
		LastTransitionTime: metav1.NewTime(now.Add(-time.Hour))}}}
	for _, word := range words[2:] {
		switch word {
		case "waiting":
			p.Spec.NodeName, p.Spec.Affinity, p.Status = "", aimed(nil, words[1]), corev1.PodStatus{Phase: corev1.PodPending}
		case "unready":
			p.Status.Conditions = nil
		case "fresh":
			p.Status.Conditions[0].LastTransitionTime = metav1.NewTime(now.Add(-time.Second))
		case "failed":
			p.Status.Phase, p.Status.Conditions = corev1.PodFailed, nil
		case "done":
			p.Status.Phase, p.Status.Conditions = corev1.PodSucceeded, nil
		case "going":
			p.DeletionTimestamp = &metav1.Time{Time: now}
		case "younger":
			p.CreationTimestamp = metav1.NewTime(now)
		default:
			p.Labels[hashLabel] = word
		}
	}
	return p
}

// decided is a decision in words: "+n1" a pod for n1, "-a" pod a deleted.
func decided(t *testing.T, in Input) string {
	t.Helper()
	dec, err := Decide(in, now)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, node := range dec.Create {
		words = append(words, "+"+node)
	}
	for _, p := range dec.Delete {
		words = append(words, "-"+p.Name)
	}
	for _, f := range dec.Found {
		words = append(words, fmt.Sprintf("found %s on %s", f.Pod.Name, f.Node))
	}
	if dec.After > 0 {
		words = append(words, "again in "+dec.After.String())
	}
	return strings.Join(words, ", ")
}

func TestManage(t *testing.T) {
	check := func(nodes, pods, want string, change ...func(*Input)) {
		t.Helper()
		in := state(nodesOf(split(nodes)...), split(pods)...)
		for _, f := range change {
			f(&in)
		}
		if got := decided(t, in); got != want {
			t.Errorf("nodes %q, pods %q: got %q, want %q", nodes, pods, got, want)
		}
	}
	held := func(in *Input) { in.Held = func(string) time.Duration { return 4 * time.Second } }
	surging := func(in *Input) { in.Set.Spec.UpdateStrategy = rolling("0", "1") }
	named := func(in *Input) { in.Set.Spec.Template.Spec.NodeName = "n2" }
	hosted := func(in *Input) { in.Set.Spec.Template.Spec.HostNetwork = true }
	minReady := func(in *Input) { in.Set.Spec.MinReadySeconds = 10 }
	noHistory := func(in *Input) { in.Revisions = in.Revisions[1:] }

	check("n1;n2", "", "+n1, +n2")
	check("n1;n2 off", "", "+n1")
	check("n1 closed;n2 lost;n3 pid;n4 mine;n5 evicts;n6 maybe;n7 bare", "", "+n1, +n2, +n3, +n6")
	check("n7 bare", "", "+n7", hosted, noHistory)
	check("n1;n2", "", "+n2", named, noHistory)
	check("n1 mine;n2 evicts;n3 off", "a n1;b n2;c n3", "-b, -c")
	check("n1 mine;n2 off", "a n1 waiting;b n2 waiting;c n2 going", "-b")
	check("n1", "a n1;b n1 younger;c n1 waiting", "-b, -c")
	check("n1;n2", "a n1 failed;b n2 done", "-a, -b, found a on n1, found b on n2")
	check("n1;n2", "a n1 failed;b n2 done", "-b, found b on n2, again in 4s", held)
	check("n1", "a n1 going", "")
	check("n1", "a n1 going failed", "+n1")
	check("n1", "a n1 going", "+n1", surging)
	check("n1", "a gone;b gone waiting", "+n1, -b")
	check("n1", "a n1 old;b n1 younger", "-a", surging)
	check("n1", "a n1 old;b n1 unready younger", "", surging)
	check("n1", "a n1 old unready;b n1 unready younger", "-a", surging)
	check("n1", "a n1 old;b n1 fresh younger", "again in 9s", surging, minReady)
	check("n1", "a n1 old;b n1 old younger;c n1", "-b, -a", surging)
}

// split is a list with semicolons between.
func split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ";")
}

func TestRoll(t *testing.T) {
	check := func(strategy, pods, want string, change ...func(*Input)) {
		t.Helper()
		in := state(nodesOf("n1", "n2", "n3", "n4"), split(pods)...)
		down, surge, _ := strings.Cut(strategy, " ")
		in.Set.Spec.UpdateStrategy = rolling(down, surge)
		for _, f := range change {
			f(&in)
		}
		if got := decided(t, in); got != want {
			t.Errorf("%s: pods %q: got %q, want %q", strategy, pods, got, want)
		}
	}
	onDelete := func(in *Input) {
		in.Set.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}
	}
	off := func(in *Input) { in.Nodes[0].Spec.Taints = nodesOf("n mine")[0].Spec.Taints }
	minReady := func(in *Input) { in.Set.Spec.MinReadySeconds = 10 }

	check("1 0", "a n1 old;b n2 old;c n3 old;d n4 old", "-a")
	check("0 0", "a n1 old;b n2 old;c n3 old;d n4 old", "-a")
	check("50% 0", "a n1 old;b n2 old;c n3 old;d n4 old", "-a, -b")
	check("30% 0", "a n1 old;b n2 old;c n3 old;d n4 old", "-a, -b")
	check("1 0", "a n1 old;b n2 old;c n3 old;d n4 old", "", onDelete)
	check("1 0", "a n1;b n2;c n3;d n4", "")
	check("1 0", "a n1 unready;b n2 old;c n3 old;d n4 old", "")
	check("2 0", "a n1 unready;b n2 old;c n3 old;d n4 old", "-b")
	check("1 0", "a n1 old;b n2 old unready;c n3 old unready;d n4 old", "-b, -c")
	check("1 0", "a n1 going old;b n2 old;c n3 old;d n4 old", "")
	check("1 0", "a n1 fresh;b n2 old;c n3 old;d n4 old", "again in 9s", minReady)
	check("1 0", "a n1 old failed;b n2 old;c n3 old;d n4 old", "-a, found a on n1")

	check("0 1", "a n1 old;b n2 old;c n3 old;d n4 old", "+n1")
	check("0 50%", "a n1 old;b n2 old;c n3 old;d n4 old", "+n1, +n2")
	check("0 1", "a n1 old;a1 n1 unready;b n2 old;c n3 old;d n4 old", "")
	check("0 1", "a n1 old;b n2 old unready;c n3 old unready;d n4 old", "+n2, +n3, +n1")
	check("0 2", "a n1 old;a1 n1 fresh;b n2 old;c n3 old;d n4 old", "+n2, again in 9s", minReady)
	check("0 1", "a n1 old;b n2;c n3;d n4", "-a", off)
	check("0 1", "a n1 old;b n2;c n3 unready;d n4", "", off)
	check("0 1", "a n1 old unready;b n2;c n3 unready;d n4", "-a", off)
}

// TestNumber: pods of a former version, which knew no hash, are told by the template's number.
func TestNumber(t *testing.T) {
	in := state(nodesOf("n1"), "a n1 x")
	in.Set.Annotations = map[string]string{appsv1.DeprecatedTemplateGeneration: "3"}
	if got := decided(t, in); got != "-a" {
		t.Errorf("a pod without a number: %q", got)
	}
	in.Pods[0].Labels[generationLabel] = "3"
	if got := decided(t, in); got != "" {
		t.Errorf("a pod of the number: %q", got)
	}
}

// TestBurst: no more than so many pods are made and deleted at once.
func TestBurst(t *testing.T) {
	in := state(nil)
	for i := range 600 {
		n := nodesOf(fmt.Sprintf("n%03d", i))[0]
		if i >= 300 {
			n.Labels["on"] = "no"
			in.Pods = append(in.Pods, podOf(fmt.Sprintf("p%d %s", i, n.Name)))
		}
		in.Nodes = append(in.Nodes, n)
	}
	dec, err := Decide(in, now)
	if err != nil || len(dec.Create) != 250 || len(dec.Delete) != 250 {
		t.Errorf("%d made, %d deleted, %v", len(dec.Create), len(dec.Delete), err)
	}
}

func TestStatus(t *testing.T) {
	in := state(nodesOf("n1", "n2", "n3", "n4", "n5 off", "n6 mine", "n7 off"), "a n1", "b n2 old", "b2 n2 younger", "c n3 unready", "e n5", "f n6", "g gone")
	want := appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 4, CurrentNumberScheduled: 3, NumberMisscheduled: 2, NumberReady: 2,
		UpdatedNumberScheduled: 2, NumberAvailable: 2, NumberUnavailable: 2}
	dec, err := Decide(in, now)
	if err != nil || dec.Status == nil || fmt.Sprint(*dec.Status) != fmt.Sprint(want) {
		t.Fatalf("got %+v, %v, want %+v", dec.Status, err, want)
	}
	in.Set.Status = want
	if dec, err = Decide(in, now); err != nil || dec.Status != nil {
		t.Errorf("told again: %+v, %v", dec.Status, err)
	}
	in.Set.Spec.MinReadySeconds = 3600
	in.Pods[0].Status.Conditions[0].LastTransitionTime = metav1.NewTime(now.Add(-time.Minute))
	if dec, err = Decide(in, now); err != nil || dec.Status == nil || dec.Status.NumberAvailable != 1 || dec.After != 59*time.Minute {
		t.Errorf("available after an hour: %+v, look after %s, %v", dec.Status, dec.After, err)
	}
}

// TestHistory: what is written to the history for a set whose template is "new".
func TestHistory(t *testing.T) {
	check := func(what, want string, change func(in *Input)) {
		t.Helper()
		in := state(nodesOf("n1"), "a n1 old", "b n1 twin going")
		change(&in)
		dec, err := Decide(in, now)
		if err != nil {
			t.Fatal(err)
		}
		var words []string
		for _, w := range dec.History {
			name, number := w.Name, int64(0)
			if r, ok := w.Object.(*appsv1.ControllerRevision); ok {
				name, number = r.Name+"/"+r.Labels[hashLabel], r.Revision
			}
			words = append(words, fmt.Sprintf("%s %s %d", w.Verb, name, number))
		}
		for _, r := range dec.Forget {
			words = append(words, "forget "+r.Name)
		}
		if got := strings.Join(words, ", "); got != want {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	in := state(nil)
	hash := revision.TemplateHash(&in.Set.Spec.Template, nil)
	second := revision.TemplateHash(&in.Set.Spec.Template, ptr.To[int32](1))
	check("known", "", func(*Input) {})
	check("new", fmt.Sprintf("create d-%s/%s 2", hash, hash), func(in *Input) { in.Revisions = in.Revisions[:1] })
	check("first", fmt.Sprintf("create d-%s/%s 1", hash, hash), func(in *Input) { in.Revisions = nil })
	check("returned to", "update d-new/new 4", func(in *Input) { in.Revisions[0].Revision = 3 })
	check("without a label", "update d-old/d-old 1", func(in *Input) { delete(in.Revisions[0].Labels, hashLabel) })
	check("twice", "patch b 0, delete d-new 0", func(in *Input) {
		in.Revisions[1].Labels[hashLabel] = "twin"
		r := record(in.Set, "new", 3)
		r.Name, r.Labels[hashLabel] = "d-kept", "kept"
		in.Revisions = append(in.Revisions, r)
	})
	check("collided", fmt.Sprintf("create d-%s/%s 2", second, second), func(in *Input) {
		in.Revisions = in.Revisions[:1]
		in.Taken = func(name string) *appsv1.ControllerRevision {
			if name == "d-"+hash {
				return record(in.Set, "other", 1)
			}
			return nil
		}
	})
	check("too long", "forget d-x1, forget d-x2", func(in *Input) {
		for i := range 3 {
			in.Revisions = append(in.Revisions, record(in.Set, fmt.Sprint("x", i+1), int64(-3+i)))
		}
	})
	check("in use", "forget d-x2", func(in *Input) {
		for i := range 2 {
			in.Revisions = append(in.Revisions, record(in.Set, fmt.Sprint("x", i+1), int64(-3+i)))
		}
		in.Pods = append(in.Pods, podOf("c n1 x1 going"))
	})
}

// TestBackoff: how long a failed pod is left, the n-th time.
func TestBackoff(t *testing.T) {
	m, s, at := newMemory(), spot{"set", 1, "n1"}, now
	var got []time.Duration
	for range 12 {
		m.note(s, at)
		got = append(got, m.held(s, at))
		at = at.Add(m.held(s, at))
		if left := m.held(s, at); left != 0 {
			t.Fatalf("%s left", left)
		}
	}
	want := []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900}
	for i := range want {
		want[i] *= time.Second
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if m.held(spot{"set", 2, "n1"}, at) != 0 || m.held(spot{"set", 1, "n2"}, at) != 0 {
		t.Error("another generation or node is held")
	}
	m.note(spot{"set", 1, "n2"}, at.Add(time.Hour))
	if len(m.list) != 1 {
		t.Errorf("what is old is kept: %v", m.list)
	}
}

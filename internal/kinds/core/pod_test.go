package core_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/core"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

// TestPutOfTheManifest: a client that puts what it once applied leaves out what admission added, and must not be refused for it.
func TestPutOfTheManifest(t *testing.T) {
	old := pod(nil)
	next := &corev1.Pod{ObjectMeta: *old.ObjectMeta.DeepCopy(), Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i:2"}}}}
	core.Pod().Default(next)
	if err := kindtest.Admit(core.Pod(), next, old, nil); err != nil {
		t.Fatal(err)
	}
	core.Pod().PrepareUpdate(env(), next, old)
	if errs := append(core.Pod().Validate(next), core.Pod().ValidateUpdate(next, old)...); len(errs) > 0 {
		t.Errorf("got %v", errs)
	}
	if next.Generation != old.Generation+1 {
		t.Errorf("generation %d, was %d", next.Generation, old.Generation)
	}
}

// TestGatesAndStatus: who schedules reports on the condition; lifting a gate does not touch the status.
func TestGatesAndStatus(t *testing.T) {
	old := pod(func(p *corev1.Pod) {
		p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "g"}}
		core.Pod().PrepareCreate(env(), p)
	})
	next := old.DeepCopy()
	next.Spec.SchedulingGates = nil
	core.Pod().PrepareUpdate(env(), next, old)
	if len(next.Status.Conditions) != 1 || next.Status.Conditions[0].Reason != corev1.PodReasonSchedulingGated {
		t.Errorf("conditions: %+v", next.Status.Conditions)
	}
}

func TestGatedPodUpdates(t *testing.T) {
	terms := func(keys ...string) *corev1.Affinity {
		var list []corev1.NodeSelectorRequirement
		for _, k := range keys {
			list = append(list, corev1.NodeSelectorRequirement{Key: k, Operator: corev1.NodeSelectorOpExists})
		}
		return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: list}},
		}}}
	}
	const path = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
	for name, c := range map[string]struct {
		old, change func(*corev1.PodSpec)
		want        string
	}{
		"another gate":   {nil, func(s *corev1.PodSpec) { s.SchedulingGates[0].Name = "x" }, "FieldValueForbidden spec.schedulingGates[0].name"},
		"selector added": {nil, func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{"a": "b"} }, ""},
		"selector changed": {
			func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{"a": "b"} },
			func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{"a": "c"} }, "FieldValueInvalid spec.nodeSelector"},
		"selector of a pod without gates": {
			func(s *corev1.PodSpec) { s.SchedulingGates = nil },
			func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{"a": "b"} }, "FieldValueForbidden spec"},
		"affinity where none was": {nil, func(s *corev1.PodSpec) { s.Affinity = terms("a") }, ""},
		"affinity narrowed":       {func(s *corev1.PodSpec) { s.Affinity = terms("a") }, func(s *corev1.PodSpec) { s.Affinity = terms("a", "b") }, ""},
		"affinity widened":        {func(s *corev1.PodSpec) { s.Affinity = terms("a", "b") }, func(s *corev1.PodSpec) { s.Affinity = terms("a") }, "FieldValueInvalid " + path + "[0]"},
		"affinity taken away":     {func(s *corev1.PodSpec) { s.Affinity = terms("a") }, func(s *corev1.PodSpec) { s.Affinity = nil }, "FieldValueInvalid " + path},
		"pod affinity as well":    {nil, func(s *corev1.PodSpec) { s.Affinity = terms("a"); s.Affinity.PodAffinity = &corev1.PodAffinity{} }, "FieldValueForbidden spec"},
	} {
		old := pod(func(p *corev1.Pod) {
			p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "g"}}
			if c.old != nil {
				c.old(&p.Spec)
			}
		})
		next, before := old.DeepCopy(), old.DeepCopy()
		c.change(&next.Spec)
		after := next.DeepCopy()
		if errs := core.Pod().ValidateUpdate(next, old); !has(errs, c.want) {
			t.Errorf("%s: got %v, want %q", name, errs, c.want)
		}
		if before.String() != old.String() || after.String() != next.String() {
			t.Errorf("%s: validating changed a pod", name)
		}
	}
}

func TestTolerationDetails(t *testing.T) {
	errs := core.Pod().Validate(pod(func(p *corev1.Pod) {
		p.Spec.Tolerations = []corev1.Toleration{{Key: "k", Operator: corev1.TolerationOpExists, Value: "odd"}}
	}))
	want := `spec.tolerations[0].operator: Invalid value: "odd": value must be empty when ` + "`operator` is 'Exists'"
	if len(errs) != 1 || errs[0].Error() != want {
		t.Errorf("got %v, want %s", errs, want)
	}
}

func sub(name string) kinds.Subresource {
	for _, s := range core.Pod().Subresources {
		if s.Name == name {
			return s
		}
	}
	panic("no subresource " + name)
}

func TestBindingBringsLabelsAlong(t *testing.T) {
	p := pod(func(p *corev1.Pod) { p.Labels = map[string]string{"zone": "old", "app": "web"} })
	b := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"zone": "new"}, Annotations: map[string]string{"a": "b"}}, Target: corev1.ObjectReference{Name: "n"}}
	if _, err := sub("binding").Create(env(), p, b, kinds.Call{}); err != nil {
		t.Fatal(err)
	}
	if p.Labels["zone"] != "new" || p.Labels["app"] != "web" || p.Annotations["a"] != "b" || p.Spec.NodeName != "n" {
		t.Errorf("labels %v, annotations %v, node %q", p.Labels, p.Annotations, p.Spec.NodeName)
	}
}

func TestLogOfOneOfManyContainers(t *testing.T) {
	p := pod(func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "d"})
		p.Spec.InitContainers = []corev1.Container{{Name: "i"}}
	})
	_, _, _, err := sub("log").Node(p, nil)
	if want := "a container name must be specified for pod web, choose one of: [i c d]"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestPodCells is READY, STATUS and RESTARTS where several containers speak.
func TestPodCells(t *testing.T) {
	ended := func(name string, code int32, reason string, restarts int32) corev1.ContainerStatus {
		s := corev1.ContainerStatus{Name: name, RestartCount: restarts, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason}}}
		s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(env().Now.Add(-5 * time.Minute))}
		return s
	}
	running := func(name string, restarts int32) corev1.ContainerStatus {
		yes := true
		return corev1.ContainerStatus{Name: name, RestartCount: restarts, Ready: true, Started: &yes, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	}
	always := corev1.ContainerRestartPolicyAlways
	initialized := []corev1.PodCondition{{Type: corev1.PodInitialized, Status: corev1.ConditionTrue}}
	for want, change := range map[string]func(*corev1.Pod){
		"0/1 Error 0": func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{ended("c", 0, "Completed", 0), ended("d", 1, "Error", 0)}
		},
		"1/1 NotReady 0": func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{ended("c", 0, "Completed", 0), running("d", 0)}
		},
		"1/2 Init:1/2 3": func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "s", RestartPolicy: &always}, {Name: "i"}}
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{running("s", 1), {Name: "i", RestartCount: 2}}
		},
		"2/2  2 (5m ago)": func(p *corev1.Pod) { // init containers run again: only sidecars and containers count
			p.Spec.InitContainers = []corev1.Container{{Name: "s", RestartPolicy: &always}, {Name: "i"}}
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{running("s", 1), ended("i", 0, "Completed", 7)}
			c := running("c", 1)
			c.LastTerminationState = ended("c", 1, "Error", 0).LastTerminationState
			p.Status.ContainerStatuses, p.Status.Phase = []corev1.ContainerStatus{c}, ""
		},
		"1/1 Init:0/1 2": func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "i"}}
			p.Status.Conditions = initialized
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "i", RestartCount: 4}}
			p.Status.ContainerStatuses = []corev1.ContainerStatus{running("c", 2)}
		},
	} {
		p, cells := pod(change), []string{}
		for _, c := range core.Pod().Columns[1:4] {
			cells = append(cells, c.Cell(env(), p).(string))
		}
		if got := strings.Join(cells, " "); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

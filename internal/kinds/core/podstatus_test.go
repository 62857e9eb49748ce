package core_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds/core"
)

func state(name string, ended bool, code int32) corev1.ContainerStatus {
	s := corev1.ContainerStatus{Name: name}
	if ended {
		s.State.Terminated = &corev1.ContainerStateTerminated{ExitCode: code}
	}
	return s
}

// TestStatusOfAPod is what a node may not say of one, in upstream's words.
func TestStatusOfAPod(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	ended := func(policy corev1.RestartPolicy, code int32) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.RestartPolicy = policy
			p.Status.ContainerStatuses = []corev1.ContainerStatus{state("c", true, code)}
		}
	}
	again := func(p *corev1.Pod) { p.Status.ContainerStatuses = []corev1.ContainerStatus{state("c", false, 0)} }
	const stays = "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"
	for name, c := range map[string]struct {
		was, now func(*corev1.Pod)
		want     string
	}{
		"never restarted":      {ended(corev1.RestartPolicyNever, 1), again, stays},
		"restarted on failure": {ended(corev1.RestartPolicyOnFailure, 1), again, ""},
		"not after success":    {ended(corev1.RestartPolicyOnFailure, 0), again, stays},
		"always":               {ended(corev1.RestartPolicyAlways, 0), again, ""},
		"by the container's own": {func(p *corev1.Pod) {
			ended(corev1.RestartPolicyNever, 0)(p)
			p.Spec.Containers[0].RestartPolicy = &always
		}, again, ""},
		"two addresses of a family": {func(*corev1.Pod) {}, func(p *corev1.Pod) {
			p.Status.PodIPs = []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "10.0.0.2"}}
		}, "may specify no more than one IP for each IP family"},
		"another first address of the node": {func(*corev1.Pod) {}, func(p *corev1.Pod) {
			p.Status.HostIP, p.Status.HostIPs = "10.0.0.1", []corev1.HostIP{{IP: "10.0.0.2"}}
		}, "status.hostIPs[0].ip: Invalid value: \"10.0.0.2\": must be equal to `hostIP`"},
		"a condition's name": {func(*corev1.Pod) {}, func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: "not a name"}}
		}, "status.conditions[0].Type: Invalid value: \"not a name\""},
		"another class": {func(p *corev1.Pod) { p.Status.QOSClass = corev1.PodQOSBurstable }, func(p *corev1.Pod) {
			p.Status.QOSClass = corev1.PodQOSGuaranteed
		}, "status.qosClass: Invalid value: \"Guaranteed\": field is immutable"},
	} {
		was := pod(c.was)
		now := was.DeepCopy()
		c.now(now)
		errs := sub("status").Update(env(), now, was).ToAggregate()
		switch {
		case c.want == "" && errs != nil:
			t.Errorf("%s: %v", name, errs)
		case c.want != "" && (errs == nil || !strings.Contains(errs.Error(), c.want)):
			t.Errorf("%s: %v, want %s", name, errs, c.want)
		}
	}
}

func TestStatusKeepsWhatWasObserved(t *testing.T) {
	was := pod(func(p *corev1.Pod) {
		p.Status.ObservedGeneration = 2
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, ObservedGeneration: 3}}
	})
	now := was.DeepCopy()
	now.Status.ObservedGeneration, now.Status.Conditions[0].ObservedGeneration = 0, 0
	if errs := sub("status").Update(env(), now, was); len(errs) > 0 {
		t.Fatal(errs)
	}
	if now.Status.ObservedGeneration != 2 || now.Status.Conditions[0].ObservedGeneration != 3 {
		t.Errorf("observed %d and %d", now.Status.ObservedGeneration, now.Status.Conditions[0].ObservedGeneration)
	}
}

// TestRowsOfPodsThatHaveEnded can be passed over.
func TestRowsOfPodsThatHaveEnded(t *testing.T) {
	for phase, want := range map[corev1.PodPhase]int{corev1.PodRunning: 0, corev1.PodSucceeded: 1, corev1.PodFailed: 1} {
		got := core.Pod().RowConditions(pod(func(p *corev1.Pod) { p.Status.Phase = phase }))
		if len(got) != want || want == 1 && (got[0].Type != metav1.RowCompleted || got[0].Reason != string(phase)) {
			t.Errorf("%s: %v", phase, got)
		}
	}
}

func TestNewPods(t *testing.T) {
	p := pod(func(p *corev1.Pod) {
		p.Spec.NodeName, p.Spec.SchedulingGates = "n", []corev1.PodSchedulingGate{{Name: "example.com/a"}}
		p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{}}
	})
	want := "[spec.ephemeralContainers: Forbidden: cannot be set on create, spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared]"
	if got := core.Pod().ValidateCreate(p).ToAggregate(); got == nil || got.Error() != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// TestPodIPs: a pod's address and the first of its addresses are one, whichever is given.
func TestPodIPs(t *testing.T) {
	k := core.Pod()
	for _, c := range []struct {
		one       string
		all, want []string
	}{
		{"", nil, nil},
		{"10.1.0.7", nil, []string{"10.1.0.7"}},
		{"", []string{"10.1.0.7", "fd00::7"}, []string{"10.1.0.7", "fd00::7"}},
		{"10.1.0.7", []string{"10.1.0.7", "fd00::7"}, []string{"10.1.0.7", "fd00::7"}},
		{"10.1.0.8", []string{"10.1.0.7", "fd00::7"}, []string{"10.1.0.8"}},
	} {
		pod := &corev1.Pod{Status: corev1.PodStatus{PodIP: c.one}}
		for _, ip := range c.all {
			pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: ip})
		}
		k.Default(pod)
		var got []string
		for _, ip := range pod.Status.PodIPs {
			got = append(got, ip.IP)
		}
		if !slices.Equal(got, c.want) || len(got) > 0 && pod.Status.PodIP != got[0] {
			t.Errorf("%q and %q: got %q and %q, want %q", c.one, c.all, pod.Status.PodIP, got, c.want)
		}
	}
}

// TestNegativeGrace: a pod has at least a second to end.
func TestNegativeGrace(t *testing.T) {
	grace := int64(-5)
	pod := &corev1.Pod{Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &grace}}
	if core.Pod().Default(pod); *pod.Spec.TerminationGracePeriodSeconds != 1 {
		t.Errorf("got %d", *pod.Spec.TerminationGracePeriodSeconds)
	}
}

package podautoscaler

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// fleet makes pods from words: r runs and is ready, u never was ready, s started a minute ago and is ready since, p is pending, f has failed, d is being deleted. Each requests
// a CPU.
func fleet(words string) (list []*corev1.Pod) {
	for i, w := range words {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("p", i)}}
		p.Spec.Containers = []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("1")}}}}
		began := metav1.NewTime(noon.Add(-time.Hour))
		turned, ready := began, corev1.ConditionTrue
		p.Status.Phase = corev1.PodRunning
		switch w {
		case 'u':
			ready = corev1.ConditionFalse
		case 's':
			began = metav1.NewTime(noon.Add(-time.Minute))
			turned = metav1.NewTime(noon.Add(-50 * time.Second))
		case 'p':
			p.Status.Phase = corev1.PodPending
		case 'f':
			p.Status.Phase = corev1.PodFailed
		case 'd':
			p.DeletionTimestamp = &began
		}
		p.Status.StartTime = &began
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready, LastTransitionTime: turned}}
		list = append(list, p)
	}
	return list
}

// measured are the samples of a fleet's first pods, a minute's each; below 0: none.
func measured(values ...int64) samples {
	seen := samples{}
	for i, v := range values {
		if v >= 0 {
			seen[fmt.Sprint("p", i)] = sample{v, noon, time.Minute}
		}
	}
	return seen
}

// TestUtilization: how many replicas percent of requests asks for.
func TestUtilization(t *testing.T) {
	for name, c := range map[string]struct {
		pods    string
		seen    []int64
		goal    int32
		current int32 // 0: as many as pods
		want    int32
		wrong   string
	}{
		"more":                 {pods: "rrr", seen: []int64{300, 500, 700}, goal: 30, want: 5},
		"fewer":                {pods: "rrrrr", seen: []int64{100, 300, 500, 250, 250}, goal: 50, want: 3},
		"within the tolerance": {pods: "rrr", seen: []int64{210, 210, 210}, goal: 20, want: 3},
		"pods that start count as idle when more are needed": {pods: "rru", seen: []int64{500, 700, 300}, goal: 30, want: 4},
		"and not at all when fewer are":                      {pods: "rru", seen: []int64{100, 100, 900}, goal: 50, current: 3, want: 1},
		"a sample from before a pod was ready":               {pods: "rrs", seen: []int64{500, 700, 9000}, goal: 30, want: 4},
		"pending pods":                                       {pods: "rpp", seen: []int64{700, -1, -1}, goal: 30, want: 3},
		"failed pods and pods that go count for nothing":     {pods: "rrfd", seen: []int64{500, 700, 100, 100}, goal: 30, current: 2, want: 4},
		"without a sample idle when more are needed":         {pods: "rrr", seen: []int64{900, 900, -1}, goal: 50, want: 4},
		"and busy when fewer are":                            {pods: "rrrr", seen: []int64{100, 100, 100, -1}, goal: 50, want: 3},
		"what is unknown does not turn it round":             {pods: "rrr", seen: []int64{1000, -1, -1}, goal: 50, want: 3},
		"no pods":                                            {pods: "", seen: []int64{100}, goal: 50, wrong: "no pods returned by selector while calculating replica count"},
		"no samples of them":                                 {pods: "uu", seen: []int64{100, 100}, goal: 50, wrong: "did not receive metrics for targeted pods (pods might be unready)"},
	} {
		t.Run(name, func(t *testing.T) {
			settings := Defaults()
			list := fleet(c.pods)
			current := c.current
			if current == 0 {
				current = int32(len(list))
			}
			crowd := &crowd{pods: list, resource: corev1.ResourceCPU, now: noon, settings: &settings}
			got, _, err := crowd.utilization(current, measured(c.seen...), c.goal, "", tolerance{0.1, 0.1})
			holds(t, got, c.want, err, c.wrong)
		})
	}
}

func holds(t *testing.T, got, want int32, err error, wrong string) {
	t.Helper()
	switch {
	case wrong == "" && err != nil, wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)):
		t.Errorf("error %v, want %q", err, wrong)
	case err == nil && got != want:
		t.Errorf("%d replicas, want %d", got, want)
	}
}

// TestRequests: what a pod asks for, and what is said of one that does not say it.
func TestRequests(t *testing.T) {
	one := func() *corev1.Pod { return fleet("r")[0] }
	with := func(change func(p *corev1.Pod)) *corev1.Pod { p := one(); change(p); return p }
	always := corev1.ContainerRestartPolicyAlways
	half := corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("500m")}}
	for name, c := range map[string]struct {
		pod       *corev1.Pod
		container string
		want      int64
		wrong     string
	}{
		"containers": {pod: with(func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "d", Resources: half})
		}), want: 1500},
		"one container": {pod: with(func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "d", Resources: half})
		}), container: "d", want: 500},
		"a sidecar": {pod: with(func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "s", RestartPolicy: &always, Resources: half}}
		}), want: 1500},
		"no init container":           {pod: with(func(p *corev1.Pod) { p.Spec.InitContainers = []corev1.Container{{Name: "s", Resources: half}} }), want: 1000},
		"the pod's own":               {pod: with(func(p *corev1.Pod) { p.Spec.Resources = half.DeepCopy() }), want: 500},
		"of a container all the same": {pod: with(func(p *corev1.Pod) { p.Spec.Resources = half.DeepCopy() }), container: "c", want: 1000},
		"none":                        {pod: with(func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests = nil }), wrong: "missing request for cpu in container c of Pod p0"},
		"no such container":           {pod: one(), container: "x", wrong: "container x not found in Pod p0"},
		"of the pod, another resource": {pod: with(func(p *corev1.Pod) {
			p.Spec.Resources = &corev1.ResourceRequirements{Requests: corev1.ResourceList{"memory": resource.MustParse("1Gi")}}
			p.Spec.Containers[0].Resources.Requests = nil
		}), wrong: "missing pod-level request for cpu in Pod p0"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := requestedBy(c.pod, c.container, corev1.ResourceCPU)
			holds(t, int32(got), int32(c.want), err, c.wrong)
		})
	}
}

// TestEach: one value for all replicas.
func TestEach(t *testing.T) {
	within := tolerance{0.1, 0.1}
	for _, c := range []struct {
		have        int32
		value, goal int64
		want        int32
		average     int64
	}{
		{3, 8600, 2000, 5, 2867}, {3, 6100, 2000, 3, 2034}, {0, 4000, 2000, 2, 4000}, {2, 1 << 62, 1, 1<<31 - 1, 1 << 61},
	} {
		if got, average := each(c.have, c.value, c.goal, within); got != c.want || average != c.average {
			t.Errorf("%+v: %d replicas of %d", c, got, average)
		}
	}
}

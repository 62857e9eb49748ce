package place

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What a pod counts as follows whatever makes its shape, also where its generation says that nothing has changed.
func TestSetPodSeesWhatHasChanged(t *testing.T) {
	table := NewTable()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", UID: "p", Generation: 1, Labels: map[string]string{"a": "1"}}}
	asking := func(milli int64) corev1.ResourceRequirements {
		return corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: *apiresource.NewMilliQuantity(milli, apiresource.DecimalSI)}}
	}
	pod.Spec.Containers = []corev1.Container{{Name: "c", Resources: asking(100)}}
	for _, step := range []struct {
		name   string
		change func()
		want   bool
		milli  int64 // that are asked for on the node then
	}{
		{"first", func() {}, true, 100},
		{"again", func() {}, false, 100},
		{"bound", func() { pod.Spec.NodeName = "n" }, false, 100},
		{"labels", func() { pod.Labels = map[string]string{"a": "2"} }, true, 100},
		{"requests of a new generation", func() { pod.Generation, pod.Spec.Containers[0].Resources = 2, asking(200) }, true, 200},
		{"granted less by its node", func() {
			granted := asking(300)
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", Resources: &granted, AllocatedResources: granted.Requests}}
		}, true, 300},
		{"status gone", func() { pod.Status = corev1.PodStatus{} }, true, 200},
		{"terminating", func() { pod.DeletionTimestamp = &metav1.Time{} }, true, 200},
		{"no generation", func() { pod.Generation, pod.Spec.Containers[0].Resources = 0, asking(400) }, true, 400},
		{"no generation again", func() { pod.Spec.Containers[0].Resources = asking(500) }, true, 500},
	} {
		step.change()
		pod = pod.DeepCopy() // as the stream shows it: another object
		if got := table.SetPod(pod, "n"); got != step.want {
			t.Errorf("%s: changed %v, want %v", step.name, got, step.want)
		}
		p := table.placed[table.uids["p"]]
		if got := p.shape.requests; len(got) != 1 || got[0].value != step.milli {
			t.Errorf("%s: counts as %v, want %d", step.name, got, step.milli)
		}
	}
}

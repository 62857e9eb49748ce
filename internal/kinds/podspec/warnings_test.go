package podspec_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

func TestWarnings(t *testing.T) {
	for want, change := range map[string]func(*corev1.Pod){
		"": func(*corev1.Pod) {},
		`spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead`: func(p *corev1.Pod) {
			p.Spec.NodeSelector = map[string]string{"beta.kubernetes.io/os": "linux"}
		},
		"spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod": func(p *corev1.Pod) {
			p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{}}
		},
		`metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the "priorityClassName" field instead`: func(p *corev1.Pod) {
			p.Annotations = map[string]string{"scheduler.alpha.kubernetes.io/critical-pod": ""}
		},
		"spec.volumes[0].rbd: deprecated in v1.28, non-functional in v1.31+": func(p *corev1.Pod) { volume(corev1.VolumeSource{RBD: &corev1.RBDVolumeSource{}})(&p.Spec) },
		`volume "v" (Projected): overlapping paths: "a/b" (Secret "s") with "a" (ConfigMap "c")`: func(p *corev1.Pod) {
			volume(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "c"}, Items: []corev1.KeyToPath{{Path: "a/"}}}},
				{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Items: []corev1.KeyToPath{{Path: "a/b"}}}},
			}}})(&p.Spec)
		},
		`spec.imagePullSecrets[1].name: duplicate name "a"`: func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "a"}, {Name: "a"}} },
		`spec.containers[0].resources.requests[memory]: fractional byte value "100m" is invalid, must be an integer`: func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Requests = amount("memory", "100m")
		},
		`spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply`: func(p *corev1.Pod) {
			p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "A", Value: "2"}, {Name: "A", Value: "$(A)3"}}
		},
		"spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]": func(p *corev1.Pod) {
			p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80}, {ContainerPort: 80}}
		},
		"spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1": func(p *corev1.Pod) {
			p.Spec.TerminationGracePeriodSeconds = of(int64(-1))
		},
		"metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]": func(p *corev1.Pod) {
			p.Name = "a.b"
		},
		`metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: non-functional in v1.27+; use the "seccompProfile" field instead`: func(p *corev1.Pod) {
			p.Annotations = map[string]string{corev1.SeccompPodAnnotationKey: "unconfined"}
		},
	} {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: *spec(func(*corev1.PodSpec) {})}
		change(p)
		got := podspec.PodWarnings(p)
		if want == "" && len(got) > 0 || want != "" && !slices.Equal(got, []string{want}) {
			t.Errorf("got %q\nwant %q", got, want)
		}
	}
}

func TestTemplatesOfUnchangedWorkloadsSayNothing(t *testing.T) {
	obj := &corev1.PodTemplate{ObjectMeta: metav1.ObjectMeta{Name: "a.b", Generation: 2}, Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		NodeSelector: map[string]string{"node-role.kubernetes.io/master": ""},
	}}}
	warn := func(old *corev1.PodTemplate) []string {
		if old == nil {
			return podspec.WorkloadWarnings(obj, nil, &obj.Template, true, field.NewPath("t"))
		}
		return podspec.WorkloadWarnings(obj, old, &obj.Template, true, field.NewPath("t"))
	}
	const label = `t.spec.nodeSelector[node-role.kubernetes.io/master]: use "node-role.kubernetes.io/control-plane" instead`
	if got := warn(nil); len(got) != 2 || got[1] != label {
		t.Errorf("new: %q", got)
	}
	if got := warn(obj); len(got) > 0 {
		t.Errorf("unchanged: %q", got)
	}
	before := obj.DeepCopy()
	before.Generation = 1
	if got := warn(before); len(got) != 1 || got[0] != label {
		t.Errorf("changed: %q", got)
	}
}

package pods_test

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/pods"
	"github.com/floe-k8s/floe/internal/kinds/core"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func plugin(t *testing.T, name string) admission.Plugin {
	t.Helper()
	for _, p := range pods.New() {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("there is no %s", name)
	return admission.Plugin{}
}

func node(labels map[string]string) kindtest.Objects {
	return kindtest.Objects{corev1.SchemeGroupVersion.WithResource("nodes"): {"/n": &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: labels},
		Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{"cpu": resource.MustParse("2"), "memory": resource.MustParse("1Ki")}}}}}
}

func ask(pod *corev1.Pod) *admission.Attributes {
	k := core.Pod()
	return &admission.Attributes{Operation: admission.Create, Kind: k, Type: k.GVK, Namespace: "ns", Name: "web", Object: pod, See: node(nil)}
}

func runs(image, requests string) *corev1.Pod {
	c := corev1.Container{Name: "c", Image: image, ImagePullPolicy: corev1.PullNever}
	if name, n, ok := strings.Cut(requests, "="); ok {
		c.Resources.Requests = corev1.ResourceList{corev1.ResourceName(name): resource.MustParse(n)}
	}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.PodSpec{Containers: []corev1.Container{c}, NodeName: "n"}}
}

func TestAlwaysPullImages(t *testing.T) {
	p, pod := plugin(t, "AlwaysPullImages"), runs("a", "")
	pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{PullPolicy: corev1.PullNever}}}}
	want := `[pods "web" is forbidden: spec.containers[0].imagePullPolicy: Unsupported value: "Never": supported values: "Always", ` +
		`pods "web" is forbidden: spec.volumes[0].image.pullPolicy: Unsupported value: "Never": supported values: "Always"]`
	if err := p.Validate(context.Background(), ask(pod)); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := p.Admit(context.Background(), ask(pod)); err != nil {
		t.Fatal(err)
	}
	if err := p.Validate(context.Background(), ask(pod)); err != nil {
		t.Error(err)
	}
	same := ask(runs("a", ""))
	same.Operation, same.Old = admission.Update, runs("a", "")
	if err := p.Validate(context.Background(), same); err != nil {
		t.Errorf("an image that it had: %v", err)
	}
}

func TestExtendedResourceToleration(t *testing.T) {
	pod := runs("a", "example.com/gpu=1")
	for range 2 {
		if err := plugin(t, "ExtendedResourceToleration").Admit(context.Background(), ask(pod)); err != nil {
			t.Fatal(err)
		}
	}
	if got := pod.Spec.Tolerations; len(got) != 1 || got[0] != (corev1.Toleration{Key: "example.com/gpu", Operator: "Exists", Effect: "NoSchedule"}) {
		t.Errorf("it tolerates %v", got)
	}
}

func TestPodTopologyLabels(t *testing.T) {
	p := plugin(t, "PodTopologyLabels")
	where := node(map[string]string{"topology.kubernetes.io/zone": "z", "topology.kubernetes.io/region": "r", "other": "o"})
	made := ask(runs("a", ""))
	made.Object.(*corev1.Pod).Labels = map[string]string{"topology.kubernetes.io/zone": "mine"}
	bound := ask(nil)
	bound.Subresource, bound.Object = "binding", &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: "n"}}
	for _, a := range []*admission.Attributes{made, bound} {
		a.See = where
		if err := p.Admit(context.Background(), a); err != nil {
			t.Fatal(err)
		}
		labels := a.Object.(metav1.Object).GetLabels()
		if len(labels) != 2 || labels["topology.kubernetes.io/zone"] != "z" || labels["topology.kubernetes.io/region"] != "r" {
			t.Errorf("%T has %v", a.Object, labels)
		}
	}
	lost := ask(runs("a", ""))
	lost.See = kindtest.Objects{}
	if err := p.Admit(context.Background(), lost); err != nil {
		t.Error(err)
	}
}

func TestPodResizeValidator(t *testing.T) {
	for name, c := range map[string]struct {
		asks   string
		labels map[string]string
		want   string
		cause  metav1.CauseType
	}{
		"fits":           {"cpu=2", nil, "", ""},
		"too much":       {"cpu=2500m", nil, `pods "web" is forbidden: node didn't have enough allocatable resources: cpu, requested: 2500, allocatable: 2000`, "NodeCapacity"},
		"too large":      {"memory=2Ki", nil, `pods "web" is forbidden: node didn't have enough allocatable resources: memory, requested: 2048, allocatable: 1024`, "NodeCapacity"},
		"another system": {"cpu=1", map[string]string{"kubernetes.io/os": "windows"}, `pods "web" is forbidden: pod resize is only supported on linux nodes, node "n" is "windows"`, "UnsupportedPlatform"},
	} {
		a := ask(runs("a", c.asks))
		a.Operation, a.Subresource, a.Old, a.See = admission.Update, "resize", runs("a", ""), node(c.labels)
		a.Object.(*corev1.Pod).Generation = 2
		err := plugin(t, "PodResizeValidator").Validate(context.Background(), a)
		if err == nil != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if _, ok := apierrors.StatusCause(err, c.cause); err != nil && !ok {
			t.Errorf("%s: no cause %s in %v", name, c.cause, err)
		}
	}
}

// TestNodesDeclareFeatures: a bound pod changes only as its node serves it.
func TestNodesDeclareFeatures(t *testing.T) {
	const whole, first = "InPlacePodLevelResourcesVerticalScaling", "InPlacePodVerticalScalingInitContainers"
	cpu := func(n string) corev1.ResourceRequirements {
		return corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse(n)}}
	}
	asWhole := func(pod *corev1.Pod) { r := cpu("2"); pod.Spec.Resources = &r }
	atFirst := func(pod *corev1.Pod) { pod.Spec.InitContainers[0].Resources = cpu("2") }
	sidecar := func(pod *corev1.Pod) { pod.Spec.InitContainers[1].Resources = cpu("2") }
	always := corev1.ContainerRestartPolicyAlways
	for name, c := range map[string]struct {
		declares []string
		change   func(*corev1.Pod)
		part     string
		want     string
	}{
		"the image":                    {nil, func(pod *corev1.Pod) { pod.Spec.Containers[0].Image = "b" }, "", ""},
		"a container":                  {nil, func(pod *corev1.Pod) { pod.Spec.Containers[0].Resources = cpu("2") }, "resize", ""},
		"a sidecar":                    {nil, sidecar, "resize", ""},
		"the pod":                      {[]string{whole, first}, asWhole, "resize", ""},
		"an init container":            {[]string{first}, atFirst, "resize", ""},
		"the pod, undeclared":          {[]string{first}, asWhole, "resize", "pod update requires features " + whole + ` which are not available on node "n"`},
		"an init container undeclared": {[]string{"Other"}, atFirst, "", "pod update requires features " + first + ` which are not available on node "n"`},
		"both": {nil, func(pod *corev1.Pod) { asWhole(pod); atFirst(pod) }, "resize",
			"pod update requires features " + whole + ", " + first + ` which are not available on node "n"`},
		"another part":              {nil, asWhole, "status", ""},
		"a pod that is on no node":  {nil, func(pod *corev1.Pod) { asWhole(pod); pod.Spec.NodeName = "" }, "resize", ""},
		"on a node that is gone":    {nil, func(pod *corev1.Pod) { asWhole(pod); pod.Spec.NodeName = "gone" }, "resize", `node "gone" not found`},
		"the same generation":       {nil, func(pod *corev1.Pod) { asWhole(pod); pod.Generation = 0 }, "resize", ""},
		"what the pod had as whole": {nil, func(pod *corev1.Pod) { pod.Labels = map[string]string{"a": "b"} }, "", ""},
	} {
		old := runs("a", "")
		old.Spec.InitContainers = []corev1.Container{{Name: "i"}, {Name: "s", RestartPolicy: &always}}
		pod := old.DeepCopy()
		pod.Generation = 1
		c.change(pod)
		a := ask(pod)
		a.Operation, a.Old, a.Subresource = admission.Update, old, c.part
		nodes := node(nil)
		for _, obj := range nodes[corev1.SchemeGroupVersion.WithResource("nodes")] {
			obj.(*corev1.Node).Status.DeclaredFeatures = c.declares
		}
		a.See = nodes
		err := plugin(t, "NodeDeclaredFeatureValidator").Validate(context.Background(), a)
		if want := `pods "web" is forbidden: ` + c.want; (err == nil) != (c.want == "") || err != nil && err.Error() != want {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

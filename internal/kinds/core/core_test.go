package core_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/core"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func env() kinds.Env { return kinds.Env{Now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func pod(change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i:1"}}},
	}
	core.Pod().Default(p)
	if err := kindtest.Admit(core.Pod(), p, nil, nil); err != nil {
		panic(err)
	}
	core.Pod().PrepareCreate(env(), p)
	if change != nil {
		change(p)
	}
	return p
}

// has says whether a violation of the type stands at the path; want "" wants none at all.
func has(errs field.ErrorList, want string) bool {
	if want == "" {
		return len(errs) == 0
	}
	for _, e := range errs {
		if string(e.Type)+" "+e.Field == want {
			return true
		}
	}
	return false
}

func TestPodValidation(t *testing.T) {
	first := func(f func(*corev1.Container)) func(*corev1.Pod) {
		return func(p *corev1.Pod) { f(&p.Spec.Containers[0]) }
	}
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		want   string
	}{
		"good":               {nil, ""},
		"no containers":      {func(p *corev1.Pod) { p.Spec.Containers = nil }, "FieldValueRequired spec.containers"},
		"no name":            {first(func(c *corev1.Container) { c.Name = "" }), "FieldValueRequired spec.containers[0].name"},
		"name is no label":   {first(func(c *corev1.Container) { c.Name = "A" }), "FieldValueInvalid spec.containers[0].name"},
		"two of a name":      {func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, p.Spec.Containers[0]) }, "FieldValueDuplicate spec.containers[1].name"},
		"no image":           {first(func(c *corev1.Container) { c.Image = "" }), "FieldValueRequired spec.containers[0].image"},
		"pull policy":        {first(func(c *corev1.Container) { c.ImagePullPolicy = "Often" }), "FieldValueNotSupported spec.containers[0].imagePullPolicy"},
		"port":               {first(func(c *corev1.Container) { c.Ports = []corev1.ContainerPort{{ContainerPort: 70000, Protocol: "TCP"}} }), "FieldValueInvalid spec.containers[0].ports[0].containerPort"},
		"protocol":           {first(func(c *corev1.Container) { c.Ports = []corev1.ContainerPort{{ContainerPort: 1, Protocol: "X"}} }), "FieldValueNotSupported spec.containers[0].ports[0].protocol"},
		"env without a name": {first(func(c *corev1.Container) { c.Env = []corev1.EnvVar{{Value: "x"}} }), "FieldValueRequired spec.containers[0].env[0].name"},
		"env with two sources": {first(func(c *corev1.Container) {
			c.Env = []corev1.EnvVar{{Name: "a", Value: "x", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}}
		}), "FieldValueInvalid spec.containers[0].env[0].valueFrom"},
		"mount of nothing": {first(func(c *corev1.Container) { c.VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/v"}} }), "FieldValueNotFound spec.containers[0].volumeMounts[0].name"},
		"way out of a volume": {first(func(c *corev1.Container) {
			c.VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/v", SubPath: "../x"}}
		}), "FieldValueInvalid spec.containers[0].volumeMounts.subPath"},
		"request over limit":  {first(func(c *corev1.Container) { c.Resources = resources("2", "1") }), "FieldValueInvalid spec.containers[0].resources.requests"},
		"unknown resource":    {first(func(c *corev1.Container) { c.Resources.Limits = corev1.ResourceList{"gold": resource.MustParse("1")} }), "FieldValueInvalid spec.containers[0].resources.limits[gold]"},
		"probe without a way": {first(func(c *corev1.Container) { c.LivenessProbe = &corev1.Probe{SuccessThreshold: 1} }), "FieldValueRequired spec.containers[0].livenessProbe"},
		"restart policy":      {func(p *corev1.Pod) { p.Spec.RestartPolicy = "Sometimes" }, "FieldValueNotSupported spec.restartPolicy"},
		"deadline":            {func(p *corev1.Pod) { zero := int64(0); p.Spec.ActiveDeadlineSeconds = &zero }, "FieldValueInvalid spec.activeDeadlineSeconds"},
		"two sources": {func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}, HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
		}, "FieldValueForbidden spec.volumes[0].hostPath"},
		"volume without source": {func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{{Name: "v"}} }, "FieldValueRequired spec.volumes[0]"},
		"toleration":            {func(p *corev1.Pod) { p.Spec.Tolerations = []corev1.Toleration{{Operator: "Equal"}} }, "FieldValueInvalid spec.tolerations[0].operator"},
		"init container's probe": {func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "i", Image: "i", LivenessProbe: &corev1.Probe{}}}
		}, "FieldValueForbidden spec.initContainers[0].livenessProbe"},
		"node selector": {func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"a b": ""} }, "FieldValueInvalid spec.nodeSelector"},
		"affinity without terms": {func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{}}}
		}, "FieldValueRequired spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"},
	} {
		p := pod(c.change)
		if errs := core.Pod().Validate(p); !has(errs, c.want) {
			t.Errorf("%s: got %v, want %q", name, errs, c.want)
		}
	}
}

func resources(request, limit string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{"cpu": resource.MustParse(request)}, Limits: corev1.ResourceList{"cpu": resource.MustParse(limit)},
	}
}

func TestPodPriority(t *testing.T) {
	given := func(n int32) *int32 { return &n }
	never := corev1.PreemptNever
	classes := kindtest.Objects{schedulingv1.SchemeGroupVersion.WithResource("priorityclasses"): {
		"/system-node-critical": &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "system-node-critical"}, Value: 2_000_001_000},
	}}
	for name, c := range map[string]struct {
		spec    corev1.PodSpec
		want    int32
		refused string
	}{
		"none":               {corev1.PodSpec{}, 0, ""},
		"nothing but 0":      {corev1.PodSpec{Priority: given(0)}, 0, ""},
		"a number":           {corev1.PodSpec{Priority: given(2000001000)}, 0, "must not be provided in pod spec"},
		"system class":       {corev1.PodSpec{PriorityClassName: "system-node-critical"}, 2000001000, ""},
		"class of no one":    {corev1.PodSpec{PriorityClassName: "gold"}, 0, "no PriorityClass with name gold was found"},
		"another preemption": {corev1.PodSpec{PreemptionPolicy: &never}, 0, "must not be provided in pod spec"},
	} {
		p := &corev1.Pod{Spec: c.spec}
		err := kindtest.Admit(core.Pod(), p, nil, classes)
		if c.refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%s: %v, want %q", name, err, c.refused)
			}
			continue
		}
		if err != nil || *p.Spec.Priority != c.want {
			t.Errorf("%s: priority %v, %v; want %d", name, p.Spec.Priority, err, c.want)
		}
	}
}

func TestPodUpdates(t *testing.T) {
	five, nine := int64(5), int64(9)
	old := pod(func(p *corev1.Pod) {
		p.Spec.ActiveDeadlineSeconds = &five
		p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "a"}, {Name: "b"}}
	})
	for name, c := range map[string]struct {
		change func(*corev1.PodSpec)
		want   string
	}{
		"nothing":            {func(*corev1.PodSpec) {}, ""},
		"image":              {func(s *corev1.PodSpec) { s.Containers[0].Image = "i:2" }, ""},
		"one gate less":      {func(s *corev1.PodSpec) { s.SchedulingGates = s.SchedulingGates[:1] }, ""},
		"another gate":       {func(s *corev1.PodSpec) { s.SchedulingGates[0].Name = "x" }, "FieldValueForbidden spec.schedulingGates[0].name"},
		"more tolerations":   {func(s *corev1.PodSpec) { s.Tolerations = append(s.Tolerations, corev1.Toleration{Operator: "Exists"}) }, ""},
		"fewer tolerations":  {func(s *corev1.PodSpec) { s.Tolerations = s.Tolerations[1:] }, "FieldValueForbidden spec.tolerations"},
		"later deadline":     {func(s *corev1.PodSpec) { s.ActiveDeadlineSeconds = &nine }, "FieldValueInvalid spec.activeDeadlineSeconds"},
		"no deadline":        {func(s *corev1.PodSpec) { s.ActiveDeadlineSeconds = nil }, "FieldValueInvalid spec.activeDeadlineSeconds"},
		"command":            {func(s *corev1.PodSpec) { s.Containers[0].Command = []string{"x"} }, "FieldValueForbidden spec"},
		"node":               {func(s *corev1.PodSpec) { s.NodeName = "x" }, "FieldValueForbidden spec"},
		"one container more": {func(s *corev1.PodSpec) { s.Containers = append(s.Containers, s.Containers[0]) }, "FieldValueForbidden spec.containers"},
	} {
		next, before := old.DeepCopy(), old.DeepCopy()
		c.change(&next.Spec)
		if errs := core.Pod().ValidateUpdate(next, old); !has(errs, c.want) {
			t.Errorf("%s: got %v, want %q", name, errs, c.want)
		}
		if !reflect.DeepEqual(old, before) {
			t.Errorf("%s: the old pod was changed", name)
		}
	}
}

func TestPodDeletion(t *testing.T) {
	seconds := func(n int64) *int64 { return &n }
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		asked  *int64
		want   time.Duration
	}{
		"not bound":      {nil, nil, 0},
		"bound":          {func(p *corev1.Pod) { p.Spec.NodeName = "n" }, nil, 30 * time.Second},
		"asked for less": {func(p *corev1.Pod) { p.Spec.NodeName = "n" }, seconds(3), 3 * time.Second},
		"asked for none": {func(p *corev1.Pod) { p.Spec.NodeName = "n" }, seconds(0), 0},
		"has ended":      {func(p *corev1.Pod) { p.Spec.NodeName, p.Status.Phase = "n", corev1.PodFailed }, nil, 0},
		"negative":       {func(p *corev1.Pod) { p.Spec.NodeName, p.Spec.TerminationGracePeriodSeconds = "n", seconds(-1) }, nil, time.Second},
	} {
		got := core.Pod().Delete(env(), pod(c.change), &metav1.DeleteOptions{GracePeriodSeconds: c.asked})
		if !got.Graceful || got.Grace != c.want {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
	}
}

// TestPodReason is the STATUS column of kubectl get pods.
func TestPodReason(t *testing.T) {
	now := metav1.NewTime(env().Now)
	state := func(s corev1.ContainerState, ready bool) []corev1.ContainerStatus {
		return []corev1.ContainerStatus{{Name: "c", State: s, Ready: ready}}
	}
	ended := func(code, signal int32, reason string) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Signal: signal, Reason: reason}}
	}
	waiting := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
	}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	for want, change := range map[string]func(*corev1.Pod){
		"Pending": func(*corev1.Pod) {},
		"Running": func(p *corev1.Pod) {
			p.Status.Phase, p.Status.ContainerStatuses = corev1.PodRunning, state(running, true)
		},
		"CrashLoopBackOff": func(p *corev1.Pod) {
			p.Status.Phase, p.Status.ContainerStatuses = corev1.PodRunning, state(waiting("CrashLoopBackOff"), false)
		},
		"Completed": func(p *corev1.Pod) {
			p.Status.Phase, p.Status.ContainerStatuses = corev1.PodSucceeded, state(ended(0, 0, "Completed"), false)
		},
		"ExitCode:3": func(p *corev1.Pod) {
			p.Status.Phase, p.Status.ContainerStatuses = corev1.PodFailed, state(ended(3, 0, ""), false)
		},
		"Signal:9": func(p *corev1.Pod) {
			p.Status.Phase, p.Status.ContainerStatuses = corev1.PodFailed, state(ended(137, 9, ""), false)
		},
		"Evicted":     func(p *corev1.Pod) { p.Status.Phase, p.Status.Reason = corev1.PodFailed, "Evicted" },
		"Terminating": func(p *corev1.Pod) { p.DeletionTimestamp = &now },
		"Init:0/1":    func(p *corev1.Pod) { withInit(p, corev1.ContainerState{}) },
		"Init:Error":  func(p *corev1.Pod) { withInit(p, ended(1, 0, "Error")) },
		"PodInitializing": func(p *corev1.Pod) {
			withInit(p, ended(0, 0, "Completed"))
			p.Status.ContainerStatuses = state(waiting("PodInitializing"), false)
		},
		"SchedulingGated": func(p *corev1.Pod) {
			p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "g"}}
			core.Pod().PrepareCreate(env(), p)
		},
		"ContainerCreating": func(p *corev1.Pod) { p.Status.ContainerStatuses = state(waiting("ContainerCreating"), false) },
	} {
		if got := core.Pod().Columns[2].Cell(env(), pod(change)); got != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}

func withInit(p *corev1.Pod, s corev1.ContainerState) {
	p.Spec.InitContainers = []corev1.Container{{Name: "i"}}
	p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "i", State: s}}
}

func TestOtherKinds(t *testing.T) {
	yes := true
	big := strings.Repeat("x", 1<<20+1)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{"odd"}}}
	for name, c := range map[string]struct {
		kind *kinds.Kind
		obj  kinds.Object
		old  kinds.Object
		want string
	}{
		"config key":            {core.ConfigMap(), &corev1.ConfigMap{Data: map[string]string{"a/b": ""}}, nil, "FieldValueInvalid data[a/b]"},
		"config twice":          {core.ConfigMap(), &corev1.ConfigMap{Data: map[string]string{"a": ""}, BinaryData: map[string][]byte{"a": nil}}, nil, "FieldValueInvalid data[a]"},
		"config too long":       {core.ConfigMap(), &corev1.ConfigMap{Data: map[string]string{"a": big}}, nil, "FieldValueTooLong []"},
		"immutable config":      {core.ConfigMap(), &corev1.ConfigMap{Immutable: &yes, Data: map[string]string{"a": "x"}}, &corev1.ConfigMap{Immutable: &yes}, "FieldValueForbidden data"},
		"finalizer":             {core.Namespace(), ns, nil, "FieldValueInvalid spec.finalizers"},
		"taint without effect":  {core.Node(), &corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "a"}}}}, nil, "FieldValueRequired metadata.taints[0].effect"},
		"taint twice":           {core.Node(), &corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "a", Effect: "NoSchedule"}, {Key: "a", Effect: "NoSchedule"}}}}, nil, "FieldValueDuplicate metadata.taints[1]"},
		"node's range changes":  {core.Node(), &corev1.Node{Spec: corev1.NodeSpec{PodCIDRs: []string{"10.1.0.0/24"}}}, &corev1.Node{Spec: corev1.NodeSpec{PodCIDRs: []string{"10.0.0.0/24"}}}, "FieldValueForbidden spec.podCIDRs"},
		"event of another room": {core.Event(0), &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "a"}, InvolvedObject: corev1.ObjectReference{Namespace: "b"}}, nil, "FieldValueInvalid involvedObject.namespace"},
	} {
		var errs field.ErrorList
		if c.old != nil {
			errs = c.kind.ValidateUpdate(c.obj, c.old)
		} else {
			errs = c.kind.Validate(c.obj)
		}
		if !has(errs, c.want) {
			t.Errorf("%s: got %v, want %q", name, errs, c.want)
		}
	}
}

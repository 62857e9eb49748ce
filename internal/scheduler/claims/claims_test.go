package claims

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// still is a clock that stands.
type still struct{ clock.PassiveClock }

func (still) Now() time.Time { return time.Unix(1000, 0) }

func gpuClaim(name string) *resourcev1.ResourceClaim {
	c := &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: name, UID: "uid-of-claim"}}
	c.Spec.Devices.Requests = []resourcev1.DeviceRequest{{Name: "q", Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "gpu",
		AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: 1}}}
	return c
}

// user is a pod that names claims.
func user(claims ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "p", UID: "uid-of-pod"}}
	p.Spec.Containers = []corev1.Container{{Name: "c"}}
	for _, name := range claims {
		p.Spec.ResourceClaims = append(p.Spec.ResourceClaims, corev1.PodResourceClaim{Name: name, ResourceClaimName: &name})
	}
	return p
}

// one is a table with a node that has one device.
func one(t testing.TB) (*place.Table, *Rule, *place.Policy) {
	table := place.NewTable()
	r := New(table, Config{Clock: still{}})
	r.SetClass(class("gpu"))
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	n.Status.Allocatable = corev1.ResourceList{corev1.ResourcePods: resource.MustParse("9")}
	table.SetNode(n)
	r.SetSlice(&resourcev1.ResourceSlice{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Spec: resourcev1.ResourceSliceSpec{NodeName: new("n"), Driver: "gpu",
		Pool: resourcev1.ResourcePool{Name: "pool", ResourceSliceCount: 1}, Devices: []resourcev1.Device{{Name: "d"}}}})
	return table, r, policyOf(t, r)
}

func TestGate(t *testing.T) {
	_, r, _ := one(t)
	r.SetClaim(gpuClaim("there"))
	going := gpuClaim("going")
	going.UID, going.DeletionTimestamp = "another", &metav1.Time{}
	r.SetClaim(going)
	template := user()
	template.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "t", ResourceClaimTemplateName: new("t")}}
	made := template.DeepCopy()
	made.Status.ResourceClaimStatuses = []corev1.PodResourceClaimStatus{{Name: "t", ResourceClaimName: new("there")}}
	for _, k := range []struct {
		name string
		pod  *corev1.Pod
		want string
	}{
		{"none", user(), ""},
		{"one that is there", user("there"), ""},
		{"one that is not", user("gone"), `could not find ResourceClaim "x/gone"`},
		{"one that goes", user("going"), `resourceclaim "going" is being deleted`},
		{"a template without a claim yet", template, `pod "x/p": ResourceClaim not created yet`},
		{"another's", made, "ResourceClaim x/there was not created for Pod x/p (Pod is not owner)"},
	} {
		if got := r.Gate(k.pod).Message(); got != k.want {
			t.Errorf("%s: %q, want %q", k.name, got, k.want)
		}
	}
}

// TestReserve follows a device through decision, writing and giving back.
func TestReserve(t *testing.T) {
	table, r, policy := one(t)
	r.SetClaim(gpuClaim("a"))
	other := gpuClaim("b")
	other.UID = "another"
	r.SetClaim(other)
	fits := func(what, name string, want bool) *place.Failure {
		t.Helper()
		pod := user(name)
		pod.UID = "somebody"
		plan, err := table.Decide(pod, policy, nil, nil)
		if err != nil || (plan.Node == "n") != want {
			t.Fatalf("%s: %+v, %v", what, plan, err)
		}
		return plan.Failure
	}
	fits("a free device", "b", true)
	list, err := r.Reserve(user("a"), "n")
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	b := list[0]
	if !b.Finalizer || b.Allocation.Devices.Results[0].Device != "d" || b.Reserve.Resource != "pods" || b.Reserve.UID != "uid-of-pod" {
		t.Errorf("what is to be written: %+v", b)
	}
	fits("a device that is pending", "b", false)
	if f := fits("a claim that is pending", "a", false); f.Message("") != "0/1 nodes are available: resource claim x/a is in the process of being allocated." {
		t.Errorf("%q", f.Message(""))
	}
	r.Forget(user("a"))
	fits("a device that is free again", "b", true)
	if list, err = r.Reserve(user("a"), "n"); err != nil {
		t.Fatal(err)
	}
	written := gpuClaim("a")
	written.ResourceVersion, written.Status.Allocation = "7", list[0].Allocation
	r.SetClaim(written)
	before := gpuClaim("a")
	before.ResourceVersion = "6"
	r.SetClaim(before) // it comes late
	r.Forget(user("a"))
	fits("a device that is written", "b", false)
	fits("its claim", "a", true)
	r.RemoveClaim("x", "a")
	fits("a device whose claim is gone", "b", true)
}

func TestRelease(t *testing.T) {
	table, r, policy := one(t)
	c := gpuClaim("a")
	c.Status.Allocation = &resourcev1.AllocationResult{NodeSelector: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchFields: []corev1.NodeSelectorRequirement{{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{"gone"}}}}}}}
	release := func(what string, pod *corev1.Pod) Release {
		t.Helper()
		plan, err := table.Decide(pod, policy, nil, nil)
		if err != nil || plan.Failure == nil {
			t.Fatalf("%s: %+v, %v", what, plan, err)
		}
		out, err := r.Release(pod, policy, plan.Failure)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		return out
	}
	r.SetClaim(c)
	if got := release("an idle claim", user("a")); got.Message != "deallocation of ResourceClaim completed" || got.Deallocate == nil {
		t.Errorf("an idle claim: %+v", got)
	}
	c = c.DeepCopy()
	c.Status.ReservedFor = []resourcev1.ResourceClaimConsumerReference{{UID: "another"}}
	r.SetClaim(c)
	if got := release("another's claim", user("a")); got != (Release{Message: "still not schedulable"}) {
		t.Errorf("another's claim: %+v", got)
	}
	none := user()
	none.Spec.NodeSelector = map[string]string{"no": "where"}
	if got := release("no claim", none); got != (Release{Message: "no new claims to deallocate"}) {
		t.Errorf("no claim: %+v", got)
	}
}

func TestReady(t *testing.T) {
	_, r, _ := one(t)
	c := gpuClaim("a")
	c.Status.Allocation = &resourcev1.AllocationResult{AllocationTimestamp: &metav1.Time{Time: time.Unix(900, 0)},
		Devices: resourcev1.DeviceAllocationResult{Results: []resourcev1.DeviceRequestAllocationResult{{Driver: "gpu", Pool: "pool", Device: "d",
			BindingConditions: []string{"attached"}, BindingFailureConditions: []string{"broken"}}}}}
	state := func(conditions ...metav1.Condition) (bool, string) {
		c = c.DeepCopy()
		c.Status.Devices = []resourcev1.AllocatedDeviceStatus{{Driver: "gpu", Pool: "pool", Device: "d", Conditions: conditions}}
		r.SetClaim(c)
		ready, err := r.Bound(user("a"))
		if err != nil {
			return ready, err.Error()
		}
		return ready, ""
	}
	met := metav1.Condition{Type: "attached", Status: metav1.ConditionTrue}
	failed := metav1.Condition{Type: "broken", Status: metav1.ConditionTrue, Reason: "Why", Message: "so"}
	for _, k := range []struct {
		name       string
		conditions []metav1.Condition
		ready      bool
		err        string
	}{
		{"nothing yet", nil, false, ""},
		{"attached", []metav1.Condition{met}, true, ""},
		{"broken", []metav1.Condition{met, failed}, false, `device binding failed: claim=a, reason=Why, message="so"`},
	} {
		if ready, err := state(k.conditions...); ready != k.ready || err != k.err {
			t.Errorf("%s: %v %q, want %v %q", k.name, ready, err, k.ready, k.err)
		}
	}
	c.Status.Allocation.AllocationTimestamp = &metav1.Time{Time: time.Unix(1000, 0).Add(-DefaultBindingTimeout - time.Second)}
	if ready, err := state(); ready || !strings.Contains(err, "timeout") {
		t.Errorf("too late: %v %q", ready, err)
	}
}

// TestExtended holds the requests of a special claim against upstream's rules.
func TestExtended(t *testing.T) {
	_, r, _ := one(t)
	name := corev1.ResourceName("deviceclass.resource.kubernetes.io/gpu")
	container := func(name string, n string, sidecar bool) corev1.Container {
		c := corev1.Container{Name: name, Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			"cpu": resource.MustParse("1"), "deviceclass.resource.kubernetes.io/gpu": resource.MustParse(n)}}}
		if sidecar {
			c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
		}
		return c
	}
	pod := user()
	pod.Spec.InitContainers = []corev1.Container{container("first", "5", false), container("side", "1", true), container("second", "2", false)}
	pod.Spec.Containers = []corev1.Container{container("main", "2", false)}
	requests, mappings := requestsFor(pod, map[corev1.ResourceName]int64{name: 5}, r.resolver)
	var got []string
	for _, q := range requests {
		got = append(got, q.Name+" "+string('0'+rune(q.Exactly.Count)))
	}
	if d := cmp.Diff([]string{"container-0-request-1 2", "container-1-request-1 1", "container-3-request-1 2"}, got); d != "" {
		t.Errorf("requests (-want +got):\n%s", d)
	}
	got = nil
	for _, m := range mappings {
		got = append(got, m.ContainerName+" "+m.RequestName)
	}
	if d := cmp.Diff([]string{"side container-1-request-1", "main container-3-request-1", "first container-1-request-1", "first container-3-request-1",
		"first container-0-request-1", "second container-3-request-1"}, got); d != "" {
		t.Errorf("mappings (-want +got):\n%s", d)
	}
	pod.Spec.InitContainers = nil
	pod.Spec.Containers = []corev1.Container{container("main", "1", false)}
	list, err := r.Reserve(pod, "n")
	if err != nil || len(list) != 1 || list[0].Create == nil || list[0].Create.GenerateName != "p-extended-resources-" || len(list[0].Mappings) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if list[0].Create.OwnerReferences[0].UID != pod.UID {
		t.Errorf("the special claim belongs to %+v", list[0].Create.OwnerReferences)
	}
}

// TestUnconcerned says that pods without claims cost nothing.
func TestUnconcerned(t *testing.T) {
	_, r, _ := one(t)
	pod := user()
	pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), "example.com/other": resource.MustParse("1")}
	if n := testing.AllocsPerRun(100, func() {
		if p, err := r.Prepare(pod); err != nil || p.Filter != nil || p.Key != "" {
			t.Fatal(p, err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestErrors: a rule that cannot tell ends the decision, in upstream's words and the pod's own.
func TestErrors(t *testing.T) {
	table, r, policy := one(t)
	c := class("gpu")
	c.Spec.Selectors[0].CEL.Expression = `device.attributes["gpu"].absent == "x"`
	r.SetClass(c)
	r.SetClaim(gpuClaim("a"))
	want := `running "DynamicResources" filter plugin: class gpu: selector #0: CEL runtime error: no such key: absent`
	_, err := table.Decide(user("a"), policy, nil, nil)
	if err == nil || err.Error() != want {
		t.Errorf("Decide: %v", err)
	}
	if _, err = table.Explain(user("a"), policy); err == nil || err.Error() != want {
		t.Errorf("Explain: %v", err)
	}
	r.SetClass(class("gpu"))
	odd := gpuClaim("odd")
	odd.UID = "another"
	odd.Status.Allocation = &resourcev1.AllocationResult{NodeSelector: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "a", Operator: "Like"}}}}}}
	r.SetClaim(odd)
	if _, err := table.Decide(user("odd"), policy, nil, nil); err == nil || !strings.HasPrefix(err.Error(), `running PreFilter plugin "DynamicResources": `) {
		t.Errorf("a claim whose place cannot be read: %v", err)
	}
	if plan, err := table.Decide(user("a"), policy, nil, nil); err != nil || plan.Node != "n" {
		t.Errorf("a class that is right again: %+v, %v", plan, err)
	}
}

package scheduler

import (
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/scheduler/claims"
)

// gpus are the class of devices whose driver is gpu.
func gpus() *resourcev1.DeviceClass {
	return &resourcev1.DeviceClass{ObjectMeta: metav1.ObjectMeta{Name: "gpu"}, Spec: resourcev1.DeviceClassSpec{Selectors: []resourcev1.DeviceSelector{
		{CEL: &resourcev1.CELDeviceSelector{Expression: `device.driver == "gpu"`}}}}}
}

// devicesOf are n devices of a node; set may change each.
func devicesOf(node string, n int, set func(*resourcev1.Device)) *resourcev1.ResourceSlice {
	s := &resourcev1.ResourceSlice{ObjectMeta: metav1.ObjectMeta{Name: node}, Spec: resourcev1.ResourceSliceSpec{Driver: "gpu", NodeName: &node,
		Pool: resourcev1.ResourcePool{Name: node, ResourceSliceCount: 1}}}
	for i := range n {
		d := resourcev1.Device{Name: fmt.Sprint("d", i)}
		if set != nil {
			set(&d)
		}
		s.Spec.Devices = append(s.Spec.Devices, d)
	}
	return s
}

// gpuClaim asks for one of them.
func gpuClaim(name string) *resourcev1.ResourceClaim {
	return &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: resourcev1.ResourceClaimSpec{
		Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{{Name: "one", Exactly: &resourcev1.ExactDeviceRequest{
			DeviceClassName: "gpu", AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: 1}}}}}}
}

// gpuPod uses claims.
func gpuPod(name string, claims ...string) *corev1.Pod {
	p := testPod(name, 100)
	for _, c := range claims {
		p.Spec.ResourceClaims = append(p.Spec.ResourceClaims, corev1.PodResourceClaim{Name: c, ResourceClaimName: &c})
	}
	return p
}

func (r *rig) device(name string) *resourcev1.ResourceClaim {
	r.Helper()
	obj, err := r.api.Get(r.Context(), claims.Resource(), "default", name)
	if err != nil {
		r.Fatal(err)
	}
	return obj.(*resourcev1.ResourceClaim)
}

func (r *rig) changeDevice(name string, f func(*resourcev1.ResourceClaim)) {
	r.Helper()
	next := r.device(name).DeepCopy()
	f(next)
	if _, err := r.api.Update(r.Context(), claims.Resource(), next, "status"); err != nil {
		r.Fatal(err)
	}
	synctest.Wait()
}

func (r *rig) remove(name string) {
	r.Helper()
	if _, err := r.api.Delete(r.Context(), podResource(), "default", name, metav1.DeleteOptions{}); err != nil {
		r.Fatal(err)
	}
	synctest.Wait()
}

// users names who uses a claim.
func users(c *resourcev1.ResourceClaim) string {
	var names []string
	for _, u := range c.Status.ReservedFor {
		names = append(names, u.Resource+"/"+u.Name)
	}
	return strings.Join(names, " ")
}

// whatWas is the message of a pod's condition.
func whatWas(p *corev1.Pod) string {
	if len(p.Status.Conditions) == 0 {
		return ""
	}
	return p.Status.Conditions[0].Message
}

func TestAClaimIsGivenADevice(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		r := start(t, api, nil)
		defer r.stop()
		r.create(gpus(), testNode("bare", 100000, 100), testNode("n", 1000, 10), devicesOf("n", 1, nil), gpuClaim("c"), gpuPod("p", "c"), gpuPod("q", "c"))
		r.pass(3 * time.Second)
		c := r.device("c")
		if c.Status.Allocation == nil || len(c.Status.Allocation.Devices.Results) != 1 || c.Status.Allocation.Devices.Results[0].Device != "d0" ||
			c.Status.Allocation.AllocationTimestamp.IsZero() || len(c.Finalizers) != 1 || c.Finalizers[0] != "resource.kubernetes.io/delete-protection" {
			t.Errorf("claim %+v, finalizers %v", c.Status.Allocation, c.Finalizers)
		}
		if p, q := r.pod("p"), r.pod("q"); p.Spec.NodeName != "n" || q.Spec.NodeName != "n" || users(c) != "pods/p pods/q" {
			t.Errorf("p on %q, q on %q, both are to share; used by %s", p.Spec.NodeName, q.Spec.NodeName, users(c))
		}
	})
}

func TestTwoPodsWantOneDevice(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		r := start(t, api, nil)
		defer r.stop()
		r.create(gpus(), testNode("n", 1000, 10), devicesOf("n", 1, nil), gpuClaim("c"), gpuClaim("d"), gpuPod("p", "c"), gpuPod("q", "d"))
		want := "0/1 nodes are available: 1 cannot allocate all claims. still not schedulable, " +
			"preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
		if p, q := r.pod("p"), r.pod("q"); p.Spec.NodeName != "n" || q.Spec.NodeName != "" || whatWas(q) != want {
			t.Errorf("p on %q, q on %q: %s", p.Spec.NodeName, q.Spec.NodeName, whatWas(q))
		}
		r.pass(time.Minute)
		if n := r.sched.queue.Get("q").Attempts; n != 1 {
			t.Errorf("tried %d times while the device is taken", n)
		}
		r.remove("p")
		r.changeDevice("c", func(c *resourcev1.ResourceClaim) { c.Status = resourcev1.ResourceClaimStatus{} }) // as its controller does it
		if got := r.pod("q").Spec.NodeName; got != "n" {
			t.Errorf("q on %q though the device is free", got)
		}
	})
}

// A pod waits for its claim without being tried, and nothing is told of it.
func TestAClaimThatIsNotThere(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		r := start(t, api, nil)
		defer r.stop()
		generated := gpuPod("made")
		generated.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "one", ResourceClaimTemplateName: new("t")}}
		r.create(gpus(), testNode("n", 1000, 10), devicesOf("n", 2, nil), gpuPod("p", "c"), generated)
		r.pass(time.Minute)
		report, err := r.sched.Why(t.Context(), "default", "p")
		if err != nil || report.State != `waits for its resource claims: could not find ResourceClaim "default/c"` || report.Attempts != 0 ||
			len(r.events()) != 0 {
			t.Errorf("why %+v, %v, events %v", report, err, r.events())
		}
		mine := gpuClaim("made-one")
		mine.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "made", UID: "made", Controller: new(true)}}
		r.create(gpuClaim("c"), mine)
		if got := r.pod("p").Spec.NodeName; got != "n" {
			t.Errorf("pod on %q though its claim is there", got)
		}
		r.change("made", func(p *corev1.Pod) {
			p.Status.ResourceClaimStatuses = []corev1.PodResourceClaimStatus{{Name: "one", ResourceClaimName: new("made-one")}}
		})
		if got := r.pod("made").Spec.NodeName; got != "n" {
			t.Errorf("pod on %q though its claim was made", got)
		}
	})
}

// refusing lets reservations of claims fail, until it is told to stop.
func refusing(api *controllertest.Cluster, err error) *atomic.Bool {
	refuse := new(atomic.Bool)
	refuse.Store(true)
	api.Fail(func(verb string, res client.Resource, obj kinds.Object) error {
		if c, ok := obj.(*resourcev1.ResourceClaim); ok && verb == "update" && len(c.Status.ReservedFor) > 0 && refuse.Load() {
			return err
		}
		return nil
	})
	return refuse
}

func TestAnAllocationThatCannotBeWritten(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		refuse := refusing(api, errors.New("disk"))
		r := start(t, api, nil)
		defer r.stop()
		r.create(gpus(), testNode("n", 1000, 10), devicesOf("n", 1, nil), gpuClaim("c"), gpuPod("p", "c"))
		if got := whatWas(r.pod("p")); got != `running PreBind plugin "DynamicResources": add allocation and reservation to claim default/c: disk` {
			t.Errorf("condition %q", got)
		}
		r.remove("p")
		refuse.Store(false)
		r.create(gpuClaim("d"), gpuPod("q", "d"))
		if r.pod("q").Spec.NodeName != "n" {
			t.Error("a device that could not be written is not given back")
		}
	})
}

// A claim that others write meanwhile is read again, and what they say counts.
func TestAClaimThatChangesMeanwhile(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		conflicts := 3
		var mu sync.Mutex // guards conflicts
		api.Fail(func(verb string, res client.Resource, obj kinds.Object) error {
			mu.Lock()
			defer mu.Unlock()
			if c, ok := obj.(*resourcev1.ResourceClaim); ok && verb == "update" && c.Status.Allocation != nil && conflicts > 0 {
				conflicts--
				return apierrors.NewConflict(resourcev1.Resource("resourceclaims"), c.Name, errors.New("changed"))
			}
			return nil
		})
		r := start(t, api, nil)
		defer r.stop()
		r.create(gpus(), testNode("n", 1000, 10), devicesOf("n", 1, nil), gpuClaim("c"), gpuPod("p", "c"))
		if c := r.device("c"); r.pod("p").Spec.NodeName != "n" || users(c) != "pods/p" || conflicts != 0 {
			t.Errorf("pod on %q, claim used by %q, %d conflicts are left", r.pod("p").Spec.NodeName, users(c), conflicts)
		}
	})
}

// What was written for a pod that is not bound after all is undone before it is tried again.
func TestABindingThatFailsLeavesTheClaim(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		var refuse atomic.Bool
		refuse.Store(true)
		api.Fail(func(verb string, res client.Resource, obj kinds.Object) error {
			if p, ok := obj.(*corev1.Pod); ok && verb == "update" && p.Spec.NodeName != "" && refuse.Load() {
				return apierrors.NewInternalError(errors.New("disk"))
			}
			return nil
		})
		r := start(t, api, nil)
		defer r.stop()
		r.create(gpus(), testNode("n", 1000, 10), devicesOf("n", 1, nil), gpuClaim("c"), gpuPod("p", "c"))
		if c := r.device("c"); users(c) != "" || c.Status.Allocation == nil {
			t.Errorf("used by %q, allocation %v", users(c), c.Status.Allocation)
		}
		refuse.Store(false)
		r.pass(3 * time.Second)
		if got := r.pod("p").Spec.NodeName; got != "n" || users(r.device("c")) != "pods/p" {
			t.Errorf("pod on %q, claim used by %q", got, users(r.device("c")))
		}
	})
}

// conditional are devices that have to be attached first.
func conditional(d *resourcev1.Device) {
	d.BindingConditions, d.BindingFailureConditions = []string{"attached"}, []string{"broken"}
}

// report says of a claim's device what a driver does.
func (r *rig) report(claim, condition string) {
	r.Helper()
	r.changeDevice(claim, func(c *resourcev1.ResourceClaim) {
		if c.Status.Allocation == nil {
			r.Fatal("claim " + c.Name + " has no devices")
		}
		d := c.Status.Allocation.Devices.Results[0]
		c.Status.Devices = []resourcev1.AllocatedDeviceStatus{{Driver: d.Driver, Pool: d.Pool, Device: d.Device, Conditions: []metav1.Condition{
			{Type: condition, Status: metav1.ConditionTrue, Reason: "Why", Message: "so", LastTransitionTime: metav1.Now()}}}}
	})
}

func TestADeviceGetsReady(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		r := start(t, api, nil)
		defer r.stop()
		r.create(gpus(), testNode("n", 1000, 10), devicesOf("n", 1, conditional), gpuClaim("c"), gpuPod("p", "c"), testPod("other", 100))
		if p := r.pod("p"); p.Spec.NodeName != "" || p.Status.NominatedNodeName != "n" || r.pod("other").Spec.NodeName != "n" {
			t.Errorf("before it is attached: on %q, nominated to %q; other on %q", p.Spec.NodeName, p.Status.NominatedNodeName, r.pod("other").Spec.NodeName)
		}
		ev := r.events()["waiting for binding conditions for device on node n"]
		if ev == nil || ev.Reason != "BindingConditionsPending" || ev.Action != "Scheduling" {
			t.Errorf("events %v", r.events())
		}
		r.report("c", "attached")
		if got := r.pod("p").Spec.NodeName; got != "n" {
			t.Errorf("pod on %q after its device got ready", got)
		}
	})
}

func TestADeviceThatBreaks(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		r := start(t, api, nil)
		defer r.stop()
		r.create(gpus(), testNode("n", 1000, 10), devicesOf("n", 1, conditional), gpuClaim("c"), gpuPod("p", "c"))
		r.report("c", "broken")
		if got := whatWas(r.pod("p")); got != `running PreBind plugin "DynamicResources": device binding failed: claim=c, reason=Why, message="so"` {
			t.Errorf("condition %q", got)
		}
		r.pass(2 * time.Second) // the claim gives its device back, and is given it anew
		if c := r.device("c"); c.Status.Allocation == nil || len(c.Status.Devices) != 0 || users(c) != "pods/p" {
			t.Errorf("claim %+v", c.Status)
		}
		r.report("c", "attached")
		if got := r.pod("p").Spec.NodeName; got != "n" {
			t.Errorf("pod on %q after its device got ready", got)
		}
	})
}

func TestADeviceThatIsLate(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		r := start(t, api, nil)
		defer r.stop()
		r.create(gpus(), testNode("n", 1000, 10), devicesOf("n", 1, conditional), gpuClaim("c"), gpuPod("p", "c"))
		r.pass(600 * time.Second)
		if got := whatWas(r.pod("p")); got != `running PreBind plugin "DynamicResources": device binding timeout: context deadline exceeded` {
			t.Errorf("condition %q", got)
		}
	})
}

// The devices of a pod that goes are given back: at once when they are not written, else by leaving the claim.
func TestAPodGoesWhileItWaits(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		r := start(t, api, nil)
		defer r.stop()
		r.create(gpus(), testNode("n", 1000, 10), devicesOf("n", 1, conditional), gpuClaim("c"), gpuPod("p", "c"))
		r.remove("p")
		if c := r.device("c"); users(c) != "" {
			t.Errorf("used by %q", users(c))
		}
		r.create(gpuPod("q", "c")) // takes the claim over
		r.report("c", "attached")
		if got := r.pod("q").Spec.NodeName; got != "n" || users(r.device("c")) != "pods/q" {
			t.Errorf("q on %q, claim used by %q", got, users(r.device("c")))
		}
	})
}

// A claim whose devices are on a node that will not do gives them back for its only user.
func TestAnIdleClaimIsReleased(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		r := start(t, api, nil)
		defer r.stop()
		r.create(gpus(), testNode("a", 1000, 10), testNode("b", 1000, 10), devicesOf("a", 1, nil), devicesOf("b", 1, nil), gpuClaim("c"))
		first := gpuPod("first", "c")
		first.Spec.NodeSelector = map[string]string{"only": "a"}
		r.changeNode("a", func(n *corev1.Node) { n.Labels = map[string]string{"only": "a"} })
		r.create(first)
		r.remove("first")
		r.changeDevice("c", func(c *resourcev1.ResourceClaim) { c.Status.ReservedFor = nil })
		r.changeNode("a", func(n *corev1.Node) { n.Spec.Unschedulable = true })
		r.create(gpuPod("second", "c"))
		want := "0/2 nodes are available: 1 node(s) were unschedulable, 1 resourceclaim not available on the node. deallocation of ResourceClaim completed, " +
			"preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
		if r.events()[want] == nil {
			t.Errorf("events %v", r.events())
		}
		r.pass(3 * time.Second)
		if got := r.pod("second").Spec.NodeName; got != "b" || r.device("c").Status.Allocation.Devices.Results[0].Pool != "b" {
			t.Errorf("pod on %q, claim %+v", got, r.device("c").Status)
		}
	})
}

func (r *rig) changeNode(name string, f func(*corev1.Node)) {
	r.Helper()
	obj, err := r.api.Get(r.Context(), nodeResource(), "", name)
	if err != nil {
		r.Fatal(err)
	}
	next := obj.DeepCopyObject().(*corev1.Node)
	f(next)
	if _, err := r.api.Update(r.Context(), nodeResource(), next, ""); err != nil {
		r.Fatal(err)
	}
	synctest.Wait()
}

// Devices for administration are given though others have them.
func TestAdminAccess(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		r := start(t, api, nil)
		defer r.stop()
		admin := gpuClaim("admin")
		admin.Spec.Devices.Requests[0].Exactly.AdminAccess = new(true)
		r.create(gpus(), testNode("n", 1000, 10), devicesOf("n", 1, nil), gpuClaim("c"), gpuPod("p", "c"), admin, gpuPod("q", "admin"))
		got := r.device("admin").Status.Allocation
		if got == nil || got.Devices.Results[0].AdminAccess == nil || !*got.Devices.Results[0].AdminAccess || r.pod("q").Spec.NodeName != "n" {
			t.Errorf("allocation %+v, pod on %q", got, r.pod("q").Spec.NodeName)
		}
	})
}

// extendedPod asks for a device by the name of a resource.
func extendedPod(name string) *corev1.Pod {
	p := testPod(name, 100)
	p.Spec.Containers[0].Resources.Requests["example.com/gpu"] = units(1)
	return p
}

func (r *rig) allDevices() []*resourcev1.ResourceClaim {
	r.Helper()
	view, err := r.api.View(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	var out []*resourcev1.ResourceClaim
	for obj := range view.List(claims.Resource(), "") {
		out = append(out, obj.(*resourcev1.ResourceClaim))
	}
	return out
}

func TestAnExtendedResource(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		r := start(t, api, nil)
		defer r.stop()
		class := gpus()
		class.Spec.ExtendedResourceName = new("example.com/gpu")
		r.create(class, testNode("n", 1000, 10), devicesOf("n", 1, nil), extendedPod("p"), extendedPod("q"))
		list := r.allDevices()
		if len(list) != 1 {
			t.Fatalf("claims %v", list)
		}
		c, p := list[0], r.pod("p")
		if !strings.HasPrefix(c.Name, "p-extended-resources-") || c.Annotations["resource.kubernetes.io/extended-resource-claim"] != "true" ||
			!metav1.IsControlledBy(c, p) || users(c) != "pods/p" || c.Status.Allocation == nil || len(c.Finalizers) != 1 {
			t.Errorf("claim %+v", c)
		}
		s := p.Status.ExtendedResourceClaimStatus
		if p.Spec.NodeName != "n" || s == nil || s.ResourceClaimName != c.Name || len(s.RequestMappings) != 1 || s.RequestMappings[0] !=
			(corev1.ContainerExtendedResourceRequest{ContainerName: "c", ResourceName: "example.com/gpu", RequestName: c.Spec.Devices.Requests[0].Name}) {
			t.Errorf("pod on %q, %+v", p.Spec.NodeName, s)
		}
		if q := r.pod("q"); q.Spec.NodeName != "" {
			t.Errorf("q on %q: there is one device", q.Spec.NodeName)
		}
	})
}

// TestKillsGiveNoDeviceTwice kills schedulers between any two writes, and lets the next go on.
func TestKillsGiveNoDeviceTwice(t *testing.T) {
	for seed := range int64(4) {
		virtual(t, func(t *testing.T, api *controllertest.Cluster) {
			rng := rand.New(rand.NewSource(seed))
			first := start(t, api, nil)
			first.stop()
			class := gpus()
			class.Spec.ExtendedResourceName = new("example.com/gpu")
			first.create(class)
			const nodes, each, pods = 3, 3, 8
			for i := range nodes {
				name := fmt.Sprint("n", i)
				first.create(testNode(name, 1000, 20), devicesOf(name, each, nil))
			}
			for i := range pods {
				name := fmt.Sprint("p", i)
				if i%3 == 0 {
					first.create(extendedPod(name))
				} else {
					first.create(gpuClaim("c-"+name), gpuPod(name, "c-"+name))
				}
			}
			var mu sync.Mutex // guards left
			left := 0         // writes until the kill
			api.Fail(func(verb string, res client.Resource, obj kinds.Object) error {
				mu.Lock()
				defer mu.Unlock()
				if left--; left < 0 {
					return errors.New("killed")
				}
				return nil
			})
			for range 80 {
				mu.Lock()
				left = 1 + rng.Intn(12)
				mu.Unlock()
				r := start(t, api, func(c *Config) { c.Rand = rng })
				synctest.Wait()
				r.stop()
			}
			mu.Lock()
			left = 1 << 30
			mu.Unlock()
			last := start(t, api, func(c *Config) { c.Rand = rng })
			last.pass(10 * time.Minute)
			defer last.stop()
			given := map[string]string{}
			for _, c := range first.allDevices() {
				for _, d := range c.Status.Allocation.Devices.Results {
					if other := given[d.Pool+"/"+d.Device]; other != "" {
						t.Errorf("seed %d: %s/%s is given to %s and %s", seed, d.Pool, d.Device, other, c.Name)
					}
					given[d.Pool+"/"+d.Device] = c.Name
				}
				if n := len(c.Status.ReservedFor); n != 1 {
					t.Errorf("seed %d: claim %s has %d users", seed, c.Name, n)
				}
			}
			for i := range pods {
				if p := first.pod(fmt.Sprint("p", i)); p.Spec.NodeName == "" {
					t.Errorf("seed %d: pod %s has no node: %s", seed, p.Name, whatWas(p))
				}
			}
			if len(given) != pods {
				t.Errorf("seed %d: %d devices are given to %d pods", seed, len(given), pods)
			}
		})
	}
}

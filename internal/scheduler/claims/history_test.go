package claims

import (
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// bed is a table with nodes that have devices, and the rule about them.
type bed struct {
	testing.TB
	*rand.Rand
	table  *place.Table
	rule   *Rule
	policy *place.Policy
	clock  *testclock.FakePassiveClock

	nodes  map[string]*corev1.Node
	slices map[string]*resourcev1.ResourceSlice
	claims map[string]*resourcev1.ResourceClaim // as the API has them
	placed map[types.UID]*corev1.Pod
	held   map[types.UID][]Binding // reserved, and not written
	next   int
}

func newBed(t testing.TB, seed int64) *bed {
	b := &bed{TB: t, Rand: rand.New(rand.NewSource(seed)), table: place.NewTable(), clock: testclock.NewFakePassiveClock(time.Unix(1000, 0)),
		nodes: map[string]*corev1.Node{}, slices: map[string]*resourcev1.ResourceSlice{}, claims: map[string]*resourcev1.ResourceClaim{},
		placed: map[types.UID]*corev1.Pod{}, held: map[types.UID][]Binding{}}
	b.rule = New(b.table, Config{Clock: b.clock})
	b.policy = policyOf(t, b.rule)
	for _, name := range []string{"gpu", "nic"} {
		b.rule.SetClass(class(name))
	}
	return b
}

func class(name string) *resourcev1.DeviceClass {
	return &resourcev1.DeviceClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: resourcev1.DeviceClassSpec{Selectors: []resourcev1.DeviceSelector{
		{CEL: &resourcev1.CELDeviceSelector{Expression: fmt.Sprintf("device.driver == %q", name)}}}}}
}

func policyOf(t testing.TB, r *Rule) *place.Policy {
	p := place.DefaultProfile()
	p.Rules = []place.Rule{r}
	p.Filters, p.Scores = append(p.Filters, Name), append(p.Scores, place.Weighted{Name: Name, Weight: 2})
	out, err := p.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (b *bed) chance(percent int) bool { return b.Intn(100) < percent }

func (b *bed) setNode(name string) {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"zone": fmt.Sprint(b.Intn(2))}}}
	n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("8"), corev1.ResourcePods: resource.MustParse("20")}
	if b.chance(20) {
		n.Status.Allocatable["deviceclass.resource.kubernetes.io/gpu"] = resource.MustParse("1")
	}
	b.nodes[name] = n
	b.table.SetNode(n)
}

// slice makes or changes the devices of a node, or of a zone when node is "".
func (b *bed) slice(node string) {
	s := &resourcev1.ResourceSlice{ObjectMeta: metav1.ObjectMeta{Name: "slice-" + node}}
	s.Spec.Driver, s.Spec.Pool = "gpu", resourcev1.ResourcePool{Name: "pool-" + node, ResourceSliceCount: 1}
	if node == "" {
		s.Spec.Driver = "nic"
		s.Spec.NodeSelector = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
			{Key: "zone", Operator: corev1.NodeSelectorOpIn, Values: []string{"1"}}}}}}
	} else {
		s.Spec.NodeName = &node
	}
	for i := range 1 + b.Intn(4) {
		d := resourcev1.Device{Name: fmt.Sprint("d", i), Capacity: map[resourcev1.QualifiedName]resourcev1.DeviceCapacity{"memory": {Value: resource.MustParse("8Gi")}}}
		if b.chance(30) {
			d.AllowMultipleAllocations = new(true)
		}
		s.Spec.Devices = append(s.Spec.Devices, d)
	}
	b.slices[s.Name] = s
	b.rule.SetSlice(s)
}

// pod makes a pod with claims, and the claims.
func (b *bed) pod() *corev1.Pod {
	b.next++
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: fmt.Sprint("p", b.next), UID: types.UID(fmt.Sprint("p", b.next))}}
	c := corev1.Container{Name: "c"}
	c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}
	if b.chance(25) {
		c.Resources.Requests["deviceclass.resource.kubernetes.io/gpu"] = resource.MustParse("1")
	}
	p.Spec.Containers = []corev1.Container{c}
	for i := range b.Intn(3) {
		name := fmt.Sprintf("%s-%d", p.Name, i)
		if b.chance(25) && len(b.claims) > 0 {
			all := slices.Sorted(maps.Keys(b.claims))
			name = all[b.Intn(len(all))]
		} else {
			b.setClaim(b.claim(name))
		}
		p.Spec.ResourceClaims = append(p.Spec.ResourceClaims, corev1.PodResourceClaim{Name: fmt.Sprint("r", i), ResourceClaimName: &name})
	}
	return p
}

func (b *bed) claim(name string) *resourcev1.ResourceClaim {
	c := &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: name, UID: types.UID(name)}}
	exact := resourcev1.ExactDeviceRequest{DeviceClassName: []string{"gpu", "gpu", "nic"}[b.Intn(3)],
		AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: int64(1 + b.Intn(2))}
	if b.chance(20) {
		exact.AdminAccess = new(true)
	}
	if b.chance(30) {
		exact.Capacity = &resourcev1.CapacityRequirements{Requests: map[resourcev1.QualifiedName]resource.Quantity{"memory": resource.MustParse("3Gi")}}
	}
	q := resourcev1.DeviceRequest{Name: "q"}
	if q.Exactly = &exact; b.chance(20) {
		q.Exactly = nil
		q.FirstAvailable = []resourcev1.DeviceSubRequest{
			{Name: "many", DeviceClassName: "gpu", AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: 3},
			{Name: "one", DeviceClassName: "gpu", AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: 1}}
	}
	c.Spec.Devices.Requests = []resourcev1.DeviceRequest{q}
	return c
}

func (b *bed) setClaim(c *resourcev1.ResourceClaim) {
	b.claims[c.Name] = c
	b.rule.SetClaim(c)
}

// write writes what was reserved for a pod, as the API would show it.
func (b *bed) write(uid types.UID) {
	for _, x := range b.held[uid] {
		c := x.Create
		if c == nil {
			c = b.claims[x.Claim.Name]
		}
		c = c.DeepCopy()
		if c.Name == "" {
			c.Name = "special-" + string(uid)
			c.UID = types.UID(c.Name)
		}
		if x.Allocation != nil {
			c.Status.Allocation = x.Allocation.DeepCopy()
		}
		c.Status.ReservedFor = append(c.Status.ReservedFor, x.Reserve)
		b.setClaim(c)
	}
	delete(b.held, uid)
}

// step changes something.
func (b *bed) step() {
	node := fmt.Sprint("n", b.Intn(6))
	names := slices.Sorted(maps.Keys(b.claims))
	var uids []types.UID
	for uid := range b.held {
		uids = append(uids, uid)
	}
	slices.Sort(uids)
	switch k := b.Intn(20); {
	case k < 3:
		b.setNode(node)
	case k < 4:
		b.table.RemoveNode(node)
		delete(b.nodes, node)
	case k < 6:
		b.slice(node)
	case k < 7:
		b.slice("")
	case k < 8:
		delete(b.slices, "slice-"+node)
		b.rule.RemoveSlice("slice-" + node)
	case k < 11 && len(names) > 0: // given back, or deleted
		name := names[b.Intn(len(names))]
		for _, list := range b.held {
			if slices.ContainsFunc(list, func(x Binding) bool { return x.Claim != nil && x.Claim.Name == name }) {
				return
			}
		}
		if b.chance(50) {
			delete(b.claims, name)
			b.rule.RemoveClaim("x", name)
			return
		}
		c := b.claims[name].DeepCopy()
		c.Status = resourcev1.ResourceClaimStatus{}
		b.setClaim(c)
	case k < 17 && len(uids) > 0:
		b.write(uids[0])
	case len(uids) > 0:
		uid := uids[0]
		b.rule.Forget(b.placed[uid])
		b.table.RemovePod(uid)
		delete(b.placed, uid)
		delete(b.held, uid)
	}
}

// fresh is a bed's cluster as a rule sees it that has just been told of it.
func (b *bed) fresh() (*place.Table, *place.Policy) {
	t := place.NewTable()
	for _, n := range b.nodes {
		t.SetNode(n)
	}
	for _, p := range b.placed {
		t.SetPod(p, p.Spec.NodeName)
	}
	r := New(t, Config{Clock: b.clock})
	r.SetClass(class("gpu"))
	r.SetClass(class("nic"))
	for _, s := range b.slices {
		r.SetSlice(s)
	}
	pending := map[string]*resourcev1.AllocationResult{}
	for uid, list := range b.held {
		for _, x := range list {
			if x.Create != nil && x.Allocation != nil {
				c := x.Create.DeepCopy()
				c.Name, c.UID, c.Status.Allocation = "special-"+string(uid), types.UID("special-"+uid), x.Allocation
				r.SetClaim(c)
			} else if x.Allocation != nil {
				pending[x.Claim.Name] = x.Allocation
			}
		}
	}
	for _, c := range b.claims {
		r.SetClaim(c)
		if a := pending[c.Name]; a != nil {
			known := r.claims[types.NamespacedName{Namespace: "x", Name: c.Name}]
			known.pending = a
			r.taken.add(a, 1, change{})
		}
	}
	return t, policyOf(b, r)
}

// TestHistories changes random clusters, and holds what is remembered against a rule that was told just now, and the devices
// given out against each other.
func TestHistories(t *testing.T) {
	given, refused := 0, 0
	for seed := range int64(16) {
		b := newBed(t, seed)
		for range 120 {
			b.step()
			pod := b.pod()
			got, err := b.table.Explain(pod, b.policy)
			if err != nil {
				t.Fatal(err)
			}
			table, policy := b.fresh()
			want, err := table.Explain(pod, policy)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want.Nodes, got.Nodes); d != "" {
				t.Fatalf("seed %d pod %s %s: what is remembered shows (-fresh +remembered):\n%s", seed, pod.Name, b.wanted(pod), d)
			}
			plan, err := b.table.Decide(pod, b.policy, b.Rand, nil)
			if err != nil {
				t.Fatal(err)
			}
			if plan.Node == "" {
				refused++
				continue
			}
			bindings, err := b.rule.Reserve(pod, plan.Node)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			pod.Spec.NodeName = plan.Node
			b.table.SetPod(pod, plan.Node)
			b.placed[pod.UID] = pod
			if len(bindings) > 0 {
				given++
				b.held[pod.UID] = bindings
			}
			b.exclusive()
		}
	}
	t.Logf("%d pods were given devices, %d fitted nowhere", given, refused)
	if given < 200 || refused < 200 {
		t.Error("the histories test too little")
	}
}

// exclusive checks that no device is given out twice that is not to be shared, and none beyond what it has.
func (b *bed) exclusive() {
	b.Helper()
	seen := map[string]string{}
	used := map[string]int64{}
	look := func(claim string, a *resourcev1.AllocationResult) {
		if a == nil {
			return
		}
		for _, d := range a.Devices.Results {
			key := d.Driver + "/" + d.Pool + "/" + d.Device
			switch {
			case d.AdminAccess != nil && *d.AdminAccess:
			case d.ShareID != nil:
				m := d.ConsumedCapacity["memory"]
				if used[key] += m.Value(); used[key] > 8<<30 {
					b.Fatalf("device %s: %d of its memory is given out", key, used[key])
				}
			case seen[key] != "":
				b.Fatalf("device %s is given to %s and %s", key, seen[key], claim)
			default:
				seen[key] = claim
			}
		}
	}
	for name, c := range b.claims {
		look(name, c.Status.Allocation)
	}
	for uid, list := range b.held {
		for _, x := range list {
			look("pending for "+string(uid), x.Allocation)
		}
	}
}

// wanted tells a pod's claims.
func (b *bed) wanted(p *corev1.Pod) (text string) {
	for _, ref := range p.Spec.ResourceClaims {
		text += " " + b.claims[*ref.ResourceClaimName].String()
	}
	return fmt.Sprintf("%v%s", p.Spec.Containers[0].Resources.Requests, text)
}

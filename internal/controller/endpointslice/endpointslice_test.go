package endpointslice_test

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/endpointslice"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

var (
	pods     = corev1.SchemeGroupVersion.WithResource("pods")
	nodes    = corev1.SchemeGroupVersion.WithResource("nodes")
	services = corev1.SchemeGroupVersion.WithResource("services")
	slicesOf = discoveryv1.SchemeGroupVersion.WithResource("endpointslices")
	web      = map[string]string{"app": "web"}
	key      = engine.Key{Resource: services, Namespace: "default", Name: "web"}
)

func start(t *testing.T, seed int64) *bed.Bed {
	b := bed.New(t, seed)
	b.Sim.Add(endpointslice.New())
	for i := range 3 {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("n", i), Labels: map[string]string{corev1.LabelTopologyZone: fmt.Sprint("z", i)}}}
		b.Put(nodes, n)
		bed.Change(b, nodes, "", n.Name, "status", func(n *corev1.Node) {
			n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
			n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4")}
		})
	}
	return b
}

func service(change func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", Labels: map[string]string{"tier": "a"}}, Spec: corev1.ServiceSpec{
		ClusterIP: corev1.ClusterIPNone, Selector: web, Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("web"), Protocol: corev1.ProtocolTCP}},
	}}
	if change != nil {
		change(s)
	}
	return s
}

// putPod makes the i-th pod, ready or not, on one of the nodes.
func putPod(b *bed.Bed, i int, ready bool) {
	b.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint("p", i), Labels: web}}
	p.Spec = corev1.PodSpec{NodeName: fmt.Sprint("n", i%3), Hostname: "h", Subdomain: "web", Containers: []corev1.Container{{Name: "c", Image: "i", Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}}}}}
	b.Put(pods, p)
	bed.Change(b, pods, "default", p.Name, "status", func(p *corev1.Pod) {
		p.Status.Phase, p.Status.PodIPs = corev1.PodRunning, []corev1.PodIP{{IP: fmt.Sprintf("10.1.%d.%d", i/250, i%250+1)}}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(time.Unix(int64(1_000_000+i), 0))}}
		if ready {
			p.Status.Conditions[0].Status = corev1.ConditionTrue
		}
	})
}

func all(b *bed.Bed) (list []*discoveryv1.EndpointSlice) {
	b.Helper()
	view, err := b.Client.View(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for obj := range view.List(slicesOf, "default") {
		list = append(list, obj.(*discoveryv1.EndpointSlice))
	}
	return list
}

// show is slices in one line: ports, and endpoints as address, R(eady) S(erving) T(erminating), node, zone, hostname, hints.
func show(list []*discoveryv1.EndpointSlice) string {
	var out []string
	for _, s := range list {
		text := string(s.AddressType)
		for _, p := range s.Ports {
			text += fmt.Sprintf(" %s=%d", *p.Name, *p.Port)
		}
		for _, e := range s.Endpoints {
			flags := ""
			for i, c := range []*bool{e.Conditions.Ready, e.Conditions.Serving, e.Conditions.Terminating} {
				if *c {
					flags += "RST"[i : i+1]
				}
			}
			text += fmt.Sprintf(" [%s %s %s %s %s", strings.Join(e.Addresses, ","), flags, ptr.Deref(e.NodeName, "-"), ptr.Deref(e.Zone, "-"), ptr.Deref(e.Hostname, "-"))
			if e.Hints != nil {
				for _, z := range e.Hints.ForZones {
					text += " for " + z.Name
				}
				for _, n := range e.Hints.ForNodes {
					text += " on " + n.Name
				}
			}
			text += "]"
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return strings.Join(out, " | ")
}

// TestSlices: what services say of a ready pod and one that is not.
func TestSlices(t *testing.T) {
	const (
		first  = "10.1.0.1 RS n0 z0 h"
		second = "10.1.0.2  n1 z1 h"
	)
	for name, c := range map[string]struct {
		change func(*corev1.Service)
		want   string
	}{
		"plain":        {nil, "IPv4 http=8080 [" + first + "] [" + second + "]"},
		"not ready":    {func(s *corev1.Service) { s.Spec.PublishNotReadyAddresses = true }, "IPv4 http=8080 [" + first + "] [10.1.0.2 R n1 z1 h]"},
		"no such port": {func(s *corev1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromString("x") }, "IPv4 [" + first + "] [" + second + "]"},
		"number":       {func(s *corev1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromInt32(9) }, "IPv4 http=9 [" + first + "] [" + second + "]"},
		"nobody":       {func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": "x"} }, "IPv4"},
		"no selector":  {func(s *corev1.Service) { s.Spec.Selector = nil }, ""},
		"external": {func(s *corev1.Service) {
			s.Spec.Type, s.Spec.ExternalName, s.Spec.Ports, s.Spec.ClusterIP = corev1.ServiceTypeExternalName, "a.b", nil, ""
		}, ""},
		"same zone": {func(s *corev1.Service) {
			s.Spec.TrafficDistribution = ptr.To(corev1.ServiceTrafficDistributionPreferSameZone)
		},
			"IPv4 http=8080 [" + first + " for z0] [" + second + "]"},
		"same node": {func(s *corev1.Service) {
			s.Spec.TrafficDistribution = ptr.To(corev1.ServiceTrafficDistributionPreferSameNode)
		},
			"IPv4 http=8080 [" + first + " for z0 on n0] [" + second + "]"},
		"close": {func(s *corev1.Service) {
			s.Spec.TrafficDistribution = ptr.To(corev1.ServiceTrafficDistributionPreferClose)
		},
			"IPv4 http=8080 [" + first + " for z0] [" + second + "]"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, 1)
			putPod(b, 0, true)
			putPod(b, 1, false)
			b.Put(services, service(c.change))
			b.Settle()
			if got := show(all(b)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestMeta: labels, owner, name and trigger time of slices.
func TestMeta(t *testing.T) {
	b := start(t, 1)
	s := b.Put(services, service(func(s *corev1.Service) { s.Spec.ClusterIP = corev1.ClusterIPNone }))
	b.Settle()
	list := all(b)
	if len(list) != 1 {
		t.Fatalf("%d slices", len(list))
	}
	want := map[string]string{"tier": "a", corev1.IsHeadlessService: "", discoveryv1.LabelServiceName: "web", discoveryv1.LabelManagedBy: "endpointslice-controller.k8s.io"}
	if got := list[0]; fmt.Sprint(got.Labels) != fmt.Sprint(want) || !metav1.IsControlledBy(got, s) || got.GenerateName != "web-" ||
		got.Annotations[corev1.EndpointsLastChangeTriggerTime] != s.GetCreationTimestamp().UTC().Format(time.RFC3339Nano) {
		t.Errorf("the placeholder is %+v", got.ObjectMeta)
	}
	putPod(b, 5, true)
	b.Settle()
	got := all(b)
	if len(got) != 1 || got[0].Name != list[0].Name || got[0].Annotations[corev1.EndpointsLastChangeTriggerTime] != time.Unix(1_000_005, 0).UTC().Format(time.RFC3339Nano) {
		t.Errorf("with a pod %+v", got[0].ObjectMeta)
	}
	bed.Change(b, services, "default", "web", "", func(s *corev1.Service) { s.Labels = nil })
	b.Settle()
	if got := all(b)[0]; got.Labels["tier"] != "" || got.Annotations[corev1.EndpointsLastChangeTriggerTime] != "" {
		t.Errorf("with other labels %+v", got.ObjectMeta)
	}
}

// TestLittleIsWritten: of 250 endpoints in three slices one change writes one slice, and new ones go where there is room.
func TestLittleIsWritten(t *testing.T) {
	b := start(t, 1)
	for i := range 250 {
		putPod(b, i, true)
	}
	b.Put(services, service(nil))
	b.Settle()
	if list := all(b); len(list) != 3 {
		t.Fatalf("%d slices", len(list))
	}
	writes := func(change func()) string {
		change()
		var out []string
		for _, w := range b.Reconcile(endpointslice.New(), key, b.Clock.Now()).Writes {
			out = append(out, fmt.Sprint(w.Verb))
			if w.Object != nil {
				out[len(out)-1] += fmt.Sprint(" ", len(w.Object.(*discoveryv1.EndpointSlice).Endpoints))
			}
		}
		b.Settle()
		return strings.Join(out, ", ")
	}
	for name, c := range map[string]struct {
		change func()
		want   string
	}{
		"a label of a service": {func() {
			bed.Change(b, services, "default", "web", "", func(s *corev1.Service) { s.Annotations = map[string]string{"a": "b"} })
		}, ""},
		"a new pod": {func() { putPod(b, 250, true) }, "update 51"},
	} {
		if got := writes(c.change); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	if got := writes(func() {
		bed.Change(b, pods, "default", "p3", "status", func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse })
	}); got != "update 100" && got != "update 51" {
		t.Errorf("a pod is no longer ready: %q", got)
	}
	if got := writes(func() {
		bed.Change(b, services, "default", "web", "", func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": "x"} })
	}); got != "update 0, delete, delete" {
		t.Errorf("no pods: %q", got)
	}
}

// TestSpread: a service that spreads gives each zone its share, and says why when it cannot.
func TestSpread(t *testing.T) {
	b := start(t, 1)
	for _, i := range []int{0, 3, 6, 1} { // three in the first zone, one in the second
		putPod(b, i, true)
	}
	b.Put(services, service(func(s *corev1.Service) { s.Annotations = map[string]string{corev1.AnnotationTopologyMode: "Auto"} }))
	plan := b.Reconcile(endpointslice.New(), key, b.Clock.Now())
	if len(plan.Events) != 1 || plan.Events[0].Message != "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold (4 endpoints, 3 zones), addressType: IPv4" {
		t.Errorf("four pods: %+v", plan.Events)
	}
	putPod(b, 9, true)
	putPod(b, 4, true)
	plan = b.Reconcile(endpointslice.New(), key, b.Clock.Now())
	if len(plan.Events) != 1 || plan.Events[0].Reason != "TopologyAwareHintsEnabled" || plan.Events[0].Message != "Topology Aware Hints has been enabled, addressType: IPv4" {
		t.Errorf("six pods: %+v", plan.Events)
	}
	b.Settle()
	got := show(all(b))
	for _, zone := range []string{"z0", "z1", "z2"} {
		if n := strings.Count(got, "for "+zone); n != 2 {
			t.Errorf("%d are for %s: %s", n, zone, got)
		}
	}
	bed.Change(b, nodes, "", "n2", "status", func(n *corev1.Node) { n.Status.Allocatable = nil })
	plan = b.Reconcile(endpointslice.New(), key, b.Clock.Now())
	if len(plan.Events) != 1 || plan.Events[0].Message != "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes, addressType: IPv4" || len(plan.Writes) != 1 {
		t.Errorf("a node without processors: %+v", plan)
	}
}

// TestNodeGone: a pod whose node is not there is left out, and tried again.
func TestNodeGone(t *testing.T) {
	b := start(t, 1)
	putPod(b, 0, true)
	b.Put(services, service(nil))
	b.Remove(nodes, "", "n0")
	plan := b.Reconcile(endpointslice.New(), key, b.Clock.Now())
	if plan.Failed == nil || len(plan.Events) != 1 || plan.Events[0].Message != "Error updating Endpoint Slices for Service default/web: skipping Pod p0 for Service default/web: Node n0 Not Found" {
		t.Errorf("got %+v", plan)
	}
}

// TestSlicesThroughCrashes lets pods come, go, and change while the controller stops and begins anew: in the end every listed pod is in exactly one slice.
func TestSlicesThroughCrashes(t *testing.T) {
	for seed := range int64(15) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			b := start(t, seed)
			b.Put(services, service(nil))
			for range 3 {
				b.Chance(120, func() {
					i := b.Rand.Intn(8)
					there := bed.Get[*corev1.Pod](b, pods, "default", fmt.Sprint("p", i)) != nil
					switch n := b.Rand.Intn(4); {
					case !there:
						putPod(b, i, b.Rand.Intn(2) == 0)
					case n == 0:
						if _, err := b.Client.Delete(b.Context(), pods, "default", fmt.Sprint("p", i), metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
							b.Fatal(err)
						}
					case n == 1:
						bed.Change(b, pods, "default", fmt.Sprint("p", i), "", func(p *corev1.Pod) { p.Labels = map[string]string{"app": "x"} })
					default:
						bed.Change(b, pods, "default", fmt.Sprint("p", i), "status", func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionTrue })
					}
				})
				want, got := map[string]bool{}, map[string]bool{}
				for i := range 8 {
					if p := bed.Get[*corev1.Pod](b, pods, "default", fmt.Sprint("p", i)); p != nil && p.Labels["app"] == "web" {
						want[p.Status.PodIPs[0].IP] = p.Status.Conditions[0].Status == corev1.ConditionTrue
					}
				}
				list := all(b)
				for _, s := range list {
					for _, e := range s.Endpoints {
						if _, twice := got[e.Addresses[0]]; twice {
							t.Errorf("%s is there twice", e.Addresses[0])
						}
						got[e.Addresses[0]] = *e.Conditions.Ready
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(want) || len(list) != 1 {
					t.Fatalf("%d slices say %v, want %v", len(list), got, want)
				}
			}
		})
	}
}

// TestPodKeys: what is no endpoint, and was none, wakes nobody; its selectors are not even looked for.
func TestPodKeys(t *testing.T) {
	made := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", UID: "u", Labels: web}}
	bound := made.DeepCopy()
	bound.Spec.NodeName = "n0"
	runs := bound.DeepCopy()
	runs.Status.Phase, runs.Status.PodIPs = corev1.PodRunning, []corev1.PodIP{{IP: "10.1.0.1"}}
	counted := runs.DeepCopy()
	counted.Status.Message = "well"
	ended := runs.DeepCopy()
	ended.Status.Phase = corev1.PodSucceeded
	for _, c := range []struct {
		what   string
		change client.Change
		looks  bool
	}{
		{"made", client.Change{New: made}, false},
		{"bound", client.Change{Old: made, New: bound}, false},
		{"gone before it ran", client.Change{Old: bound}, false},
		{"has an address", client.Change{Old: bound, New: runs}, true},
		{"seen first with an address", client.Change{New: runs}, true},
		{"the same endpoint", client.Change{Old: runs, New: counted}, false},
		{"ended", client.Change{Old: runs, New: ended}, true},
		{"gone", client.Change{Old: runs}, true},
		{"gone after it ended", client.Change{Old: ended}, false},
	} {
		view := &lookups{}
		endpointslice.PodKeys(view, c.change)
		if looked := view.n > 0; looked != c.looks {
			t.Errorf("%s: looked for services: %t, want %t", c.what, looked, c.looks)
		}
	}
}

// lookups is a view of nothing that counts how often something is looked for.
type lookups struct {
	client.View
	n int
}

func (l *lookups) Lookup(client.Resource, string, string) iter.Seq[kinds.Object] {
	l.n++
	return func(func(kinds.Object) bool) {}
}

package cases

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"
)

// world is a case in the making.
type world struct {
	r             *rand.Rand
	number        int // of the case in its family
	nodes         []*corev1.Node
	pods          []*corev1.Pod // placed
	asked         []*corev1.Pod // and to be decided
	objects       []runtime.Object
	configuration *schedulerv1.KubeSchedulerConfiguration
	full          bool // placed pods fill the nodes
	ids           int
	claims        int
	free          map[string]*room // of each node
}

// room is what is left of a node, as it matters for placing pods.
type room struct{ cpu, memory, pods int64 }

var (
	namespaces = []string{"default", "team-a", "team-b", "shop"}
	zones      = []string{"z1", "z2", "z3"}
	apps       = []string{"web", "db", "cache", "job"}
	epoch      = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

// asks is how many pods a case asks for.
const asks = 6

// once is true with a chance of one in n.
func (w *world) once(n int) bool { return w.r.IntN(n) == 0 }

// between is a number from low to high, both of which may come.
func (w *world) between(low, high int) int { return low + w.r.IntN(high-low+1) }

// one is one of some values.
func one[T any](w *world, of ...T) T { return of[w.r.IntN(len(of))] }

// some are n of some values, each at most once, in no order.
func some[T any](w *world, n int, of []T) []T {
	out := make([]T, 0, n)
	for _, i := range w.r.Perm(len(of))[:min(n, len(of))] {
		out = append(out, of[i])
	}
	return out
}

// amount is a quantity of so many thousandths.
func amount(milli int64) resource.Quantity {
	return *resource.NewMilliQuantity(milli, resource.DecimalSI)
}

const mebi = 1 << 20

func bytesOf(n int64) resource.Quantity { return *resource.NewQuantity(n, resource.BinarySI) }

func count(n int64) resource.Quantity { return *resource.NewQuantity(n, resource.DecimalSI) }

// build makes everything.
func (w *world) build(traits []trait) {
	w.free = map[string]*room{}
	for i, name := range namespaces {
		if i == 3 && w.once(6) {
			continue // as if its object had not been seen yet
		}
		labels := map[string]string{corev1.LabelMetadataName: name, "tier": one(w, "front", "back")}
		if i%2 == 0 {
			labels["trusted"] = "true"
		}
		w.objects = append(w.objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})
	}
	for _, t := range traits {
		call(t.before, w)
	}
	w.makeNodes(traits)
	w.placePods(traits)
	for _, t := range traits {
		call(t.after, w)
	}
	for i := range asks {
		p := w.pod(fmt.Sprintf("ask-%d", i))
		p.CreationTimestamp = metav1.NewTime(epoch.Add(time.Hour))
		p.Status.Phase = corev1.PodPending
		for _, t := range traits {
			call2(t.pod, w, p)
		}
		for _, t := range traits {
			call2(t.asked, w, p)
		}
		w.asked = append(w.asked, p)
	}
}

func call(f func(*world), w *world) {
	if f != nil {
		f(w)
	}
}

func call2[T any](f func(*world, T), w *world, v T) {
	if f != nil {
		f(w, v)
	}
}

// makeNodes makes the nodes; some lack a zone, and a few a host name.
func (w *world) makeNodes(traits []trait) {
	total := w.between(5, 14)
	if w.once(6) {
		total = w.between(15, 40)
	}
	for i := range total {
		name := fmt.Sprintf("n%02d", i)
		labels := map[string]string{"disk": one(w, "ssd", "hdd", "nvme"), corev1.LabelArchStable: "amd64", "size": strconv.Itoa(w.between(1, 5))}
		if !w.once(40) {
			labels[corev1.LabelHostname] = name
		}
		if !w.once(12) {
			labels[corev1.LabelTopologyZone] = one(w, zones...)
			labels[corev1.LabelTopologyRegion] = "r1"
		}
		if !w.once(3) {
			labels["rack"] = one(w, "a", "b", "c", "d")
		}
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: w.uid(), Labels: labels, CreationTimestamp: metav1.NewTime(epoch)}}
		cpu, memory, pods := int64(one(w, 2, 4, 4, 8))*1000, int64(one(w, 4, 8, 16))*1024*mebi, int64(one(w, 4, 8, 110))
		n.Status.Allocatable = corev1.ResourceList{
			corev1.ResourceCPU: amount(cpu), corev1.ResourceMemory: bytesOf(memory), corev1.ResourcePods: count(pods),
			corev1.ResourceEphemeralStorage: bytesOf(int64(w.between(10, 100)) * 1024 * mebi),
		}
		for _, t := range traits {
			call2(t.node, w, n)
		}
		n.Status.Capacity = n.Status.Allocatable
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		w.free[name] = &room{cpu, memory, pods}
		w.nodes = append(w.nodes, n)
	}
}

// placePods makes the pods that run, where there is room for their first container; one in thirty is placed in spite of that.
func (w *world) placePods(traits []trait) {
	tries := len(w.nodes) * w.between(1, 4)
	if w.full {
		tries = len(w.nodes) * 8
	}
	for i := range tries {
		p := w.pod(fmt.Sprintf("run-%03d", i))
		for _, t := range traits {
			call2(t.pod, w, p)
		}
		n := one(w, w.nodes...)
		requests := p.Spec.Containers[0].Resources.Requests
		left, cpu, memory := w.free[n.Name], requests.Cpu().MilliValue(), requests.Memory().Value()
		if (left.cpu < cpu || left.memory < memory || left.pods < 1) && !w.once(30) {
			continue
		}
		left.cpu, left.memory, left.pods = left.cpu-cpu, left.memory-memory, left.pods-1
		w.place(p, n.Name)
	}
}

// place makes a pod one that runs on a node.
func (w *world) place(p *corev1.Pod, node string) {
	p.Spec.NodeName = node
	p.Status.Phase = corev1.PodRunning
	start := metav1.NewTime(epoch.Add(time.Duration(w.between(0, 5000)) * time.Second))
	p.Status.StartTime = &start
	p.CreationTimestamp = start
	if w.once(25) { // it is on its way out
		at := metav1.NewTime(epoch.Add(2 * time.Hour))
		p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &at, new(int64(30))
		p.Finalizers = []string{"example.com/held"} // a fake clientset holds no terminating object without
	}
	w.pods = append(w.pods, p)
}

func (w *world) uid() types.UID {
	w.ids++
	return types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", w.ids))
}

// pod is a pod with one container that asks for a little, or for nothing.
func (w *world) pod(name string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: one(w, namespaces...), UID: w.uid(), Labels: map[string]string{"app": one(w, apps...)}},
		Spec: corev1.PodSpec{
			SchedulerName: corev1.DefaultSchedulerName, RestartPolicy: corev1.RestartPolicyAlways, DNSPolicy: corev1.DNSClusterFirst,
			TerminationGracePeriodSeconds: new(int64(30)), EnableServiceLinks: new(true), Priority: new(int32(0)),
			PreemptionPolicy: new(corev1.PreemptLowerPriority),
			Containers:       []corev1.Container{{Name: "main", Image: "registry.example/app:1"}},
		},
	}
	if w.once(2) {
		p.Labels["version"] = one(w, "v1", "v2")
	}
	if !w.once(4) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{
			corev1.ResourceCPU: amount(int64(one(w, 50, 100, 250, 500))), corev1.ResourceMemory: bytesOf(int64(one(w, 64, 128, 512)) * mebi),
		}
	}
	return p
}

// add adds an object that is neither a node nor a pod.
func (w *world) add(o ...runtime.Object) { w.objects = append(w.objects, o...) }

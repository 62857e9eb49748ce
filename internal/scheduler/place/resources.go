package place

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/component-helpers/resource"
)

// What a container that names no request counts as in scores: upstream's values.
const (
	scoredCPU    = 100       // millicores
	scoredMemory = 200 << 20 // bytes
)

// The resources that every node has; others are numbered as they are met.
const (
	cpu       = iota // millicores
	memory           // bytes, as all that follow are units
	ephemeral        // ephemeral-storage
	fixed            // how many of these there are
)

// amount is a quantity of a resource: millicores of cpu, units of all else.
type amount struct {
	resource int
	value    int64
}

// column is one resource of all rows.
type column struct {
	name                   corev1.ResourceName
	allocatable, requested []int64
}

// resources numbers the resources and holds their columns. Names are never forgotten: they are few, and an object that
// names one was admitted.
type resources struct {
	ids     map[corev1.ResourceName]int
	columns []column
	rows    int
}

func newResources() resources {
	r := resources{ids: map[corev1.ResourceName]int{}}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		r.id(name)
	}
	return r
}

// id numbers name.
func (r *resources) id(name corev1.ResourceName) int {
	id, ok := r.ids[name]
	if !ok {
		id = len(r.columns)
		r.ids[name] = id
		r.columns = append(r.columns, column{name: name, allocatable: make([]int64, r.rows), requested: make([]int64, r.rows)})
	}
	return id
}

func (r *resources) grow(rows int) {
	r.rows = rows
	for i := range r.columns {
		c := &r.columns[i]
		c.allocatable, c.requested = extend(c.allocatable, rows), extend(c.requested, rows)
	}
}

// extend lengthens s with zeros.
func extend[T any](s []T, n int) []T {
	if n <= len(s) {
		return s
	}
	return append(s, make([]T, n-len(s))...)
}

// amounts numbers and sorts what of list a scheduler counts; pods are counted apart.
func (r *resources) amounts(list corev1.ResourceList) []amount {
	out := make([]amount, 0, len(list))
	for name, q := range list {
		switch {
		case name == corev1.ResourceCPU:
			out = append(out, amount{cpu, q.MilliValue()})
		case name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage || isScalar(name):
			out = append(out, amount{r.id(name), q.Value()})
		}
	}
	slices.SortFunc(out, func(a, b amount) int { return cmp.Compare(a.resource, b.resource) })
	return out
}

// isScalar says whether upstream's scheduler counts a resource that is not one of the fixed.
func isScalar(name corev1.ResourceName) bool {
	s := string(name)
	return strings.HasPrefix(s, corev1.ResourceHugePagesPrefix) || strings.HasPrefix(s, corev1.ResourceAttachableVolumesPrefix) ||
		strings.Contains(s, corev1.ResourceDefaultNamespacePrefix) || IsExtended(name)
}

// IsExtended says whether name is upstream's extended resource, a resource of somebody's own: qualified, and not Kubernetes'.
func IsExtended(name corev1.ResourceName) bool {
	s := string(name)
	if !strings.Contains(s, "/") || strings.Contains(s, corev1.ResourceDefaultNamespacePrefix) ||
		strings.HasPrefix(s, corev1.DefaultResourceRequestsPrefix) {
		return false
	}
	return len(validation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+s)) == 0
}

func milli(n int64) apiresource.Quantity {
	return *apiresource.NewMilliQuantity(n, apiresource.DecimalSI)
}

func units(n int64) apiresource.Quantity { return *apiresource.NewQuantity(n, apiresource.DecimalSI) }

// defaultRequests is what containers without requests count as in scores.
func defaultRequests() corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: milli(scoredCPU), corev1.ResourceMemory: units(scoredMemory)}
}

// placedOptions are upstream's for a pod on a node: what it was given or is being resized to, whichever is more.
func placedOptions() resource.PodResourcesOptions {
	return resource.PodResourcesOptions{UseStatusResources: true, InPlacePodLevelResourcesVerticalScalingEnabled: true}
}

// placedRequests is what a pod on a node counts as: its requests, and cpu and memory with defaults for what is missing.
// A pod with requests of its own at pod level takes no default for what those name.
func placedRequests(pod *corev1.Pod) (requests corev1.ResourceList, milliCPU, bytes int64) {
	opts := placedOptions()
	requests = resource.PodRequests(pod, opts)
	opts.NonMissingContainerRequests = defaultRequests()
	if resource.IsPodLevelRequestsSet(pod) {
		for name := range opts.NonMissingContainerRequests {
			if _, ok := requests[name]; ok {
				delete(opts.NonMissingContainerRequests, name)
			}
		}
	}
	scored := requests
	if len(opts.NonMissingContainerRequests) > 0 {
		scored = resource.PodRequests(pod, opts)
	}
	c, m := scored[corev1.ResourceCPU], scored[corev1.ResourceMemory]
	return requests, c.MilliValue(), m.Value()
}

// hostPort is a port of a node that a pod has. ip "" stands for all addresses.
type hostPort struct {
	ip       string
	protocol corev1.Protocol
	number   int32
}

// hostPorts lists those of containers and sidecars.
func hostPorts(pod *corev1.Pod) []hostPort {
	var out []hostPort
	add := func(c *corev1.Container) {
		for _, p := range c.Ports {
			if p.HostPort <= 0 {
				continue
			}
			hp := hostPort{ip: p.HostIP, protocol: p.Protocol, number: p.HostPort}
			if hp.ip == "0.0.0.0" {
				hp.ip = ""
			}
			if hp.protocol == "" {
				hp.protocol = corev1.ProtocolTCP
			}
			out = append(out, hp)
		}
	}
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add(c)
		}
	}
	for i := range pod.Spec.Containers {
		add(&pod.Spec.Containers[i])
	}
	return out
}

// clash says whether both cannot be had on one node.
func (p hostPort) clash(q hostPort) bool {
	return p.number == q.number && p.protocol == q.protocol && (p.ip == q.ip || p.ip == "" || q.ip == "")
}

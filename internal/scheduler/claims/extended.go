package claims

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/resource"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// unwritten is the name of a special claim that nobody has written. It is no name that a claim can have.
const unwritten = "<extended-resources>"

// specialOwner is the pod whose special claim c is.
func specialOwner(c *resourcev1.ResourceClaim) (types.UID, bool) {
	if c.Annotations[resourcev1.ExtendedResourceClaimAnnotation] != "true" {
		return "", false
	}
	owner := metav1.GetControllerOfNoCopy(c)
	if owner == nil {
		return "", false
	}
	return owner.UID, true
}

// extended is what a pod requests by name, when a class stands behind any of it; otherwise nil.
func (r *Rule) extended(pod *corev1.Pod) map[corev1.ResourceName]int64 {
	if !r.mapped(pod) {
		return nil
	}
	all := map[corev1.ResourceName]int64{}
	found := false
	for name, q := range resource.PodRequests(pod, resource.PodResourcesOptions{}) {
		if q.IsZero() || !place.IsExtended(name) && !strings.HasPrefix(string(name), resourcev1.ResourceDeviceClassPrefix) {
			continue
		}
		all[name] = q.Value()
		found = found || r.resolver.GetDeviceClass(name) != nil
	}
	if !found {
		return nil
	}
	return all
}

// mapped says whether a container names a resource with a class behind it: the look that every pod costs.
func (r *Rule) mapped(pod *corev1.Pod) bool {
	if len(r.classes) == 0 {
		return false
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			for name := range list[i].Resources.Requests {
				if strings.Contains(string(name), "/") && r.resolver.GetDeviceClass(name) != nil {
					return true
				}
			}
		}
	}
	return false
}

// specialFor is the pod's special claim: one that an earlier attempt has left, or a new one.
func (r *Rule) specialFor(pod *corev1.Pod) *resourcev1.ResourceClaim {
	if c := r.special[pod.UID]; c != nil && c.Namespace == pod.Namespace && metav1.GetControllerOfNoCopy(c).Name == pod.Name {
		return c.ResourceClaim
	}
	c := &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: unwritten, GenerateName: pod.Name + "-extended-resources-"}}
	c.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID, Controller: new(true)}}
	c.Annotations = map[string]string{resourcev1.ExtendedResourceClaimAnnotation: "true"}
	return c
}

// specialKey stands for what the special claim's requests are made of.
func (w *wish) specialKey() []byte {
	var b strings.Builder
	if w.special.Spec.Devices.Requests != nil {
		return []byte("stale")
	}
	for i, list := range [][]corev1.Container{w.pod.Spec.InitContainers, w.pod.Spec.Containers} {
		for _, c := range list {
			fmt.Fprintf(&b, "%d %q %t", i, c.Name, sidecar(&c))
			for _, name := range slices.Sorted(maps.Keys(c.Resources.Requests)) {
				q := c.Resources.Requests[name]
				fmt.Fprintf(&b, " %q %s", name, q.String())
			}
		}
	}
	return []byte(b.String())
}

// provides names the resources that the rule finds where a node has none.
func (w *wish) provides() []corev1.ResourceName {
	var out []corev1.ResourceName
	for name := range w.scalars {
		if w.resolver.GetDeviceClass(name) != nil {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// lacking is what a node must give as devices.
func (w *wish) lacking(site place.Site) (map[corev1.ResourceName]int64, *place.Status) {
	var need map[corev1.ResourceName]int64
	for name, n := range w.scalars {
		if site.Allocatable(name) > 0 {
			continue
		}
		if w.resolver.GetDeviceClass(name) == nil {
			return nil, refuse("cannot fit resource")
		}
		if need == nil {
			need = map[corev1.ResourceName]int64{}
		}
		need[name] = n
	}
	return need, nil
}

func needKey(need map[corev1.ResourceName]int64) string {
	if len(need) == 0 {
		return ""
	}
	return fmt.Sprint(slices.Sorted(maps.Keys(need)))
}

func sidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// classOf finds the class behind a resource.
type classOf interface {
	GetDeviceClass(name corev1.ResourceName) *resourcev1.DeviceClass
}

// requestsFor are the requests of a special claim on a node that lacks some resources, by name, and which container uses
// which. An init container that ends uses again what the containers after it will have, and asks for the rest; those that
// end share one request, the largest.
func requestsFor(pod *corev1.Pod, need map[corev1.ResourceName]int64, by classOf) (requests []resourcev1.DeviceRequest,
	mappings []corev1.ContainerExtendedResourceRequest) {
	containers := slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers)
	for _, name := range slices.Sorted(maps.Keys(need)) {
		class := by.GetDeviceClass(name)
		if class == nil {
			continue
		}
		a := asking{resource: name, class: class.Name, lasting: make([]*resourcev1.DeviceRequest, len(containers))}
		for i := range containers {
			if i >= len(pod.Spec.InitContainers) || sidecar(&containers[i]) {
				a.lasting[i] = a.ask(i, &containers[i], nil)
			}
		}
		lasted := len(a.mappings)
		var most *resourcev1.DeviceRequest
		passing := map[string]bool{}
		for i := range pod.Spec.InitContainers {
			if sidecar(&containers[i]) {
				continue
			}
			if q := a.ask(i, &containers[i], a.lasting[i:]); q != nil {
				passing[q.Name] = true
				if most == nil || most.Exactly.Count < q.Exactly.Count {
					most = q
				}
			}
		}
		for i := lasted; i < len(a.mappings); i++ {
			if passing[a.mappings[i].RequestName] {
				a.mappings[i].RequestName = most.Name
			}
		}
		for _, q := range append(a.lasting, most) {
			if q != nil {
				requests = append(requests, *q)
			}
		}
		mappings = append(mappings, a.mappings...)
	}
	slices.SortFunc(requests, func(a, b resourcev1.DeviceRequest) int { return cmp.Compare(a.Name, b.Name) })
	return requests, mappings
}

// asking makes the requests for one resource.
type asking struct {
	resource corev1.ResourceName
	class    string
	lasting  []*resourcev1.DeviceRequest // by container; nil for none
	mappings []corev1.ContainerExtendedResourceRequest
}

// ask makes a container's request for what those it can use do not cover; nil when they do, or it wants nothing.
func (a *asking) ask(i int, c *corev1.Container, usable []*resourcev1.DeviceRequest) *resourcev1.DeviceRequest {
	q, ok := c.Resources.Requests[a.resource]
	wanted, whole := q.AsInt64()
	if !ok || !whole || wanted == 0 {
		return nil
	}
	use := func(request string) {
		a.mappings = append(a.mappings, corev1.ContainerExtendedResourceRequest{ContainerName: c.Name, ResourceName: string(a.resource),
			RequestName: request})
	}
	for _, r := range usable {
		if r == nil {
			continue
		}
		use(r.Name)
		if wanted -= r.Exactly.Count; wanted <= 0 {
			return nil
		}
	}
	at, _ := slices.BinarySearch(slices.Sorted(maps.Keys(c.Resources.Requests)), a.resource)
	r := &resourcev1.DeviceRequest{Name: fmt.Sprintf("container-%d-request-%d", i, at), Exactly: &resourcev1.ExactDeviceRequest{
		DeviceClassName: a.class, AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: wanted}}
	use(r.Name)
	return r
}

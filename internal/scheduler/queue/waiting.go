package queue

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"
)

// cohort is parked pods that no hint can tell apart.
type cohort struct {
	key     string
	pod     *corev1.Pod // one of them, or what once was one
	refused []string
	items   []*Item
	needs   needs

	priority int32 // whose pods may be preempted: the pod's own, or the least when it preempts nobody
	cpu      int64
}

// waiting is the parked pods by what may help them.
type waiting struct {
	enforced bool // Config.Enforced
	cohorts  map[string]*cohort
	byPlugin map[string]map[*cohort]bool
	byRoom   map[int32][]*cohort // those that NodeResourcesFit refused, by priority, then by the CPU they want, rising
}

func newWaiting(enforced bool) waiting {
	return waiting{enforced: enforced, cohorts: map[string]*cohort{}, byPlugin: map[string]map[*cohort]bool{}, byRoom: map[int32][]*cohort{}}
}

func newCohort(it *Item, enforced bool) *cohort {
	c := &cohort{key: cohortKey(it), pod: it.Pod, refused: it.refused, needs: parse(it.Pod), priority: schedulinghelpers.PodPriority(it.Pod)}
	if p := it.Pod.Spec.PreemptionPolicy; p != nil && *p == corev1.PreemptNever {
		c.priority = -1 << 31
	}
	c.needs.unsure = enforced
	c.cpu = c.needs.requests[corev1.ResourceCPU]
	return c
}

// cohortKey writes all that hints read of a pod.
func cohortKey(it *Item) string {
	p := it.Pod
	slim := corev1.Pod{Spec: corev1.PodSpec{NodeSelector: p.Spec.NodeSelector, Affinity: p.Spec.Affinity, Tolerations: p.Spec.Tolerations,
		TopologySpreadConstraints: p.Spec.TopologySpreadConstraints, Overhead: p.Spec.Overhead, Resources: p.Spec.Resources, Priority: p.Spec.Priority,
		PreemptionPolicy: p.Spec.PreemptionPolicy, SchedulerName: p.Spec.SchedulerName, ResourceClaims: p.Spec.ResourceClaims, NodeName: p.Spec.NodeName}}
	slim.Namespace, slim.Labels = p.Namespace, p.Labels
	slim.Spec.Containers, slim.Spec.InitContainers = slimmed(p.Spec.Containers), slimmed(p.Spec.InitContainers)
	for _, v := range p.Spec.Volumes {
		if v.PersistentVolumeClaim != nil || v.Ephemeral != nil {
			slim.Spec.Volumes = append(slim.Spec.Volumes, v)
			slim.UID = p.UID // claims are one pod's own, mostly
		}
	}
	if len(p.Spec.ResourceClaims) > 0 {
		slim.UID = p.UID
	}
	slim.Finalizers = it.refused
	b, err := slim.Marshal()
	if err != nil {
		panic("queue: a pod cannot be written: " + err.Error()) // only a stream can fail to be written to
	}
	return string(b)
}

func slimmed(list []corev1.Container) []corev1.Container {
	out := make([]corev1.Container, len(list))
	for i := range list {
		out[i] = corev1.Container{Resources: list[i].Resources, Ports: list[i].Ports, RestartPolicy: list[i].RestartPolicy}
	}
	return out
}

func (w *waiting) add(it *Item) {
	key := cohortKey(it)
	c := w.cohorts[key]
	if c == nil {
		c = newCohort(it, w.enforced)
		w.cohorts[key] = c
		for _, plugin := range c.refused {
			w.enter(plugin, c)
		}
	}
	it.cohort, it.place = c, len(c.items)
	c.items = append(c.items, it)
}

func (w *waiting) enter(plugin string, c *cohort) {
	if plugin == fit {
		list := w.byRoom[c.priority]
		i, _ := slices.BinarySearchFunc(list, c, byRoom)
		w.byRoom[c.priority] = slices.Insert(list, i, c)
		return
	}
	if w.byPlugin[plugin] == nil {
		w.byPlugin[plugin] = map[*cohort]bool{}
	}
	w.byPlugin[plugin][c] = true
}

// byRoom orders cohorts of one priority.
func byRoom(a, b *cohort) int {
	return cmp.Or(cmp.Compare(a.cpu, b.cpu), cmp.Compare(a.key, b.key))
}

func (w *waiting) remove(it *Item) {
	c := it.cohort
	last := len(c.items) - 1
	c.items[it.place] = c.items[last]
	c.items[it.place].place = it.place
	c.items[last] = nil
	c.items = c.items[:last]
	it.cohort = nil
	if last > 0 {
		return
	}
	delete(w.cohorts, c.key)
	for _, plugin := range c.refused {
		if plugin != fit {
			if delete(w.byPlugin[plugin], c); len(w.byPlugin[plugin]) == 0 {
				delete(w.byPlugin, plugin)
			}
			continue
		}
		list := w.byRoom[c.priority]
		if i, ok := slices.BinarySearchFunc(list, c, byRoom); ok {
			list = slices.Delete(list, i, i+1)
		}
		if w.byRoom[c.priority] = list; len(list) == 0 {
			delete(w.byRoom, c.priority)
		}
	}
}

// helped lists the pods that ev may help, in no order.
func (w *waiting) helped(ev *Event) []*Item {
	woken := map[*cohort]bool{}
	var items []*Item
	wake := func(c *cohort) {
		if !woken[c] {
			woken[c] = true
			items = append(items, c.items...)
		}
	}
	for plugin, cohorts := range w.byPlugin {
		h, known := hintOf(plugin, ev)
		if known && h == nil {
			continue
		}
		for c := range cohorts {
			if !known || h(c, ev) {
				wake(c)
			}
		}
	}
	if h, _ := hintOf(fit, ev); h != nil {
		for priority, list := range w.byRoom {
			room := ev.room(priority)
			for _, c := range list {
				if room != nil && c.cpu > room[corev1.ResourceCPU] {
					break
				}
				if h(c, ev) && c.needs.within(room) {
					wake(c)
				}
			}
		}
	}
	return items
}

// helped says whether ev may help the pods of c.
func (c *cohort) helped(ev *Event) bool {
	for _, plugin := range c.refused {
		h, known := hintOf(plugin, ev)
		if !known || h != nil && h(c, ev) && (plugin != fit || c.needs.within(ev.room(c.priority))) {
			return true
		}
	}
	return false
}

// room is what the event's node has left; nil when it is not known.
func (e *Event) room(priority int32) map[corev1.ResourceName]int64 {
	if e.Room == nil {
		return nil
	}
	return e.Room(priority)
}

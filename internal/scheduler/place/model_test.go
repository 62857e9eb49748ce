package place

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/resource"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
)

// model is the rules in plain loops over plain objects: what the table must come to, however it gets there.
type model struct {
	nodes      map[string]*corev1.Node
	pods       map[types.UID]*corev1.Pod // spec.nodeName says where
	nominated  map[types.UID]*corev1.Pod // status.nominatedNodeName says where
	namespaces map[string]map[string]string
	services   map[string]map[string]string // all in namespace "a", by name
}

func newModel() *model {
	return &model{map[string]*corev1.Node{}, map[types.UID]*corev1.Pod{}, map[types.UID]*corev1.Pod{}, map[string]map[string]string{}, map[string]map[string]string{}}
}

// question is a pod in a world: the pods by node.
type question struct {
	m     *model
	p     *Policy
	pod   *corev1.Pod
	world map[string][]*corev1.Pod
	base  map[string][]*corev1.Pod // the world as it is, where world is one that is thought of
}

func (m *model) ask(pod *corev1.Pod, p *Policy) question {
	q := question{m: m, p: p, pod: pod, world: map[string][]*corev1.Pod{}}
	for _, o := range m.pods {
		q.world[o.Spec.NodeName] = append(q.world[o.Spec.NodeName], o)
	}
	q.base = maps.Clone(q.world)
	return q
}

// with is the same world with the nominated pods of a node; false when there are none that matter.
func (q question) with(node string) (question, bool) {
	out := q
	out.world = maps.Clone(q.world)
	found := false
	for _, o := range q.m.nominated {
		if o.Status.NominatedNodeName == node && schedulinghelpers.PodPriority(o) >= schedulinghelpers.PodPriority(q.pod) && o.UID != q.pod.UID {
			out.world[node] = append(slices.Clone(out.world[node]), o)
			found = true
		}
	}
	return out, found
}

func (q question) verdicts() map[string]Verdict {
	out := map[string]Verdict{}
	var feasible []string
	for name := range q.m.nodes {
		var s *Status
		if names, ok := q.aimed(); ok && !slices.Contains(names, name) {
			s = refuse(Unresolvable, "", "node(s) didn't satisfy plugin(s) [NodeAffinity]")
		} else if w, ok := q.with(name); ok {
			if s = w.filter(name); s == nil {
				s = q.filter(name)
			}
		} else {
			s = q.filter(name)
		}
		out[name] = Verdict{Node: name, Status: s}
		if s == nil {
			feasible = append(feasible, name)
		}
	}
	scores := map[string]map[string]int64{}
	for _, w := range q.p.Scores {
		scores[w.Name] = q.score(w.Name, feasible)
	}
	for _, name := range feasible {
		v := out[name]
		for _, w := range q.p.Scores {
			s := scores[w.Name][name] * w.Weight
			v.Scores = append(v.Scores, Score{w.Name, s})
			v.Total += s
		}
		out[name] = v
	}
	return out
}

func (q question) aimed() ([]string, bool) {
	a := q.pod.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil, false
	}
	var names []string
	for _, t := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		if len(t.MatchFields) == 0 {
			return nil, false
		}
		names = append(names, t.MatchFields[0].Values...)
	}
	return names, true
}

func (q question) filter(name string) *Status {
	for _, plugin := range q.p.Filters {
		if s := q.filterBy(plugin, q.m.nodes[name]); s != nil {
			return s
		}
	}
	return nil
}

func tolerates(pod *corev1.Pod, t *corev1.Taint) bool {
	return schedulinghelpers.TolerationsTolerateTaint(klog.Logger{}, pod.Spec.Tolerations, t, false)
}

func tolerant(pod *corev1.Pod, n *corev1.Node) bool {
	for i := range n.Spec.Taints {
		if t := &n.Spec.Taints[i]; t.Effect != corev1.TaintEffectPreferNoSchedule && !tolerates(pod, t) {
			return false
		}
	}
	return true
}

func affine(pod *corev1.Pod, n *corev1.Node) bool {
	ok, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(n)
	return ok && err == nil
}

func (q question) filterBy(plugin string, n *corev1.Node) *Status {
	no := func(bad bool, code Code, reason string) *Status {
		if bad {
			return refuse(code, plugin, reason)
		}
		return nil
	}
	switch plugin {
	case NodeUnschedulable:
		return no(n.Spec.Unschedulable && !tolerates(q.pod, &corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}),
			Unresolvable, reasonUnschedulable)
	case TaintToleration:
		return no(!tolerant(q.pod, n), Unresolvable, reasonTaint)
	case NodeAffinity:
		return no(!affine(q.pod, n), Unresolvable, reasonAffinity)
	case NodePorts:
		taken := false
		for _, o := range q.world[n.Name] {
			for _, a := range hostPorts(o) {
				for _, b := range hostPorts(q.pod) {
					taken = taken || a.clash(b)
				}
			}
		}
		return no(taken, Unschedulable, reasonPorts)
	case NodeResourcesFit:
		return q.fit(n)
	case PodTopologySpread:
		return q.spread(n)
	case InterPodAffinity:
		return q.interpod(n)
	}
	return nil
}

func value(list corev1.ResourceList, name corev1.ResourceName) int64 {
	v := list[name]
	if name == corev1.ResourceCPU {
		return v.MilliValue()
	}
	return v.Value()
}

func (q question) fit(n *corev1.Node) *Status {
	s := refuse(Unschedulable, NodeResourcesFit)
	if int64(len(q.world[n.Name])+1) > value(n.Status.Allocatable, corev1.ResourcePods) {
		s.Reasons = append(s.Reasons, reasonPods)
	}
	requests := resource.PodRequests(q.pod, resource.PodResourcesOptions{})
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage, "x.example/y"} {
		want, have := value(requests, name), value(n.Status.Allocatable, name)
		used := int64(0)
		for _, o := range q.world[n.Name] {
			used += value(resource.PodRequests(o, placedOptions()), name)
		}
		if want > 0 && want > have-used {
			s.Reasons = append(s.Reasons, "Insufficient "+string(name))
			if want > have {
				s.Code = Unresolvable
			}
		}
	}
	if s.Reasons == nil {
		return nil
	}
	return s
}

// selector is of a constraint; nil when it does not hold.
func (q question) selector(c corev1.TopologySpreadConstraint) labels.Selector {
	if len(q.pod.Spec.TopologySpreadConstraints) > 0 {
		s, _ := metav1.LabelSelectorAsSelector(c.LabelSelector)
		for _, k := range c.MatchLabelKeys {
			if v, ok := q.pod.Labels[k]; ok {
				requirements, _ := labels.SelectorFromSet(labels.Set{k: v}).Requirements()
				s = s.Add(requirements...)
			}
		}
		return s
	}
	set := labels.Set{}
	for _, name := range slices.Sorted(maps.Keys(q.m.services)) {
		if of := q.m.services[name]; q.pod.Namespace == "a" && labels.SelectorFromSet(of).Matches(labels.Set(q.pod.Labels)) {
			set = labels.Merge(set, of)
		}
	}
	if len(set) == 0 {
		return nil
	}
	return set.AsSelector()
}

func (q question) constraints(when corev1.UnsatisfiableConstraintAction) (out []corev1.TopologySpreadConstraint) {
	list := q.pod.Spec.TopologySpreadConstraints
	if len(list) == 0 {
		list = q.p.spread
	}
	for _, c := range list {
		if c.WhenUnsatisfiable == when && q.selector(c) != nil {
			out = append(out, c)
		}
	}
	return out
}

func (q question) counted(c corev1.TopologySpreadConstraint, node string) (n int64) {
	s := q.selector(c)
	for _, o := range q.world[node] {
		if o.DeletionTimestamp == nil && o.Namespace == q.pod.Namespace && s.Matches(labels.Set(o.Labels)) {
			n++
		}
	}
	return n
}

func included(pod *corev1.Pod, c corev1.TopologySpreadConstraint, n *corev1.Node) bool {
	if (c.NodeAffinityPolicy == nil || *c.NodeAffinityPolicy == corev1.NodeInclusionPolicyHonor) && !affine(pod, n) {
		return false
	}
	return c.NodeTaintsPolicy == nil || *c.NodeTaintsPolicy == corev1.NodeInclusionPolicyIgnore || tolerant(pod, n)
}

func hasAll(n *corev1.Node, list []corev1.TopologySpreadConstraint) bool {
	for _, c := range list {
		if _, ok := n.Labels[c.TopologyKey]; !ok {
			return false
		}
	}
	return true
}

func (q question) spread(n *corev1.Node) *Status {
	list := q.constraints(corev1.DoNotSchedule)
	for _, c := range list {
		sums := map[string]int64{}
		for _, o := range q.m.nodes {
			if hasAll(o, list) && included(q.pod, c, o) {
				sums[o.Labels[c.TopologyKey]] += q.counted(c, o.Name)
			}
		}
		v, ok := n.Labels[c.TopologyKey]
		if !ok {
			return refuse(Unresolvable, PodTopologySpread, reasonSpreadLabel)
		}
		least := int64(0)
		if c.MinDomains == nil && len(sums) > 0 || c.MinDomains != nil && len(sums) >= int(*c.MinDomains) && len(sums) > 0 {
			least = slices.Min(slices.Collect(maps.Values(sums)))
		}
		self := int64(0)
		if q.selector(c).Matches(labels.Set(q.pod.Labels)) {
			self = 1
		}
		if sums[v]+self-least > int64(c.MaxSkew) {
			return refuse(Unschedulable, PodTopologySpread, reasonSpread)
		}
	}
	return nil
}

// covers reads a term of owner. unroll: namespaces must exist to be chosen by their labels.
func (m *model) covers(owner *corev1.Pod, t *corev1.PodAffinityTerm, o *corev1.Pod, unroll bool) bool {
	in := slices.Contains(t.Namespaces, o.Namespace) || len(t.Namespaces) == 0 && t.NamespaceSelector == nil && owner.Namespace == o.Namespace
	if s, _ := metav1.LabelSelectorAsSelector(t.NamespaceSelector); !in && t.NamespaceSelector != nil {
		set, exists := m.namespaces[o.Namespace]
		in = s.Matches(labels.Set(set)) && (exists || !unroll || s.Empty())
	}
	s, _ := metav1.LabelSelectorAsSelector(t.LabelSelector)
	return in && s.Matches(labels.Set(o.Labels))
}

func podTerms(pod *corev1.Pod, anti bool) []corev1.PodAffinityTerm {
	if a := pod.Spec.Affinity; a != nil && anti && a.PodAntiAffinity != nil {
		return a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	} else if a != nil && !anti && a.PodAffinity != nil {
		return a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	return nil
}

func podWishes(pod *corev1.Pod) (out []corev1.WeightedPodAffinityTerm) {
	if a := pod.Spec.Affinity; a != nil && a.PodAffinity != nil {
		out = append(out, a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution...)
	}
	if a := pod.Spec.Affinity; a != nil && a.PodAntiAffinity != nil {
		for _, w := range a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
			w.Weight = -w.Weight
			out = append(out, w)
		}
	}
	return out
}

// everyone ranges over the pods on known nodes.
func (q question) everyone(f func(n *corev1.Node, o *corev1.Pod)) {
	for name, n := range q.m.nodes {
		for _, o := range q.world[name] {
			f(n, o)
		}
	}
}

// concerned says whether the world as it is makes affinity a matter for the pod; otherwise upstream does not ask.
func (q question) concerned() bool {
	found := len(podTerms(q.pod, false))+len(podTerms(q.pod, true)) > 0
	q.world = q.base
	q.everyone(func(at *corev1.Node, o *corev1.Pod) {
		for _, t := range podTerms(o, true) {
			_, labelled := at.Labels[t.TopologyKey]
			found = found || labelled && q.m.covers(o, &t, q.pod, false)
		}
	})
	return found
}

func (q question) interpod(n *corev1.Node) *Status {
	if !q.concerned() {
		return nil
	}
	same := func(a *corev1.Node, key string) bool {
		v, ok := n.Labels[key]
		w, has := a.Labels[key]
		return ok && has && v == w
	}
	all := func(terms []corev1.PodAffinityTerm, o *corev1.Pod) bool {
		for i := range terms {
			if !q.m.covers(q.pod, &terms[i], o, true) {
				return false
			}
		}
		return true
	}
	terms := podTerms(q.pod, false)
	met, any := map[string]bool{}, false
	anti, existing := false, false
	q.everyone(func(at *corev1.Node, o *corev1.Pod) {
		if len(terms) > 0 && all(terms, o) {
			for _, t := range terms {
				_, labelled := at.Labels[t.TopologyKey]
				any = any || labelled
				met[t.TopologyKey] = met[t.TopologyKey] || same(at, t.TopologyKey)
			}
		}
		for _, t := range podTerms(q.pod, true) {
			anti = anti || q.m.covers(q.pod, &t, o, true) && same(at, t.TopologyKey)
		}
		for _, t := range podTerms(o, true) {
			existing = existing || q.m.covers(o, &t, q.pod, false) && same(at, t.TopologyKey)
		}
	})
	ok := true
	for _, t := range terms {
		if _, labelled := n.Labels[t.TopologyKey]; !labelled {
			return refuse(Unresolvable, InterPodAffinity, reasonPodAffinity)
		}
		ok = ok && met[t.TopologyKey]
	}
	switch {
	case !ok && (any || !all(terms, q.pod)):
		return refuse(Unresolvable, InterPodAffinity, reasonPodAffinity)
	case anti:
		return refuse(Unschedulable, InterPodAffinity, reasonPodAnti)
	case existing:
		return refuse(Unschedulable, InterPodAffinity, reasonExistingAnti)
	}
	return nil
}

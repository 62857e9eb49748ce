package place

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/nodedeclaredfeatures"
	"k8s.io/component-helpers/resource"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// template is a pod's rules, parsed. Pods that differ in nothing but name, labels and the node they are aimed at share one.
type template struct {
	id     uint64
	policy *Policy

	nodeName    string
	tolerations []corev1.Toleration
	required    nodeaffinity.RequiredNodeAffinity
	preferred   *nodeaffinity.PreferredSchedulingTerms // nil: none
	features    nodedeclaredfeatures.FeatureSet
	ports       []hostPort
	requests    []amount
	fit         asked // what NodeResourcesFit scores
	balanced    asked // what NodeResourcesBalancedAllocation scores; empty for a pod that asks for nothing of it
	images      []string
	containers  int64
	hard, soft  []constraint
	spreads     bool // the pod has constraints of its own; otherwise the policy's, with the selector of services and owner
	affinity
}

// asked is what a pod adds to the resources that a score looks at, by their numbers.
type asked struct {
	resources []int
	weights   []int64
	values    []int64
}

// constraint is a topology spread constraint, parsed.
type constraint struct {
	topology                   string
	maxSkew, minDomains        int64
	selector                   labels.Selector // of the policy's constraints nil until services and owner are asked
	honorAffinity, honorTaints bool
}

// aim is the nodes that a pod's affinity names, as upstream's NodeAffinity reads them before any filter.
type aim struct {
	names    []string // nil: any
	conflict bool     // the names exclude each other
}

// aimed reads the aim of a pod, and what of its required affinity remains to be asked of nodes when it is aimed at one
// node only. So the pods of a DaemonSet, each aimed at a node of its own, are of one class. Where spreading counts the
// nodes that the affinity allows, nothing is left out.
func (p *Policy) aimed(pod *corev1.Pod) (aim, *corev1.NodeSelector) {
	a := pod.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return aim{}, nil
	}
	whole := a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	var names []string
	for i, t := range whole.NodeSelectorTerms {
		named := namedBy(t.MatchFields)
		if named == nil {
			return aim{}, whole
		}
		if i == 0 {
			names = named
		} else {
			names = append(names, named...)
		}
	}
	if len(whole.NodeSelectorTerms) == 0 || !p.filters(NodeAffinity) {
		return aim{}, whole
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 0 {
		return aim{conflict: true}, whole
	}
	hard := slices.ContainsFunc(p.spread, func(c corev1.TopologySpreadConstraint) bool { return c.WhenUnsatisfiable == corev1.DoNotSchedule })
	if len(names) > 1 || len(whole.NodeSelectorTerms) > 1 || len(pod.Spec.TopologySpreadConstraints) > 0 || hard {
		return aim{names: names}, whole
	}
	rest := corev1.NodeSelectorTerm{MatchExpressions: whole.NodeSelectorTerms[0].MatchExpressions}
	for _, f := range whole.NodeSelectorTerms[0].MatchFields {
		if f.Key != metav1.ObjectNameField || f.Operator != corev1.NodeSelectorOpIn {
			rest.MatchFields = append(rest.MatchFields, f)
		}
	}
	if len(rest.MatchExpressions) == 0 && len(rest.MatchFields) == 0 {
		return aim{names: names}, nil
	}
	return aim{names: names}, &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{rest}}
}

// namedBy intersects the node names that fields demand; nil when they demand none, empty when they contradict.
func namedBy(fields []corev1.NodeSelectorRequirement) []string {
	var names []string
	for _, f := range fields {
		if f.Key != metav1.ObjectNameField || f.Operator != corev1.NodeSelectorOpIn {
			continue
		}
		if names == nil {
			names = append([]string{}, f.Values...)
		} else {
			names = slices.DeleteFunc(names, func(n string) bool { return !slices.Contains(f.Values, n) })
		}
	}
	return names
}

// template finds or parses the template of a pod.
func (t *Table) template(pod *corev1.Pod, p *Policy, required *corev1.NodeSelector) (*template, error) {
	var features nodedeclaredfeatures.FeatureSet
	if p.filters(NodeDeclaredFeatures) {
		var err error
		of := &nodedeclaredfeatures.PodInfo{Spec: &pod.Spec}
		if features, err = nodedeclaredfeatures.DefaultFramework.InferForPodScheduling(of, t.features136); err != nil {
			return nil, fmt.Errorf("running PreFilter plugin %q: %w", NodeDeclaredFeatures, err)
		}
	}
	key := t.templateKey(pod, p, required, features)
	if tm := t.templates[string(key)]; tm != nil {
		return tm, nil
	}
	stored := string(key)
	tm, err := t.parse(pod, p, required)
	if err != nil {
		return nil, err
	}
	tm.features = features
	t.keepTemplate(stored, tm)
	return tm, nil
}

func (t *Table) parse(pod *corev1.Pod, p *Policy, required *corev1.NodeSelector) (*template, error) {
	slim := &corev1.Pod{}
	slim.Spec.NodeSelector = pod.Spec.NodeSelector
	slim.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: required}}
	tm := &template{policy: p, nodeName: pod.Spec.NodeName, tolerations: pod.Spec.Tolerations, required: nodeaffinity.GetRequiredNodeAffinity(slim),
		ports: hostPorts(pod), spreads: len(pod.Spec.TopologySpreadConstraints) > 0,
		containers: int64(len(pod.Spec.InitContainers) + len(pod.Spec.Containers))}
	if a := pod.Spec.Affinity; a != nil && a.NodeAffinity != nil {
		terms, err := nodeaffinity.NewPreferredSchedulingTerms(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
		if err != nil {
			return nil, fmt.Errorf("running PreScore plugin %q: %w", NodeAffinity, err)
		}
		tm.preferred = terms
	}
	t.parseRequests(pod, tm)
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			tm.images = append(tm.images, imageName(list[i].Image))
		}
	}
	for i := range pod.Spec.Volumes {
		if img := pod.Spec.Volumes[i].Image; img != nil {
			tm.images = append(tm.images, imageName(img.Reference))
		}
	}
	if err := tm.parseSpread(pod); err != nil {
		return nil, fmt.Errorf("running PreFilter plugin %q: %w", PodTopologySpread, err)
	}
	var err error
	if tm.affinity, err = parseAffinity(pod); err != nil {
		return nil, fmt.Errorf("running PreFilter plugin %q: parsing pod: %w", InterPodAffinity, err)
	}
	return tm, nil
}

// parseRequests computes what filters and scores add to a node. The options are upstream's, which differ: the filter and
// the balance take a pod's requests at pod level, the score of NodeResourcesFit does not.
func (t *Table) parseRequests(pod *corev1.Pod, tm *template) {
	tm.requests = slices.DeleteFunc(t.amounts(resource.PodRequests(pod, resource.PodResourcesOptions{})), func(a amount) bool { return a.value <= 0 })
	tm.fit = t.ask(tm.policy.Resources, resource.PodRequests(pod, resource.PodResourcesOptions{SkipPodLevelResources: true,
		NonMissingContainerRequests: defaultRequests()}))
	tm.balanced = t.ask(tm.policy.Balanced, resource.PodRequests(pod, placedOptions()))
	if !slices.ContainsFunc(tm.balanced.values, func(v int64) bool { return v != 0 }) {
		tm.balanced = asked{}
	}
}

// ask looks up the resources of a score. One that is nobody's standard and that the pod does not want is left out.
func (t *Table) ask(of []Weighted, requests corev1.ResourceList) asked {
	var a asked
	for _, r := range of {
		name := corev1.ResourceName(r.Name)
		q := requests[name]
		value := q.Value()
		if name == corev1.ResourceCPU {
			value = q.MilliValue()
		}
		if id, known := t.ids[name]; (!known || id >= fixed) && (value == 0 || !isScalar(name)) {
			continue
		}
		a.resources, a.weights, a.values = append(a.resources, t.id(name)), append(a.weights, r.Weight), append(a.values, value)
	}
	return a
}

// parseSpread parses a pod's own constraints, or its policy's.
func (tm *template) parseSpread(pod *corev1.Pod) error {
	list := pod.Spec.TopologySpreadConstraints
	if !tm.spreads {
		list = tm.policy.spread
	}
	for i := range list {
		c := &list[i]
		out := constraint{topology: c.TopologyKey, maxSkew: int64(c.MaxSkew), minDomains: 1, honorAffinity: true}
		if c.MinDomains != nil {
			out.minDomains = int64(*c.MinDomains)
		}
		if c.NodeAffinityPolicy != nil {
			out.honorAffinity = *c.NodeAffinityPolicy == corev1.NodeInclusionPolicyHonor
		}
		if c.NodeTaintsPolicy != nil {
			out.honorTaints = *c.NodeTaintsPolicy == corev1.NodeInclusionPolicyHonor
		}
		if tm.spreads {
			var err error
			if out.selector, err = spreadSelector(c, pod.Labels); err != nil {
				return err
			}
		}
		if c.WhenUnsatisfiable == corev1.DoNotSchedule {
			tm.hard = append(tm.hard, out)
		} else if c.WhenUnsatisfiable == corev1.ScheduleAnyway {
			tm.soft = append(tm.soft, out)
		}
	}
	return nil
}

// spreadSelector adds the pod's own values of matchLabelKeys to a constraint's selector.
func spreadSelector(c *corev1.TopologySpreadConstraint, set map[string]string) (labels.Selector, error) {
	selector, err := metav1.LabelSelectorAsSelector(c.LabelSelector)
	if err != nil {
		return nil, err
	}
	merged := labels.Set{}
	for _, k := range c.MatchLabelKeys {
		if v, ok := set[k]; ok {
			merged[k] = v
		}
	}
	requirements, selectable := selector.Requirements()
	if len(merged) == 0 || !selectable {
		return selector, nil
	}
	return labels.SelectorFromSet(merged).Add(requirements...), nil
}

// imageName adds the tag that a name without one stands for.
func imageName(name string) string {
	for i := len(name) - 1; i >= 0; i-- {
		switch name[i] {
		case ':':
			return name
		case '/':
			return name + ":latest"
		}
	}
	return name + ":latest"
}

// defaultSelector is what the policy's constraints spread a pod by: its services' selectors and its owner's.
func (t *Table) defaultSelector(pod *corev1.Pod) labels.Selector {
	var merged labels.Set
	for _, of := range t.services[pod.Namespace] {
		if within(of, pod.Labels) {
			merged = labels.Merge(merged, of) // in any order: what matches the pod cannot contradict itself
		}
	}
	selector := merged.AsSelector()
	ref := metav1.GetControllerOfNoCopy(pod)
	if ref == nil {
		return selector
	}
	owner := Owner{Kind: OwnerKind(ref.Kind), Namespace: pod.Namespace, Name: ref.Name}
	version := "apps/v1"
	if owner.Kind == ReplicationController {
		version = "v1"
	}
	of, ok := t.owners[owner]
	if !ok || ref.APIVersion != version {
		return selector
	}
	requirements, selectable := of.Requirements()
	if !selectable {
		return selector
	}
	if owner.Kind == ReplicationController { // whose labels replace those of services, where others' requirements add to them
		for i := range requirements {
			if v, ok := of.RequiresExactMatch(requirements[i].Key()); ok {
				merged = labels.Merge(merged, labels.Set{requirements[i].Key(): v})
			}
		}
		return merged.AsSelector()
	}
	return selector.Add(requirements...)
}

// within says whether all of part is in whole.
func within(part, whole map[string]string) bool {
	for k, v := range part {
		if got, ok := whole[k]; !ok || got != v {
			return false
		}
	}
	return true
}

package daemonset

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
)

// burst bounds how many pods are made, and how many deleted, in one round, as upstream's.
const burst = 250

// generationLabel tells the number of the template that a pod was made from.
const generationLabel = "pod-template-generation"

// Input is what a decision rests on. Nothing of it is changed.
type Input struct {
	Set       *appsv1.DaemonSet
	Nodes     []*corev1.Node // all of them
	Pods      []*corev1.Pod
	Revisions []*appsv1.ControllerRevision
	Taken     func(name string) *appsv1.ControllerRevision // of the set's namespace, whosever it is; nil: none
	Held      func(node string) time.Duration              // how long a failed pod of a node is left as it is yet
}

// Decision is what to do now.
type Decision struct {
	History []engine.Write // first of all
	Hash    string         // of the template, for the pods that are made
	Create  []string       // nodes that get a pod
	Delete  []*corev1.Pod
	Found   []Found // pods that have ended, among those to delete
	Forget  []*appsv1.ControllerRevision
	Status  *appsv1.DaemonSetStatus // nil: unchanged
	After   time.Duration           // look again then; 0: on a change only
	Waiting string
}

// Found is a pod that has ended, and its node.
type Found struct {
	Pod  *corev1.Pod
	Node string
}

// round is a decision in the making.
type round struct {
	Input
	now      time.Time
	verdicts map[string]verdict       // by node; nodes that are not there have none
	names    []string                 // of nodes, sorted: those that are there, and those that pods are for
	on       map[string][]*corev1.Pod // by target, oldest first; without those that are as good as gone
	history  history
	number   string // of the template; "" when the set does not say
	desired  int    // wanted nodes
	dec      Decision
}

// Decide is the core. It fails only for a strategy that validation does not let in.
func Decide(in Input, now time.Time) (Decision, error) {
	r := &round{Input: in, now: now, history: historyOf(in), number: templateNumber(in.Set)}
	r.dec.Hash, r.dec.History = r.history.hash, r.history.writes
	r.sort()
	if r.history.relabelled {
		r.dec.Waiting = "pods to be labelled anew"
	} else if err := r.act(); err != nil {
		return Decision{}, err
	}
	r.dec.Create, r.dec.Delete = r.dec.Create[:min(burst, len(r.dec.Create))], r.dec.Delete[:min(burst, len(r.dec.Delete))]
	r.dec.Forget = r.history.surplus(in)
	r.dec.Status = r.status()
	return r.dec, nil
}

// sort finds out about nodes, and which pods are for which.
func (r *round) sort() {
	r.verdicts, r.on = make(map[string]verdict, len(r.Nodes)), make(map[string][]*corev1.Pod, len(r.Nodes))
	p := placeOf(r.Set)
	for _, n := range r.Nodes {
		v := p.on(n)
		r.verdicts[n.Name] = v
		if v.wanted {
			r.desired++
		}
	}
	for _, pod := range r.Pods {
		if pods.Ended(pod) && pod.DeletionTimestamp != nil {
			continue
		}
		if node := target(pod); node != "" {
			r.on[node] = append(r.on[node], pod)
			r.look(pods.AvailableAt(pod, r.Set.Spec.MinReadySeconds).Sub(r.now))
		}
	}
	for _, list := range r.on {
		slices.SortStableFunc(list, elder)
	}
	every := maps.Clone(r.verdicts)
	for node := range r.on {
		every[node] = r.verdicts[node]
	}
	r.names = slices.Sorted(maps.Keys(every))
}

// elder sorts pods that have a node first, then by age.
func elder(a, b *corev1.Pod) int {
	if on, other := a.Spec.NodeName != "", b.Spec.NodeName != ""; on != other {
		if on {
			return -1
		}
		return 1
	}
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}

// act manages, and when there is nothing to manage rolls.
func (r *round) act() error {
	for _, node := range r.names {
		r.manage(node)
	}
	if len(r.dec.Create)+len(r.dec.Delete) > 0 || r.Set.Spec.UpdateStrategy.Type != appsv1.RollingUpdateDaemonSetStrategyType {
		return nil
	}
	surge, down, err := limits(r.Set, r.desired)
	switch {
	case err != nil:
		return err
	case surge == 0:
		r.replace(down)
	default:
		r.surge(surge)
	}
	return nil
}

// manage sees to a node: that it has a pod when it is wanted, none when it is not bearable, and not too many.
func (r *round) manage(node string) {
	v, there := r.verdicts[node]
	list := r.on[node]
	switch {
	case !there:
		for _, p := range list { // nobody else removes what waits for a node that does not come
			if p.Spec.NodeName == "" {
				r.delete(p)
			}
		}
	case v.wanted && len(list) == 0:
		r.dec.Create = append(r.dec.Create, node)
	case !v.bearable:
		for _, p := range list {
			r.delete(p)
		}
	default:
		r.thin(node, v, r.running(node, list))
	}
}

func (r *round) delete(p *corev1.Pod) {
	if p.DeletionTimestamp == nil {
		r.dec.Delete = append(r.dec.Delete, p)
	}
}

// look asks for a look again after d.
func (r *round) look(d time.Duration) {
	if d > 0 && (r.dec.After == 0 || d < r.dec.After) {
		r.dec.After = d
	}
}

// running are the pods of a node that are to stay if it has no others: those that have ended are deleted, save that failed ones may have to wait.
func (r *round) running(node string, list []*corev1.Pod) (live []*corev1.Pod) {
	for _, p := range list {
		switch {
		case p.DeletionTimestamp != nil:
		case !pods.Ended(p):
			live = append(live, p)
		case p.Status.Phase == corev1.PodFailed && r.Held(node) > 0:
			r.look(r.Held(node))
			r.dec.Waiting = fmt.Sprintf("the back-off of failed pod %s", p.Name)
		default:
			r.delete(p)
			r.dec.Found = append(r.dec.Found, Found{p, node})
		}
	}
	return live
}

// thin leaves a bearable node its eldest pod; a set that surges may have an old one and a new one there while the new one is not available, and gets one as
// soon as what is there is going.
func (r *round) thin(node string, v verdict, live []*corev1.Pod) {
	switch {
	case !surges(r.Set):
		for _, p := range live[min(1, len(live)):] {
			r.delete(p)
		}
		return
	case len(live) == 0:
		if v.wanted {
			r.dec.Create = append(r.dec.Create, node)
		}
		return
	case len(live) == 1:
		return
	}
	var fresh, old *corev1.Pod
	for _, p := range live {
		switch made := p.Labels[hashLabel] == r.history.hash; {
		case made && fresh == nil:
			fresh = p
		case !made && old == nil:
			old = p
		default:
			r.delete(p)
		}
	}
	if fresh != nil && old != nil && (!pods.Ready(old) || r.available(fresh)) {
		r.delete(old)
	}
}

func (r *round) available(p *corev1.Pod) bool {
	return pods.Available(p, r.Set.Spec.MinReadySeconds, r.now)
}

// templateNumber is how often a set's template has changed, which the API counts in an annotation; "" when it is no number.
func templateNumber(set *appsv1.DaemonSet) string {
	n, err := strconv.ParseInt(set.Annotations[appsv1.DeprecatedTemplateGeneration], 10, 64)
	if err != nil {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// updated says that a pod is of the template as it is.
func (r *round) updated(p *corev1.Pod) bool {
	return r.history.hash != "" && p.Labels[hashLabel] == r.history.hash || r.number != "" && p.Labels[generationLabel] == r.number
}

// podsFor makes the pods that a decision asks for.
func podsFor(set *appsv1.DaemonSet, dec Decision) []*corev1.Pod {
	list := make([]*corev1.Pod, len(dec.Create))
	ref, number := *metav1.NewControllerRef(set, kind()), templateNumber(set)
	for i, node := range dec.Create {
		p := pods.FromTemplate(&set.Spec.Template, set, ref)
		p.Spec.Tolerations = tolerations(&p.Spec)
		p.Spec.Affinity = aimed(p.Spec.Affinity, node)
		if p.Labels == nil {
			p.Labels = map[string]string{}
		}
		p.Labels[hashLabel] = dec.Hash
		if number != "" {
			p.Labels[generationLabel] = number
		}
		list[i] = p
	}
	return list
}

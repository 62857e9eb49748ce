package preempt

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// Name is the plug-in's.
const Name = "DefaultPreemption"

// What the message of a pod that fits nowhere ends with, upstream's.
const (
	prefix         = "preemption: "
	messageNever   = "not eligible due to preemptionPolicy=Never."
	messageWaiting = "not eligible due to a terminating pod on the nominated node."
	messageNone    = "no candidate node for preemption"
	reasonLonely   = "No preemption victims found for incoming pod"
	reasonUseless  = "Preemption is not helpful for scheduling"
)

// Plan is what preemption comes to.
type Plan struct {
	Node       string         // to be nominated; "" when preemption does not help
	Victims    []place.Placed // on Node, the most important first, some of them terminating already perhaps
	Violations int            // of budgets by Victims
	// Message is why Node is "", as the message of the event FailedScheduling ends with it; "" with Node.
	Message string
	// Failed says that something went wrong: the message is all that is said, without what other plug-ins said before (Tail).
	Failed bool
	// Clear says that a node that was nominated for the pod is so no more: without Node, the pod's nomination goes. When
	// false, it stays as it was.
	Clear bool
}

// Candidate is a node and the victims that would do there.
type Candidate struct {
	Node       string
	Victims    []place.Placed
	Violations int
}

// Extend asks the extenders that take part in preemption: which of the candidates they leave, perhaps with other victims.
// An error ends the attempt; its text is the message.
type Extend func([]Candidate) ([]Candidate, error)

// Preemptor finds victims in a table.
type Preemptor struct {
	table    *place.Table
	budgets  *Budgets
	memories map[remembered]*memory
	clock    uint64 // of uses
	scratch  attempt
}

// New returns a Preemptor for a table and the budgets that its pods have. Both are changed by their owner as the cluster
// changes.
func New(t *place.Table, b *Budgets) *Preemptor {
	return &Preemptor{table: t, budgets: b, memories: map[remembered]*memory{}}
}

// Preempt finds victims for a pod for which Decide found no node. failure is that of the decision; nil when it is not at
// hand. extend may be nil. The table is as before.
//
// An error says that a plug-in cannot read the pod; Decide says so before.
func (p *Preemptor) Preempt(pod *corev1.Pod, policy *place.Policy, failure *place.Failure, extend Extend) (Plan, error) {
	if pod.Spec.PreemptionPolicy != nil && *pod.Spec.PreemptionPolicy == corev1.PreemptNever {
		return Plan{Message: prefix + messageNever}, nil
	}
	trial, refused, err := p.table.Try(pod, policy)
	if err != nil {
		return Plan{}, err
	}
	if trial != nil && p.waits(pod, trial) {
		return Plan{Message: prefix + messageWaiting}, nil
	}
	if refused != nil || failure != nil && failure.Mendable == 0 {
		return p.useless(nil), nil
	}
	a := &p.scratch
	a.table, a.trial, a.budgets, a.priority = p.table, trial, p.budgets, schedulinghelpers.PodPriority(pod)
	defer func() { a.trial = nil }()
	s := p.search(pod, a)
	if extend != nil {
		return p.extended(s, extend)
	}
	if row := s.best(); row >= 0 {
		c := s.candidate(row)
		return Plan{Node: c.Node, Victims: c.Victims, Violations: c.Violations}, nil
	}
	return p.failed(s), nil
}

// waits says whether a victim of an earlier attempt still terminates on the node that is nominated for the pod. It does not
// matter when the node has become hopeless.
func (p *Preemptor) waits(pod *corev1.Pod, trial *place.Trial) bool {
	row, ok := p.table.RowOf(pod.Status.NominatedNodeName)
	if !ok {
		return false
	}
	if rows, aimed := trial.Aimed(); aimed && !slices.Contains(rows, row) {
		return false
	}
	if s := trial.Refusal(row); s != nil && s.Code == place.Unresolvable {
		return false
	}
	priority := schedulinghelpers.PodPriority(pod)
	for victim := range p.table.PodsOn(pod.Status.NominatedNodeName) {
		if victim.Priority < priority && victim.Preempted {
			return true
		}
	}
	return false
}

// useless is the plan when statuses, by how many nodes gave each, say why no victims help; other nodes were not tried.
func (p *Preemptor) useless(statuses map[*place.Status]int) Plan {
	tried := 0
	for _, n := range statuses {
		tried += n
	}
	if rest := p.table.Nodes() - tried; rest > 0 {
		if statuses == nil {
			statuses = map[*place.Status]int{}
		}
		statuses[&place.Status{Code: place.Unresolvable, Reasons: []string{reasonUseless}}] = rest
	}
	return Plan{Message: prefix + place.Count(p.table.Nodes(), statuses).Message(""), Clear: true}
}

// failed is the plan when no row is a candidate.
func (p *Preemptor) failed(s *search) Plan {
	alone := &place.Status{Code: place.Unresolvable, Reasons: []string{reasonLonely}}
	statuses := map[*place.Status]int{}
	var errs []error
	for row := range s.rows() {
		switch o := s.outcome(row); o.state {
		case lonely:
			statuses[alone]++
		case stuck:
			if o.status.Code == place.Error {
				errs = append(errs, fmt.Errorf("running %q filter plugin: %s", o.status.Plugin, o.status.Message()))
			}
			statuses[o.status]++
		case fits:
			errs = append(errs, fmt.Errorf("expected at least one victim pod on node %q", p.table.NodeAt(row)))
		}
	}
	if err := utilerrors.NewAggregate(errs); err != nil {
		return Plan{Message: prefix + err.Error(), Failed: true}
	}
	return p.useless(statuses)
}

// extended is the plan that extenders leave.
func (p *Preemptor) extended(s *search, extend Extend) (Plan, error) {
	var list []Candidate
	for row := range s.rows() {
		if o := s.outcome(row); o.state == mends {
			list = append(list, s.candidate(row))
		}
	}
	if len(list) == 0 {
		return p.failed(s), nil
	}
	list, err := extend(list)
	if err != nil {
		return Plan{Message: prefix + err.Error(), Failed: true}, nil
	}
	if len(list) == 0 {
		return Plan{Message: prefix + messageNone}, nil
	}
	best := slices.MinFunc(list, func(a, b Candidate) int {
		x, y := rankOf(a), rankOf(b)
		return x.compare(&y)
	})
	return Plan{Node: best.Node, Victims: best.Victims, Violations: best.Violations}, nil
}

func rankOf(c Candidate) rank {
	a := attempt{}
	for _, v := range c.Victims {
		a.victims = append(a.victims, place.Resident{Priority: v.Priority, Start: v.Start})
	}
	if len(a.victims) == 0 {
		return rank{}
	}
	return a.rank(int32(c.Violations))
}

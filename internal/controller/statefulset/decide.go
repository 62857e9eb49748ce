package statefulset

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/kinds"
)

// burst bounds a wave, as upstream's, and the steps after which a round begins no other wave: a set of a million pods is made in many rounds.
const burst = 500

// Input is what a decision rests on. Nothing of it is changed.
type Input struct {
	Set       *appsv1.StatefulSet
	Pods      []*corev1.Pod
	Revisions []*appsv1.ControllerRevision
	Claim     func(name string) *corev1.PersistentVolumeClaim // of the set's namespace, whosever it is; nil: none
	Taken     func(name string) *appsv1.ControllerRevision    // likewise
	// SeveralUnavailable: the strategy's maxUnavailable counts.
	SeveralUnavailable bool
}

// Decision is what to do now.
type Decision struct {
	Steps     []Step                       // in order, those of one batch together
	Forget    []*appsv1.ControllerRevision // after the steps
	Status    *appsv1.StatefulSetStatus    // nil: unchanged
	Failures  []Failure                    // of what could not even be tried
	Conflicts []string                     // claims whose owners are in the way of the retention policy
	Failed    error                        // those failures that are to be tried again, together
	After     time.Duration                // look again then; 0: on a change only
	Waiting   string
	// StatusOnFailure is the status when a step failed.
	StatusOnFailure *appsv1.StatefulSetStatus
}

// Step is one write. Object is what is to be stored, or as it was seen what is to be deleted.
type Step struct {
	Verb   engine.Verb // Create, Update or Delete
	Object kinds.Object
	Pod    *corev1.Pod // that the step is for; nil for a revision's
	Aim    string      // what is done about the pod: "Create", "Update" or "Delete"; "" when nobody is told
	Batch  int
}

// Failure is something that could not be done about a pod.
type Failure struct {
	Pod, Aim string
	Err      error
}

// The order of steps within a wave.
const (
	phaseClaims = iota
	phasePods
	phaseOwners
	phaseKeep
	phases
)

// round is a decision in the making.
type round struct {
	Input
	now       time.Time
	ordered   bool
	first, n  int // the range of ordinals
	rev       revisions
	at        map[int]*corev1.Pod // replicas, by ordinal
	condemned []*corev1.Pod       // highest ordinal first
	broken    *corev1.Pod         // the lowest condemned pod that is not available; nil: there is none
	dec       Decision
	errs      []error
	wave      int
	rolled    int32 // pods of the current revision that the rolling update deletes now
}

// Decide is the core. It fails only for a history that cannot be read.
func Decide(in Input, now time.Time) (Decision, error) {
	rev, err := revisionsOf(in)
	if err != nil {
		return Decision{}, err
	}
	r := &round{Input: in, now: now, rev: rev, ordered: in.Set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement, at: map[int]*corev1.Pod{},
		first: start(in.Set), n: int(wanted(in.Set))}
	r.dec.Steps = rev.steps
	r.sort()
	if in.Set.DeletionTimestamp == nil {
		r.act()
	}
	r.dec.Failed = utilerrors.NewAggregate(r.errs)
	r.dec.Status, r.dec.StatusOnFailure = r.status(r.rolled), r.status(0)
	r.dec.Forget = r.surplus()
	r.dec.After = r.nextAvailable()
	return r.dec, nil
}

func wanted(set *appsv1.StatefulSet) int32 {
	if set.Spec.Replicas == nil {
		return 1
	}
	return *set.Spec.Replicas
}

// sort tells replicas from condemned pods.
func (r *round) sort() {
	for _, p := range r.Pods {
		switch _, ordinal := parent(p.Name); {
		case ordinal < 0:
		case inRange(r.Set, ordinal):
			r.at[ordinal] = p
		default:
			r.condemned = append(r.condemned, p)
		}
	}
	slices.SortStableFunc(r.condemned, func(a, b *corev1.Pod) int {
		_, x := parent(a.Name)
		_, y := parent(b.Name)
		return cmp.Compare(y, x)
	})
	for _, p := range slices.Backward(r.condemned) {
		if r.unavailable(p) && r.broken == nil {
			r.broken = p
		}
	}
}

func (r *round) act() {
	_ = r.each(r.n, r.replica) && r.each(len(r.condemned), r.reown) && r.each(len(r.condemned), r.condemn) && r.roll()
}

// each goes through n things: one after another while order is kept, until one says that it is to be waited for, otherwise in growing waves, until one has
// a failure. It says whether it came to the end.
func (r *round) each(n int, do func(i int) (on bool)) bool {
	size := 1
	for begin := 0; begin < n; begin += size {
		if begin > 0 && !r.ordered {
			size = min(2*size, burst)
		}
		had := len(r.dec.Steps)
		for i := begin; i < min(begin+size, n); i++ {
			if !do(i) && r.ordered {
				return false
			}
		}
		slices.SortStableFunc(r.dec.Steps[had:], func(a, b Step) int { return cmp.Compare(a.Batch, b.Batch) })
		r.wave++
		if len(r.errs) > 0 || len(r.dec.Steps) >= burst {
			return false
		}
	}
	return true
}

func (r *round) step(phase int, s Step) {
	s.Batch = 1 + r.wave*phases + phase
	r.dec.Steps = append(r.dec.Steps, s)
}

func (r *round) wait(format string, about ...any) {
	if r.dec.Waiting == "" {
		r.dec.Waiting = fmt.Sprintf(format, about...)
	}
}

// fail notes what cannot be done about a pod; aim "" tells nobody.
func (r *round) fail(p *corev1.Pod, aim string, err error) {
	r.errs = append(r.errs, err)
	if aim != "" {
		r.dec.Failures = append(r.dec.Failures, Failure{p.Name, aim, err})
	}
}

func (r *round) delete(p *corev1.Pod) {
	r.step(phasePods, Step{Verb: engine.Delete, Object: p, Pod: p, Aim: "Delete"})
}

// unavailable says that a pod does not count as there.
func (r *round) unavailable(p *corev1.Pod) bool {
	return p == nil || p.DeletionTimestamp != nil || !pods.Available(p, r.Set.Spec.MinReadySeconds, r.now)
}

// replica sees to the i-th replica, and says whether the next may be seen to.
func (r *round) replica(i int) bool {
	p := r.at[r.first+i]
	switch {
	case p == nil:
		return r.create(r.first + i)
	case pods.Ended(p):
		// Also one that has succeeded: what ended an evicted pod is said by its containers' exit codes only.
		if p.DeletionTimestamp == nil {
			r.delete(p)
		}
		r.wait("pod %s, which has ended, to be gone", p.Name)
		return false
	}
	reowned := false
	if p.Status.Phase == corev1.PodPending {
		if !r.claim(p, "") {
			return false
		}
		reowned = r.own(p, "Update")
		r.conflicts(p)
	}
	if r.ordered {
		switch {
		case p.DeletionTimestamp != nil:
			r.wait("pod %s to be gone", p.Name)
			return false
		case !runs(p):
			r.wait("pod %s to be ready", p.Name)
			return false
		case !pods.Available(p, r.Set.Spec.MinReadySeconds, r.now):
			r.wait("pod %s to be available", p.Name)
			return false
		}
	}
	return reowned || r.keep(p)
}

// create makes a pod, after its claims.
func (r *round) create(ordinal int) bool {
	p := r.pod(ordinal)
	if name := r.stale(p); name != "" {
		r.wait("claim %s of an earlier pod to be gone", name)
		return false
	}
	if r.claim(p, "Create") {
		r.step(phasePods, Step{Verb: engine.Create, Object: p, Pod: p, Aim: "Create"})
		r.own(p, "Update")
		r.conflicts(p)
		r.wait("pod %s to be made", p.Name)
	}
	return false
}

// keep restores a pod's identity and storage, and who owns its claims.
func (r *round) keep(p *corev1.Pod) bool {
	mounted := stored(r.Set, p)
	if !mounted && !r.claim(p, "Update") {
		return false
	}
	if !r.own(p, "Update") && mounted && identified(r.Set, p) {
		return true
	}
	next := p.DeepCopy()
	if !identified(r.Set, p) {
		identify(r.Set, next)
	}
	if !mounted {
		mount(r.Set, next)
	}
	r.step(phaseKeep, Step{Verb: engine.Update, Object: next, Pod: p, Aim: "Update"})
	return true
}

// reown sees to who owns the claims of the i-th condemned pod.
func (r *round) reown(i int) bool {
	r.own(r.condemned[i], "")
	return true
}

// condemn deletes the i-th condemned pod. In an ordered set all others must be well, and it too when another is not.
func (r *round) condemn(i int) bool {
	p := r.condemned[i]
	switch {
	case p.DeletionTimestamp != nil:
		r.wait("pod %s to be gone", p.Name)
	case r.ordered && p != r.broken && !runs(p):
		r.wait("pod %s to be ready before it goes", p.Name)
	case r.ordered && p != r.broken && r.unavailable(p):
		r.wait("pod %s to be available before it goes", p.Name)
	default:
		r.delete(p)
	}
	return false
}

// roll deletes replicas that are not of the update revision, highest ordinal first.
func (r *round) roll() bool {
	strategy := r.Set.Spec.UpdateStrategy
	if strategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
		return true
	}
	last := r.first + r.n - 1
	least := r.first + int(partition(r.Set))
	if r.SeveralUnavailable {
		r.rollSeveral(last, least)
		return true
	}
	for ordinal := last; ordinal >= least; ordinal-- {
		p := r.at[ordinal]
		if p != nil && r.outdated(p) {
			r.rollOne(p)
			return true
		}
		if r.unavailable(p) {
			r.wait("pod %s-%d to be available", r.Set.Name, ordinal)
			return true
		}
	}
	return true
}

func (r *round) outdated(p *corev1.Pod) bool {
	return revisionOf(p) != r.rev.update.Name && p.DeletionTimestamp == nil
}

func (r *round) rollOne(p *corev1.Pod) {
	r.delete(p)
	r.rolled++
	r.wait("pod %s to be replaced", p.Name)
}

// rollSeveral deletes as many as may be unavailable beside those that are.
func (r *round) rollSeveral(last, least int) {
	room := r.mostUnavailable() - r.n
	for _, p := range r.at {
		if !r.unavailable(p) {
			room++
		}
	}
	if room <= 0 {
		r.wait("replicas to be available")
	}
	for ordinal := last; ordinal >= least && room > 0; ordinal-- {
		if p := r.at[ordinal]; p != nil && r.outdated(p) {
			r.rollOne(p)
			room--
		}
	}
}

// mostUnavailable is how many replicas a rolling update may take away.
func (r *round) mostUnavailable() int {
	ru := r.Set.Spec.UpdateStrategy.RollingUpdate
	if ru == nil || ru.MaxUnavailable == nil {
		return 1
	}
	most, err := intstr.GetScaledValueFromIntOrPercent(ru.MaxUnavailable, r.n, false)
	if err != nil {
		return 1 // nothing that validation lets in
	}
	return max(most, 1)
}

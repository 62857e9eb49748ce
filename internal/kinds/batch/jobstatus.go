package batch

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// A job's status may come from a controller that is not floe's (managedBy), so it is held to the rules by which clients read it: a job that
// has ended stays ended, in one way, with nothing left to count. Most rules are asked only when what they speak of has changed, so that a
// status that broke one once can still be mended, and one that a change of the specification left behind can still be written.

// change is a job's status, what was before, and the violations found so far.
type change struct {
	now, old *batchv1.Job
	path     *field.Path
	errs     field.ErrorList
}

func jobStatus(_ kinds.Env, obj, old kinds.Object) field.ErrorList {
	c := &change{now: obj.(*batchv1.Job), old: old.(*batchv1.Job), path: field.NewPath("status")}
	c.now.Spec = *c.old.Spec.DeepCopy()
	ownLabels(c.now)
	c.counts()
	c.ends()
	c.finished()
	c.indexes()
	c.success()
	c.history()
	return c.errs
}

func (c *change) refuse(name string, value any, detail string) {
	c.errs = append(c.errs, field.Invalid(c.path.Child(name), value, detail))
}

func (c *change) refuseConditions(detail string) {
	c.refuse("conditions", field.OmitValueType{}, detail)
}

// turned says whether any of the conditions has come or gone.
func (c *change) turned(list ...batchv1.JobConditionType) bool {
	for _, t := range list {
		if holds(c.now, t) != holds(c.old, t) {
			return true
		}
	}
	return false
}

func (c *change) startChanged() bool {
	return !c.now.Status.StartTime.Equal(c.old.Status.StartTime)
}

func (c *change) endChanged() bool {
	return !c.now.Status.CompletionTime.Equal(c.old.Status.CompletionTime)
}

// same says whether both are unset, or equal.
func same[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func (c *change) counts() {
	s := &c.now.Status
	for _, n := range []struct {
		name string
		n    *int32
	}{{"active", &s.Active}, {"succeeded", &s.Succeeded}, {"failed", &s.Failed}, {"ready", s.Ready}, {"terminating", s.Terminating}} {
		c.errs = append(c.errs, notNegative(n.n, c.path.Child(n.name))...)
	}
	pods := s.UncountedTerminatedPods
	if pods == nil {
		return
	}
	seen := sets.New[types.UID]()
	for _, list := range []struct {
		name string
		uids []types.UID
	}{{"succeeded", pods.Succeeded}, {"failed", pods.Failed}} {
		for i, uid := range list.uids {
			at := c.path.Child("uncountedTerminatedPods", list.name).Index(i)
			if uid == "" {
				c.errs = append(c.errs, field.Invalid(at, uid, "must not be empty"))
			} else if seen.Has(uid) {
				c.errs = append(c.errs, field.Duplicate(at, uid))
			}
			seen.Insert(uid)
		}
	}
}

// ends checks that a job ends in one way, announced before, and when.
func (c *change) ends() {
	s, complete, failed := &c.now.Status, holds(c.now, batchv1.JobComplete), holds(c.now, batchv1.JobFailed)
	failing, met := holds(c.now, batchv1.JobFailureTarget), holds(c.now, batchv1.JobSuccessCriteriaMet)
	if c.turned(batchv1.JobComplete, batchv1.JobFailed) && complete && failed {
		c.refuseConditions("cannot set Complete=True and Failed=true conditions")
	}
	if c.turned(batchv1.JobComplete, batchv1.JobFailureTarget) && complete && failing {
		c.refuseConditions("cannot set Complete=True and FailureTarget=true conditions")
	}
	if c.turned(batchv1.JobComplete) || c.endChanged() {
		if s.CompletionTime != nil && !complete {
			c.refuse("completionTime", s.CompletionTime, "cannot set completionTime when there is no Complete=True condition")
		}
		if s.CompletionTime == nil && complete {
			c.errs = append(c.errs, field.Required(c.path.Child("completionTime"), "completionTime is required for Complete jobs"))
		}
	}
	if (c.startChanged() || c.endChanged()) && s.StartTime != nil && s.CompletionTime != nil && s.CompletionTime.Before(s.StartTime) {
		c.refuse("completionTime", s.CompletionTime, "must be equal to or after `startTime`")
	}
	if (c.turned(batchv1.JobFailed) || c.failedIndexesChanged()) && failed && !failing {
		c.refuseConditions("cannot set Failed=True condition without the FailureTarget=true condition")
	}
	if c.turned(batchv1.JobComplete, batchv1.JobSuccessCriteriaMet) && complete && !met {
		c.refuseConditions("cannot set Complete=True condition without the SuccessCriteriaMet=true condition")
	}
}

// isOver says whether a job has ended, either way.
func isOver(j *batchv1.Job) bool { return holds(j, batchv1.JobComplete) || holds(j, batchv1.JobFailed) }

// finished checks that a job that has ended has run, and left nothing.
func (c *change) finished() {
	s, over := &c.now.Status, isOver(c.now)
	turned := over != isOver(c.old)
	if over && s.Active > 0 && (turned || s.Active != c.old.Status.Active) {
		c.refuse("active", s.Active, "active>0 is invalid for finished job")
	}
	// A suspended job of nothing ends without having begun.
	nothing := c.now.Spec.Suspend != nil && *c.now.Spec.Suspend && c.now.Spec.Completions != nil && *c.now.Spec.Completions == 0
	if over && s.StartTime == nil && (turned || c.startChanged()) && !nothing {
		c.errs = append(c.errs, field.Required(c.path.Child("startTime"), "startTime is required for finished job"))
	}
	if p := s.UncountedTerminatedPods; over && p != nil && len(p.Failed)+len(p.Succeeded) > 0 && (turned || !equality.Semantic.DeepEqual(p, c.old.Status.UncountedTerminatedPods)) {
		c.refuse("uncountedTerminatedPods", untagged.Value(p), "must be empty for finished job")
	}
}

func (c *change) failedIndexesChanged() bool {
	return !same(c.now.Status.FailedIndexes, c.old.Status.FailedIndexes)
}

func (c *change) indexes() {
	s, spec := &c.now.Status, &c.now.Spec
	completed, failed := s.CompletedIndexes != c.old.Status.CompletedIndexes, c.failedIndexesChanged()
	if completed && spec.Completions != nil {
		if _, err := parseIndexes(s.CompletedIndexes, *spec.Completions); err != nil {
			c.refuse("completedIndexes", s.CompletedIndexes, "error parsing completedIndexes: "+err.Error())
		}
	}
	if failed && spec.Completions != nil && spec.BackoffLimitPerIndex != nil && s.FailedIndexes != nil {
		if _, err := parseIndexes(*s.FailedIndexes, *spec.Completions); err != nil {
			c.refuse("failedIndexes", *s.FailedIndexes, "error parsing failedIndexes: "+err.Error())
		}
	}
	if completed && s.CompletedIndexes != "" && !indexed(spec) {
		c.refuse("completedIndexes", s.CompletedIndexes, "cannot set non-empty completedIndexes when non-indexed completion mode")
	}
	if failed && spec.BackoffLimitPerIndex == nil && s.FailedIndexes != nil {
		c.refuse("failedIndexes", *s.FailedIndexes, "cannot set non-null failedIndexes when backoffLimitPerIndex is null")
	}
	if (failed || completed) && spec.Completions != nil && s.FailedIndexes != nil {
		if err := overlap(s.CompletedIndexes, *s.FailedIndexes, *spec.Completions); err != nil {
			c.refuse("failedIndexes", *s.FailedIndexes, err.Error())
		}
	}
	if n := s.Terminating; n != nil && *n > 0 && isOver(c.now) && (isOver(c.old) != isOver(c.now) || !same(n, c.old.Status.Terminating)) {
		c.refuse("terminating", *n, "terminating>0 is invalid for finished job")
	}
	if n := s.Ready; n != nil && *n > s.Active && (!same(n, c.old.Status.Ready) || s.Active != c.old.Status.Active) {
		c.refuse("ready", *n, "cannot set more ready pods than active")
	}
}

// success checks that a job that has met what it was made for does not fail any more.
func (c *change) success() {
	met := holds(c.now, batchv1.JobSuccessCriteriaMet)
	if met && holds(c.now, batchv1.JobFailed) {
		c.refuseConditions("cannot set SuccessCriteriaMet=True and Failed=true conditions")
	}
	if met && holds(c.now, batchv1.JobFailureTarget) {
		c.refuseConditions("cannot set SuccessCriteriaMet=True and FailureTarget=true conditions")
	}
	if c.now.Spec.SuccessPolicy != nil && !met && holds(c.now, batchv1.JobComplete) {
		c.refuseConditions("cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True")
	}
}

// history checks what may not be taken back.
func (c *change) history() {
	s, o, spec := &c.now.Status, &c.old.Status, &c.now.Spec
	for _, t := range []batchv1.JobConditionType{batchv1.JobFailed, batchv1.JobComplete, batchv1.JobFailureTarget} {
		if holds(c.old, t) && !holds(c.now, t) {
			c.refuseConditions(fmt.Sprintf("cannot disable the terminal %s=True condition", t))
		}
	}
	if s.Failed < o.Failed {
		c.refuse("failed", s.Failed, "cannot decrease the failed counter")
	}
	// An indexed job of as many pods as completions may be made smaller, and then counts less.
	if elastic := indexed(spec) && same(spec.Completions, spec.Parallelism); s.Succeeded < o.Succeeded && !elastic {
		c.refuse("succeeded", s.Succeeded, "cannot decrease the succeeded counter")
	}
	if s.CompletionTime != nil && o.CompletionTime != nil && c.endChanged() {
		c.refuse("completionTime", s.CompletionTime, "field is immutable")
	}
	resumed := holds(c.old, batchv1.JobSuspended) && hasStatus(c.now, batchv1.JobSuspended, corev1.ConditionFalse)
	if suspended := spec.Suspend != nil && *spec.Suspend; c.startChanged() && o.StartTime != nil && !resumed && !suspended {
		c.refuse("startTime", s.StartTime, "field is immutable for unsuspended job once set")
	}
	met, was := holds(c.now, batchv1.JobSuccessCriteriaMet), holds(c.old, batchv1.JobSuccessCriteriaMet)
	if was && !met {
		c.refuseConditions("cannot disable the SuccessCriteriaMet=True condition")
	}
	if holds(c.old, batchv1.JobComplete) && !was && met {
		c.refuseConditions("cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions")
	}
}

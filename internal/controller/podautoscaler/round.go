package podautoscaler

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/controller/selecting"
	"github.com/floe-k8s/floe/internal/kinds"
)

// target is what is scaled.
type target struct {
	resource   client.Resource
	want, have int32
	selector   string
}

// round is one look at an autoscaler.
type round struct {
	c      *controller
	view   client.View
	now    time.Time
	began  time.Time
	stored *autoscalingv2.HorizontalPodAutoscaler
	hpa    *autoscalingv2.HorizontalPodAutoscaler // the same, as the round leaves it
	past   *past
	within tolerance

	target   target
	selector labels.Selector
	pods     []*corev1.Pod
	statuses []autoscalingv2.MetricStatus
	events   []engine.Event
}

func (r *round) tell(kind, reason, message string) {
	r.events = append(r.events, r.event(kind, reason, message))
}

func (r *round) event(kind, reason, message string) engine.Event {
	about := engine.Refer("autoscaling/v2", "HorizontalPodAutoscaler", r.stored)
	return engine.Event{About: about, Type: kind, Reason: reason, Message: message}
}

func (r *round) warn(reason, message string) { r.tell(corev1.EventTypeWarning, reason, message) }

// condition sets one of the autoscaler's.
func (r *round) condition(of autoscalingv2.HorizontalPodAutoscalerConditionType, status corev1.ConditionStatus, reason, message string) {
	list := r.hpa.Status.Conditions
	i := slices.IndexFunc(list, func(c autoscalingv2.HorizontalPodAutoscalerCondition) bool { return c.Type == of })
	if i < 0 {
		i, list = len(list), append(list, autoscalingv2.HorizontalPodAutoscalerCondition{Type: of})
	}
	if list[i].Status != status {
		list[i].LastTransitionTime = metav1.NewTime(r.now)
	}
	list[i].Status, list[i].Reason, list[i].Message = status, reason, message
	r.hpa.Status.Conditions = list
}

// drop takes one away.
func (r *round) drop(of autoscalingv2.HorizontalPodAutoscalerConditionType) {
	r.hpa.Status.Conditions = slices.DeleteFunc(r.hpa.Status.Conditions, func(c autoscalingv2.HorizontalPodAutoscalerCondition) bool { return c.Type == of })
}

// plan is what the round comes to.
func (r *round) plan() engine.Plan {
	if err := r.aim(); err != nil {
		r.warn("FailedGetScale", err.Error())
		r.condition(autoscalingv2.AbleToScale, corev1.ConditionFalse, "FailedGetScale", fmt.Sprintf("the HPA controller was unable to get the target's current scale: %v", err))
		class := failsInside
		if _, bad := schema.ParseGroupVersion(r.hpa.Spec.ScaleTargetRef.APIVersion); bad != nil {
			class = failsBySpec
		}
		r.ended(acts{}, class)
		return r.status()
	}
	r.condition(autoscalingv2.AbleToScale, corev1.ConditionTrue, "SucceededGetScale", "the HPA controller was able to get the target's current scale")
	current, least := r.target.want, int32(1)
	if r.hpa.Spec.MinReplicas != nil {
		least = *r.hpa.Spec.MinReplicas
	}
	if len(r.past.recommended) == 0 {
		r.past.recommend(r.now, current)
	}
	switch {
	case current == 0:
		r.condition(autoscalingv2.ScalingActive, corev1.ConditionFalse, "ScalingDisabled", "scaling is disabled since the replica count of the target is zero")
		r.drop(autoscalingv2.ScaledToZero)
		return r.settle(current, nil)
	case current > r.hpa.Spec.MaxReplicas:
		return r.rescale(r.hpa.Spec.MaxReplicas, "Current number of replicas above Spec.MaxReplicas", nil)
	case current < least:
		return r.rescale(least, "Current number of replicas below Spec.MinReplicas", nil)
	}
	return r.follow(bounds{least, r.hpa.Spec.MaxReplicas})
}

// follow does what the metrics ask for.
func (r *round) follow(b bounds) engine.Plan {
	best, ok, err := proposal{}, false, r.gather()
	if err == nil {
		best, ok, err = r.largest()
	}
	if !ok && err != nil {
		r.measured(r.target.want, r.stored.Status.DesiredReplicas)
		r.warn("FailedComputeMetricsReplicas", err.Error())
		r.ended(acts{}, failsInside)
		return r.status()
	}
	current, wish, reason := r.target.want, max(0, best.replicas), ""
	switch {
	case wish > current:
		reason = best.name + " above target"
	case wish < current:
		reason = "All metrics below target"
	}
	wish = r.hold(wish, b)
	if wish == current {
		return r.settle(current, err)
	}
	return r.rescale(wish, reason, err)
}

// hold stabilizes and limits what the metrics ask for.
func (r *round) hold(wish int32, b bounds) int32 {
	current, behavior := r.target.want, r.hpa.Spec.Behavior
	var steady, final outcome
	if behavior == nil {
		steady = outcome{replicas: r.past.stabilize(r.now, wish, r.c.settings.DownStabilization)}
		steady.changed = steady.replicas != wish
		steady.reason, steady.message = "ScaleDownStabilized", "recent recommendations were higher than current one, applying the highest recent recommendation"
		final = limit(current, steady.replicas, b)
	} else {
		behavior = behavior.DeepCopy()
		if down := behavior.ScaleDown; down != nil && down.StabilizationWindowSeconds == nil {
			seconds := int32(r.c.settings.DownStabilization / time.Second)
			down.StabilizationWindowSeconds = &seconds
		}
		steady = r.past.between(r.now, current, wish, behavior)
		final = r.past.limitRate(r.now, current, steady.replicas, b, behavior)
	}
	r.past.recommend(r.now, wish)
	if !steady.changed {
		steady.reason, steady.message = "ReadyForNewScale", "recommended size matches current size"
	}
	r.condition(autoscalingv2.AbleToScale, corev1.ConditionTrue, steady.reason, steady.message)
	limited := corev1.ConditionFalse
	if final.replicas != steady.replicas {
		limited = corev1.ConditionTrue
	}
	r.condition(autoscalingv2.ScalingLimited, limited, final.reason, final.message)
	return final.replicas
}

// settle leaves the replicas; err is a metric that could not be had.
func (r *round) settle(current int32, err error) engine.Plan {
	r.measured(current, current)
	r.c.metrics.desired(r.hpa, current)
	r.ended(acts{}, classOf(err))
	return r.status()
}

// rescale changes the target's replicas, and says so or why not.
func (r *round) rescale(wish int32, reason string, err error) engine.Plan {
	current := r.target.want
	before := r.hpa.DeepCopy()
	r.condition(autoscalingv2.AbleToScale, corev1.ConditionTrue, "SucceededRescale", fmt.Sprintf("the HPA controller was able to update the target scale to %d", wish))
	r.drop(autoscalingv2.ScaledToZero)
	r.measured(current, wish)
	last := metav1.NewTime(r.now)
	r.hpa.Status.LastScaleTime = &last
	r.c.metrics.desired(r.hpa, wish)
	act := acts{up: wish > current, down: wish < current}
	scale := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Namespace: r.hpa.Namespace, Name: r.hpa.Spec.ScaleTargetRef.Name}, Spec: autoscalingv1.ScaleSpec{Replicas: wish}}
	write := engine.NewUpdate(r.target.resource, scale, "scale")
	write.Event = func(_ kinds.Object, failed error) *engine.Event {
		if failed != nil {
			r.ended(acts{}, failsInside)
			ev := r.event(corev1.EventTypeWarning, "FailedRescale", fmt.Sprintf("New size: %d; reason: %s; error: %v", wish, reason, failed))
			return &ev
		}
		if r.hpa.Spec.Behavior != nil {
			r.past.scaled(r.now, current, wish)
		}
		r.ended(act, classOf(err))
		ev := r.event(corev1.EventTypeNormal, "SuccessfulRescale", fmt.Sprintf("New size: %d; reason: %s", wish, reason))
		return &ev
	}
	plan := r.status()
	plan.Writes = append([]engine.Write{write}, plan.Writes...)
	plan.OnFailure = func(failed error) []engine.Write {
		var of *engine.WriteError
		if !errors.As(failed, &of) || of.Resource != r.target.resource {
			return nil // the status, which the next round writes
		}
		r.hpa = before
		r.condition(autoscalingv2.AbleToScale, corev1.ConditionFalse, "FailedUpdateScale", fmt.Sprintf("the HPA controller was unable to update the target scale: %v", of.Err))
		r.measured(current, r.stored.Status.DesiredReplicas)
		return r.status().Writes
	}
	return plan
}

// measured fills in what the status says of replicas and metrics.
func (r *round) measured(current, desired int32) {
	s := &r.hpa.Status
	*s = autoscalingv2.HorizontalPodAutoscalerStatus{
		CurrentReplicas: current, DesiredReplicas: desired, LastScaleTime: s.LastScaleTime, CurrentMetrics: r.statuses, Conditions: s.Conditions,
	}
}

// status writes the autoscaler's, when it has changed.
func (r *round) status() engine.Plan {
	if equality.Semantic.DeepEqual(r.stored.Status, r.hpa.Status) {
		return engine.Plan{}
	}
	write := engine.NewUpdate(autoscalers(), r.hpa, "status")
	write.Event = func(_ kinds.Object, failed error) *engine.Event {
		if failed == nil || apierrors.IsConflict(failed) || apierrors.IsNotFound(failed) {
			return nil
		}
		ev := r.event(corev1.EventTypeWarning, "FailedUpdateStatus", failed.Error())
		return &ev
	}
	return engine.Plan{Writes: []engine.Write{write}}
}

// aim finds the target and its scale.
func (r *round) aim() error {
	ref := r.hpa.Spec.ScaleTargetRef
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return err
	}
	gk := schema.GroupKind{Group: gv.Group, Kind: ref.Kind}
	kind := r.c.kind(gk)
	if kind == nil {
		return &meta.NoKindMatchError{GroupKind: gk, SearchedVersions: []string{}}
	}
	gr := kind.GVR().GroupResource()
	i := slices.IndexFunc(kind.Subresources, func(s kinds.Subresource) bool { return s.Scale != nil })
	if i < 0 {
		return apierrors.NewGenericServerResponse(404, "get", gr, ref.Name, "", 0, true)
	}
	obj := r.view.Get(kind.GVR(), r.hpa.Namespace, ref.Name)
	if obj == nil {
		return apierrors.NewNotFound(gr, ref.Name)
	}
	scale := kind.Subresources[i].Scale
	if scale.Missing != nil {
		if err := scale.Missing(obj); err != nil {
			return err
		}
	}
	r.target.resource = kind.GVR()
	r.target.want, r.target.have, r.target.selector = scale.Read(obj)
	return nil
}

// gather finds the target's pods, which no other autoscaler may select too.
func (r *round) gather() error {
	refuse := func(event, reason, say, message string) error {
		r.warn(event, say)
		r.condition(autoscalingv2.ScalingActive, corev1.ConditionFalse, reason, message)
		return errors.New(say)
	}
	if r.target.selector == "" {
		return refuse("SelectorRequired", "InvalidSelector", "selector is required", "the HPA target's scale is missing a selector")
	}
	selector, err := labels.Parse(r.target.selector)
	if err != nil {
		say := fmt.Sprintf("couldn't convert selector into a corresponding internal selector object: %v", err)
		return refuse("InvalidSelector", "InvalidSelector", say, say)
	}
	r.selector = selector
	r.c.note(r.hpa.Namespace, r.hpa.Name, selector)
	r.pods = slices.Collect(selecting.Pods[*corev1.Pod](r.view, pods.Resource(), r.hpa.Namespace, selector))
	if rivals := r.c.rivals(r.hpa.Namespace, r.pods); len(rivals) > 1 {
		say := fmt.Sprintf("pods by selector %v are controlled by multiple HPAs: %v", r.target.selector, rivals)
		return refuse("AmbiguousSelector", "AmbiguousSelector", say, say)
	}
	return nil
}

// rival is an autoscaler as upstream's message has it.
type rival struct{ Name, Namespace string }

// rivals are the autoscalers of a namespace that select one of its pods, in order.
func (c *controller) rivals(namespace string, list []*corev1.Pod) (all []rival) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, s := range c.selectors[namespace] {
		if slices.ContainsFunc(list, func(p *corev1.Pod) bool { return s.Matches(labels.Set(p.Labels)) }) {
			all = append(all, rival{name, namespace})
		}
	}
	slices.SortFunc(all, func(a, b rival) int { return strings.Compare(a.Name, b.Name) })
	return all
}

package bootstrap

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	upstream "k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
)

var (
	flowSchemas    = flowcontrolv1.SchemeGroupVersion.WithResource("flowschemas")
	priorityLevels = flowcontrolv1.SchemeGroupVersion.WithResource("prioritylevelconfigurations")
)

// flowObject is one initial object and whether it must be as it is here.
type flowObject struct {
	res       client.Resource
	obj       kinds.Object
	mandatory bool
}

// flowObjects are upstream's, from its own list.
func flowObjects() (list []flowObject) {
	list = appendFlow(list, flowSchemas, true, upstream.MandatoryFlowSchemas)
	list = appendFlow(list, priorityLevels, true, upstream.MandatoryPriorityLevelConfigurations)
	list = appendFlow(list, flowSchemas, false, upstream.SuggestedFlowSchemas)
	return appendFlow(list, priorityLevels, false, upstream.SuggestedPriorityLevelConfigurations)
}

func appendFlow[T kinds.Object](to []flowObject, res client.Resource, mandatory bool, list []T) []flowObject {
	for _, obj := range list {
		to = append(to, flowObject{res, obj.DeepCopyObject().(kinds.Object), mandatory})
	}
	return to
}

// ensureFlow makes the initial flow schemas and priority levels, and brings those up to date that nobody has made his own. Those that an
// older release made, and that are wanted no longer, go.
func (b *Bootstrap) ensureFlow(ctx context.Context, view client.View) error {
	var steps []func() error
	wanted := map[client.Resource]map[string]bool{flowSchemas: {}, priorityLevels: {}}
	for _, want := range flowObjects() {
		wanted[want.res][want.obj.GetName()] = true
		found := view.Get(want.res, "", want.obj.GetName())
		if found == nil {
			steps = append(steps, func() error { return b.create(ctx, want.res, want.obj) })
		} else if next := revise(found, want.obj, want.mandatory); next != nil {
			steps = append(steps, func() error { return b.replace(ctx, want.res, next) })
		}
	}
	for res, names := range wanted {
		for obj := range view.List(res, "") {
			if own, err := strconv.ParseBool(obj.GetAnnotations()[flowcontrolv1.AutoUpdateAnnotationKey]); names[obj.GetName()] || err != nil || !own {
				continue
			}
			steps = append(steps, func() error { return b.remove(ctx, res, obj) })
		}
	}
	return together(steps...)
}

// revise returns what an object is to become; nil: it stays. A suggested one follows while its annotation says so, or while it has none and
// its specification never changed.
func revise(found, want kinds.Object, mandatory bool) kinds.Object {
	follows, err := strconv.ParseBool(found.GetAnnotations()[flowcontrolv1.AutoUpdateAnnotationKey])
	known := err == nil
	if !known {
		follows = found.GetGeneration() == 1
	}
	desired := mandatory || follows
	next := found.DeepCopyObject().(kinds.Object)
	changed := desired && setSpec(next, want)
	if !known || follows != desired {
		notes := map[string]string{}
		for k, v := range found.GetAnnotations() {
			notes[k] = v
		}
		notes[flowcontrolv1.AutoUpdateAnnotationKey] = strconv.FormatBool(desired)
		next.SetAnnotations(notes)
		changed = true
	}
	if !changed {
		return nil
	}
	return next
}

// setSpec gives obj, in place, want's specification, and says whether that changed it. The shares of the exempt level are the administrator's.
func setSpec(obj, want kinds.Object) bool {
	switch o := obj.(type) {
	case *flowcontrolv1.FlowSchema:
		spec := want.(*flowcontrolv1.FlowSchema).Spec
		if equality.Semantic.DeepEqual(o.Spec, spec) {
			return false
		}
		o.Spec = spec
	case *flowcontrolv1.PriorityLevelConfiguration:
		spec := want.(*flowcontrolv1.PriorityLevelConfiguration).DeepCopy().Spec
		if o.Name == flowcontrolv1.PriorityLevelConfigurationNameExempt && o.Spec.Exempt != nil {
			spec.Exempt = o.Spec.Exempt
		}
		if equality.Semantic.DeepEqual(o.Spec, spec) {
			return false
		}
		o.Spec = spec
	}
	return true
}

// sayDangling keeps true what every flow schema, whoever made it, says of its priority level: whether it is there.
func (b *Bootstrap) sayDangling(ctx context.Context) error {
	view, err := b.Client.View(ctx)
	if err != nil {
		return err
	}
	var steps []func() error
	for obj := range view.List(flowSchemas, "") {
		fs := obj.(*flowcontrolv1.FlowSchema)
		level := fs.Spec.PriorityLevelConfiguration.Name
		next := fs.DeepCopy()
		if judge(&next.Status, level, view.Get(priorityLevels, "", level) != nil, b.Clock.Now()) {
			steps = append(steps, func() error { return b.write(ctx, flowSchemas, next, "status") })
		}
	}
	return together(steps...)
}

// judge sets the condition in place, and says whether that changed it. The time is that of the change, as upstream's, whatever of it changed.
func judge(s *flowcontrolv1.FlowSchemaStatus, level string, found bool, now time.Time) bool {
	want := flowcontrolv1.FlowSchemaCondition{
		Type: flowcontrolv1.FlowSchemaConditionDangling, Status: flowcontrolv1.ConditionFalse, Reason: "Found", LastTransitionTime: metav1.NewTime(now),
		Message: fmt.Sprintf("This FlowSchema references the PriorityLevelConfiguration object named %q and it exists", level),
	}
	if !found {
		want.Status, want.Reason = flowcontrolv1.ConditionTrue, "NotFound"
		want.Message = fmt.Sprintf("This FlowSchema references the PriorityLevelConfiguration object named %q but there is no such object", level)
	}
	i := slices.IndexFunc(s.Conditions, func(c flowcontrolv1.FlowSchemaCondition) bool { return c.Type == want.Type })
	switch {
	case i < 0:
		s.Conditions = append(s.Conditions, want)
	case s.Conditions[i].Status == want.Status && s.Conditions[i].Reason == want.Reason && s.Conditions[i].Message == want.Message:
		return false
	default:
		s.Conditions[i] = want
	}
	return true
}

// replace writes next. Somebody who was quicker is looked at the next time.
func (b *Bootstrap) replace(ctx context.Context, res client.Resource, next kinds.Object) error {
	return b.write(ctx, res, next, "")
}

// write is replace of the whole object, or of a subresource.
func (b *Bootstrap) write(ctx context.Context, res client.Resource, next kinds.Object, subresource string) error {
	if _, err := b.Client.Update(ctx, res, next, subresource); err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		return fmt.Errorf("%s %s: %w", res.Resource, next.GetName(), err)
	}
	return nil
}

// remove deletes obj as it was found.
func (b *Bootstrap) remove(ctx context.Context, res client.Resource, obj kinds.Object) error {
	if _, err := b.Client.Delete(ctx, res, obj.GetNamespace(), obj.GetName(), asFound(obj)); err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		return fmt.Errorf("%s %s: %w", res.Resource, obj.GetName(), err)
	}
	return nil
}

package review

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/floe-k8s/floe/internal/kinds"
)

// Component is how a part of the control plane is, under the name that upstream's has.
type Component struct {
	Name string
	// Err says why it does not work; nil: it does.
	Err error
	// Unasked: Err is the asking's own, as it is for a store, which has no health to tell; else it is what the part answered.
	Unasked bool
}

func (cfg Config) components(ctx context.Context, f func(kinds.Object) bool) error {
	for _, c := range cfg.Components(ctx) {
		condition := corev1.ComponentCondition{Type: corev1.ComponentHealthy, Status: corev1.ConditionTrue, Message: "ok"}
		if c.Err != nil {
			condition.Status, condition.Message = corev1.ConditionFalse, c.Err.Error()
			if c.Unasked {
				condition.Message, condition.Error = "", c.Err.Error()
			}
		}
		obj := &corev1.ComponentStatus{Conditions: []corev1.ComponentCondition{condition}}
		obj.Name = c.Name
		if !f(obj) {
			return nil
		}
	}
	return nil
}

// noComponent names the resource as upstream does here.
func noComponent(name string) error {
	return apierrors.NewNotFound(corev1.Resource("componentstatus"), name)
}

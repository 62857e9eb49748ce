package wire

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"

	"github.com/floe-k8s/floe/internal/kinds"
)

// scaleColumns are the table of a Scale, which every kind's scale shares.
func scaleColumns() []kinds.Column {
	name, age := kinds.NameColumn(), kinds.AgeColumn()
	name.Format = ""
	return []kinds.Column{name, {
		Name: "Desired", Type: "integer", Description: autoscalingv1.ScaleSpec{}.SwaggerDoc()["replicas"],
		Cell: func(_ kinds.Env, obj kinds.Object) any { return int64(obj.(*autoscalingv1.Scale).Spec.Replicas) },
	}, {
		Name: "Available", Type: "integer", Description: autoscalingv1.ScaleStatus{}.SwaggerDoc()["replicas"],
		Cell: func(_ kinds.Env, obj kinds.Object) any { return int64(obj.(*autoscalingv1.Scale).Status.Replicas) },
	}, age}
}

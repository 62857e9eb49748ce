package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/floe-k8s/floe/internal/kinds"
)

// ComponentStatus is v1 ComponentStatus: whether a part of the control plane is well. It is asked for each time, and never stored.
func ComponentStatus() *kinds.Kind {
	return &kinds.Kind{
		GVK: corev1.SchemeGroupVersion.WithKind("ComponentStatus"), Resource: "componentstatuses", Singular: "componentstatus", ShortNames: []string{"cs"},
		Verbs: []string{"get", "list"}, Answered: true, Deprecated: "v1.19+", Columns: componentColumns(),
		New: func() kinds.Object { return &corev1.ComponentStatus{} }, NewList: func() runtime.Object { return &corev1.ComponentStatusList{} },
	}
}

func componentColumns() []kinds.Column {
	cell := func(name string, f func(corev1.ComponentCondition) string) kinds.Column {
		return kinds.Column{Name: name, Type: "string", Description: name + " of the component conditions", Cell: func(_ kinds.Env, obj kinds.Object) any {
			for _, c := range obj.(*corev1.ComponentStatus).Conditions {
				if c.Type == corev1.ComponentHealthy {
					return f(c)
				}
			}
			return f(corev1.ComponentCondition{})
		}}
	}
	return []kinds.Column{
		kinds.NameColumn(),
		cell("Status", func(c corev1.ComponentCondition) string {
			switch c.Status {
			case "":
				return "Unknown"
			case corev1.ConditionTrue:
				return "Healthy"
			}
			return "Unhealthy"
		}),
		cell("Message", func(c corev1.ComponentCondition) string { return c.Message }),
		cell("Error", func(c corev1.ComponentCondition) string { return c.Error }),
	}
}

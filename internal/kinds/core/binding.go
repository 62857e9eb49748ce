package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/kinds"
)

// Binding is v1 Binding: it gives the pod of its name a node, as the pod's own subresource does, and is never stored.
func Binding() *kinds.Kind {
	return &kinds.Kind{
		GVK: corev1.SchemeGroupVersion.WithKind("Binding"), Resource: "bindings", Singular: "binding", Namespaced: true,
		Verbs: []string{"create"}, Answered: true, New: func() kinds.Object { return &corev1.Binding{} },
	}
}

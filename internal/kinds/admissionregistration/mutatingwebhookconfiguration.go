package admissionregistration

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/floe-k8s/floe/internal/kinds"
)

// MutatingWebhookConfiguration is admissionregistration.k8s.io/v1 MutatingWebhookConfiguration.
func MutatingWebhookConfiguration() *kinds.Kind {
	type config = *admissionv1.MutatingWebhookConfiguration
	k := webhooks(func(obj kinds.Object) (any, []hook) {
		list := obj.(config).Webhooks
		return list, mutatingHooks(list)
	})
	k.GVK = admissionv1.SchemeGroupVersion.WithKind("MutatingWebhookConfiguration")
	k.Resource, k.Singular = "mutatingwebhookconfigurations", "mutatingwebhookconfiguration"
	k.MetaAgain, k.PlainFinalizers = kinds.MetaObject, true
	k.New = func() kinds.Object { return &admissionv1.MutatingWebhookConfiguration{} }
	k.NewList = func() runtime.Object { return &admissionv1.MutatingWebhookConfigurationList{} }
	return k
}

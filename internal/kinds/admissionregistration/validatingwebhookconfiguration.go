package admissionregistration

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/floe-k8s/floe/internal/kinds"
)

// ValidatingWebhookConfiguration is admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration.
func ValidatingWebhookConfiguration() *kinds.Kind {
	type config = *admissionv1.ValidatingWebhookConfiguration
	k := webhooks(func(obj kinds.Object) (any, []hook) {
		list := obj.(config).Webhooks
		return list, validatingHooks(list)
	})
	k.GVK = admissionv1.SchemeGroupVersion.WithKind("ValidatingWebhookConfiguration")
	k.Resource, k.Singular = "validatingwebhookconfigurations", "validatingwebhookconfiguration"
	k.MetaAgain, k.PlainFinalizers = kinds.MetaObject, true
	k.New = func() kinds.Object { return &admissionv1.ValidatingWebhookConfiguration{} }
	k.NewList = func() runtime.Object { return &admissionv1.ValidatingWebhookConfigurationList{} }
	return k
}

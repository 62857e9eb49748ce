package envtest

import (
	"context"
	"net/http"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

func shipDefinition() *apiextensionsv1.CustomResourceDefinition {
	return &apiextensionsv1.CustomResourceDefinition{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
		ObjectMeta: metav1.ObjectMeta{Name: "ships.example.com"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "example.com", Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "ships", Singular: "ship", Kind: "Ship", ListKind: "ShipList"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{
					"masts": {Type: "integer", Minimum: new(float64)},
				}}},
			}},
		},
	}
}

func ship(name string, masts int64) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{Object: map[string]any{"masts": masts}}
	obj.SetGroupVersionKind(schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Ship"})
	obj.SetNamespace("default")
	obj.SetName(name)
	return obj
}

// TestDefinitions: custom resources that envtest installs are served, checked, and go with their owners.
func TestDefinitions(t *testing.T) {
	env := &envtest.Environment{CRDInstallOptions: envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{shipDefinition()}, CleanUpAfterUse: true}}
	c := start(t, env)
	if err := c.Create(t.Context(), ship("wreck", -1)); !apierrors.IsInvalid(err) {
		t.Errorf("a ship without a schema's blessing: got %v, want that it is invalid", err)
	}
	flag := ship("flag", 3)
	create(t, c, flag)
	owned := configMap("default", "cargo", metav1.OwnerReference{APIVersion: "example.com/v1", Kind: "Ship", Name: flag.GetName(), UID: flag.GetUID()})
	create(t, c, owned)
	if err := c.Delete(t.Context(), flag); err != nil {
		t.Fatal(err)
	}
	untilGone(t, c, owned)
}

// TestWebhooks: webhooks that envtest installs are asked.
func TestWebhooks(t *testing.T) {
	fail, none, path := admissionv1.Fail, admissionv1.SideEffectClassNone, "/validate"
	env := &envtest.Environment{WebhookInstallOptions: envtest.WebhookInstallOptions{ValidatingWebhooks: []*admissionv1.ValidatingWebhookConfiguration{{
		TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingWebhookConfiguration"},
		ObjectMeta: metav1.ObjectMeta{Name: "strict"},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name: "strict.example.com", FailurePolicy: &fail, SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: "default", Name: "strict", Path: &path}},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
			}},
		}},
	}}}}
	c := start(t, env)
	options := env.WebhookInstallOptions
	server := webhook.NewServer(webhook.Options{Host: options.LocalServingHost, Port: options.LocalServingPort, CertDir: options.LocalServingCertDir})
	server.Register(path, &webhook.Admission{Handler: admission.HandlerFunc(func(_ context.Context, r admission.Request) admission.Response {
		if strings.HasPrefix(r.Name, "bad") {
			return admission.Denied("no bad names")
		}
		return admission.Allowed("")
	})})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	until(t, "the webhook listens", func(context.Context) (bool, error) { return server.StartedChecker()(&http.Request{}) == nil, nil })
	create(t, c, configMap("default", "good"))
	if err := c.Create(t.Context(), configMap("default", "bad")); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "no bad names") {
		t.Errorf("got %v, want the webhook's refusal", err)
	}
	var list corev1.ConfigMapList
	if err := c.List(t.Context(), &list, client.InNamespace("default")); err != nil || len(list.Items) != 1 {
		t.Errorf("got %v and %d config maps, want the good one", err, len(list.Items))
	}
}

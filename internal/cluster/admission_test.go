package cluster

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	reviewv1 "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

// parsed reads a YAML document.
func parsed[T any](t *testing.T, doc string) *T {
	t.Helper()
	obj := new(T)
	if err := yaml.UnmarshalStrict([]byte(doc), obj); err != nil {
		t.Fatal(err)
	}
	return obj
}

// TestWhatUsersConfigureHasASay: a webhook and policies of both sorts have a say about ConfigMaps as soon as they are written, and none when they are gone.
func TestWhatUsersConfigureHasASay(t *testing.T) {
	dir := t.TempDir()
	trail, rules := filepath.Join(dir, "audit.log"), filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(rules, []byte(auditPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &servedCluster{env: alone(filepath.Join(dir, "data"))}
	c.env.Config.API.Audit.PolicyFile, c.env.Config.API.Audit.Log.Path = rules, trail
	c.start(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	admin := kubernetes.NewForConfigOrDie(c.config)
	api := admin.AdmissionregistrationV1()
	hook := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review reviewv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
			return
		}
		patchType := reviewv1.PatchTypeJSONPatch
		review.Response = &reviewv1.AdmissionResponse{
			UID: review.Request.UID, Allowed: true, PatchType: &patchType, Patch: []byte(`[{"op":"add","path":"/data/hook","value":"` + string(review.Request.Operation) + `"}]`),
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(review); err != nil {
			t.Error(err)
		}
	}))
	defer hook.Close()
	none, fail := admissionv1.SideEffectClassNone, admissionv1.Fail
	must(api.MutatingWebhookConfigurations().Create(ctx, &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "m"},
		Webhooks: []admissionv1.MutatingWebhook{{
			Name: "h.example.com", SideEffects: &none, FailurePolicy: &fail, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionv1.WebhookClientConfig{URL: &hook.URL, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Certificate().Raw})},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create}, Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"*"}, Resources: []string{"configmaps"}},
			}},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "default"}},
		}},
	}, metav1.CreateOptions{}))(t)
	const matches = "matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}]}\n"
	must(api.MutatingAdmissionPolicies().Create(ctx, parsed[admissionv1.MutatingAdmissionPolicy](t, `
metadata: {name: label}
spec:
  reinvocationPolicy: Never
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: {expression: "Object{metadata: Object.metadata{labels: {'by': 'policy'}}}"}
  `+matches), metav1.CreateOptions{}))(t)
	must(api.MutatingAdmissionPolicyBindings().Create(ctx, parsed[admissionv1.MutatingAdmissionPolicyBinding](t,
		"metadata: {name: label}\nspec: {policyName: label, matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: default}}}}"), metav1.CreateOptions{}))(t)
	must(api.ValidatingAdmissionPolicies().Create(ctx, parsed[admissionv1.ValidatingAdmissionPolicy](t, `
metadata: {name: good}
spec:
  validations: [{expression: "!('bad' in object.data)", message: this is bad}]
  `+matches), metav1.CreateOptions{}))(t)
	must(api.ValidatingAdmissionPolicyBindings().Create(ctx, parsed[admissionv1.ValidatingAdmissionPolicyBinding](t,
		"metadata: {name: good}\nspec: {policyName: good, validationActions: [Deny]}"), metav1.CreateOptions{}))(t)

	maps := admin.CoreV1().ConfigMaps("default")
	one := must(maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "one"}, Data: map[string]string{"k": "v"}}, metav1.CreateOptions{}))(t)
	if one.Data["hook"] != "CREATE" || one.Labels["by"] != "policy" {
		t.Errorf("the ConfigMap is %v", one)
	}
	one.Data["bad"] = "yes"
	_, err := maps.Update(ctx, one, metav1.UpdateOptions{})
	if want := `configmaps "one" is forbidden: ValidatingAdmissionPolicy 'good' with binding 'good' denied request: this is bad`; !apierrors.IsInvalid(err) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	hook.Close()
	_, err = maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "two"}, Data: map[string]string{"k": "v"}}, metav1.CreateOptions{})
	if !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), `failed calling webhook "h.example.com": failed to call webhook: Post "https://127.0.0.1:`) {
		t.Errorf("when the webhook is gone: %v", err)
	}
	if err := api.MutatingWebhookConfigurations().Delete(ctx, "m", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	must(maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "two"}, Data: map[string]string{"k": "v"}}, metav1.CreateOptions{}))(t)
	c.stop()
	data, err := os.ReadFile(trail)
	if err != nil {
		t.Fatal(err)
	}
	for _, note := range []string{
		`"mutation.webhook.admission.k8s.io/round_0_index_0":"{\"configuration\":\"m\",\"webhook\":\"h.example.com\",\"mutated\":true}"`,
		`"patch.webhook.admission.k8s.io/round_0_index_0":"{\"configuration\":\"m\",\"webhook\":\"h.example.com\",\"patch\":[{`,
	} {
		if !strings.Contains(string(data), note) {
			t.Errorf("the audit trail has no %s", note)
		}
	}
}

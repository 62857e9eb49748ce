package webhook_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	reviewv1 "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/webhook"
	"github.com/floe-k8s/floe/internal/admission/webhook/reach"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
)

// table holds configurations and namespaces.
type table struct {
	objects    []kinds.Object
	generation uint64
}

func (t *table) Changed(schema.GroupVersionResource) uint64 { return t.generation }

func (t *table) Each(res schema.GroupVersionResource, _ string, f func(kinds.Object) bool) {
	for _, obj := range t.objects {
		resource := "validatingwebhookconfigurations"
		if _, ok := obj.(*admissionv1.MutatingWebhookConfiguration); ok {
			resource = "mutatingwebhookconfigurations"
		}
		if res.Resource == resource && !f(obj) {
			return
		}
	}
}

func (r *table) Label(res schema.GroupVersionResource, namespace, name, key string) (string, bool) {
	return kinds.LabelOf(r.Get(res, namespace, name), key)
}

func (t *table) Get(_ schema.GroupVersionResource, _, name string) kinds.Object {
	if name == "gone" {
		return nil
	}
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": name}}}
}

// put makes objs all that the table has.
func (t *table) put(objs ...kinds.Object) {
	t.generation++
	for _, obj := range objs {
		obj.SetResourceVersion(fmt.Sprint(t.generation))
	}
	t.objects = objs
}

// bench is a table, the plug-ins, and what a wish heard beside its answer.
type bench struct {
	table
	plugins        []admission.Plugin
	warnings       []string
	notes, details map[string]string
	mutating       *httptest.Server // where the service is
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return newBenchAs(t, nil)
}

// newBenchAs is a bench whose hooks are called as somebody.
func newBenchAs(t *testing.T, as *reach.Credentials) *bench {
	t.Helper()
	b := &bench{notes: map[string]string{}, details: map[string]string{}}
	served := kinds.NewCatalogs(all.Kinds()).Now()
	cfg := webhook.Config{
		Table: &b.table, Catalog: func() *kinds.Catalog { return served }, Authorizer: auth.AlwaysAllow, Clock: clock.RealClock{},
		Log: slog.New(slog.DiscardHandler), Metrics: webhook.NewMetrics(), Mutating: as, Validating: as,
	}
	cfg.Webhooks.Resolve = func(namespace, name string, port int32) (*url.URL, error) {
		if name != "svc" || namespace != "hooks" || port != 8443 {
			return nil, apierrors.NewNotFound(corev1.Resource("service"), name)
		}
		return url.Parse(b.mutating.URL)
	}
	b.plugins = []admission.Plugin{webhook.Mutating(cfg), webhook.Validating(cfg)}
	return b
}

// wish is a new pod of namespace a.
func (b *bench) wish(pod *corev1.Pod) *admission.Attributes {
	k := kinds.NewCatalogs(all.Kinds()).Now().Find(corev1.SchemeGroupVersion.WithResource("pods"))
	return &admission.Attributes{
		Operation: admission.Create, Kind: k, Type: k.GVK, Namespace: "a", Name: pod.Name, User: auth.User{Name: "ann", Groups: []string{"dev"}},
		Options: &metav1.CreateOptions{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "CreateOptions"}}, Object: pod, See: &b.table,
		Warned:    func(text string) { b.warnings = append(b.warnings, text) },
		Annotated: func(key, value string) { b.notes[key] = value },
		Detailed:  func(key, value string) { b.details[key] = value },
	}
}

// pass asks both plug-ins.
func (b *bench) pass(ctx context.Context, a *admission.Attributes) error {
	chain := admission.NewChain(b.plugins, nil, nil)
	if err := chain.Admit(ctx, a); err != nil {
		return err
	}
	return chain.Validate(ctx, a)
}

// review answers every review with what answer says of it.
func review(t *testing.T, answer func(*reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in reviewv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Request == nil {
			t.Errorf("a webhook was sent no review: %v", err)
			return
		}
		out := reviewv1.AdmissionReview{TypeMeta: in.TypeMeta, Response: answer(in.Request)}
		if out.Response.UID == "" {
			out.Response.UID = in.Request.UID
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(out); err != nil {
			t.Error(err)
		}
	}
}

func serve(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func trust(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

func ptr[T any](v T) *T { return &v }

// hook is a webhook at s that is told of new pods.
func hook(name string, s *httptest.Server) admissionv1.MutatingWebhook {
	return admissionv1.MutatingWebhook{
		Name: name, ClientConfig: admissionv1.WebhookClientConfig{URL: ptr(s.URL + "/path"), CABundle: trust(s)},
		Rules: []admissionv1.RuleWithOperations{{
			Operations: []admissionv1.OperationType{"CREATE"},
			Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}, Scope: ptr(admissionv1.AllScopes)},
		}},
		FailurePolicy: ptr(admissionv1.Fail), MatchPolicy: ptr(admissionv1.Equivalent), NamespaceSelector: &metav1.LabelSelector{}, ObjectSelector: &metav1.LabelSelector{},
		SideEffects: ptr(admissionv1.SideEffectClassNone), TimeoutSeconds: ptr(int32(5)), AdmissionReviewVersions: []string{"v1"},
		ReinvocationPolicy: ptr(admissionv1.NeverReinvocationPolicy),
	}
}

func mutatingConfig(name string, hooks ...admissionv1.MutatingWebhook) kinds.Object {
	return &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}, Webhooks: hooks}
}

func validatingConfig(name string, hooks ...admissionv1.MutatingWebhook) kinds.Object {
	c := &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, h := range hooks {
		c.Webhooks = append(c.Webhooks, admissionv1.ValidatingWebhook{
			Name: h.Name, ClientConfig: h.ClientConfig, Rules: h.Rules, FailurePolicy: h.FailurePolicy, MatchPolicy: h.MatchPolicy, NamespaceSelector: h.NamespaceSelector,
			ObjectSelector: h.ObjectSelector, SideEffects: h.SideEffects, TimeoutSeconds: h.TimeoutSeconds, AdmissionReviewVersions: h.AdmissionReviewVersions,
			MatchConditions: h.MatchConditions,
		})
	}
	return c
}

func patching(patch string) *reviewv1.AdmissionResponse {
	return &reviewv1.AdmissionResponse{Allowed: true, Patch: []byte(patch), PatchType: ptr(reviewv1.PatchTypeJSONPatch)}
}

func pod(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "a"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
}

func TestHooksChangeTheObjectInTheirOrder(t *testing.T) {
	b := newBench(t)
	var asked []string
	first := serve(t, review(t, func(r *reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse {
		asked = append(asked, "first")
		var seen corev1.Pod
		if err := json.Unmarshal(r.Object.Raw, &seen); err != nil || seen.Kind != "Pod" || r.UserInfo.Username != "ann" || r.Operation != "CREATE" || r.OldObject.Raw != nil {
			t.Errorf("the webhook was shown %s, %v", r.Object.Raw, err)
		}
		if seen.Labels["second"] != "" {
			return &reviewv1.AdmissionResponse{Allowed: true}
		}
		answer := patching(`[{"op":"add","path":"/metadata/labels","value":{"first":"1"}}]`)
		answer.Warnings, answer.AuditAnnotations = []string{"look"}, map[string]string{"why": "so", "a/b": "no key"}
		return answer
	}))
	second := serve(t, review(t, func(r *reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse {
		asked = append(asked, "second")
		if !strings.Contains(string(r.Object.Raw), `"first":"1"`) {
			t.Errorf("the second webhook was shown %s", r.Object.Raw)
		}
		return patching(`[{"op":"add","path":"/metadata/labels/second","value":"2"}]`)
	}))
	again := hook("first.example.com", first)
	again.ReinvocationPolicy = ptr(admissionv1.IfNeededReinvocationPolicy)
	b.put(mutatingConfig("z", hook("second.example.com", second)), mutatingConfig("a", again))
	p := pod("web")
	if err := b.pass(t.Context(), b.wish(p)); err != nil {
		t.Fatal(err)
	}
	if p.Labels["first"] != "1" || p.Labels["second"] != "2" || p.Kind != "" {
		t.Errorf("the pod is %v", p)
	}
	if want := []string{"first", "second", "first"}; !slices.Equal(asked, want) {
		t.Errorf("asked %v, want %v", asked, want)
	}
	wantNotes := map[string]string{
		"first.example.com/why":                             "so",
		"mutation.webhook.admission.k8s.io/round_0_index_0": `{"configuration":"a","webhook":"first.example.com","mutated":true}`,
		"mutation.webhook.admission.k8s.io/round_0_index_1": `{"configuration":"z","webhook":"second.example.com","mutated":true}`,
		"mutation.webhook.admission.k8s.io/round_1_index_0": `{"configuration":"a","webhook":"first.example.com","mutated":false}`,
	}
	if fmt.Sprint(b.notes) != fmt.Sprint(wantNotes) {
		t.Errorf("the audit trail has\n%v, want\n%v", b.notes, wantNotes)
	}
	const patch = `{"configuration":"z","webhook":"second.example.com","patch":[{"op":"add","path":"/metadata/labels/second","value":"2"}],"patchType":"JSONPatch"}`
	if got := b.details["patch.webhook.admission.k8s.io/round_0_index_1"]; got != patch {
		t.Errorf("the audit trail has the patch %s", got)
	}
	if !slices.Equal(b.warnings, []string{"look"}) {
		t.Errorf("the user was warned of %v", b.warnings)
	}
}

func TestWhatGoesWrong(t *testing.T) {
	denied := func(result *metav1.Status) http.HandlerFunc {
		return review(t, func(*reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse {
			return &reviewv1.AdmissionResponse{Result: result}
		})
	}
	text := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	const failed = `Internal error occurred: failed calling webhook "h.example.com": `
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		change func(*admissionv1.MutatingWebhook)
		code   int32
		want   string // that the message begins with
	}{
		"no reason":    {denied(nil), nil, 400, `admission webhook "h.example.com" denied the request without explanation`},
		"a message":    {denied(&metav1.Status{Message: "no", Code: 418}), nil, 418, `admission webhook "h.example.com" denied the request: no`},
		"a reason":     {denied(&metav1.Status{Reason: "Never", Code: 200}), nil, 400, `admission webhook "h.example.com" denied the request: Never`},
		"garbage":      {text(200, "{{{"), nil, 500, failed + "failed to call webhook: couldn't get version/kind; json parse error: "},
		"an error":     {text(500, "oh"), nil, 500, failed + `failed to call webhook: an error on the server ("unknown") has prevented the request from succeeding`},
		"absent":       {text(200, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`), nil, 500, failed + "received invalid webhook response: webhook response was absent"},
		"another kind": {text(200, `{"apiVersion":"v1","kind":"Pod"}`), nil, 500, failed + "failed to call webhook: "},
		"another uid": {review(t, func(*reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse {
			return &reviewv1.AdmissionResponse{UID: "x", Allowed: true}
		}), nil, 500,
			failed + `received invalid webhook response: expected response.uid="`},
		"a patch without type": {review(t, func(*reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse {
			return &reviewv1.AdmissionResponse{Allowed: true, Patch: []byte(`[]`)}
		}), nil, 500, failed + "received invalid webhook response: webhook returned response.patch but not response.patchType"},
		"a bad patch": {review(t, func(*reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse { return patching(`{}`) }), nil, 500,
			failed + "received undecodable patch in webhook response: json: cannot unmarshal object into Go value of type jsonpatch.Patch"},
		"a patch to nowhere": {review(t, func(*reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse {
			return patching(`[{"op":"remove","path":"/x"}]`)
		}), nil, 500, `Internal error occurred: error in remove for path: '/x': Unable to remove nonexistent key: x: missing value`},
		"a patch to another kind": {review(t, func(*reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse {
			return patching(`[{"op":"replace","path":"/kind","value":"Node"}]`)
		}), nil, 500, "Internal error occurred: unable to convert "},
		"too much": {text(200, `{"apiVersion":"`+strings.Repeat("x", 17<<20)), nil, 500, failed + "failed to call webhook: "},
		"too slow": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case <-r.Context().Done():
			case <-release:
			}
		}, func(h *admissionv1.MutatingWebhook) { h.TimeoutSeconds = ptr(int32(1)) }, 500, failed + "failed to call webhook: Post \"https://127.0.0.1:"},
		"around in circles": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusTemporaryRedirect) }, nil, 500, failed + "failed to call webhook: "},
		"nobody knows":      {denied(nil), func(h *admissionv1.MutatingWebhook) { h.ClientConfig.CABundle = nil }, 500, failed + "failed to call webhook: Post \"https://127.0.0.1:"},
		"no certificates":   {denied(nil), func(h *admissionv1.MutatingWebhook) { h.ClientConfig.CABundle = []byte("x") }, 500, failed + "could not get REST client: unable to load root certificates"},
		"nowhere":           {denied(nil), func(h *admissionv1.MutatingWebhook) { h.ClientConfig.URL = nil }, 500, failed + `could not get REST client: failed calling webhook "h.example.com": webhook configuration must have either service or URL`},
		"plain": {denied(nil), func(h *admissionv1.MutatingWebhook) {
			*h.ClientConfig.URL = "http" + strings.TrimPrefix(*h.ClientConfig.URL, "https")
		}, 500, failed + "failed to call webhook: "},
		"a strange version": {denied(nil), func(h *admissionv1.MutatingWebhook) { h.AdmissionReviewVersions = []string{"v7"} }, 500, failed + "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)"},
		"a missing service": {denied(nil), func(h *admissionv1.MutatingWebhook) {
			h.ClientConfig = admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: "hooks", Name: "none", Path: ptr("/p")}}
		}, 500, failed + `failed to call webhook: Post "https://none.hooks.svc:443/p?timeout=5s": service "none" not found`},
		"a broken selector": {denied(nil), func(h *admissionv1.MutatingWebhook) {
			h.ObjectSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}}
		}, 500, `Internal error occurred: "Near" is not a valid label selector operator`},
		"a broken condition": {denied(nil), func(h *admissionv1.MutatingWebhook) {
			h.MatchConditions = []admissionv1.MatchCondition{{Name: "x", Expression: "object.spec.nothing == 1"}}
		}, 403, `pods "web" is forbidden: expression 'object.spec.nothing == 1' resulted in error: no such key: nothing`},
		"a costly condition": {denied(nil), func(h *admissionv1.MutatingWebhook) {
			h.MatchConditions = []admissionv1.MatchCondition{{Name: "x", Expression: "[1,2,3,4,5,6,7,8,9,10].all(a,[1,2,3,4,5,6,7,8,9,10].all(b,[1,2,3,4,5,6,7,8,9,10].all(c,[1,2,3,4,5,6,7,8,9,10].all(d,[1,2,3,4,5,6,7,8,9,10].all(e,[1,2,3,4,5,6,7,8,9,10].all(f,a+b+c+d+e+f>0))))))"}}
		}, 403, `pods "web" is forbidden: `},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			h := hook("h.example.com", serve(t, test.answer))
			if test.change != nil {
				test.change(&h)
			}
			b.put(mutatingConfig("m", h))
			err := b.pass(t.Context(), b.wish(pod("web")))
			status := apierrors.APIStatus(nil)
			if status, _ = err.(apierrors.APIStatus); status == nil || status.Status().Code != test.code || !strings.HasPrefix(err.Error(), test.want) {
				t.Fatalf("got %v, want %d %s", err, test.code, test.want)
			}
			if !strings.HasPrefix(test.want, failed) {
				return
			}
			h.FailurePolicy = ptr(admissionv1.Ignore)
			b.put(mutatingConfig("m", h))
			if err := b.pass(t.Context(), b.wish(pod("web"))); err != nil {
				t.Errorf("with failure policy Ignore: %v", err)
			}
			if got := b.notes["failed-open.mutation.webhook.admission.k8s.io/round_0_index_0"]; got != "h.example.com" {
				t.Errorf("the audit trail has %v", b.notes)
			}
		})
	}
}

// TestPatchesThatDoNotApply are told of in upstream's words.
func TestPatchesThatDoNotApply(t *testing.T) {
	for patch, want := range map[string]string{
		`{"op":"replace","path":"/spec/containers/7/image","value":"x"}`: "replace operation does not apply: doc is missing path: /spec/containers/7/image: missing value",
		`{"op":"test","path":"/metadata/name","value":"x"}`:              "testing value /metadata/name failed: test failed",
		`{"op":"add","path":"/spec/containers/x","value":{}}`: "error in add for path: '/spec/containers/x': value was not a proper array index: 'x': " +
			`strconv.Atoi: parsing "x": invalid syntax`,
	} {
		b := newBench(t)
		s := serve(t, review(t, func(*reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse { return patching("[" + patch + "]") }))
		b.put(mutatingConfig("m", hook("h.example.com", s)))
		if err := b.pass(t.Context(), b.wish(pod("web"))); !apierrors.IsInternalError(err) || err.Error() != "Internal error occurred: "+want {
			t.Errorf("%s: got %v, want %s", patch, err, want)
		}
	}
}

// TestHooksAreWaitedFor: what is told of waiting is the time of the calls alone. Of hooks that are not called it is none.
func TestHooksAreWaitedFor(t *testing.T) {
	b := newBench(t)
	s := serve(t, review(t, func(*reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse {
		return &reviewv1.AdmissionResponse{Allowed: true}
	}))
	called, uncalled := hook("a.example.com", s), hook("b.example.com", s)
	uncalled.FailurePolicy, uncalled.ClientConfig.CABundle = ptr(admissionv1.Ignore), []byte("x")
	b.put(mutatingConfig("m", called, uncalled), validatingConfig("v", called, uncalled))
	var told []string
	a := b.wish(pod("web"))
	a.Waited = func(changes bool, took time.Duration) {
		told = append(told, fmt.Sprintf("changes %t, waited %t", changes, took > 0))
	}
	if err := b.pass(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if want := []string{"changes true, waited true", "changes true, waited false", "changes false, waited true", "changes false, waited false"}; !slices.Equal(told, want) {
		t.Errorf("told was %q, want %q", told, want)
	}
}

func TestHooksThatValidateAreAskedAtOnce(t *testing.T) {
	b := newBench(t)
	var both sync.WaitGroup
	both.Add(2)
	meet := serve(t, review(t, func(r *reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse {
		both.Done()
		both.Wait() // nobody answers before both are asked
		return &reviewv1.AdmissionResponse{Allowed: true}
	}))
	b.put(validatingConfig("v", hook("a.example.com", meet), hook("b.example.com", meet)))
	if err := b.pass(t.Context(), b.wish(pod("web"))); err != nil {
		t.Fatal(err)
	}
	patch := serve(t, review(t, func(*reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse { return patching(`[]`) }))
	b.put(validatingConfig("v", hook("a.example.com", patch)))
	err := b.pass(t.Context(), b.wish(pod("web")))
	if want := "validating webhook may not return response.patch"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want …%s", err, want)
	}
}

func TestServicesAreResolved(t *testing.T) {
	b := newBench(t)
	b.mutating = serve(t, review(t, func(*reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse {
		return &reviewv1.AdmissionResponse{Allowed: true}
	}))
	h := hook("h.example.com", b.mutating)
	h.ClientConfig.URL = nil
	h.ClientConfig.Service = &admissionv1.ServiceReference{Namespace: "hooks", Name: "svc", Port: ptr(int32(8443))}
	b.put(mutatingConfig("m", h))
	err := b.pass(t.Context(), b.wish(pod("web")))
	// The test's certificate is another's: that it is held against the service's name shows that the service was reached.
	if err == nil || !strings.Contains(err.Error(), "not svc.hooks.svc") {
		t.Errorf("got %v", err)
	}
}

func TestWishesEnd(t *testing.T) {
	b := newBench(t)
	asked := make(chan struct{}, 1)
	slow := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	h := hook("h.example.com", slow)
	h.TimeoutSeconds, h.FailurePolicy = ptr(int32(30)), ptr(admissionv1.Ignore)
	b.put(mutatingConfig("m", h))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := b.pass(ctx, b.wish(pod("web"))); !apierrors.IsTimeout(err) {
		t.Errorf("got %v", err)
	}
	<-asked
}

func TestNothingIsSaidOfConfigurations(t *testing.T) {
	b := newBench(t)
	h := hook("h.example.com", serve(t, http.NotFoundHandler()))
	h.Rules[0].Rule = admissionv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*/*"}}
	b.put(mutatingConfig("m", h), validatingConfig("v", h))
	res := admissionv1.SchemeGroupVersion.WithResource("mutatingwebhookconfigurations")
	a := b.wish(pod("web"))
	a.Kind = kinds.NewCatalogs(all.Kinds()).Now().Find(res)
	a.Type, a.Object, a.Namespace = a.Kind.GVK, mutatingConfig("m").(*admissionv1.MutatingWebhookConfiguration), ""
	if err := b.pass(t.Context(), a); err != nil {
		t.Errorf("a webhook was asked about its own configuration: %v", err)
	}
}

func TestWithoutConfigurationsAWishCostsNothing(t *testing.T) {
	b := newBench(t)
	a := b.wish(pod("web"))
	n := testing.AllocsPerRun(100, func() {
		for _, p := range b.plugins {
			if p.Admit != nil && p.Admit(context.Background(), a) != nil || p.Validate != nil && p.Validate(context.Background(), a) != nil {
				t.Fatal("refused")
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

package podsecurity_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/podsecurity"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/apps"
	"github.com/floe-k8s/floe/internal/kinds/core"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

const prefix = "pod-security.kubernetes.io/"

func labeled(words string) *corev1.Namespace {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns", Labels: map[string]string{}}}
	for word := range strings.FieldsSeq(words) {
		key, value, _ := strings.Cut(word, "=")
		ns.Labels[prefix+key] = value
	}
	return ns
}

func pod(name string, privileged bool) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "c", Image: "i", SecurityContext: &corev1.SecurityContext{Privileged: &privileged},
	}}}}
}

// heard is what one asking leads to.
type heard struct {
	refusal  string
	warnings []string
	notes    string
}

func ask(k *kinds.Kind, obj, old kinds.Object, ns *corev1.Namespace, settings podsecurity.Settings, there ...*corev1.Pod) (out heard) {
	notes := map[string]string{}
	see := kindtest.Objects{corev1.SchemeGroupVersion.WithResource("namespaces"): {"/ns": ns}, corev1.SchemeGroupVersion.WithResource("pods"): {}}
	for _, p := range there {
		see[corev1.SchemeGroupVersion.WithResource("pods")]["ns/"+p.Name] = p
	}
	a := &admission.Attributes{Operation: admission.Create, Kind: k, Type: k.GVK, Namespace: "ns", Name: obj.GetName(), Object: obj, See: see, User: auth.User{Name: "me"},
		Warned: func(text string) { out.warnings = append(out.warnings, text) }, Annotated: func(key, value string) { notes[strings.TrimPrefix(key, prefix)] = value }}
	if old != nil {
		a.Operation, a.Old = admission.Update, old
	}
	if err := podsecurity.New(settings).Validate(context.Background(), a); err != nil {
		out.refusal = err.Error()
	}
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(notes)) {
		lines = append(lines, key+": "+notes[key])
	}
	out.notes = strings.Join(lines, "; ")
	return out
}

func TestPodsAreJudged(t *testing.T) {
	const detail = `privileged (container "c" must not set securityContext.privileged=true)`
	exempt := func(change func(*podsecurity.Settings)) podsecurity.Settings {
		s := podsecurity.DefaultSettings()
		change(&s)
		return s
	}
	plain := podsecurity.DefaultSettings()
	changed := pod("web", true)
	changed.Labels = map[string]string{"a": "b"}
	other := pod("web", true)
	other.Spec.Containers[0].Image = "j"
	for name, c := range map[string]struct {
		labels   string
		pod, old *corev1.Pod
		settings podsecurity.Settings
		want     heard
	}{
		"no labels": {"", pod("web", true), nil, plain, heard{notes: "enforce-policy: privileged:latest"}},
		"good":      {"enforce=baseline", pod("web", false), nil, plain, heard{notes: "enforce-policy: baseline:latest"}},
		"bad":       {"enforce=baseline", pod("web", true), nil, plain, heard{refusal: `pods "web" is forbidden: violates PodSecurity "baseline:latest": ` + detail, notes: "enforce-policy: baseline:latest"}},
		"of old":    {"enforce=baseline enforce-version=v1.20", pod("web", true), nil, plain, heard{refusal: `pods "web" is forbidden: violates PodSecurity "baseline:v1.20": ` + detail, notes: "enforce-policy: baseline:v1.20"}},
		"warned":    {"warn=baseline", pod("web", true), nil, plain, heard{warnings: []string{`would violate PodSecurity "baseline:latest": ` + detail}, notes: "enforce-policy: privileged:latest"}},
		"audited": {"audit=baseline", pod("web", true), nil, plain,
			heard{notes: `audit-violations: would violate PodSecurity "baseline:latest": ` + detail + `; enforce-policy: privileged:latest`}},
		"labels change":     {"enforce=baseline", changed, pod("web", true), plain, heard{}},
		"the image changes": {"enforce=baseline", other, pod("web", true), plain, heard{refusal: `pods "web" is forbidden: violates PodSecurity "baseline:latest": ` + detail, notes: "enforce-policy: baseline:latest"}},
		"the user":          {"enforce=baseline", pod("web", true), nil, exempt(func(s *podsecurity.Settings) { s.Users = []string{"me"} }), heard{notes: "exempt: user"}},
		"the namespace":     {"enforce=baseline", pod("web", true), nil, exempt(func(s *podsecurity.Settings) { s.Namespaces = []string{"ns"} }), heard{notes: "exempt: namespace"}},
		"the default":       {"", pod("web", true), nil, exempt(func(s *podsecurity.Settings) { s.Default.Enforce.Level = "baseline" }), heard{refusal: `pods "web" is forbidden: violates PodSecurity "baseline:latest": ` + detail, notes: "enforce-policy: baseline:latest"}},
	} {
		var old kinds.Object
		if c.old != nil {
			old = c.old
		}
		got := ask(core.Pod(), c.pod, old, labeled(c.labels), c.settings)
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(heard{})); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

func TestMakersAreWarned(t *testing.T) {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "d"}, Spec: appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{Spec: pod("", true).Spec}}}
	got := ask(apps.Deployment(), d, nil, labeled("enforce=baseline warn=baseline"), podsecurity.DefaultSettings())
	if got.refusal != "" || len(got.warnings) != 1 || !strings.HasPrefix(got.warnings[0], `would violate PodSecurity "baseline:latest"`) {
		t.Errorf("got %+v", got)
	}
}

func TestNamespacesBecomeStricter(t *testing.T) {
	there := []*corev1.Pod{pod("b", true), pod("a", true), pod("good", false)}
	got := ask(core.Namespace(), labeled("enforce=baseline"), labeled(""), nil, podsecurity.DefaultSettings(), there...)
	want := heard{warnings: []string{`existing pods in namespace "ns" violate the new PodSecurity enforce level "baseline:latest"`, "a (and 1 other pod): privileged"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(heard{})); diff != "" {
		t.Error(diff)
	}
	if got := ask(core.Namespace(), labeled(""), labeled("enforce=baseline"), nil, podsecurity.DefaultSettings(), there...); got.warnings != nil {
		t.Errorf("relaxed: %v", got.warnings)
	}
	bad := ask(core.Namespace(), labeled("enforce=odd"), nil, nil, podsecurity.DefaultSettings())
	if want := `Namespace "ns" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "odd": must be one of privileged, baseline, restricted`; bad.refusal != want {
		t.Errorf("got %s, want %s", bad.refusal, want)
	}
}

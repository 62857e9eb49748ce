package admission_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/features"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
)

func TestOrderHasEveryPlugin(t *testing.T) {
	table, err := os.ReadFile("../features/plugins.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(table)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
		names = append(names, name)
	}
	order := admission.Order()
	slices.Sort(names)
	slices.Sort(order)
	if !slices.Equal(names, order) {
		t.Errorf("the order is of\n%q, the switches of\n%q", order, names)
	}
}

// TestGatedPluginsAreOff: what does nothing does nothing by default upstream too, and nobody can switch it on.
func TestGatedPluginsAreOff(t *testing.T) {
	for plugin, gate := range map[string]string{
		"PodGroupProtection": "GenericWorkload", "PodGroupWorkloadExists": "GenericWorkload", "JobValidation": "WorkloadWithJob", "ClusterTrustBundleAttest": "ClusterTrustBundle",
	} {
		if !slices.ContainsFunc(admission.Gated(), func(p admission.Plugin) bool { return p.Name == plugin }) {
			t.Errorf("%s is no gated plug-in", plugin)
		}
		if known, ok := features.Known()[gate]; !ok || known.Default {
			t.Errorf("%s, the gate of %s, is on by default: the plug-in has to do what it is for", gate, plugin)
		}
		if _, err := features.ParseGates([]string{gate + "=true"}); err == nil {
			t.Errorf("%s, the gate of %s, can be switched on: the plug-in has to do what it is for", gate, plugin)
		}
	}
}

func TestKindsListPluginsInOrder(t *testing.T) {
	order := admission.Order()
	for _, k := range all.Kinds() {
		last := -1
		for _, a := range k.Admission {
			at := slices.Index(order, a.Plugin)
			if at < last {
				t.Errorf("%s: %s (%d) comes after a later one (%d)", k.GVR(), a.Plugin, at, last)
			}
			last = at
		}
	}
}

// trace returns a kind, with pure plug-ins, and a chain that write down when they are asked.
func trace(said *[]string) (*kinds.Kind, admission.Chain) {
	own := func(name, part string) kinds.Admission {
		tell := func(phase string) func(kinds.Env, kinds.Object, kinds.Object, kinds.Reader) error {
			return func(kinds.Env, kinds.Object, kinds.Object, kinds.Reader) error {
				*said = append(*said, phase+" own "+name)
				return nil
			}
		}
		return kinds.Admission{Plugin: name, Part: part, Admit: tell("admit"), Validate: tell("validate")}
	}
	known := func(name string) admission.Plugin {
		tell := func(phase string) func(context.Context, *admission.Attributes) error {
			return func(context.Context, *admission.Attributes) error {
				*said = append(*said, phase+" "+name)
				return nil
			}
		}
		return admission.Plugin{Name: name, Admit: tell("admit"), Validate: tell("validate")}
	}
	k := &kinds.Kind{GVK: corev1.SchemeGroupVersion.WithKind("Pod"), Resource: "pods", Admission: []kinds.Admission{
		own("LimitRanger", ""), own("Priority", ""), own("PodResizeValidator", "resize"),
	}}
	plugins := []admission.Plugin{known("ResourceQuota"), known("MutatingAdmissionWebhook"), known("LimitRanger"), known("PodSecurity")}
	return k, admission.NewChain(plugins, []string{"PodSecurity"}, nil)
}

func TestChainAsksInOrder(t *testing.T) {
	const admit = "admit own LimitRanger, admit LimitRanger, admit own Priority, admit MutatingAdmissionWebhook, admit ResourceQuota"
	for name, test := range map[string]struct {
		operation admission.Operation
		part      string
		want      string
	}{
		"create":     {admission.Create, "", admit},
		"update":     {admission.Update, "", admit},
		"a part":     {admission.Update, "resize", "admit LimitRanger, admit own PodResizeValidator, admit MutatingAdmissionWebhook, admit ResourceQuota"},
		"delete":     {admission.Delete, "", "admit LimitRanger, admit MutatingAdmissionWebhook, admit ResourceQuota"},
		"connection": {admission.Connect, "exec", "admit LimitRanger, admit MutatingAdmissionWebhook, admit ResourceQuota"},
	} {
		t.Run(name, func(t *testing.T) {
			var said []string
			k, chain := trace(&said)
			a := &admission.Attributes{Operation: test.operation, Kind: k, Subresource: test.part, Type: k.GVK, Object: &corev1.Pod{}}
			if err := chain.Admit(context.Background(), a); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(said, ", "); got != test.want {
				t.Errorf("admit asked\n%s, want\n%s", got, test.want)
			}
			said = nil
			if err := chain.Validate(context.Background(), a); err != nil {
				t.Fatal(err)
			}
			if got, want := strings.Join(said, ", "), strings.ReplaceAll(test.want, "admit", "validate"); got != want {
				t.Errorf("validate asked\n%s, want\n%s", got, want)
			}
		})
	}
}

func TestRefusalsNameTheObject(t *testing.T) {
	pods := &kinds.Kind{GVK: corev1.SchemeGroupVersion.WithKind("Pod"), Resource: "pods"}
	because := errors.New("because")
	for want, a := range map[string]*admission.Attributes{
		`pods "web" is forbidden: because`:                      {Kind: pods, Name: "web", Object: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "other"}}},
		`pods "web-" is forbidden: because`:                     {Kind: pods, Object: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "web-"}}},
		`pods "Unknown" is forbidden: because`:                  {Kind: pods},
		`pods "Unknown/errorGettingName" is forbidden: because`: {Kind: pods, Object: &corev1.PodExecOptions{}},
	} {
		err := a.Forbid(because)
		if !apierrors.IsForbidden(err) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if again := a.Forbid(err); again != err { //nolint:errorlint // the very same
			t.Errorf("a refusal became %v", again)
		}
	}
}

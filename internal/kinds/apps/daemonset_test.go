package apps_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/kinds/apps"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

const generation = "deprecated.daemonset.template.generation"

func daemonSet(change func(*appsv1.DaemonSet)) *appsv1.DaemonSet {
	d := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "log", Namespace: "default"}, Spec: appsv1.DaemonSetSpec{Selector: webSelector(), Template: webTemplate()}}
	apps.DaemonSet().Default(d)
	apps.DaemonSet().PrepareCreate(kindtest.Env(), d)
	if change != nil {
		change(d)
	}
	return d
}

func TestDaemonSetDefaults(t *testing.T) {
	d := daemonSet(nil)
	u := d.Spec.UpdateStrategy
	if d.Generation != 1 || u.Type != "RollingUpdate" || u.RollingUpdate.MaxUnavailable.IntVal != 1 || u.RollingUpdate.MaxSurge.IntVal != 0 || *d.Spec.RevisionHistoryLimit != 10 {
		t.Errorf("got %+v", d.Spec)
	}
}

func TestTemplateGeneration(t *testing.T) {
	k := apps.DaemonSet()
	for given, want := range map[string]string{"": "1", "0": "1", "-7": "1", "3": "3", "007": "7"} {
		d := &appsv1.DaemonSet{}
		if given != "" {
			d.Annotations = map[string]string{generation: given}
		}
		if k.PrepareCreate(kindtest.Env(), d); d.Annotations[generation] != want {
			t.Errorf("new, %q: got %s, want %s", given, d.Annotations[generation], want)
		}
	}
	for name, c := range map[string]struct {
		change func(*appsv1.DaemonSet)
		text   string
		raised int64
	}{
		"nothing":         {func(*appsv1.DaemonSet) {}, "1", 1},
		"taken away":      {func(d *appsv1.DaemonSet) { d.Annotations = nil }, "1", 1},
		"given":           {func(d *appsv1.DaemonSet) { d.Annotations[generation] = "9" }, "1", 1},
		"another image":   {func(d *appsv1.DaemonSet) { d.Spec.Template.Spec.Containers[0].Image = "i:2" }, "2", 2},
		"not in template": {func(d *appsv1.DaemonSet) { d.Spec.MinReadySeconds = 3 }, "1", 2},
	} {
		old := daemonSet(nil)
		next := old.DeepCopy()
		c.change(next)
		if k.PrepareUpdate(kindtest.Env(), next, old); next.Annotations[generation] != c.text || next.Generation != c.raised {
			t.Errorf("%s: got %s and generation %d, want %s and %d", name, next.Annotations[generation], next.Generation, c.text, c.raised)
		}
	}
	for given, want := range map[string]string{"": "0", "007": "7", "x": "x"} { // what a client sends, and comes to own
		d := &appsv1.DaemonSet{}
		if given != "" {
			d.Annotations = map[string]string{generation: given}
		}
		if k.Default(d); d.Annotations[generation] != want {
			t.Errorf("sent, %q: got %q, want %q", given, d.Annotations[generation], want)
		}
	}
	d := daemonSet(func(d *appsv1.DaemonSet) { d.Annotations = nil })
	if status(k).Update(kindtest.Env(), d, daemonSet(nil)); d.Annotations[generation] != "1" {
		t.Errorf("status: got %v", d.Annotations)
	}
	d = &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{generation: "x"}}}
	k.PrepareCreate(kindtest.Env(), d)
	if got := first(k.Validate(d)); got != `metadata.annotations[deprecated.daemonset.template.generation]: Invalid value: "x": strconv.ParseInt: parsing "x": invalid syntax` {
		t.Errorf("no number: got %s", got)
	}
}

func TestDaemonSetValidation(t *testing.T) {
	roll := func(down, surge intstr.IntOrString) func(*appsv1.DaemonSetSpec) {
		return func(s *appsv1.DaemonSetSpec) {
			s.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &down, MaxSurge: &surge}
		}
	}
	at := "spec.updateStrategy.rollingUpdate."
	for name, c := range map[string]struct {
		change func(*appsv1.DaemonSetSpec)
		want   string
	}{
		"good":           {roll(intstr.FromInt32(0), intstr.FromString("10%")), ""},
		"on delete":      {func(s *appsv1.DaemonSetSpec) { s.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: "OnDelete"} }, ""},
		"strategy":       {func(s *appsv1.DaemonSetSpec) { s.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: "x"} }, `spec.updateStrategy: Unsupported value: {"Type":"x","RollingUpdate":null}: supported values: "RollingUpdate", "OnDelete"`},
		"neither":        {roll(intstr.FromInt32(0), intstr.FromString("0%")), at + "maxUnavailable: Required value: cannot be 0 when maxSurge is 0"},
		"both":           {roll(intstr.FromInt32(1), intstr.FromInt32(1)), at + "maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero"},
		"all and more":   {roll(intstr.FromString("101%"), intstr.FromInt32(0)), at + `maxUnavailable: Invalid value: "101%": must not be greater than 100%`},
		"number as text": {roll(intstr.FromInt32(1), intstr.FromString("3")), at + `maxSurge: Invalid value: "3": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')`},
		"no selector":    {func(s *appsv1.DaemonSetSpec) { s.Selector = nil }, "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`"},
		"empty selector": {func(s *appsv1.DaemonSetSpec) { s.Selector = &metav1.LabelSelector{} }, "spec.selector: Invalid value: {}: empty selector is invalid for daemonset"},
		"deadline":       {func(s *appsv1.DaemonSetSpec) { s.Template.Spec.ActiveDeadlineSeconds = ptr.To[int64](1) }, "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in DaemonSet is not Supported"},
		"history":        {func(s *appsv1.DaemonSetSpec) { s.RevisionHistoryLimit = ptr.To[int32](-1) }, "spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0"},
	} {
		if got := first(apps.DaemonSet().Validate(daemonSet(func(d *appsv1.DaemonSet) { c.change(&d.Spec) }))); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	old := daemonSet(func(d *appsv1.DaemonSet) { d.ResourceVersion = "1" })
	next := old.DeepCopy()
	next.Spec.Selector.MatchLabels["app"] = "x"
	var got []string
	for _, e := range append(apps.DaemonSet().Validate(next), apps.DaemonSet().ValidateUpdate(next, old)...) {
		got = append(got, e.Field)
	}
	if strings.Join(got, " ") != "spec.selector spec.template.metadata.labels" {
		t.Errorf("another selector: got %v", got)
	}
}

func TestDaemonSetStatusAndColumns(t *testing.T) {
	d := daemonSet(func(d *appsv1.DaemonSet) {
		d.Status = appsv1.DaemonSetStatus{NumberMisscheduled: -1, ObservedGeneration: -1, NumberUnavailable: -1}
	})
	old := daemonSet(func(d *appsv1.DaemonSet) { d.Status.CollisionCount = ptr.To[int32](1) })
	var got []string
	for _, e := range status(apps.DaemonSet()).Update(kindtest.Env(), d, old) {
		got = append(got, strings.TrimPrefix(e.Field, "status."))
	}
	if want := "numberMisscheduled observedGeneration numberUnavailable collisionCount"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	d = daemonSet(func(d *appsv1.DaemonSet) {
		d.Status = appsv1.DaemonSetStatus{DesiredNumberScheduled: 5, CurrentNumberScheduled: 4, NumberReady: 3, UpdatedNumberScheduled: 2, NumberAvailable: 1}
		d.Spec.Template.Spec.NodeSelector = map[string]string{"disk": "ssd"}
	})
	if got := row(apps.DaemonSet(), d); got != "log|#####|####|###|##|#|disk=ssd|<unknown>|c|i:1|app=web" {
		t.Errorf("got %s", got)
	}
}

package scheduling_test

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds/kindtest"
	"github.com/floe-k8s/floe/internal/kinds/scheduling"
)

func class(name string, value int32, policy corev1.PreemptionPolicy) *schedulingv1.PriorityClass {
	return &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value, PreemptionPolicy: &policy}
}

func TestCreate(t *testing.T) {
	reserved := func(why string) []string {
		return []string{"metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: " + why}
	}
	all := class("system-node-critical", 2000001000, corev1.PreemptNever)
	all.GlobalDefault = true
	for name, c := range map[string]struct {
		class *schedulingv1.PriorityClass
		want  []string
	}{
		"highest":    {class("a", 1000000000, corev1.PreemptNever), nil},
		"lowest":     {class("a", -2147483648, corev1.PreemptLowerPriority), nil},
		"too high":   {class("a", 1000000001, corev1.PreemptNever), []string{"value: Forbidden: maximum allowed value of a user defined priority is 1000000000"}},
		"node":       {class("system-node-critical", 2000001000, corev1.PreemptNever), nil},
		"cluster":    {class("system-cluster-critical", 2000000000, corev1.PreemptLowerPriority), nil},
		"odd value":  {class("system-cluster-critical", 1, corev1.PreemptNever), reserved("value of system-cluster-critical PriorityClass must be 2000000000")},
		"default":    {all, reserved("globalDefault of system-node-critical PriorityClass must be false")},
		"other name": {class("system-mine", 1, corev1.PreemptNever), reserved("system-mine is not a known system priority class")},
		"odd policy": {class("a", 1, "Odd"), []string{`preemptionPolicy: Unsupported value: "Odd": supported values: "PreemptLowerPriority", "Never"`}},
		"no policy":  {class("a", 1, ""), []string{"preemptionPolicy: Required value"}},
	} {
		kindtest.Same(t, name, kindtest.Create(scheduling.PriorityClass(), c.class), c.want)
	}
}

func TestUpdate(t *testing.T) {
	k := scheduling.PriorityClass()
	now := class("a", 2, corev1.PreemptNever)
	now.Description, now.GlobalDefault = "other", true
	kindtest.Same(t, "text and default", kindtest.Update(k, now, class("a", 2, corev1.PreemptNever)), nil)
	kindtest.Same(t, "value and policy", kindtest.Update(k, now, class("a", 2000000000, corev1.PreemptLowerPriority)), []string{
		"value: Forbidden: may not be changed in an update.",
		`preemptionPolicy: Invalid value: "Never": field is immutable`,
	})
}

func TestDefaultsAndColumns(t *testing.T) {
	k := scheduling.PriorityClass()
	pc := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Value: 5, GlobalDefault: true}
	k.Default(pc)
	k.PrepareCreate(kindtest.Env(), pc)
	if pc.Generation != 1 {
		t.Errorf("generation %d", pc.Generation)
	}
	if got, want := kindtest.Header(k), []string{"Name/name", "Value:integer", "Global-Default:boolean", "Age", "PreemptionPolicy"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := kindtest.Row(k, pc), []any{"a", int64(5), true, "<unknown>", "PreemptLowerPriority"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

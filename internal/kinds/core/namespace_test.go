package core_test

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/core"
)

// TestNamespaceLife walks a namespace from its creation to the moment at which nothing holds it.
func TestNamespaceLife(t *testing.T) {
	k := core.Namespace()
	part := map[string]kinds.Subresource{}
	for _, sub := range k.Subresources {
		part[sub.Name] = sub
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Status: corev1.NamespaceStatus{Phase: "Odd"}}
	ns.Spec.Finalizers = []corev1.FinalizerName{"example.com/mine"}
	k.Default(ns)
	k.PrepareCreate(env(), ns)
	want := []corev1.FinalizerName{"example.com/mine", corev1.FinalizerKubernetes}
	if !reflect.DeepEqual(ns.Spec.Finalizers, want) || ns.Status.Phase != corev1.NamespaceActive || ns.Labels["kubernetes.io/metadata.name"] != "a" {
		t.Errorf("created: %+v", ns)
	}

	next := ns.DeepCopy()
	next.Spec.Finalizers, next.Status.Phase = nil, corev1.NamespaceTerminating
	if k.PrepareUpdate(env(), next, ns); !reflect.DeepEqual(next, ns) {
		t.Errorf("an update changed the specification or the status: %+v", next)
	}

	gone := ns.DeepCopy()
	if d := k.Delete(env(), gone, &metav1.DeleteOptions{}); d.Graceful || gone.Status.Phase != corev1.NamespaceTerminating || k.Gone(gone) {
		t.Errorf("deleted: %+v, %+v", d, gone)
	}
	now := metav1.NewTime(env().Now)
	gone.DeletionTimestamp = &now

	active := gone.DeepCopy()
	active.Status.Phase = corev1.NamespaceActive
	errs := part["status"].Update(env(), active, gone)
	if len(errs) != 1 || errs[0].Error() != `status.Phase: Invalid value: "Active": may only be 'Terminating' if `+"`deletionTimestamp` is not empty" {
		t.Errorf("back to life: %v", errs)
	}

	last := gone.DeepCopy()
	last.Spec.Finalizers, last.Status.Phase = nil, corev1.NamespaceActive
	if errs := part["finalize"].Update(env(), last, gone); len(errs) > 0 || last.Status.Phase != corev1.NamespaceTerminating || !k.Gone(last) {
		t.Errorf("finalized: %v, %+v", errs, last)
	}
}

func TestNamespaceDefaults(t *testing.T) {
	k, ns := core.Namespace(), &corev1.Namespace{}
	if k.Default(ns); len(ns.Labels) != 0 || ns.Status.Phase != corev1.NamespaceActive {
		t.Errorf("without a name: %+v", ns)
	}
	ns.Name = "made-1" // generated between defaulting and preparing
	if k.PrepareCreate(env(), ns); ns.Labels["kubernetes.io/metadata.name"] != "made-1" {
		t.Errorf("generated: %+v", ns.Labels)
	}
	ns.Labels["kubernetes.io/metadata.name"] = "another"
	if k.Default(ns); ns.Labels["kubernetes.io/metadata.name"] != "made-1" {
		t.Errorf("the label may be another's: %+v", ns.Labels)
	}
}

func TestConfigMapRules(t *testing.T) {
	yes, no := true, false
	was := &corev1.ConfigMap{Immutable: &yes, Data: map[string]string{"a": "x"}}
	const fixed = ": Forbidden: field is immutable when `immutable` is set"
	for name, c := range map[string]struct {
		next *corev1.ConfigMap
		old  *corev1.ConfigMap
		want []string
	}{
		"same":           {was.DeepCopy(), was, nil},
		"thaw":           {&corev1.ConfigMap{Immutable: &no, Data: was.Data}, was, []string{"immutable" + fixed}},
		"everything":     {&corev1.ConfigMap{BinaryData: map[string][]byte{"b": nil}}, was, []string{"immutable" + fixed, "data" + fixed, "binaryData" + fixed}},
		"freeze, change": {was, &corev1.ConfigMap{}, nil},
	} {
		var got []string
		for _, e := range core.ConfigMap().ValidateUpdate(c.next, c.old) {
			got = append(got, e.Error())
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	full := &corev1.ConfigMap{Data: map[string]string{"a": string(make([]byte, 1<<19))}, BinaryData: map[string][]byte{"b": make([]byte, 1<<19)}}
	if errs := core.ConfigMap().Validate(full); len(errs) > 0 {
		t.Errorf("1 MiB: %v", errs)
	}
	full.Data["c"] = "x"
	if errs := core.ConfigMap().Validate(full); len(errs) != 1 || errs[0].Error() != "[]: Too long: may not be more than 1048576 bytes" {
		t.Errorf("1 MiB and a byte: %v", errs)
	}
	if got := core.ConfigMap().Columns[1].Cell(env(), full); got != int64(3) {
		t.Errorf("data: %v", got)
	}
}

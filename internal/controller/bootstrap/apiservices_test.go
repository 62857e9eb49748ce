package bootstrap_test

import (
	"runtime"
	"slices"
	"testing"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/apiregistration"
)

var apiServices = apiregistrationv1.SchemeGroupVersion.WithResource("apiservices")

// service is what the API has of an API service; nil: nothing.
func (b *bed) service(t *testing.T, name string) *apiregistrationv1.APIService {
	t.Helper()
	obj, err := b.Get(t.Context(), apiServices, "", name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return obj.(*apiregistrationv1.APIService)
}

// change has somebody change what the API has, or make it.
func (b *bed) change(t *testing.T, name, label string, priority int32) {
	t.Helper()
	svc, make := b.service(t, name), false
	if svc == nil {
		svc, make = &apiregistrationv1.APIService{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: apiregistrationv1.APIServiceSpec{Version: "v1", Group: name[len("v1."):], GroupPriorityMinimum: 1}}, true
	}
	svc = svc.DeepCopy()
	svc.Labels, svc.Spec.VersionPriority = map[string]string{apiregistration.Managed: label}, priority
	var err error
	if make {
		_, err = b.Create(t.Context(), apiServices, svc, metav1.CreateOptions{})
	} else {
		_, err = b.Update(t.Context(), apiServices, svc, "")
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestAPIServicesAreAsTheirLabelSays(t *testing.T) {
	b := newBed(t, "10.0.0.0/16")
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if svc := b.service(t, "v1.apiregistration.k8s.io"); svc != nil {
		t.Errorf("made: %+v", svc)
	}
	if _, err := b.Delete(t.Context(), apiServices, "", "v1.apps", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	b.change(t, "v1.batch", "onstart", 7)
	b.change(t, "v1.policy", "true", 7)
	b.change(t, "v1.storage.k8s.io", "mine", 7)
	b.change(t, "v1.once.example.com", "onstart", 7)
	b.change(t, "v1.always.example.com", "true", 7)
	b.change(t, "v1.mine.example.com", "mine", 7)
	now := func() (list []int32) {
		for _, name := range []string{"v1.apps", "v1.batch", "v1.policy", "v1.storage.k8s.io", "v1.once.example.com", "v1.always.example.com", "v1.mine.example.com"} {
			if svc := b.service(t, name); svc == nil {
				list = append(list, 0)
			} else {
				list = append(list, svc.Spec.VersionPriority)
			}
		}
		return list
	}
	// While the server runs, only what nobody serves and is always managed goes.
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := now(), []int32{0, 7, 7, 7, 7, 0, 7}; !slices.Equal(got, want) {
		t.Errorf("while it runs: %v, want %v", got, want)
	}
	b.change(t, "v1.always.example.com", "true", 7)
	if err := b.start().Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := now(), []int32{15, 15, 15, 7, 0, 0, 7}; !slices.Equal(got, want) {
		t.Errorf("after a start: %v, want %v", got, want)
	}
}

// TestCustomResourcesHaveAPIServices: as soon as they are served, put back when somebody takes or changes them, and gone with their definition. An
// administrator's own is left.
func TestCustomResourcesHaveAPIServices(t *testing.T) {
	b := newBed(t, "10.0.0.0/16")
	catalogs := kinds.NewCatalogs(nil)
	serve := func(versions ...schema.GroupVersion) {
		var list []*kinds.Kind
		for _, gv := range versions {
			list = append(list, &kinds.Kind{GVK: gv.WithKind("Kite"), Resource: "kites"})
		}
		catalogs.Extend(list)
	}
	b.Added = func() (list []schema.GroupVersion, changed <-chan struct{}) {
		now := catalogs.Now()
		for _, k := range now.All() {
			list = append(list, k.GVK.GroupVersion())
		}
		return list, now.Changed()
	}
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	until := func(what string, good func() bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); !good(); runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("%s: v1beta1 %+v, v1 %+v", what, b.service(t, "v1beta1.example.com"), b.service(t, "v1.example.com"))
			}
		}
	}
	b.change(t, "v1.mine.example.com", "mine", 7)
	one, two, mine := schema.GroupVersion{Group: "example.com", Version: "v1"}, schema.GroupVersion{Group: "example.com", Version: "v1beta1"}, schema.GroupVersion{Group: "mine.example.com", Version: "v1"}
	b.run(t, func() {
		serve(one, two, mine) // the clock stands still: nothing waits for a tick
		until("both are served", func() bool {
			beta, svc := b.service(t, "v1beta1.example.com"), b.service(t, "v1.example.com")
			return beta != nil && svc != nil && svc.Labels["kube-aggregator.kubernetes.io/automanaged"] == "true" && svc.Spec.GroupPriorityMinimum == 1000 &&
				svc.Spec.VersionPriority == 100 && svc.Spec.Service == nil && svc.Status.Conditions[0].Reason == "Local"
		})
		b.change(t, "v1.example.com", "true", 7)
		serve(one, mine)
		until("one is left", func() bool {
			svc := b.service(t, "v1.example.com")
			return b.service(t, "v1beta1.example.com") == nil && svc != nil && svc.Spec.VersionPriority == 100
		})
		serve()
		until("nothing is left", func() bool { return b.service(t, "v1.example.com") == nil })
	})
	if svc := b.service(t, "v1.mine.example.com"); svc == nil || svc.Spec.VersionPriority != 7 {
		t.Errorf("an administrator's own is now %+v", svc)
	}
}

func TestFlowSchemasSayWhetherTheirLevelIsThere(t *testing.T) {
	b := newBed(t, "10.0.0.0/16")
	schemas := flowcontrolv1.SchemeGroupVersion.WithResource("flowschemas")
	levels := flowcontrolv1.SchemeGroupVersion.WithResource("prioritylevelconfigurations")
	fs := &flowcontrolv1.FlowSchema{ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Spec: flowcontrolv1.FlowSchemaSpec{
		PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: "later"}, MatchingPrecedence: 9,
	}}
	if _, err := b.Create(t.Context(), schemas, fs, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	said := func(name string, status flowcontrolv1.ConditionStatus, reason, message string) {
		t.Helper()
		if err := b.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		obj, err := b.Get(t.Context(), schemas, "", name)
		if err != nil {
			t.Fatal(err)
		}
		want := flowcontrolv1.FlowSchemaCondition{Type: "Dangling", Status: status, Reason: reason, Message: message}
		got := obj.(*flowcontrolv1.FlowSchema).Status.Conditions
		if len(got) == 1 {
			want.LastTransitionTime = got[0].LastTransitionTime
		}
		if !slices.Equal(got, []flowcontrolv1.FlowSchemaCondition{want}) || want.LastTransitionTime.IsZero() {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	const there, missing = "and it exists", "but there is no such object"
	const about = "This FlowSchema references the PriorityLevelConfiguration object named "
	said("exempt", "False", "Found", about+`"exempt" `+there)
	said("mine", "True", "NotFound", about+`"later" `+missing)
	later := &flowcontrolv1.PriorityLevelConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "later"}, Spec: flowcontrolv1.PriorityLevelConfigurationSpec{
		Type: flowcontrolv1.PriorityLevelEnablementLimited, Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{LimitResponse: flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeReject}},
	}}
	if _, err := b.Create(t.Context(), levels, later, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	said("mine", "False", "Found", about+`"later" `+there)
}

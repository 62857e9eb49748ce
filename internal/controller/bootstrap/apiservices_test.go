package bootstrap_test

import (
	"slices"
	"testing"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

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

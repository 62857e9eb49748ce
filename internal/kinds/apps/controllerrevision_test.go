package apps_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/kinds/apps"
)

func revision(data string) *appsv1.ControllerRevision {
	r := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: "web-1", Namespace: "default"}, Revision: 3}
	if data != "" {
		r.Data = runtime.RawExtension{Raw: []byte(data)}
	}
	return r
}

func TestRevisions(t *testing.T) {
	k := apps.ControllerRevision()
	for data, want := range map[string]string{
		`{"a":1}`: "",
		"":        "data: Required value: data is mandatory",
		"null":    "data: Required value: data is mandatory",
		"[1]":     "data: Required value: data must be a valid JSON object",
		"{":       `data: Invalid value: "<value omitted>": error parsing data: unexpected end of JSON input`,
	} {
		if got := first(k.Validate(revision(data))); got != want {
			t.Errorf("%s: got %q, want %q", data, got, want)
		}
	}
	negative := revision("{}")
	negative.Revision = -1
	if got := first(k.Validate(negative)); got != "revision: Invalid value: -1: must be greater than or equal to 0" {
		t.Errorf("got %s", got)
	}
	old, next := revision("{}"), revision("[]")
	next.ResourceVersion, next.Revision = "1", 4
	if errs := append(k.Validate(next), k.ValidateUpdate(next, old)...); len(errs) != 1 || errs[0].Field != "data" || errs[0].Detail != "field is immutable" {
		t.Errorf("other data: got %v", errs)
	}
}

func TestRevisionColumns(t *testing.T) {
	r := revision("{}")
	if got := row(apps.ControllerRevision(), r); got != "web-1|<none>|###|<unknown>" {
		t.Errorf("got %s", got)
	}
	r.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "web", Controller: ptr.To(true)}}
	if got := row(apps.ControllerRevision(), r); got != "web-1|statefulset.apps/web|###|<unknown>" {
		t.Errorf("got %s", got)
	}
}

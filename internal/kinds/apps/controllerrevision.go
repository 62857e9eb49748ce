package apps

import (
	"encoding/json"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// ControllerRevision is apps/v1 ControllerRevision: a state of a workload to which its controller can return.
func ControllerRevision() *kinds.Kind {
	return &kinds.Kind{
		GVK: appsv1.SchemeGroupVersion.WithKind("ControllerRevision"), Resource: "controllerrevisions", Singular: "controllerrevision", Namespaced: true,
		Adopted:   true,
		MetaAgain: kinds.MetaChangeFirst,
		New:       func() kinds.Object { return &appsv1.ControllerRevision{} },
		NewList:   func() runtime.Object { return &appsv1.ControllerRevisionList{} },
		Validate:  validateRevision,
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			return validation.ValidateImmutableField(obj.(*appsv1.ControllerRevision).Data, old.(*appsv1.ControllerRevision).Data, field.NewPath("data"))
		},
		Columns: []kinds.Column{
			kinds.NameColumn(),
			{Name: "Controller", Type: "string", Description: "Controller of the object", Cell: func(_ kinds.Env, obj kinds.Object) any { return controllerText(obj) }},
			{Name: "Revision", Type: "string", Description: appsv1.ControllerRevision{}.SwaggerDoc()["revision"], Cell: func(_ kinds.Env, obj kinds.Object) any {
				return obj.(*appsv1.ControllerRevision).Revision
			}},
			kinds.AgeColumn(),
		},
	}
}

func validateRevision(obj kinds.Object) field.ErrorList {
	r, data := obj.(*appsv1.ControllerRevision), field.NewPath("data")
	errs := validation.ValidateNonnegativeField(r.Revision, field.NewPath("revision"))
	if !isNew(obj) {
		return errs // the data stays
	}
	if r.Data.Raw == nil {
		return append(errs, field.Required(data, "data is mandatory"))
	}
	var v any
	if err := json.Unmarshal(r.Data.Raw, &v); err != nil {
		return append(errs, field.Invalid(data, "<value omitted>", "error parsing data: "+err.Error()))
	}
	if _, ok := v.(map[string]any); v == nil {
		errs = append(errs, field.Required(data, "data is mandatory"))
	} else if !ok {
		errs = append(errs, field.Required(data, "data must be a valid JSON object"))
	}
	return errs
}

// controllerText names the controller as kubectl does: daemonset.apps/web.
func controllerText(obj kinds.Object) string {
	ref := metav1.GetControllerOf(obj)
	if ref == nil {
		return "<none>"
	}
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil { // owners are validated, so this is a stored one that nobody checked
		return ref.Name
	}
	kind := gv.WithKind(ref.Kind).GroupKind()
	if kind.Empty() {
		return ref.Name
	}
	return strings.ToLower(kind.String()) + "/" + ref.Name
}

package node

import (
	"maps"
	"slices"

	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

// RuntimeClass is node.k8s.io/v1 RuntimeClass: which of a node's runtimes runs a pod, what that costs, and which nodes have it.
func RuntimeClass() *kinds.Kind {
	return &kinds.Kind{
		GVK: nodev1.SchemeGroupVersion.WithKind("RuntimeClass"), Resource: "runtimeclasses", Singular: "runtimeclass",
		MetaAgain: kinds.MetaAll, PlainFinalizers: true,
		New:            func() kinds.Object { return &nodev1.RuntimeClass{} },
		NewList:        func() runtime.Object { return &nodev1.RuntimeClassList{} },
		CreateOnUpdate: true, RequireVersion: true,
		Validate: validateRuntimeClass,
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			return validation.ValidateImmutableField(obj.(*nodev1.RuntimeClass).Handler, old.(*nodev1.RuntimeClass).Handler, field.NewPath("handler"))
		},
		Warnings: func(obj, _ kinds.Object) (list []string) {
			s := obj.(*nodev1.RuntimeClass).Scheduling
			if s == nil {
				return nil
			}
			for _, k := range slices.Sorted(maps.Keys(s.NodeSelector)) {
				if msg := podspec.OldNodeLabel(k); msg != "" {
					list = append(list, "scheduling.nodeSelector: "+msg)
				}
			}
			return list
		},
		Columns: []kinds.Column{
			kinds.NameColumn(),
			// Upstream looks for the description where there is none.
			{Name: "Handler", Type: "string", Cell: func(_ kinds.Env, obj kinds.Object) any { return obj.(*nodev1.RuntimeClass).Handler }},
			kinds.AgeColumn(),
		},
	}
}

func validateRuntimeClass(obj kinds.Object) (errs field.ErrorList) {
	rc := obj.(*nodev1.RuntimeClass)
	if path := field.NewPath("handler"); rc.Handler == "" {
		errs = append(errs, field.Required(path, ""))
	} else {
		for _, msg := range validation.NameIsDNSLabel(rc.Handler, false) {
			errs = append(errs, field.Invalid(path, rc.Handler, msg))
		}
	}
	if rc.Overhead != nil {
		// Upstream judges the overhead as a container's limits, and says so.
		errs = append(errs, validateOverhead(rc.Overhead.PodFixed, field.NewPath("overhead"))...)
	}
	if s := rc.Scheduling; s != nil {
		path := field.NewPath("scheduling")
		errs = append(errs, metavalidation.ValidateLabels(s.NodeSelector, path.Child("nodeSelector"))...)
		errs = append(errs, validateTolerations(s.Tolerations, path.Child("tolerations"))...)
	}
	return errs
}

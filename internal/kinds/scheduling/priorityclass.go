package scheduling

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

const (
	highestOfUsers = 1_000_000_000 // priorities above are the system's
	systemPrefix   = "system-"
)

// PriorityClass is scheduling.k8s.io/v1 PriorityClass.
func PriorityClass() *kinds.Kind {
	return &kinds.Kind{
		GVK: schedulingv1.SchemeGroupVersion.WithKind("PriorityClass"), Resource: "priorityclasses", Singular: "priorityclass", ShortNames: []string{"pc"},
		New:     func() kinds.Object { return &schedulingv1.PriorityClass{} },
		NewList: func() runtime.Object { return &schedulingv1.PriorityClassList{} },
		Default: func(obj kinds.Object) {
			if pc := obj.(*schedulingv1.PriorityClass); pc.PreemptionPolicy == nil {
				lower := corev1.PreemptLowerPriority
				pc.PreemptionPolicy = &lower
			}
		},
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) { obj.SetGeneration(1) },
		Validate: func(obj kinds.Object) field.ErrorList {
			// An update is held against what was there alone; a new object has no resourceVersion yet.
			if obj.GetResourceVersion() != "" {
				return nil
			}
			return validatePriorityClass(obj.(*schedulingv1.PriorityClass))
		},
		ValidateUpdate: func(obj, old kinds.Object) (errs field.ErrorList) {
			pc, was := obj.(*schedulingv1.PriorityClass), old.(*schedulingv1.PriorityClass)
			if pc.Value != was.Value {
				errs = append(errs, field.Forbidden(field.NewPath("value"), "may not be changed in an update."))
			}
			return append(errs, validation.ValidateImmutableField(pc.PreemptionPolicy, was.PreemptionPolicy, field.NewPath("preemptionPolicy"))...)
		},
		Admission: []kinds.Admission{{Plugin: "Priority", Validate: oneDefault}},
		Protected: func(name string) string {
			if name == "system-node-critical" || name == "system-cluster-critical" {
				return "this is a system priority class and cannot be deleted"
			}
			return ""
		},
		Columns: priorityClassColumns(),
	}
}

// oneDefault refuses a second class that is the default of all pods.
func oneDefault(_ kinds.Env, obj, old kinds.Object, see kinds.Reader) (err error) {
	pc := obj.(*schedulingv1.PriorityClass)
	if !pc.GlobalDefault {
		return nil
	}
	res := schedulingv1.SchemeGroupVersion.WithResource("priorityclasses")
	see.Each(res, "", func(other kinds.Object) bool {
		if other.(*schedulingv1.PriorityClass).GlobalDefault && (old == nil || other.GetName() != pc.Name) {
			err = apierrors.NewForbidden(res.GroupResource(), pc.Name, fmt.Errorf("PriorityClass %v is already marked as default. Only one default can exist", other.GetName()))
		}
		return err == nil
	})
	return err
}

func validatePriorityClass(pc *schedulingv1.PriorityClass) (errs field.ErrorList) {
	if strings.HasPrefix(pc.Name, systemPrefix) {
		if err := systemClass(pc); err != nil {
			errs = append(errs, field.Forbidden(field.NewPath("metadata", "name"), "priority class names with '"+systemPrefix+"' prefix are reserved for system use only. error: "+err.Error()))
		}
	} else if pc.Value > highestOfUsers {
		errs = append(errs, field.Forbidden(field.NewPath("value"), fmt.Sprintf("maximum allowed value of a user defined priority is %d", highestOfUsers)))
	}
	if pc.PreemptionPolicy == nil {
		return errs
	}
	switch path := field.NewPath("preemptionPolicy"); *pc.PreemptionPolicy {
	case corev1.PreemptLowerPriority, corev1.PreemptNever:
	case "":
		errs = append(errs, field.Required(path, ""))
	default:
		errs = append(errs, field.NotSupported(path, *pc.PreemptionPolicy, []corev1.PreemptionPolicy{corev1.PreemptLowerPriority, corev1.PreemptNever}))
	}
	return errs
}

// systemClass says why pc is none of the two classes that the system makes itself.
func systemClass(pc *schedulingv1.PriorityClass) error {
	var want int32
	switch pc.Name {
	case "system-node-critical":
		want = 2*highestOfUsers + 1000
	case "system-cluster-critical":
		want = 2 * highestOfUsers
	default:
		return fmt.Errorf("%s is not a known system priority class", pc.Name)
	}
	if pc.Value != want {
		return fmt.Errorf("value of %s PriorityClass must be %d", pc.Name, want)
	}
	if pc.GlobalDefault {
		return fmt.Errorf("globalDefault of %s PriorityClass must be false", pc.Name)
	}
	return nil
}

func priorityClassColumns() []kinds.Column {
	doc := schedulingv1.PriorityClass{}.SwaggerDoc()
	cell := func(name, kind, text string, f func(*schedulingv1.PriorityClass) any) kinds.Column {
		return kinds.Column{Name: name, Type: kind, Description: text, Cell: func(_ kinds.Env, obj kinds.Object) any { return f(obj.(*schedulingv1.PriorityClass)) }}
	}
	return []kinds.Column{
		kinds.NameColumn(),
		cell("Value", "integer", doc["value"], func(pc *schedulingv1.PriorityClass) any { return int64(pc.Value) }),
		cell("Global-Default", "boolean", doc["globalDefault"], func(pc *schedulingv1.PriorityClass) any { return pc.GlobalDefault }),
		kinds.AgeColumn(),
		cell("PreemptionPolicy", "string", doc["preemptionPolicy"], func(pc *schedulingv1.PriorityClass) any {
			if pc.PreemptionPolicy == nil {
				return ""
			}
			return string(*pc.PreemptionPolicy)
		}),
	}
}

package flowcontrol

import (
	"fmt"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// maxPrecedence is the last place in which schemas are asked.
const maxPrecedence = 10000

// FlowSchema is flowcontrol.apiserver.k8s.io/v1 FlowSchema.
func FlowSchema() *kinds.Kind {
	gvk := flowcontrolv1.SchemeGroupVersion.WithKind("FlowSchema")
	return &kinds.Kind{
		GVK: gvk, Resource: "flowschemas", Singular: "flowschema",
		New:     func() kinds.Object { return &flowcontrolv1.FlowSchema{} },
		NewList: func() runtime.Object { return &flowcontrolv1.FlowSchemaList{} },
		Default: func(obj kinds.Object) {
			if s := &obj.(*flowcontrolv1.FlowSchema).Spec; s.MatchingPrecedence == 0 {
				s.MatchingPrecedence = 1000
			}
		},
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			fs := obj.(*flowcontrolv1.FlowSchema)
			fs.Status, fs.Generation = flowcontrolv1.FlowSchemaStatus{}, 1
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			fs, was := obj.(*flowcontrolv1.FlowSchema), old.(*flowcontrolv1.FlowSchema)
			fs.Status = *was.Status.DeepCopy()
			if changed(fs.Spec, was.Spec) {
				fs.Generation = was.Generation + 1
			}
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			fs, path := obj.(*flowcontrolv1.FlowSchema), field.NewPath("spec")
			errs := validateSchema(fs.Name, &fs.Spec, path)
			if want, ok := mandatorySchema(fs.Name); ok && changed(fs.Spec, want) {
				errs = append(errs, field.Invalid(path, untagged.Value(fs.Spec), fmt.Sprintf("spec of '%s' must equal the fixed value", fs.Name)))
			}
			return append(errs, schemaStatus(fs)...)
		},
		Columns: schemaColumns(),
		Resets:  []string{"status"},
		Subresources: []kinds.Subresource{
			{Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Resets: []string{"metadata", "spec"}, Update: func(_ kinds.Env, obj, old kinds.Object) field.ErrorList {
				fs, was := obj.(*flowcontrolv1.FlowSchema), old.(*flowcontrolv1.FlowSchema)
				keepMeta(&fs.ObjectMeta, &was.ObjectMeta)
				fs.Spec = *was.Spec.DeepCopy()
				return schemaStatus(fs)
			}},
		},
	}
}

func schemaStatus(fs *flowcontrolv1.FlowSchema) field.ErrorList {
	var types []string
	for _, c := range fs.Status.Conditions {
		types = append(types, string(c.Type))
	}
	return conditionTypes(types)
}

func validateSchema(name string, s *flowcontrolv1.FlowSchemaSpec, path *field.Path) (errs field.ErrorList) {
	at, n := path.Child("matchingPrecedence"), s.MatchingPrecedence
	if n <= 0 {
		errs = append(errs, field.Invalid(at, n, "must be a positive value"))
	}
	if n > maxPrecedence {
		errs = append(errs, field.Invalid(at, n, fmt.Sprintf("must not be greater than %d", maxPrecedence)))
	}
	if n == 1 && name != "exempt" {
		errs = append(errs, field.Invalid(at, n, "only the schema named 'exempt' may have matchingPrecedence 1"))
	}
	if m := s.DistinguisherMethod; m != nil && m.Type != flowcontrolv1.FlowDistinguisherMethodByNamespaceType && m.Type != flowcontrolv1.FlowDistinguisherMethodByUserType {
		errs = append(errs, field.NotSupported(path.Child("distinguisherMethod", "type"), untagged.Value(m),
			[]flowcontrolv1.FlowDistinguisherMethodType{flowcontrolv1.FlowDistinguisherMethodByNamespaceType, flowcontrolv1.FlowDistinguisherMethodByUserType}))
	}
	at = path.Child("priorityLevelConfiguration", "name")
	if level := s.PriorityLevelConfiguration.Name; level == "" {
		errs = append(errs, field.Required(at, "must reference a priority level"))
	} else {
		errs = append(errs, invalid(at, level, "", validation.NameIsDNSSubdomain(level, false))...)
	}
	for i := range s.Rules {
		errs = append(errs, validateRule(&s.Rules[i], path.Child("rules").Index(i))...)
	}
	return errs
}

func schemaColumns() []kinds.Column {
	spec := flowcontrolv1.FlowSchemaSpec{}.SwaggerDoc()
	return []kinds.Column{
		kinds.NameColumn(),
		column("PriorityLevel", flowcontrolv1.PriorityLevelConfigurationReference{}.SwaggerDoc()["name"], func(fs *flowcontrolv1.FlowSchema) any { return fs.Spec.PriorityLevelConfiguration.Name }),
		column("MatchingPrecedence", spec["matchingPrecedence"], func(fs *flowcontrolv1.FlowSchema) any { return int64(fs.Spec.MatchingPrecedence) }),
		column("DistinguisherMethod", spec["distinguisherMethod"], func(fs *flowcontrolv1.FlowSchema) any {
			if fs.Spec.DistinguisherMethod == nil {
				return "<none>"
			}
			return string(fs.Spec.DistinguisherMethod.Type)
		}),
		kinds.AgeColumn(),
		column("MissingPL", "references a broken or non-existent PriorityLevelConfiguration", func(fs *flowcontrolv1.FlowSchema) any {
			for _, c := range fs.Status.Conditions {
				if c.Type == flowcontrolv1.FlowSchemaConditionDangling {
					return string(c.Status)
				}
			}
			return "?"
		}),
	}
}

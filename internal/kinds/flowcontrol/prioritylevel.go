package flowcontrol

import (
	"fmt"
	"math"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

const (
	maxQueues = 10_000_000 // of one level
	maxBits   = 60         // of a flow's hash, which its hand of queues is dealt by
	// oldZero is the annotation by which v1beta3 kept a share of zero apart from none; v1 has no need of it.
	oldZero = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares"
)

// PriorityLevelConfiguration is flowcontrol.apiserver.k8s.io/v1 PriorityLevelConfiguration.
func PriorityLevelConfiguration() *kinds.Kind {
	gvk := flowcontrolv1.SchemeGroupVersion.WithKind("PriorityLevelConfiguration")
	return &kinds.Kind{
		GVK: gvk, Resource: "prioritylevelconfigurations", Singular: "prioritylevelconfiguration",
		New:     func() kinds.Object { return &flowcontrolv1.PriorityLevelConfiguration{} },
		NewList: func() runtime.Object { return &flowcontrolv1.PriorityLevelConfigurationList{} },
		Default: func(obj kinds.Object) { defaultLevel(&obj.(*flowcontrolv1.PriorityLevelConfiguration).Spec) },
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			pl := obj.(*flowcontrolv1.PriorityLevelConfiguration)
			pl.Status, pl.Generation = flowcontrolv1.PriorityLevelConfigurationStatus{}, 1
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			pl, was := obj.(*flowcontrolv1.PriorityLevelConfiguration), old.(*flowcontrolv1.PriorityLevelConfiguration)
			pl.Status = *was.Status.DeepCopy()
			if changed(pl.Spec, was.Spec) {
				pl.Generation = was.Generation + 1
			}
		},
		Validate: func(obj kinds.Object) (errs field.ErrorList) {
			pl, path := obj.(*flowcontrolv1.PriorityLevelConfiguration), field.NewPath("spec")
			if _, ok := pl.Annotations[oldZero]; ok {
				errs = append(errs, field.Forbidden(field.NewPath("metadata", "annotations"), fmt.Sprintf("annotation '%s' is forbidden", oldZero)))
			}
			errs = append(errs, validateLevel(pl.Name, &pl.Spec, path)...)
			errs = append(errs, asMandatory(pl, path)...)
			return append(errs, levelStatus(pl)...)
		},
		Columns: levelColumns(),
		Resets:  []string{"status"},
		Subresources: []kinds.Subresource{
			{Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Resets: []string{"metadata", "spec"}, Update: func(_ kinds.Env, obj, old kinds.Object) field.ErrorList {
				pl, was := obj.(*flowcontrolv1.PriorityLevelConfiguration), old.(*flowcontrolv1.PriorityLevelConfiguration)
				keepMeta(&pl.ObjectMeta, &was.ObjectMeta)
				pl.Spec = *was.Spec.DeepCopy()
				return levelStatus(pl)
			}},
		},
	}
}

func levelStatus(pl *flowcontrolv1.PriorityLevelConfiguration) field.ErrorList {
	var types []string
	for _, c := range pl.Status.Conditions {
		types = append(types, string(c.Type))
	}
	return conditionTypes(types)
}

func defaultLevel(s *flowcontrolv1.PriorityLevelConfigurationSpec) {
	set := func(p **int32, v int32) {
		if *p == nil {
			*p = &v
		}
	}
	if l := s.Limited; l != nil {
		set(&l.NominalConcurrencyShares, 30)
		set(&l.LendablePercent, 0)
		if q := l.LimitResponse.Queuing; q != nil {
			for p, v := range map[*int32]int32{&q.HandSize: 8, &q.Queues: 64, &q.QueueLengthLimit: 50} {
				if *p == 0 {
					*p = v
				}
			}
		}
	}
	if e := s.Exempt; e != nil {
		set(&e.NominalConcurrencyShares, 0)
		set(&e.LendablePercent, 0)
	}
}

// asMandatory refuses changes of the levels that no cluster is without; the share that exempt lends is an administrator's to set.
func asMandatory(pl *flowcontrolv1.PriorityLevelConfiguration, path *field.Path) field.ErrorList {
	want, ok := mandatoryLevel(pl.Name)
	if !ok {
		return nil
	}
	have, but := pl.Spec, ""
	if pl.Name == "exempt" {
		have.Exempt, but = want.Exempt, " except the 'spec.exempt' field"
	}
	if !changed(have, want) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, untagged.Value(pl.Spec), fmt.Sprintf("spec of '%s'%s must equal the fixed value", pl.Name, but))}
}

func validateLevel(name string, s *flowcontrolv1.PriorityLevelConfigurationSpec, path *field.Path) (errs field.ErrorList) {
	kind, limited, exempt := path.Child("type"), path.Child("limited"), path.Child("exempt")
	if (name == "exempt") != (s.Type == flowcontrolv1.PriorityLevelEnablementExempt) {
		errs = append(errs, field.Invalid(kind, s.Type, "must be 'Exempt' if and only if `name` is 'exempt'"))
	}
	switch s.Type {
	case flowcontrolv1.PriorityLevelEnablementExempt:
		if s.Limited != nil {
			errs = append(errs, field.Forbidden(limited, "must be nil if the type is not Limited"))
		}
		if s.Exempt != nil {
			errs = append(errs, validateShares(s.Exempt.NominalConcurrencyShares, exempt)...)
			errs = append(errs, validateLendable(s.Exempt.LendablePercent, exempt)...)
		}
	case flowcontrolv1.PriorityLevelEnablementLimited:
		if s.Exempt != nil {
			errs = append(errs, field.Forbidden(exempt, "must be nil if the type is Limited"))
		}
		if s.Limited == nil {
			return append(errs, field.Required(limited, "must not be empty when type is Limited"))
		}
		errs = append(errs, validateShares(s.Limited.NominalConcurrencyShares, limited)...)
		errs = append(errs, validateResponse(&s.Limited.LimitResponse, limited.Child("limitResponse"))...)
		errs = append(errs, validateLendable(s.Limited.LendablePercent, limited)...)
		if n := s.Limited.BorrowingLimitPercent; n != nil && *n < 0 {
			errs = append(errs, field.Invalid(limited.Child("borrowingLimitPercent"), *n, "if specified, must be a non-negative integer"))
		}
	case "":
		errs = append(errs, field.Required(kind, ""))
	default:
		errs = append(errs, field.NotSupported(kind, s.Type, []flowcontrolv1.PriorityLevelEnablement{flowcontrolv1.PriorityLevelEnablementExempt, flowcontrolv1.PriorityLevelEnablementLimited}))
	}
	return errs
}

func validateShares(n *int32, path *field.Path) field.ErrorList {
	if n == nil || *n >= 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child("nominalConcurrencyShares"), *n, "must be a non-negative integer")}
}

func validateLendable(n *int32, path *field.Path) field.ErrorList {
	if n == nil || *n >= 0 && *n <= 100 {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child("lendablePercent"), *n, "must be between 0 and 100, inclusive")}
}

func validateResponse(r *flowcontrolv1.LimitResponse, path *field.Path) field.ErrorList {
	kind, queuing := path.Child("type"), path.Child("queuing")
	switch r.Type {
	case flowcontrolv1.LimitResponseTypeReject:
		if r.Queuing != nil {
			return field.ErrorList{field.Forbidden(queuing, "must be nil if limited.limitResponse.type is not Limited")}
		}
		return nil
	case flowcontrolv1.LimitResponseTypeQueue:
		if r.Queuing == nil {
			return field.ErrorList{field.Required(queuing, "must not be empty if limited.limitResponse.type is Limited")}
		}
		return validateQueuing(r.Queuing, queuing)
	case "":
		return field.ErrorList{field.Required(kind, "")}
	}
	return field.ErrorList{field.NotSupported(kind, r.Type, []flowcontrolv1.LimitResponseType{flowcontrolv1.LimitResponseTypeQueue, flowcontrolv1.LimitResponseTypeReject})}
}

func validateQueuing(q *flowcontrolv1.QueuingConfiguration, path *field.Path) (errs field.ErrorList) {
	if q.QueueLengthLimit <= 0 {
		errs = append(errs, field.Invalid(path.Child("queueLengthLimit"), q.QueueLengthLimit, "must be positive"))
	}
	if q.Queues <= 0 {
		errs = append(errs, field.Invalid(path.Child("queues"), q.Queues, "must be positive"))
	} else if q.Queues > maxQueues {
		errs = append(errs, field.Invalid(path.Child("queues"), q.Queues, fmt.Sprintf("must not be greater than %d", maxQueues)))
	}
	hand := path.Child("handSize")
	switch bits := handBits(q.Queues, q.HandSize); {
	case q.HandSize <= 0:
		errs = append(errs, field.Invalid(hand, q.HandSize, "must be positive"))
	case q.HandSize > q.Queues:
		errs = append(errs, field.Invalid(hand, q.HandSize, fmt.Sprintf("should not be greater than queues (%d)", q.Queues)))
	case bits > maxBits:
		errs = append(errs, field.Invalid(hand, q.HandSize, fmt.Sprintf("required entropy bits of deckSize %d and handSize %d should not be greater than %d", q.Queues, q.HandSize, maxBits)))
	}
	return errs
}

// handBits is how many bits of hash it takes to deal a hand out of so many queues, rounded up. It means something for positive numbers only.
func handBits(queues, hand int32) int {
	if queues <= 0 {
		return 0
	}
	return int(math.Ceil(math.Log2(float64(queues)) * float64(hand)))
}

func levelColumns() []kinds.Column {
	queuing := flowcontrolv1.QueuingConfiguration{}.SwaggerDoc()
	queue := func(name, part string, n func(*flowcontrolv1.QueuingConfiguration) int32) kinds.Column {
		return column(name, queuing[part], func(pl *flowcontrolv1.PriorityLevelConfiguration) any {
			if pl.Spec.Limited == nil || pl.Spec.Limited.LimitResponse.Queuing == nil {
				return "<none>"
			}
			return int64(n(pl.Spec.Limited.LimitResponse.Queuing))
		})
	}
	return []kinds.Column{
		kinds.NameColumn(),
		column("Type", flowcontrolv1.PriorityLevelConfigurationSpec{}.SwaggerDoc()["type"], func(pl *flowcontrolv1.PriorityLevelConfiguration) any { return string(pl.Spec.Type) }),
		column("NominalConcurrencyShares", flowcontrolv1.LimitedPriorityLevelConfiguration{}.SwaggerDoc()["nominalConcurrencyShares"], func(pl *flowcontrolv1.PriorityLevelConfiguration) any {
			if pl.Spec.Limited == nil || pl.Spec.Limited.NominalConcurrencyShares == nil {
				return "<none>"
			}
			return int64(*pl.Spec.Limited.NominalConcurrencyShares)
		}),
		queue("Queues", "queues", func(q *flowcontrolv1.QueuingConfiguration) int32 { return q.Queues }),
		queue("HandSize", "handSize", func(q *flowcontrolv1.QueuingConfiguration) int32 { return q.HandSize }),
		queue("QueueLengthLimit", "queueLengthLimit", func(q *flowcontrolv1.QueuingConfiguration) int32 { return q.QueueLengthLimit }),
		kinds.AgeColumn(),
	}
}

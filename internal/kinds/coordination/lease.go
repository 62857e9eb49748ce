// Package coordination holds the kinds of coordination.k8s.io: agreements among components about who does what, and signs of life.
//
// It follows the laws of package core beside it: one function a kind, all that is particular to it in its file.
package coordination

import (
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// Lease is coordination.k8s.io/v1 Lease.
func Lease() *kinds.Kind {
	return &kinds.Kind{
		GVK: coordinationv1.SchemeGroupVersion.WithKind("Lease"), Resource: "leases", Singular: "lease", Namespaced: true, PlainFinalizers: true,
		CreateOnUpdate: true, RequireVersion: true, Minor: func(_, _ kinds.Object) bool { return true },
		New:     func() kinds.Object { return &coordinationv1.Lease{} },
		NewList: func() runtime.Object { return &coordinationv1.LeaseList{} },
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			dropElection(&obj.(*coordinationv1.Lease).Spec, &coordinationv1.LeaseSpec{})
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			dropElection(&obj.(*coordinationv1.Lease).Spec, &old.(*coordinationv1.Lease).Spec)
		},
		Validate: validateLease,
		Columns: []kinds.Column{kinds.NameColumn(), {
			Name: "Holder", Type: "string", Description: coordinationv1.LeaseSpec{}.SwaggerDoc()["holderIdentity"],
			Cell: func(_ kinds.Env, obj kinds.Object) any {
				if h := obj.(*coordinationv1.Lease).Spec.HolderIdentity; h != nil {
					return *h
				}
				return ""
			},
		}, kinds.AgeColumn()},
	}
}

// dropElection clears the fields of coordinated leader election, which is off by default, unless they were there before.
func dropElection(spec, was *coordinationv1.LeaseSpec) {
	if was.Strategy == nil {
		spec.Strategy = nil
	}
	if was.PreferredHolder == nil {
		spec.PreferredHolder = nil
	}
}

func validateLease(obj kinds.Object) (errs field.ErrorList) {
	spec, path := obj.(*coordinationv1.Lease).Spec, field.NewPath("spec")
	if d := spec.LeaseDurationSeconds; d != nil && *d <= 0 {
		errs = append(errs, field.Invalid(path.Child("leaseDurationSeconds"), *d, "must be greater than 0"))
	}
	if n := spec.LeaseTransitions; n != nil && *n < 0 {
		errs = append(errs, field.Invalid(path.Child("leaseTransitions"), *n, "must be greater than or equal to 0"))
	}
	if spec.Strategy != nil {
		errs = append(errs, validateStrategy(*spec.Strategy, path.Child("strategy", "strategy"))...) // upstream names it twice
	}
	if spec.PreferredHolder != nil && *spec.PreferredHolder != "" && (spec.Strategy == nil || *spec.Strategy == "") {
		errs = append(errs, field.Forbidden(path.Child("preferredHolder"), "may only be specified if `strategy` is defined"))
	}
	return errs
}

// validateStrategy knows the names that have no domain; others are anyone's.
func validateStrategy(s coordinationv1.CoordinatedLeaseStrategy, path *field.Path) (errs field.ErrorList) {
	known := []coordinationv1.CoordinatedLeaseStrategy{coordinationv1.OldestEmulationVersion}
	if !strings.Contains(string(s), "/") {
		if !slices.Contains(known, s) {
			errs = append(errs, field.NotSupported(path, s, known))
		}
		return errs
	}
	for _, msg := range validation.IsQualifiedName(string(s)) {
		errs = append(errs, field.Invalid(path, s, msg))
	}
	return errs
}

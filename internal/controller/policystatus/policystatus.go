// Package policystatus tells the authors of ValidatingAdmissionPolicies which of their expressions cannot be right for the objects that they match.
//
// # Vocabulary
//
// A type is what CEL knows of a kind's objects, made from the kind's schema. A warning is what the compiler says of one expression, for each of the kinds that
// it cannot be right for.
//
// # Laws
//
//   - Each generation of a policy is checked once, and its status says so: what is served later than the policy changes nothing of it, as upstream.
//   - Checked are the expressions and message expressions of validations, with what variables are declared, against every kind that a rule without wildcards
//     names; when a rule names ten, those of the rules after it are not looked at. Kinds are checked in the order of group, version and kind.
//   - A kind that has no schema is not checked. Nothing that is found here has a say in what the policy does.
//   - Texts are upstream's, word for word. They may name a type, which is the kind with a number behind it, so that the object's is never the parameter's:
//     upstream's number is a moment, here it is 0 and 1.
//   - Nothing is made before the first policy comes; the types of the last 16 kinds are kept until no policy has come for a minute, and one environment of CEL
//     lives at a time.
//
// # What it leaves to others
//
// Whether an expression can be read at all is validation's, in kinds/admissionregistration; deciding by it is package admission/policy's. Schemas are
// kinds/openapi's and, of added kinds, their own.
package policystatus

import (
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

// manager is who applies statuses, by the name of upstream's controller.
const manager = "validatingadmissionpolicy-status"

var policies = admissionv1.SchemeGroupVersion.WithResource("validatingadmissionpolicies")

// New returns the controller; a policy is checked against the kinds that catalog names at the time.
func New(catalog engine.Catalog) engine.Controller {
	check := newChecker(catalog)
	return engine.Controller{
		Name: "validatingadmissionpolicy-status", Component: "validatingadmissionpolicy-status-controller",
		User:    "system:serviceaccount:kube-system:validatingadmissionpolicy-status-controller",
		Workers: 1, // the checker does one thing at a time
		Inputs:  []engine.Input{{Resource: policies, Keys: unchecked}},
		Outputs: []engine.Output{{Resource: policies, Fields: []string{"status.observedGeneration", "status.typeChecking"}}},
		Reconcile: func(view client.View, k engine.Key, now time.Time) (engine.Plan, error) {
			policy, ok := view.Get(policies, "", k.Name).(*admissionv1.ValidatingAdmissionPolicy)
			if !ok || checked(policy) {
				check.rest(now)
				return engine.Plan{}, nil
			}
			fields := map[string]any{"status": admissionv1.ValidatingAdmissionPolicyStatus{
				ObservedGeneration: policy.Generation, TypeChecking: &admissionv1.TypeChecking{ExpressionWarnings: check.warnings(policy, now)},
			}}
			gvk := admissionv1.SchemeGroupVersion.WithKind("ValidatingAdmissionPolicy")
			return engine.Plan{Writes: []engine.Write{engine.NewApply(gvk, policies, policy, manager, fields, "status")}, After: typesLast}, nil
		},
	}
}

func checked(p *admissionv1.ValidatingAdmissionPolicy) bool {
	return p.Generation <= p.Status.ObservedGeneration
}

// unchecked is a policy whose status is of an earlier generation.
func unchecked(_ client.View, c client.Change) []engine.Key {
	if p, ok := c.New.(*admissionv1.ValidatingAdmissionPolicy); !ok || checked(p) {
		return nil
	}
	return []engine.Key{{Resource: policies, Name: c.New.GetName()}}
}

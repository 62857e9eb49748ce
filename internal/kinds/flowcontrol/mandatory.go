package flowcontrol

import (
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
)

// mandatorySchema is what the flow schema of this name must be; false when it may be anything.
func mandatorySchema(name string) (spec flowcontrolv1.FlowSchemaSpec, ok bool) {
	all := []string{"*"}
	rule := flowcontrolv1.PolicyRulesWithSubjects{
		ResourceRules:    []flowcontrolv1.ResourcePolicyRule{{Verbs: all, APIGroups: all, Resources: all, Namespaces: all, ClusterScope: true}},
		NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{Verbs: all, NonResourceURLs: all}},
	}
	group := func(name string) {
		rule.Subjects = append(rule.Subjects, flowcontrolv1.Subject{Kind: flowcontrolv1.SubjectKindGroup, Group: &flowcontrolv1.GroupSubject{Name: name}})
	}
	switch name {
	case "exempt":
		group("system:masters")
		spec.MatchingPrecedence = 1
	case "catch-all":
		group("system:unauthenticated")
		group("system:authenticated")
		spec.MatchingPrecedence = maxPrecedence
		spec.DistinguisherMethod = &flowcontrolv1.FlowDistinguisherMethod{Type: flowcontrolv1.FlowDistinguisherMethodByUserType}
	default:
		return spec, false
	}
	spec.PriorityLevelConfiguration.Name = name
	spec.Rules = []flowcontrolv1.PolicyRulesWithSubjects{rule}
	return spec, true
}

// mandatoryLevel is what the priority level of this name must be; false when it may be anything.
func mandatoryLevel(name string) (spec flowcontrolv1.PriorityLevelConfigurationSpec, ok bool) {
	none, few := int32(0), int32(5)
	switch name {
	case "exempt":
		spec.Type = flowcontrolv1.PriorityLevelEnablementExempt
		spec.Exempt = &flowcontrolv1.ExemptPriorityLevelConfiguration{NominalConcurrencyShares: &none, LendablePercent: &none}
	case "catch-all":
		spec.Type = flowcontrolv1.PriorityLevelEnablementLimited
		spec.Limited = &flowcontrolv1.LimitedPriorityLevelConfiguration{
			NominalConcurrencyShares: &few, LendablePercent: &none, LimitResponse: flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeReject},
		}
	default:
		return spec, false
	}
	return spec, true
}

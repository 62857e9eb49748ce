package networking

import (
	networkingv1 "k8s.io/api/networking/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// policyWarnings tell of ranges of addresses that are not written as they should be.
func policyWarnings(obj, _ kinds.Object) (list []string) {
	s, path := &obj.(*networkingv1.NetworkPolicy).Spec, field.NewPath("spec")
	peers := func(peers []networkingv1.NetworkPolicyPeer, at *field.Path) {
		for i, p := range peers {
			if p.IPBlock == nil {
				continue
			}
			at := at.Index(i).Child("ipBlock")
			list = append(list, utilvalidation.GetWarningsForCIDR(at.Child("cidr"), p.IPBlock.CIDR)...)
			for j, except := range p.IPBlock.Except {
				list = append(list, utilvalidation.GetWarningsForCIDR(at.Child("except").Index(j), except)...)
			}
		}
	}
	for i, rule := range s.Ingress {
		peers(rule.From, path.Child("ingress").Index(i).Child("from"))
	}
	for i, rule := range s.Egress {
		peers(rule.To, path.Child("egress").Index(i).Child("to"))
	}
	return list
}

// ingressWarnings tell who makes an ingress of the place that its class once had.
func ingressWarnings(obj, old kinds.Object) []string {
	const key = "kubernetes.io/ingress.class"
	in := obj.(*networkingv1.Ingress)
	if _, ok := in.Annotations[key]; !ok || old != nil || in.Spec.IngressClassName != nil {
		return nil
	}
	return []string{`annotation "` + key + `" is deprecated, please use 'spec.ingressClassName' instead`}
}

// Package externalips is the admission plug-in DenyServiceExternalIPs, off by default: no service gets an external address that it did not have.
package externalips

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/admission"
)

// New returns the plug-in.
func New() admission.Plugin {
	return admission.Plugin{Name: "DenyServiceExternalIPs", Validate: func(_ context.Context, a *admission.Attributes) error {
		svc, ok := a.Object.(*corev1.Service)
		if !ok || !a.Is("", "services", "") || a.Operation != admission.Create && a.Operation != admission.Update {
			return nil
		}
		var had []string
		if old, ok := a.Old.(*corev1.Service); ok {
			had = old.Spec.ExternalIPs
		}
		if slices.ContainsFunc(svc.Spec.ExternalIPs, func(ip string) bool { return !slices.Contains(had, ip) }) {
			return a.Forbidf("Use of external IPs is denied by admission control")
		}
		return nil
	}}
}

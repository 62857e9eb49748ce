// Package podsecurity is the admission plug-in PodSecurity: pods keep to the pod security standard that their namespace's labels name.
//
// # Vocabulary
//
// A policy names for each of three modes (enforce, audit, warn) a level of the standard and its version. To violate the enforced one is refused, the audited one
// is annotated in the audit trail, the warned one is told the user. What is exempt is not looked at.
//
// # Laws
//
//   - Pods are held against all modes; what makes pods (deployments, jobs, ...) against those that do not refuse.
//   - A pod that changes nothing but what no level speaks of is let through.
//   - Labels that cannot be read are refused when they are written; those that are there already mean the strictest level.
//   - The existing pods of a namespace that becomes stricter are looked at, 3000 at most, and told of in warnings.
//
// # What it leaves to others
//
// The checks of each level and version are those of k8s.io/pod-security-admission/policy.
package podsecurity

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/floe-k8s/floe/internal/admission"
)

// Settings are those of upstream's PodSecurityConfiguration.
type Settings struct {
	// Default is the policy where labels say nothing.
	Default api.Policy
	// Users, Namespaces and RuntimeClasses are exempt.
	Users, Namespaces, RuntimeClasses []string
}

// DefaultSettings let everything pass that no label forbids.
func DefaultSettings() Settings {
	privileged := api.LevelVersion{Level: api.LevelPrivileged, Version: api.LatestVersion()}
	return Settings{Default: api.Policy{Enforce: privileged, Audit: privileged, Warn: privileged}}
}

type plugin struct {
	Settings
	// checks are made when first a namespace asks for one.
	checks func() (policy.Evaluator, error)
}

// New returns the plug-in.
func New(settings Settings) admission.Plugin {
	p := &plugin{Settings: settings, checks: sync.OnceValues(func() (policy.Evaluator, error) { return policy.NewEvaluator(policy.DefaultChecks(), nil) })}
	return admission.Plugin{Name: "PodSecurity", Validate: p.validate}
}

func (p *plugin) validate(ctx context.Context, a *admission.Attributes) error {
	if a.Operation != admission.Create && a.Operation != admission.Update {
		return nil
	}
	switch obj := a.Object.(type) {
	case *corev1.Namespace:
		if a.Subresource == "" {
			return p.namespace(ctx, a, obj)
		}
	case *corev1.Pod:
		return p.pod(a, obj)
	default:
		if meta, spec := template(a.Object); spec != nil && a.Subresource == "" {
			return p.maker(a, meta, spec)
		}
	}
	return nil
}

// pod judges a pod in all modes.
func (p *plugin) pod(a *admission.Attributes, pod *corev1.Pod) error {
	if a.Subresource == "status" || p.exempt(a) {
		return nil
	}
	ns := a.NamespaceObject()
	if ns == nil {
		a.Annotate(api.AuditAnnotationPrefix+"error", fmt.Sprintf("failed to lookup namespace %q", a.Namespace))
		return apierrors.NewInternalError(fmt.Errorf("failed to lookup namespace %q", a.Namespace))
	}
	wants, errs := api.PolicyToEvaluate(ns.Labels, p.Default)
	if len(errs) == 0 && wants.FullyPrivileged() {
		annotate(a, api.EnforcedPolicyAnnotationKey, api.LevelVersion{Level: api.LevelPrivileged, Version: api.LatestVersion()}.String())
		return nil
	}
	if old, ok := a.Old.(*corev1.Pod); ok && !matters(pod, old) {
		return nil
	}
	return p.judge(a, wants, errs.ToAggregate(), &pod.ObjectMeta, &pod.Spec, true)
}

// maker judges what pods are made of, which is never refused.
func (p *plugin) maker(a *admission.Attributes, meta *metav1.ObjectMeta, spec *corev1.PodSpec) error {
	ns := a.NamespaceObject()
	switch {
	case p.exempt(a):
		return nil
	case ns == nil:
		annotate(a, "error", fmt.Sprintf("failed to lookup namespace %q: %v", a.Namespace, apierrors.NewNotFound(corev1.Resource("namespaces"), a.Namespace)))
		return nil
	}
	wants, errs := api.PolicyToEvaluate(ns.Labels, p.Default)
	if len(errs) == 0 && wants.Warn.Level == api.LevelPrivileged && wants.Audit.Level == api.LevelPrivileged {
		return nil
	}
	return p.judge(a, wants, errs.ToAggregate(), meta, spec, false)
}

// exempt says whether the namespace or the user is, and notes why.
func (p *plugin) exempt(a *admission.Attributes) bool {
	reason := ""
	switch {
	case slices.Contains(p.Namespaces, a.Namespace):
		reason = "namespace"
	case slices.Contains(p.Users, a.User.Name):
		reason = "user"
	default:
		return false
	}
	annotate(a, api.ExemptionReasonAnnotationKey, reason)
	return true
}

func (p *plugin) exemptClass(spec *corev1.PodSpec) bool {
	return spec.RuntimeClassName != nil && slices.Contains(p.RuntimeClasses, *spec.RuntimeClassName)
}

func annotate(a *admission.Attributes, key, value string) {
	a.Annotate(api.AuditAnnotationPrefix+key, value)
}

// judge holds a pod against a policy. bad is what is wrong with the labels that say it.
func (p *plugin) judge(a *admission.Attributes, wants api.Policy, bad error, meta *metav1.ObjectMeta, spec *corev1.PodSpec, enforce bool) error {
	if p.exemptClass(spec) {
		annotate(a, api.ExemptionReasonAnnotationKey, "runtimeClass")
		return nil
	}
	checks, err := p.checks()
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	if bad != nil {
		annotate(a, "error", fmt.Sprintf("Failed to parse policy: %v", bad))
	}
	known := map[api.LevelVersion]policy.AggregateCheckResult{}
	of := func(lv api.LevelVersion) policy.AggregateCheckResult {
		if _, ok := known[lv]; !ok {
			known[lv] = policy.AggregateCheckResults(checks.EvaluatePod(lv, meta, spec))
		}
		return known[lv]
	}
	var refusal error
	if enforce {
		annotate(a, api.EnforcedPolicyAnnotationKey, wants.Enforce.String())
		if result := of(wants.Enforce); !result.Allowed {
			refusal = apierrors.NewForbidden(a.Resource().GroupResource(), a.Name, fmt.Errorf("violates PodSecurity %q: %s", wants.Enforce.String(), result.ForbiddenDetail()))
		}
	}
	if result := of(wants.Audit); !result.Allowed {
		annotate(a, api.AuditViolationsAnnotationKey, fmt.Sprintf("would violate PodSecurity %q: %s", wants.Audit.String(), result.ForbiddenDetail()))
	}
	if refusal != nil { // who is refused needs no warning
		return refusal
	}
	if result := of(wants.Warn); !result.Allowed {
		a.Warn(fmt.Sprintf("would violate PodSecurity %q: %s", wants.Warn.String(), result.ForbiddenDetail()))
	}
	return nil
}

// matters says whether a changed pod must be judged again: it runs other images, or another container.
func matters(pod, old *corev1.Pod) bool {
	image := func(a, b corev1.Container) bool { return a.Image == b.Image }
	if !slices.EqualFunc(pod.Spec.Containers, old.Spec.Containers, image) || !slices.EqualFunc(pod.Spec.InitContainers, old.Spec.InitContainers, image) {
		return true
	}
	return slices.ContainsFunc(pod.Spec.EphemeralContainers, func(c corev1.EphemeralContainer) bool {
		return !slices.ContainsFunc(old.Spec.EphemeralContainers, func(was corev1.EphemeralContainer) bool { return was.Name == c.Name && was.Image == c.Image })
	})
}

// namespace judges labels, and looks at the pods that are there when they become stricter.
func (p *plugin) namespace(ctx context.Context, a *admission.Attributes, ns *corev1.Namespace) error {
	wants, errs := api.PolicyToEvaluate(ns.Labels, p.Default)
	old, ok := a.Old.(*corev1.Namespace)
	if !ok {
		if len(errs) > 0 {
			return apierrors.NewInvalid(a.Type.GroupKind(), a.Name, errs)
		}
		p.warnExempt(a, ns, wants)
		return nil
	}
	had, oldErrs := api.PolicyToEvaluate(old.Labels, p.Default)
	if len(errs) > 0 && (len(oldErrs) == 0 || !reflect.DeepEqual(errs, oldErrs)) {
		return apierrors.NewInvalid(a.Type.GroupKind(), a.Name, errs)
	}
	next, was := wants.Enforce, had.Enforce
	relaxed := next.Version == was.Version && api.CompareLevels(next.Level, was.Level) < 1
	switch {
	case next == was, next.Level == api.LevelPrivileged, relaxed:
		return nil
	case slices.Contains(p.Namespaces, a.Namespace):
		p.warnExempt(a, ns, wants)
		return nil
	}
	checks, err := p.checks()
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	p.warnOfPods(ctx, a, ns.Name, next, checks)
	return nil
}

package admissionregistration

import (
	"reflect"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/util/webhook"

	"github.com/floe-k8s/floe/internal/kinds"
)

// webhooks is what both kinds have in common. read returns an object's list of webhooks and a view of each.
func webhooks(read func(kinds.Object) (list any, hooks []hook)) *kinds.Kind {
	compiler := lazyCompiler()
	hooks := func(obj kinds.Object) []hook {
		_, hooks := read(obj)
		return hooks
	}
	return &kinds.Kind{
		Categories: categories(), RequireVersion: true, Warnings: reservedName,
		Default:       func(obj kinds.Object) { defaultHooks(hooks(obj)) },
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) { obj.SetGeneration(1) },
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			list, _ := read(obj)
			if was, _ := read(old); !reflect.DeepEqual(list, was) {
				obj.SetGeneration(old.GetGeneration() + 1)
			}
		},
		ValidateCreate: func(obj kinds.Object) field.ErrorList { return validateHooks(compiler, hooks(obj), leniency{}) },
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			list := hooks(obj)
			return validateHooks(compiler, list, lenient(list, hooks(old)))
		},
		Columns: []kinds.Column{
			kinds.NameColumn(),
			column("Webhooks", "integer", "Webhooks indicates the number of webhooks registered in this configuration", func(obj kinds.Object) any {
				return int64(len(hooks(obj)))
			}),
			kinds.AgeColumn(),
		},
	}
}

// hook shows a webhook of either kind, whose published types differ in one field. It points into the object that it was made of.
type hook struct {
	name                string
	client              *admissionv1.WebhookClientConfig
	rules               []admissionv1.RuleWithOperations
	failure             **admissionv1.FailurePolicyType
	match               **admissionv1.MatchPolicyType
	namespaces, objects **metav1.LabelSelector
	effects             *admissionv1.SideEffectClass
	timeout             **int32                              // seconds
	reinvocation        **admissionv1.ReinvocationPolicyType // nil: a validating webhook has none
	versions            []string                             // of AdmissionReview
	conditions          []admissionv1.MatchCondition
}

func mutatingHooks(list []admissionv1.MutatingWebhook) (hooks []hook) {
	for i := range list {
		w := &list[i]
		hooks = append(hooks, hook{
			w.Name, &w.ClientConfig, w.Rules, &w.FailurePolicy, &w.MatchPolicy, &w.NamespaceSelector, &w.ObjectSelector, w.SideEffects,
			&w.TimeoutSeconds, &w.ReinvocationPolicy, w.AdmissionReviewVersions, w.MatchConditions,
		})
	}
	return hooks
}

func validatingHooks(list []admissionv1.ValidatingWebhook) (hooks []hook) {
	for i := range list {
		w := &list[i]
		hooks = append(hooks, hook{
			w.Name, &w.ClientConfig, w.Rules, &w.FailurePolicy, &w.MatchPolicy, &w.NamespaceSelector, &w.ObjectSelector, w.SideEffects,
			&w.TimeoutSeconds, nil, w.AdmissionReviewVersions, w.MatchConditions,
		})
	}
	return hooks
}

func defaultHooks(hooks []hook) {
	for _, h := range hooks {
		def(h.failure, admissionv1.Fail)
		def(h.match, admissionv1.Equivalent)
		def(h.namespaces, metav1.LabelSelector{})
		def(h.objects, metav1.LabelSelector{})
		def(h.timeout, 10)
		if h.reinvocation != nil {
			def(h.reinvocation, admissionv1.NeverReinvocationPolicy)
		}
		if s := h.client.Service; s != nil {
			def(&s.Port, 443)
		}
		defaultRules(h.rules)
	}
}

// leniency is what an update may keep because it was there before these rules were. The zero value is what new webhooks get.
type leniency struct {
	effects, versions, names, selectors bool
	unchanged                           bool // no match condition changed: they are not judged again
	stored                              sets.Set[string]
}

// lenient says how an update of old to hooks is judged.
func lenient(hooks, old []hook) leniency {
	l := leniency{unchanged: len(hooks) == len(old), stored: sets.New[string]()}
	names := sets.New[string]()
	for i, h := range old {
		l.effects = l.effects || h.effects == nil || len(knownOrNone(h.effects, nil, sideEffects(false)...)) > 0
		l.versions = l.versions || len(h.versions) > 0 && !understood(h.versions)
		l.names = l.names || names.Has(h.name)
		l.selectors = l.selectors || len(h.validateSelectors(nil, false)) > 0
		l.unchanged = l.unchanged && reflect.DeepEqual(hooks[i].conditions, h.conditions)
		l.stored = storedConditions(h.conditions, l.stored)
		names.Insert(h.name)
	}
	return l
}

func validateHooks(compiler func() plugincel.Compiler, hooks []hook, l leniency) (errs field.ErrorList) {
	names, conditions := sets.New[string](), conditionRules{compiler: compiler, stored: l.stored}
	for i, h := range hooks {
		path := field.NewPath("webhooks").Index(i)
		errs = append(errs, h.validate(l, path)...)
		if !l.unchanged {
			errs = append(errs, conditions.validate(h.conditions, path.Child("matchConditions"))...)
		}
		errs = append(errs, validateReviewVersions(h.versions, !l.versions, path.Child("admissionReviewVersions"))...)
		if !l.names && names.Has(h.name) && h.name != "" {
			errs = append(errs, field.Duplicate(path.Child("name"), h.name))
		}
		names.Insert(h.name)
	}
	return errs
}

func (h *hook) validate(l leniency, path *field.Path) field.ErrorList {
	errs := utilvalidation.IsFullyQualifiedName(path.Child("name"), h.name)
	for i := range h.rules {
		errs = append(errs, validateRule(&h.rules[i], path.Child("rules").Index(i))...)
	}
	errs = append(errs, knownOrNone(*h.failure, path.Child("failurePolicy"), failurePolicies()...)...)
	errs = append(errs, knownOrNone(*h.match, path.Child("matchPolicy"), matchPolicies()...)...)
	effects := sideEffects(l.effects)
	if h.effects == nil {
		errs = append(errs, field.Required(path.Child("sideEffects"), "must specify one of "+join(effects)))
	}
	errs = append(errs, knownOrNone(h.effects, path.Child("sideEffects"), effects...)...)
	if n := *h.timeout; n != nil && (*n > 30 || *n < 1) {
		errs = append(errs, field.Invalid(path.Child("timeoutSeconds"), *n, "the timeout value must be between 1 and 30 seconds"))
	}
	errs = append(errs, h.validateSelectors(path, l.selectors)...)
	if h.reinvocation != nil {
		errs = append(errs, knownOrNone(*h.reinvocation, path.Child("reinvocationPolicy"), reinvocationPolicies()...)...)
	}
	return append(errs, validateClient(h.client, path.Child("clientConfig"))...)
}

// validateSelectors checks both selectors; bad says that values may be such as no label can have.
func (h *hook) validateSelectors(path *field.Path, bad bool) (errs field.ErrorList) {
	opts := metavalidation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: bad}
	errs = append(errs, metavalidation.ValidateLabelSelector(*h.namespaces, opts, path.Child("namespaceSelector"))...)
	return append(errs, metavalidation.ValidateLabelSelector(*h.objects, opts, path.Child("objectSelector"))...)
}

func validateClient(c *admissionv1.WebhookClientConfig, path *field.Path) field.ErrorList {
	switch s := c.Service; {
	case (c.URL == nil) == (s == nil):
		return field.ErrorList{field.Required(path, "exactly one of url or service is required")}
	case s == nil:
		return webhook.ValidateWebhookURL(path.Child("url"), *c.URL, true)
	default:
		var port int32
		if s.Port != nil {
			port = *s.Port
		}
		// Name and namespace change places, as in upstream: a name that is missing is reported as a namespace.
		return webhook.ValidateWebhookService(path.Child("service"), s.Name, s.Namespace, s.Path, port)
	}
}

// validateReviewVersions checks in which versions a webhook reads what it is asked; strict: one of them must be understood here.
func validateReviewVersions(list []string, strict bool, path *field.Path) (errs field.ErrorList) {
	if len(list) == 0 {
		return field.ErrorList{field.Required(path, "must specify one of "+join(reviewVersions()))}
	}
	seen := sets.New[string]()
	for i, v := range list {
		if seen.Has(v) {
			errs = append(errs, field.Invalid(path.Index(i), v, "duplicate version"))
			continue
		}
		seen.Insert(v)
		errs = append(errs, invalid(path.Index(i), v, utilvalidation.IsDNS1035Label(v))...)
	}
	if strict && !understood(list) {
		errs = append(errs, field.Invalid(path, list, "must include at least one of "+join(reviewVersions())))
	}
	return errs
}

func understood(versions []string) bool {
	return slices.ContainsFunc(versions, func(v string) bool { return slices.Contains(reviewVersions(), v) })
}

func reviewVersions() []string { return []string{"v1", "v1beta1"} }

func failurePolicies() []admissionv1.FailurePolicyType {
	return []admissionv1.FailurePolicyType{admissionv1.Fail, admissionv1.Ignore}
}

func matchPolicies() []admissionv1.MatchPolicyType {
	return []admissionv1.MatchPolicyType{admissionv1.Equivalent, admissionv1.Exact}
}

func reinvocationPolicies() []admissionv1.ReinvocationPolicyType {
	return []admissionv1.ReinvocationPolicyType{admissionv1.IfNeededReinvocationPolicy, admissionv1.NeverReinvocationPolicy}
}

// sideEffects are the classes a webhook may be of: only those that a dry run may call, unless old ones are to be kept.
func sideEffects(old bool) []admissionv1.SideEffectClass {
	if old {
		return append(sideEffects(false), admissionv1.SideEffectClassSome, admissionv1.SideEffectClassUnknown)
	}
	return []admissionv1.SideEffectClass{admissionv1.SideEffectClassNone, admissionv1.SideEffectClassNoneOnDryRun}
}

func join[T ~string](list []T) string {
	var out []string
	for _, v := range list {
		out = append(out, string(v))
	}
	return strings.Join(out, ", ")
}

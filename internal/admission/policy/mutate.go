package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/expression"
	"github.com/floe-k8s/floe/internal/admission/match"
	"github.com/floe-k8s/floe/internal/kinds"
)

// MutatingName is the plug-in's.
const MutatingName = "MutatingAdmissionPolicy"

// Mutating is the plug-in that lets MutatingAdmissionPolicies change objects. It is not asked about deletions, which have none.
func Mutating(cfg Config) admission.Plugin {
	read := func(obj kinds.Object) (d definition[*mutator], ok bool) {
		p, ok := obj.(*admissionv1.MutatingAdmissionPolicy)
		if !ok {
			return d, false
		}
		return define(p, p.Spec.MatchConstraints, p.Spec.FailurePolicy, p.Spec.ParamKind, func(failOpen bool) *mutator { return compileMutator(&p.Spec, failOpen) }), true
	}
	p := &mutating{cfg, latest(cfg.Table, "mutatingadmissionpolicies", "mutatingadmissionpolicybindings", read)}
	return admission.Plugin{Name: MutatingName, Admit: p.admit}
}

type mutating struct {
	Config
	latest *admission.Latest[[]policy[*mutator]]
}

func (p *mutating) admit(ctx context.Context, a *admission.Attributes) error {
	policies := p.latest.Get()
	if len(policies) == 0 || a.Operation == admission.Delete || spared[a.Resource().GroupResource()] {
		return nil
	}
	list := cases(policies, a, p.Catalog())
	if len(list) == 0 {
		return nil
	}
	var wrong misfits
	namespace, err := namespaceOf(a)
	if err != nil {
		return err
	}
	for i := range list {
		if c := &list[i]; c.err != nil {
			wrong.add(c, c.misfit(), "")
		}
	}
	r := a.Recall(MutatingName)
	for i := range list {
		for _, param := range list[i].params {
			if err := p.one(ctx, a, &list[i], param, namespace, r, &wrong); err != nil {
				return err
			}
		}
	}
	r.Again(a)
	r.End(a)
	return wrong.refusal(a)
}

// one lets one policy change the object, with one parameter. What is wrong with the policy goes to wrong.
func (p *mutating) one(ctx context.Context, a *admission.Attributes, c *oneCase[*mutator], param runtime.Object, namespace *corev1.Namespace, r *admission.Recall,
	wrong *misfits) error {
	in, err := expression.See(a, c.form)
	if err != nil {
		c.binding, c.err = nil, err
		wrong.add(c, c.misfit(), "")
		return nil
	}
	m := c.policy.compiled()
	verdict := m.conditions.Match(ctx, in, param, p.Authorizer)
	if verdict.Err != nil {
		wrong.add(c, verdict.Err.Error(), metav1.StatusReasonInvalid)
		return nil
	}
	key := c.key(param)
	if !verdict.Matches || r.Skip(a, key) {
		return nil
	}
	before := in.Object
	for _, change := range m.mutations {
		if in.Object == nil {
			break
		}
		begun := p.Clock.Now()
		with := expression.With{Params: param, Authorizer: p.Authorizer, Namespace: namespace}
		next, err := change.change(m.composed.Context(ctx), a, in, with, p.Types)
		p.Metrics.changed(c.policy.name, c.binding.name, err, p.Clock.Since(begun))
		if status := (*apierrors.StatusError)(nil); errors.As(err, &status) {
			return status
		}
		if err != nil {
			wrong.add(c, err.Error(), metav1.StatusReasonInvalid)
			continue
		}
		if in, err = put(a, c.form, in, next); err != nil {
			return apierrors.NewInternalError(fmt.Errorf("failed to convert object: %w", err))
		}
	}
	r.Asked(a, key, !apiequality.Semantic.DeepEqual(before, in.Object), m.again)
	return nil
}

// put makes next the wish's object and returns how it is seen now.
func put(a *admission.Attributes, form match.Form, in *expression.Input, next runtime.Object) (*expression.Input, error) {
	if next == in.Object {
		return in, nil
	}
	if err := form.Put(a, next); err != nil {
		return nil, err
	}
	return expression.See(a, form)
}

// key says who is asked: the policy, the binding and the parameter.
func (c *oneCase[E]) key(param runtime.Object) string {
	key := c.policy.name + "/" + c.binding.name
	if obj, ok := param.(metav1.Object); ok {
		key += "/" + obj.GetNamespace() + "/" + obj.GetName()
	}
	return key
}

// misfits are what was wrong with policies whose failures count.
type misfits []misfit

type misfit struct {
	message string
	reason  metav1.StatusReason
}

func (m *misfits) add(c *oneCase[*mutator], message string, reason metav1.StatusReason) {
	if c.policy.failOpen {
		return
	}
	by := fmt.Sprintf("policy %q", c.policy.name)
	if c.binding != nil {
		by = fmt.Sprintf("policy '%s' with binding '%s'", c.policy.name, c.binding.name)
	}
	*m = append(*m, misfit{by + " denied request: " + message, reason})
}

// refusal is the answer, which tells the first in its message and all in its causes; nil when nothing was wrong.
func (m misfits) refusal(a *admission.Attributes) error {
	if len(m) == 0 {
		return nil
	}
	var status *apierrors.StatusError
	if err := a.Forbidf("admission request denied by policy"); !errors.As(err, &status) {
		return err
	}
	status.ErrStatus.Message = m[0].message
	if m[0].reason != "" {
		status.ErrStatus.Reason = m[0].reason
	}
	for _, one := range m {
		status.ErrStatus.Details.Causes = append(status.ErrStatus.Details.Causes, metav1.StatusCause{Message: one.message})
	}
	return status
}

// changed counts a mutation.
func (m *Metrics) changed(policy, binding string, err error, took time.Duration) {
	if m == nil {
		return
	}
	action, message := "allow", ""
	if err != nil {
		action, message = "deny", strings.TrimSpace(err.Error())
	}
	m.mutated.count(policy, binding, errorType(err != nil, message), action, took)
}

package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/expression"
	"github.com/floe-k8s/floe/internal/admission/match"
	"github.com/floe-k8s/floe/internal/kinds"
)

// ValidatingName is the plug-in's.
const ValidatingName = "ValidatingAdmissionPolicy"

const (
	failureKey = "validation.policy.admission.k8s.io/validation_failure"
	mostNote   = 10 << 10 // bytes of an annotation for the audit trail
)

// Validating is the plug-in that holds wishes against ValidatingAdmissionPolicies.
func Validating(cfg Config) admission.Plugin {
	read := func(obj kinds.Object) (d definition[*validator], ok bool) {
		p, ok := obj.(*admissionv1.ValidatingAdmissionPolicy)
		if !ok {
			return d, false
		}
		return define(p, p.Spec.MatchConstraints, p.Spec.FailurePolicy, p.Spec.ParamKind, func(failOpen bool) *validator { return compileValidator(&p.Spec, failOpen) }), true
	}
	p := &validating{cfg, latest(cfg.Table, "validatingadmissionpolicies", "validatingadmissionpolicybindings", read)}
	return admission.Plugin{Name: ValidatingName, Validate: p.validate}
}

type validating struct {
	Config
	latest *admission.Latest[[]policy[*validator]]
}

func (p *validating) validate(ctx context.Context, a *admission.Attributes) error {
	policies := p.latest.Get()
	if len(policies) == 0 || spared[a.Resource().GroupResource()] {
		return nil
	}
	list := cases(policies, a, p.Catalog())
	if len(list) == 0 {
		return nil
	}
	o := &outcome{attributes: a, metrics: p.Metrics, notes: map[string][]string{}}
	see := map[match.Form]*expression.Input{}
	for i := range list {
		if err := p.one(ctx, o, &list[i], see); err != nil {
			return err
		}
		if i+1 == len(list) || list[i+1].policy != list[i].policy {
			o.publish(list[i].policy.name)
		}
	}
	return o.refusal()
}

// one holds the wish against one policy, with each parameter of one binding.
func (p *validating) one(ctx context.Context, o *outcome, c *oneCase[*validator], see map[match.Form]*expression.Input) (err error) {
	in := see[c.form]
	if c.err == nil && in == nil {
		if in, err = expression.See(o.attributes, c.form); err != nil {
			c.err = fmt.Errorf("failed to convert object version: %w", err)
		}
		see[c.form] = in
	}
	if c.err != nil {
		o.misfit(c)
		return nil
	}
	namespace, err := namespaceOf(o.attributes)
	if err != nil {
		return err
	}
	for _, param := range c.params {
		decisions, notes := c.policy.compiled().judge(ctx, in, expression.With{Params: param, Authorizer: p.Authorizer, Namespace: namespace})
		for i, d := range decisions {
			o.decision(c, i, d)
		}
		for _, n := range notes {
			o.note(c, n)
		}
	}
	return nil
}

// outcome gathers what policies have to say of a wish.
type outcome struct {
	attributes *admission.Attributes
	metrics    *Metrics
	told       bool                // the audit trail has been told of a failure; it keeps the first
	notes      map[string][]string // of the policy that is asked
	denied     *decision           // the first that counts
	by         string              // whose it is
}

func (o *outcome) deny(c *oneCase[*validator], d decision) {
	if o.denied != nil {
		return
	}
	o.denied, o.by = &d, fmt.Sprintf("ValidatingAdmissionPolicy '%s'", c.policy.name)
	if c.binding != nil {
		o.by += fmt.Sprintf(" with binding '%s'", c.binding.name)
	}
}

func (o *outcome) misfit(c *oneCase[*validator]) {
	if !c.policy.failOpen {
		o.deny(c, decision{message: c.misfit()})
	}
}

// decision does what the binding wants to be done about the i-th validation.
func (o *outcome) decision(c *oneCase[*validator], i int, d decision) {
	if !d.denies {
		if d.failed {
			o.metrics.checked(c.policy.name, c.binding.name, "allow", d)
		}
		return
	}
	for _, action := range c.binding.actions {
		switch action {
		case admissionv1.Deny:
			o.deny(c, d)
		case admissionv1.Audit:
			o.audit(c, i, d)
		case admissionv1.Warn:
			o.attributes.Warn(fmt.Sprintf("Validation failed for ValidatingAdmissionPolicy '%s' with binding '%s': %s", c.policy.name, c.binding.name, d.message))
		}
		o.metrics.checked(c.policy.name, c.binding.name, strings.ToLower(string(action)), d)
	}
}

// failure is what the audit trail keeps of a validation that failed.
type failure struct {
	Message           string                         `json:"message"`
	Policy            string                         `json:"policy"`
	Binding           string                         `json:"binding"`
	ExpressionIndex   int                            `json:"expressionIndex"`
	ValidationActions []admissionv1.ValidationAction `json:"validationActions"`
}

func (o *outcome) audit(c *oneCase[*validator], i int, d decision) {
	if o.told {
		return
	}
	o.told = true
	doc, err := json.Marshal([]failure{{d.message, c.policy.name, c.binding.name, i, c.binding.actions}})
	if err != nil {
		panic(fmt.Sprintf("strings cannot be written as JSON: %v", err))
	}
	o.attributes.Annotate(failureKey, string(doc))
}

func (o *outcome) note(c *oneCase[*validator], n note) {
	switch {
	case n.wrong != "":
		d := decision{failed: true, message: n.wrong, took: n.took}
		o.deny(c, d)
		o.metrics.checked(c.policy.name, c.binding.name, "deny", d)
	case n.value != "":
		value := n.value[:min(len(n.value), mostNote)]
		if !slices.Contains(o.notes[n.key], value) {
			o.notes[n.key] = append(o.notes[n.key], value)
		}
	}
}

// publish tells the audit trail what one policy has noted, under all its bindings.
func (o *outcome) publish(name string) {
	for key, values := range o.notes {
		o.attributes.Annotate(name+"/"+key, strings.Join(values, ", "))
	}
	clear(o.notes)
}

// refusal is the answer; nil when nobody denies the wish.
func (o *outcome) refusal() error {
	if o.denied == nil {
		return nil
	}
	message := fmt.Sprintf("%s denied request: %s", o.by, o.denied.message)
	var status *apierrors.StatusError
	if err := o.attributes.Forbid(errors.New(message)); !errors.As(err, &status) {
		return err
	}
	reason := o.denied.reason
	if reason == "" {
		reason = metav1.StatusReasonInvalid
	}
	status.ErrStatus.Reason, status.ErrStatus.Code = reason, codeOf(reason)
	status.ErrStatus.Details.Causes = append(status.ErrStatus.Details.Causes, metav1.StatusCause{Message: message})
	return status
}

func codeOf(reason metav1.StatusReason) int32 {
	switch reason {
	case metav1.StatusReasonForbidden:
		return http.StatusForbidden
	case metav1.StatusReasonUnauthorized:
		return http.StatusUnauthorized
	case metav1.StatusReasonRequestEntityTooLarge:
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusUnprocessableEntity
}

// errorType is what metrics call the reason of a decision that could not be made.
func errorType(failed bool, message string) string {
	switch {
	case !failed && message == "":
		return "no_error"
	case strings.HasPrefix(message, "compilation"):
		return "compile_error"
	case strings.HasPrefix(message, "validation failed due to running out of cost budget"):
		return "out_of_budget"
	}
	return "invalid_error"
}

// checked counts a decision and what was done about it.
func (m *Metrics) checked(policy, binding, action string, d decision) {
	if m != nil {
		m.validated.count(policy, binding, errorType(d.failed, d.message), action, d.took)
	}
}

// count counts one check and its time.
func (c checks) count(policy, binding, errType, action string, took time.Duration) {
	c.total.WithLabelValues(policy, binding, errType, action).Inc()
	c.took.WithLabelValues(policy, binding, errType, action).Observe(took.Seconds())
}

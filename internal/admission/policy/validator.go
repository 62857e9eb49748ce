package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	celtypes "github.com/google/cel-go/common/types"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"

	"github.com/floe-k8s/floe/internal/admission/expression"
)

// validator is a ValidatingAdmissionPolicy compiled. It is safe for concurrent use.
type validator struct {
	spec       *admissionv1.ValidatingAdmissionPolicySpec // shared
	failOpen   bool
	conditions *expression.Conditions
	// Evaluators of the validations, their messages, which not all have, and the annotations.
	validations, messages, annotations plugincel.ConditionEvaluator
}

func compileValidator(spec *admissionv1.ValidatingAdmissionPolicySpec, failOpen bool) *validator {
	c := expression.Compose(spec.Variables, spec.ParamKind != nil)
	var validations, messages, annotations []expression.Text
	for _, v := range spec.Validations {
		validations = append(validations, expression.Text{Expression: v.Expression, Returns: []*cel.Type{cel.BoolType}})
		messages = append(messages, expression.Text{Expression: v.MessageExpression, Returns: []*cel.Type{cel.StringType}})
	}
	for _, a := range spec.AuditAnnotations {
		annotations = append(annotations, expression.Text{Expression: a.ValueExpression, Returns: []*cel.Type{cel.StringType, cel.NullType}})
	}
	return &validator{
		spec: spec, failOpen: failOpen, conditions: expression.NewConditions(spec.MatchConditions, failOpen, spec.ParamKind != nil, c.Compile),
		validations: c.Texts(validations, true), messages: c.Texts(messages, false), annotations: c.Texts(annotations, true),
	}
}

// decision is what one validation says.
type decision struct {
	denies, failed bool // failed: it could not be evaluated, and denies unless failures do not matter
	message        string
	reason         metav1.StatusReason
	took           time.Duration
}

// note is an annotation for the audit trail, or what was wrong with it.
type note struct {
	key, value string // value "": there is none
	wrong      string
	took       time.Duration
}

// failing is the decision when everything has failed for one reason.
func (v *validator) failing(message string) []decision {
	return []decision{{denies: !v.failOpen, failed: true, message: message}}
}

// judge holds a wish against the policy, with one parameter.
func (v *validator) judge(ctx context.Context, in *expression.Input, w expression.With) ([]decision, []note) {
	verdict := v.conditions.Match(ctx, in, w.Params, w.Authorizer)
	switch {
	case verdict.Err != nil:
		return v.failing(verdict.Err.Error()), nil
	case !verdict.Matches:
		return nil, nil
	}
	whole := w.Namespace
	w.Namespace = expression.Visible(whole)
	results, left, err := in.Evaluate(ctx, v.validations, w, celconfig.RuntimeCELCostBudget)
	if err != nil {
		return v.failing(err.Error()), nil
	}
	silent := w
	silent.Authorizer = nil
	messages, _, messagesErr := in.Evaluate(ctx, v.messages, silent, left)
	decisions := make([]decision, len(results))
	for i, r := range results {
		var message plugincel.EvaluationResult
		if i < len(messages) {
			message = messages[i]
		}
		decisions[i] = v.decide(&v.spec.Validations[i], r, message, messagesErr)
	}
	w.Namespace, w.Authorizer = whole, nil
	notes, _, err := in.Evaluate(ctx, v.annotations, w, celconfig.RuntimeCELCostBudget)
	if err != nil {
		return v.failing(err.Error()), nil
	}
	return decisions, v.notes(notes)
}

func (v *validator) decide(rule *admissionv1.Validation, r, message plugincel.EvaluationResult, messagesErr error) decision {
	d := decision{took: r.Elapsed}
	switch {
	case r.Error != nil:
		d.denies, d.failed, d.message = !v.failOpen, true, r.Error.Error()
	case errors.Is(messagesErr, apiservercel.ErrInternal) || errors.Is(messagesErr, apiservercel.ErrOutOfBudget):
		d.denies, d.failed, d.message = !v.failOpen, true, fmt.Sprintf("failed messageExpression: %s", messagesErr)
	case r.EvalResult != celtypes.True:
		d.denies, d.reason, d.message = true, metav1.StatusReasonInvalid, messageOf(rule, message)
		if rule.Reason != nil {
			d.reason = *rule.Reason
		}
	}
	return d
}

// messageOf is why a wish is refused: what the message expression has made, when that is one line of text, else the message, else the expression.
func messageOf(rule *admissionv1.Validation, made plugincel.EvaluationResult) string {
	if made.Error == nil && made.EvalResult != nil {
		text, _ := made.EvalResult.Value().(string)
		text = strings.TrimSpace(text)
		if text != "" && len(text) <= celconfig.MaxEvaluatedMessageExpressionSizeBytes && !strings.Contains(text, "\n") {
			return text
		}
	}
	if text := strings.TrimSpace(rule.Message); text != "" {
		return text
	}
	return "failed expression: " + strings.TrimSpace(rule.Expression)
}

func (v *validator) notes(results []plugincel.EvaluationResult) (list []note) {
	for i, r := range results {
		n := note{key: v.spec.AuditAnnotations[i].Key, took: r.Elapsed}
		switch {
		case r.Error != nil && v.failOpen:
		case r.Error != nil:
			n.wrong = r.Error.Error()
		case r.EvalResult == nil || r.EvalResult.Type() == celtypes.NullType:
		case r.EvalResult.Type() == celtypes.StringType:
			n.value = strings.TrimSpace(r.EvalResult.Value().(string))
		default:
			n.wrong = fmt.Sprintf("valueExpression '%v' resulted in unsupported return type: %v. Return type must be either string or null.",
				v.spec.AuditAnnotations[i].ValueExpression, r.EvalResult.Type())
		}
		list = append(list, n)
	}
	return list
}

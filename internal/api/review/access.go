package review

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds"
)

func (cfg Config) access(ctx context.Context, _ api.Request, given kinds.Object, _ metav1.CreateOptions) (runtime.Object, error) {
	r := given.(*authorizationv1.SubjectAccessReview)
	r.Status = cfg.decide(ctx, subject(r.Spec), r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes)
	return r, nil
}

func (cfg Config) localAccess(ctx context.Context, req api.Request, given kinds.Object, _ metav1.CreateOptions) (runtime.Object, error) {
	r := given.(*authorizationv1.LocalSubjectAccessReview)
	if req.Namespace == "" {
		return nil, apierrors.NewBadRequest("namespace is required on this type: ")
	}
	r.Status = cfg.decide(ctx, subject(r.Spec), r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes)
	return r, nil
}

func (cfg Config) selfAccess(ctx context.Context, req api.Request, given kinds.Object, _ metav1.CreateOptions) (runtime.Object, error) {
	r := given.(*authorizationv1.SelfSubjectAccessReview)
	r.Status = cfg.decide(ctx, req.User, r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes)
	return r, nil
}

// subject is the user that a review is about.
func subject(spec authorizationv1.SubjectAccessReviewSpec) auth.User {
	u := auth.User{Name: spec.User, UID: spec.UID, Groups: spec.Groups}
	for key, values := range spec.Extra {
		if u.Extra == nil {
			u.Extra = map[string][]string{}
		}
		u.Extra[key] = values
	}
	return u
}

// decide asks the authorizer; one of resource and path is not nil.
func (cfg Config) decide(ctx context.Context, user auth.User, resource *authorizationv1.ResourceAttributes, path *authorizationv1.NonResourceAttributes) authorizationv1.SubjectAccessReviewStatus {
	var status authorizationv1.SubjectAccessReviewStatus
	var attrs auth.Attributes
	if resource != nil {
		attrs, status.EvaluationError = attributes(resource)
	} else {
		// No path at all would be read as a resource. Who may get every path may get that one, and nobody else.
		attrs = auth.Attributes{Verb: path.Verb, Path: cmp.Or(path.Path, "*")}
	}
	decision, reason, err := cfg.Authorizer(ctx, user, attrs)
	status.Allowed, status.Denied, status.Reason = decision == auth.Allow, decision == auth.Deny, reason
	if err != nil {
		if status.EvaluationError != "" {
			status.EvaluationError = "; " + status.EvaluationError
		}
		status.EvaluationError = err.Error() + status.EvaluationError
	}
	return status
}

// attributes is what is asked for, and what of its selectors could not be read. Those parts are left out, which asks for no less.
func attributes(r *authorizationv1.ResourceAttributes) (attrs auth.Attributes, unread string) {
	attrs = auth.Attributes{
		Verb: r.Verb, Group: r.Group, Version: r.Version, Resource: r.Resource, Subresource: r.Subresource, Namespace: r.Namespace, Name: r.Name,
	}
	if attrs.Version == "" {
		attrs.Version = "*"
	}
	var problems []string
	ignored := func(name, kept string, err error) {
		switch {
		case err == nil:
		case kept == "":
			problems = append(problems, fmt.Sprintf("spec.resourceAttributes.%s ignored due to parse error", name))
		default:
			problems = append(problems, fmt.Sprintf("spec.resourceAttributes.%s partially ignored due to parse error", name))
		}
	}
	if s := r.FieldSelector; s != nil {
		text, err := fieldSelector(s)
		ignored("fieldSelector", text, err)
		attrs.FieldSelector = text
	}
	if s := r.LabelSelector; s != nil {
		text, err := labelSelector(s)
		ignored("labelSelector", text, err)
		attrs.LabelSelector = text
	}
	return attrs, strings.Join(problems, "; ")
}

// fieldSelector is what of a selector can be read, as text.
func fieldSelector(s *authorizationv1.FieldSelectorAttributes) (string, error) {
	if len(s.Requirements) == 0 {
		sel, err := fields.ParseSelector(s.RawSelector)
		if err != nil {
			return "", err
		}
		return sel.String(), nil
	}
	var list []fields.Selector
	var errs []error
	for _, r := range s.Requirements {
		switch {
		case len(r.Values) != 1:
			errs = append(errs, fmt.Errorf("field %s: one value is needed, not %d", r.Key, len(r.Values)))
		case r.Operator == metav1.FieldSelectorOpIn:
			list = append(list, fields.OneTermEqualSelector(r.Key, r.Values[0]))
		case r.Operator == metav1.FieldSelectorOpNotIn:
			list = append(list, fields.OneTermNotEqualSelector(r.Key, r.Values[0]))
		default:
			errs = append(errs, fmt.Errorf("field %s: operator %q", r.Key, r.Operator))
		}
	}
	return fields.AndSelectors(list...).String(), errors.Join(errs...)
}

// labelSelector is what of a selector can be read, as text.
func labelSelector(s *authorizationv1.LabelSelectorAttributes) (string, error) {
	if len(s.Requirements) == 0 {
		sel, err := labels.Parse(s.RawSelector)
		if err != nil {
			return "", err
		}
		return sel.String(), nil
	}
	operators := map[metav1.LabelSelectorOperator]selection.Operator{
		metav1.LabelSelectorOpIn: selection.In, metav1.LabelSelectorOpNotIn: selection.NotIn,
		metav1.LabelSelectorOpExists: selection.Exists, metav1.LabelSelectorOpDoesNotExist: selection.DoesNotExist,
	}
	sel := labels.NewSelector()
	var errs []error
	for _, r := range s.Requirements {
		req, err := labels.NewRequirement(r.Key, operators[r.Operator], r.Values)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		sel = sel.Add(*req)
	}
	return sel.String(), errors.Join(errs...)
}

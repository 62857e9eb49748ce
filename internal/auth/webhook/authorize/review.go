package authorize

import (
	"encoding/json"

	authorizationv1 "k8s.io/api/authorization/v1"
	authorizationv1beta1 "k8s.io/api/authorization/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/floe-k8s/floe/internal/auth"
)

// question is what is asked about a user and their wish.
func question(user auth.User, attrs *auth.Attributes) *authorizationv1.SubjectAccessReview {
	r := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user.Name, UID: user.UID, Groups: user.Groups}}
	if user.Extra != nil {
		r.Spec.Extra = make(map[string]authorizationv1.ExtraValue, len(user.Extra))
		for key, values := range user.Extra {
			r.Spec.Extra[key] = values
		}
	}
	if attrs.Path != "" {
		r.Spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Path: attrs.Path, Verb: attrs.Verb}
		return r
	}
	r.Spec.ResourceAttributes = &authorizationv1.ResourceAttributes{
		Namespace: attrs.Namespace, Verb: attrs.Verb, Group: attrs.Group, Version: attrs.Version, Resource: attrs.Resource, Subresource: attrs.Subresource, Name: attrs.Name,
	}
	if list := fieldRequirements(attrs.FieldSelector); len(list) > 0 {
		r.Spec.ResourceAttributes.FieldSelector = &authorizationv1.FieldSelectorAttributes{Requirements: list}
	}
	if list := labelRequirements(attrs.LabelSelector); len(list) > 0 {
		r.Spec.ResourceAttributes.LabelSelector = &authorizationv1.LabelSelectorAttributes{Requirements: list}
	}
	return r
}

// fieldRequirements are those of a selector; none of one that cannot be read, which asks for more.
func fieldRequirements(text string) (out []metav1.FieldSelectorRequirement) {
	sel, err := fields.ParseSelector(text)
	if err != nil {
		return nil
	}
	for _, r := range sel.Requirements() {
		operator := metav1.FieldSelectorOpIn
		if r.Operator == selection.NotEquals {
			operator = metav1.FieldSelectorOpNotIn
		}
		out = append(out, metav1.FieldSelectorRequirement{Key: r.Field, Operator: operator, Values: []string{r.Value}})
	}
	return out
}

// labelRequirements is fieldRequirements for labels. What reviews have no word for, such as gt, is left out.
func labelRequirements(text string) (out []metav1.LabelSelectorRequirement) {
	sel, err := labels.Parse(text)
	if err != nil {
		return nil
	}
	list, _ := sel.Requirements()
	for _, r := range list {
		one := metav1.LabelSelectorRequirement{Key: r.Key(), Values: r.ValuesUnsorted()}
		switch r.Operator() {
		case selection.Equals, selection.DoubleEquals, selection.In:
			one.Operator = metav1.LabelSelectorOpIn
		case selection.NotEquals, selection.NotIn:
			one.Operator = metav1.LabelSelectorOpNotIn
		case selection.Exists:
			one.Operator = metav1.LabelSelectorOpExists
		case selection.DoesNotExist:
			one.Operator = metav1.LabelSelectorOpDoesNotExist
		default:
			continue
		}
		out = append(out, one)
	}
	return out
}

// encode is a review as the other server reads it. v1beta1 calls groups "group".
func encode(review *authorizationv1.SubjectAccessReview, version string) ([]byte, error) {
	meta := metav1.TypeMeta{Kind: "SubjectAccessReview", APIVersion: "authorization.k8s.io/" + version}
	if version != oldReviews {
		return json.Marshal(authorizationv1.SubjectAccessReview{TypeMeta: meta, Spec: review.Spec})
	}
	old := authorizationv1beta1.SubjectAccessReview{TypeMeta: meta, Spec: authorizationv1beta1.SubjectAccessReviewSpec{
		NonResourceAttributes: (*authorizationv1beta1.NonResourceAttributes)(review.Spec.NonResourceAttributes),
		User:                  review.Spec.User, Groups: review.Spec.Groups, UID: review.Spec.UID,
	}}
	if at := review.Spec.ResourceAttributes; at != nil {
		old.Spec.ResourceAttributes = &authorizationv1beta1.ResourceAttributes{
			Namespace: at.Namespace, Verb: at.Verb, Group: at.Group, Version: at.Version, Resource: at.Resource, Subresource: at.Subresource, Name: at.Name,
			FieldSelector: at.FieldSelector, LabelSelector: at.LabelSelector,
		}
	}
	for key, values := range review.Spec.Extra {
		if old.Spec.Extra == nil {
			old.Spec.Extra = map[string]authorizationv1beta1.ExtraValue{}
		}
		old.Spec.Extra[key] = authorizationv1beta1.ExtraValue(values)
	}
	return json.Marshal(old)
}

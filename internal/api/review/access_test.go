package review_test

import (
	"context"
	"errors"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/review"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds"
)

// ask sends a review of each kind that asks about a resource, and returns what the authorizer was asked and the answers.
func ask(t *testing.T, r *authorizationv1.ResourceAttributes, decision auth.Decision, failure error) (asked []auth.Attributes, answers []authorizationv1.SubjectAccessReviewStatus) {
	t.Helper()
	jane := auth.User{Name: "jane", UID: "1", Groups: []string{"ops"}, Extra: map[string][]string{"scopes": {"a"}}}
	all := review.Answers(review.Config{Authorizer: func(_ context.Context, user auth.User, attrs auth.Attributes) (auth.Decision, string, error) {
		if user.Name != jane.Name || user.UID != jane.UID || len(user.Groups) != 1 || len(user.Extra["scopes"]) != 1 {
			t.Errorf("asked about %+v", user)
		}
		asked = append(asked, attrs)
		return decision, "because", failure
	}})
	spec := authorizationv1.SubjectAccessReviewSpec{
		User: jane.Name, UID: jane.UID, Groups: jane.Groups, Extra: map[string]authorizationv1.ExtraValue{"scopes": {"a"}}, ResourceAttributes: r,
	}
	for resource, given := range map[string]kinds.Object{
		"subjectaccessreviews":      &authorizationv1.SubjectAccessReview{Spec: spec},
		"localsubjectaccessreviews": &authorizationv1.LocalSubjectAccessReview{Spec: spec},
		"selfsubjectaccessreviews":  &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: r}},
	} {
		answer := all[authorizationv1.SchemeGroupVersion.WithResource(resource)]
		got, err := answer.Create(t.Context(), api.Request{User: jane, Namespace: "default"}, given, metav1.CreateOptions{})
		if err != nil {
			t.Fatalf("%s: %v", resource, err)
		}
		switch got := got.(type) {
		case *authorizationv1.SubjectAccessReview:
			answers = append(answers, got.Status)
		case *authorizationv1.LocalSubjectAccessReview:
			answers = append(answers, got.Status)
		case *authorizationv1.SelfSubjectAccessReview:
			answers = append(answers, got.Status)
		}
	}
	if len(answers) != 3 || len(asked) != 3 {
		t.Fatalf("%d answers, %d questions", len(answers), len(asked))
	}
	return asked, answers
}

// TestSelectors: what of selectors can be read reaches authorizers, and the rest is told and asks for no less.
func TestSelectors(t *testing.T) {
	byField := func(key string, op metav1.FieldSelectorOperator, values ...string) metav1.FieldSelectorRequirement {
		return metav1.FieldSelectorRequirement{Key: key, Operator: op, Values: values}
	}
	for name, c := range map[string]struct {
		fields         *authorizationv1.FieldSelectorAttributes
		labels         *authorizationv1.LabelSelectorAttributes
		byField, byLab string
		told           string
	}{
		"none": {},
		"raw":  {fields: &authorizationv1.FieldSelectorAttributes{RawSelector: "spec.nodeName=one"}, labels: &authorizationv1.LabelSelectorAttributes{RawSelector: "app in (b,a)"}, byField: "spec.nodeName=one", byLab: "app in (a,b)"},
		"requirements": {
			fields:  &authorizationv1.FieldSelectorAttributes{Requirements: []metav1.FieldSelectorRequirement{byField("a", metav1.FieldSelectorOpIn, "x,y"), byField("b", metav1.FieldSelectorOpNotIn, "z")}},
			byField: `a=x\,y,b!=z`,
		},
		"wrong raw": {
			fields: &authorizationv1.FieldSelectorAttributes{RawSelector: "a in (b)"}, labels: &authorizationv1.LabelSelectorAttributes{RawSelector: "a b c"},
			told: "spec.resourceAttributes.fieldSelector ignored due to parse error; spec.resourceAttributes.labelSelector ignored due to parse error",
		},
		"partly wrong": {
			fields:  &authorizationv1.FieldSelectorAttributes{Requirements: []metav1.FieldSelectorRequirement{byField("a", metav1.FieldSelectorOpIn, "x"), byField("b", metav1.FieldSelectorOpExists), byField("c", metav1.FieldSelectorOpIn, "1", "2")}},
			byField: "a=x", told: "spec.resourceAttributes.fieldSelector partially ignored due to parse error",
		},
	} {
		asked, answers := ask(t, &authorizationv1.ResourceAttributes{Verb: "list", Resource: "pods", Namespace: "default", FieldSelector: c.fields, LabelSelector: c.labels}, auth.Allow, nil)
		for i, a := range asked {
			if a.FieldSelector != c.byField || a.LabelSelector != c.byLab || a.Version != "*" {
				t.Errorf("%s: asked for %+v", name, a)
			}
			if s := answers[i]; !s.Allowed || s.Denied || s.Reason != "because" || s.EvaluationError != c.told {
				t.Errorf("%s: answered %+v", name, s)
			}
		}
	}
}

// TestFailures: what could not be asked is told, and a decision stands nevertheless.
func TestFailures(t *testing.T) {
	for decision, want := range map[auth.Decision]authorizationv1.SubjectAccessReviewStatus{
		auth.Allow:     {Allowed: true, Reason: "because", EvaluationError: "a server is away"},
		auth.Deny:      {Denied: true, Reason: "because", EvaluationError: "a server is away"},
		auth.NoOpinion: {Reason: "because", EvaluationError: "a server is away"},
	} {
		_, answers := ask(t, &authorizationv1.ResourceAttributes{Verb: "get", Resource: "pods"}, decision, errors.New("a server is away"))
		for _, got := range answers {
			if got != want {
				t.Errorf("%v: got %+v, want %+v", decision, got, want)
			}
		}
	}
}

// TestNoPath: a question about an empty path is none about a resource.
func TestNoPath(t *testing.T) {
	answer := review.Answers(review.Config{Authorizer: func(_ context.Context, _ auth.User, attrs auth.Attributes) (auth.Decision, string, error) {
		if attrs.Path == "" {
			t.Errorf("asked for %+v", attrs)
		}
		return auth.NoOpinion, "", nil
	}})[authorizationv1.SchemeGroupVersion.WithResource("selfsubjectaccessreviews")]
	given := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: "get"}}}
	if _, err := answer.Create(t.Context(), api.Request{}, given, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

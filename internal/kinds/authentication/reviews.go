// Package authentication holds the kinds of authentication.k8s.io, which are never stored: a client sends one that asks who somebody is, and the answer is the
// same object with a status.
//
// # What it leaves to others
//
// The answers are package api/review's; who somebody is, is decided by auth.
package authentication

import (
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/floe-k8s/floe/internal/kinds"
)

// TokenReview is authentication.k8s.io/v1 TokenReview: whose a token is.
func TokenReview() *kinds.Kind {
	return &kinds.Kind{
		GVK: authenticationv1.SchemeGroupVersion.WithKind("TokenReview"), Resource: "tokenreviews", Singular: "tokenreview",
		Verbs: []string{"create"}, Answered: true, New: func() kinds.Object { return &authenticationv1.TokenReview{} },
	}
}

// SelfSubjectReview is authentication.k8s.io/v1 SelfSubjectReview: who the client is.
func SelfSubjectReview() *kinds.Kind {
	return &kinds.Kind{
		GVK: authenticationv1.SchemeGroupVersion.WithKind("SelfSubjectReview"), Resource: "selfsubjectreviews", Singular: "selfsubjectreview",
		Verbs: []string{"create"}, Answered: true, New: func() kinds.Object { return &authenticationv1.SelfSubjectReview{} },
	}
}

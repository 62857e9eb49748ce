package review

import (
	"context"
	"errors"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Config is what answers are made from. All fields but Tokens are needed.
type Config struct {
	Authenticator auth.Authenticator
	// Tokens says whose a token is; nil: Authenticator alone does.
	Tokens     auth.TokenChecker
	Authorizer auth.Authorizer
	Rules      auth.Resolver // of the same policy as Authorizer
	Clock      clock.PassiveClock
	// Components are the parts of the control plane, asked each time a client asks. It waits no longer than ctx.
	Components func(ctx context.Context) []Component
}

// Answers returns what api.Config.Answers wants.
func Answers(cfg Config) api.Answers {
	authentication := authenticationv1.SchemeGroupVersion
	authorization := authorizationv1.SchemeGroupVersion
	return api.Answers{
		authentication.WithResource("tokenreviews"):                 {Create: cfg.token},
		authentication.WithResource("selfsubjectreviews"):           {Create: cfg.self},
		authorization.WithResource("subjectaccessreviews"):          {Create: cfg.access},
		authorization.WithResource("localsubjectaccessreviews"):     {Create: cfg.localAccess},
		authorization.WithResource("selfsubjectaccessreviews"):      {Create: cfg.selfAccess},
		authorization.WithResource("selfsubjectrulesreviews"):       {Create: cfg.selfRules},
		corev1.SchemeGroupVersion.WithResource("componentstatuses"): {Each: cfg.components, Missing: noComponent},
	}
}

// token says whose a token is.
func (cfg Config) token(ctx context.Context, _ api.Request, given kinds.Object, _ metav1.CreateOptions) (runtime.Object, error) {
	r := given.(*authenticationv1.TokenReview)
	if r.Spec.Token == "" {
		return nil, apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	// The status that the client may have sent stays where nothing is written over it, as upstream.
	header := "Bearer " + r.Spec.Token
	if shown := auth.TokenIn(header); cfg.Tokens != nil && shown != "" {
		id, ok, err := cfg.Tokens(ctx, shown, r.Spec.Audiences)
		switch {
		case ok:
			r.Status.Authenticated, r.Status.User, r.Status.Audiences = true, userInfo(id.User), id.Audiences
			return r, nil
		case err == nil:
			err = errors.New("invalid bearer token")
		}
		r.Status.Authenticated, r.Status.Error = false, err.Error()
		return r, nil
	}
	user, ok, err := cfg.Authenticator(&http.Request{Header: http.Header{"Authorization": {header}}})
	r.Status.Authenticated = ok && err == nil
	if err != nil {
		r.Status.Error = err.Error()
	}
	if r.Status.Authenticated {
		r.Status.User = userInfo(user)
	}
	return r, nil
}

// self says who the client is.
func (cfg Config) self(_ context.Context, req api.Request, _ kinds.Object, _ metav1.CreateOptions) (runtime.Object, error) {
	return &authenticationv1.SelfSubjectReview{
		ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(cfg.Clock.Now())},
		Status:     authenticationv1.SelfSubjectReviewStatus{UserInfo: userInfo(req.User)},
	}, nil
}

func userInfo(u auth.User) authenticationv1.UserInfo {
	info := authenticationv1.UserInfo{Username: u.Name, UID: u.UID, Groups: u.Groups, Extra: map[string]authenticationv1.ExtraValue{}}
	for key, values := range u.Extra {
		info.Extra[key] = values
	}
	return info
}

// selfRules lists what the client may do.
func (cfg Config) selfRules(_ context.Context, req api.Request, given kinds.Object, _ metav1.CreateOptions) (runtime.Object, error) {
	namespace := given.(*authorizationv1.SelfSubjectRulesReview).Spec.Namespace
	if namespace == "" {
		return nil, apierrors.NewBadRequest("no namespace on request")
	}
	rules, incomplete, err := cfg.Rules(req.User, namespace)
	status := authorizationv1.SubjectRulesReviewStatus{
		ResourceRules: []authorizationv1.ResourceRule{}, NonResourceRules: []authorizationv1.NonResourceRule{}, Incomplete: incomplete,
	}
	if err != nil {
		status.EvaluationError = err.Error()
	}
	for _, r := range rules {
		if len(r.Resources) > 0 {
			status.ResourceRules = append(status.ResourceRules, authorizationv1.ResourceRule{
				Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames,
			})
		}
		if len(r.NonResourceURLs) > 0 {
			status.NonResourceRules = append(status.NonResourceRules, authorizationv1.NonResourceRule{Verbs: r.Verbs, NonResourceURLs: r.NonResourceURLs})
		}
	}
	return &authorizationv1.SelfSubjectRulesReview{Status: status}, nil
}

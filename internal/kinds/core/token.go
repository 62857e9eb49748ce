package core

import (
	"errors"
	"fmt"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// Lives of tokens, in seconds.
const (
	tokenLife    = 60 * 60
	tokenLifeMin = 10 * 60
	tokenLifeMax = 1 << 32
	// A token that asks for tokenLifeLate lives for kinds.Tokens.Extend, as upstream's for programs that read theirs only once.
	tokenLifeLate = 60*60 + 7
)

// issuedRemark is upstream's annotation that names the token which was given out.
const issuedRemark = "authentication.kubernetes.io/issued-credential-id"

var tokenRequest = authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")

// tokenPart is serviceaccounts/token. It changes nothing of the account.
func tokenPart() kinds.Subresource {
	return kinds.Subresource{
		Name: "token", GVK: tokenRequest, Verbs: []string{"create"}, New: func() runtime.Object { return &authenticationv1.TokenRequest{} },
		Create: createToken, Unnamed: true,
	}
}

func createToken(env kinds.Env, obj kinds.Object, body runtime.Object, call kinds.Call) (kinds.Effect, error) {
	account, r := obj.(*corev1.ServiceAccount), body.(*authenticationv1.TokenRequest).DeepCopy()
	if err := completeRequest(env, account, r, call.Tokens.Audiences); err != nil {
		return kinds.Effect{}, err
	}
	wish := kinds.TokenWish{Account: account, Audiences: r.Spec.Audiences, Now: env.Now}
	if ref := r.Spec.BoundObjectRef; ref != nil {
		if err := bindToken(&wish, ref, call.See); err != nil {
			return kinds.Effect{}, err
		}
	}
	var warnings []string
	if most := int64(call.Tokens.MaxLife / time.Second); most > 0 && *r.Spec.ExpirationSeconds > most {
		warnings = append(warnings, fmt.Sprintf("requested expiration of %d seconds shortened to %d seconds", *r.Spec.ExpirationSeconds, most))
		r.Spec.ExpirationSeconds = &most
	}
	life := *r.Spec.ExpirationSeconds
	wish.Life = time.Duration(life) * time.Second
	ours := func(audience string) bool { return slices.Contains(call.Tokens.Audiences, audience) }
	if call.Tokens.Extend != 0 && wish.Pod != nil && life == tokenLifeLate && !slices.ContainsFunc(wish.Audiences, func(a string) bool { return !ours(a) }) {
		wish.WarnAfter, wish.Life = wish.Life, call.Tokens.Extend
	}
	if call.Issue == nil {
		return kinds.Effect{}, apierrors.NewInternalError(errors.New("failed to generate token: this server has no key that signs tokens"))
	}
	token, err := call.Issue(wish)
	if err != nil {
		return kinds.Effect{}, apierrors.NewInternalError(fmt.Errorf("failed to generate token: %w", err))
	}
	r.Status = authenticationv1.TokenRequestStatus{
		Token: token.Text, ExpirationTimestamp: metav1.NewTime(env.Now.Add(time.Duration(*r.Spec.ExpirationSeconds) * time.Second)),
	}
	effect := kinds.Effect{DryRun: true, Answer: r, Warnings: warnings}
	if token.ID != "" {
		effect.Remarks = map[string]string{issuedRemark: "JTI=" + token.ID}
	}
	return effect, nil
}

// completeRequest says what is wrong with r, or fills in what it leaves open.
func completeRequest(env kinds.Env, account *corev1.ServiceAccount, r *authenticationv1.TokenRequest, audiences []string) error {
	switch {
	case r.Namespace != "" && r.Namespace != account.Namespace:
		return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	case r.Name != "" && r.Name != account.Name:
		return apierrors.NewInvalid(tokenRequest.GroupKind(), account.Name, field.ErrorList{
			field.Invalid(field.NewPath("metadata", "name"), r.Name, "must match the service account name if specified"),
		})
	case r.UID != "" && r.UID != account.UID:
		return apierrors.NewConflict(schema.GroupResource{Group: tokenRequest.Group, Resource: tokenRequest.Kind}, account.Name,
			fmt.Errorf("the UID in the token request (%s) does not match the UID of the service account (%s)", r.UID, account.UID))
	}
	if len(r.Spec.Audiences) == 0 {
		r.Spec.Audiences = slices.Clone(audiences)
	}
	r.Name, r.Namespace, r.UID, r.CreationTimestamp = account.Name, account.Namespace, account.UID, metav1.NewTime(env.Now)
	if r.Spec.ExpirationSeconds == nil {
		hour := int64(tokenLife)
		r.Spec.ExpirationSeconds = &hour
	}
	var errs field.ErrorList
	seconds, at := *r.Spec.ExpirationSeconds, field.NewPath("spec", "expirationSeconds")
	if seconds < tokenLifeMin {
		errs = append(errs, field.Invalid(at, seconds, "may not specify a duration less than 10 minutes"))
	}
	if seconds > tokenLifeMax {
		errs = append(errs, field.Invalid(at, seconds, "may not specify a duration larger than 2^32 seconds"))
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(tokenRequest.GroupKind(), "", errs)
	}
	return nil
}

// bindToken finds what ref names.
func bindToken(wish *kinds.TokenWish, ref *authenticationv1.BoundObjectReference, see kinds.Reader) error {
	gvk := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	res, namespace := schema.GroupVersionResource{}, wish.Account.Namespace
	switch {
	case gvk.Group != "":
	case gvk.Kind == "Pod":
		res = corev1.SchemeGroupVersion.WithResource("pods")
	case gvk.Kind == "Secret":
		res = corev1.SchemeGroupVersion.WithResource("secrets")
	case gvk.Kind == "Node":
		res, namespace = corev1.SchemeGroupVersion.WithResource("nodes"), ""
	}
	if res.Resource == "" {
		return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token to object of type %s", gvk.String()))
	}
	obj := see.Get(res, namespace, ref.Name)
	if obj == nil {
		return apierrors.NewNotFound(res.GroupResource(), ref.Name)
	}
	switch o := obj.(type) {
	case *corev1.Pod:
		if o.Spec.ServiceAccountName != wish.Account.Name {
			return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", wish.Account.Name))
		}
		wish.Pod, wish.Node = o, nodeOf(o, see)
	case *corev1.Secret:
		wish.Secret = o
	case *corev1.Node:
		wish.Node = o
	}
	if ref.UID != "" && ref.UID != obj.GetUID() {
		return apierrors.NewConflict(schema.GroupResource{Group: gvk.Group, Resource: gvk.Kind}, ref.Name,
			fmt.Errorf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID))
	}
	return nil
}

// nodeOf is where a pod runs; of a node that is gone only the name is known.
func nodeOf(pod *corev1.Pod, see kinds.Reader) *corev1.Node {
	if pod.Spec.NodeName == "" {
		return nil
	}
	if node, ok := see.Get(corev1.SchemeGroupVersion.WithResource("nodes"), "", pod.Spec.NodeName).(*corev1.Node); ok {
		return node
	}
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: pod.Spec.NodeName}}
}

package custom

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/admission/webhook/reach"
)

// reviews reads and writes ConversionReviews of both versions.
func reviews() runtime.NegotiatedSerializer {
	versions := []schema.GroupVersion{apiextensionsv1.SchemeGroupVersion, apiextensionsv1beta1.SchemeGroupVersion}
	return reach.Codec(versions, apiextensionsv1beta1.AddToScheme, apiextensionsv1.AddToScheme)
}

// webhook is the conversion Webhook: somebody else's server, by the review protocol.
type webhook struct {
	versions []string // of reviews that it knows
	client   *reach.Client
}

func newWebhook(definition string, config *apiextensionsv1.WebhookConversion, means reach.Means) *webhook {
	to := config.ClientConfig
	at := reach.Target{Name: "conversion_webhook_for_" + definition, Bundle: authorities(to)}
	if to.URL != nil {
		at.URL = *to.URL
	}
	if s := to.Service; s != nil {
		at.Service = reach.ServiceOf(s.Namespace, s.Name, s.Path, s.Port)
	}
	return &webhook{config.ConversionReviewVersions, reach.New(at, means)}
}

// authorities are those that a webhook is trusted by. Nothing but white space is nothing.
func authorities(to *apiextensionsv1.WebhookClientConfig) []byte {
	if len(bytes.TrimSpace(to.CABundle)) == 0 {
		return nil
	}
	return to.CABundle
}

// trustable says whether a bundle has a certificate, or is empty.
func trustable(to *apiextensionsv1.WebhookClientConfig) bool {
	_, err := reach.Authorities(authorities(to))
	return err == nil
}

func (w *webhook) close() { w.client.Close() }

func (w *webhook) convert(obj *unstructured.Unstructured, to schema.GroupVersion) (*unstructured.Unstructured, error) {
	if bare(obj) {
		return relabel{}.convert(obj, to)
	}
	from := obj.GroupVersionKind()
	list, err := w.ask(obj, to)
	if err != nil {
		return nil, fmt.Errorf("conversion webhook for %v failed: %w", from, err)
	}
	if len(list) != 1 {
		return nil, fmt.Errorf("conversion webhook for %v returned %d objects, expected %d", from, len(list), 1)
	}
	out := &unstructured.Unstructured{}
	if err := out.UnmarshalJSON(list[0].Raw); err != nil {
		return nil, err
	}
	if got := out.GroupVersionKind().GroupVersion(); got != to {
		return nil, fmt.Errorf("conversion webhook for %v returned invalid object at index 0: invalid groupVersion (expected %v, received %v)", from, to, got)
	}
	if got := out.GetKind(); got != from.Kind {
		return nil, fmt.Errorf("conversion webhook for %v returned invalid object at index 0: invalid kind (expected %v, received %v)", from, from.Kind, got)
	}
	if err := sameObject(obj, out); err != nil {
		return nil, fmt.Errorf("conversion webhook for %v returned invalid object: %w", from, err)
	}
	if err := restore(obj, out); err != nil {
		return nil, fmt.Errorf("conversion webhook for %v returned invalid metadata: %w", from, err)
	}
	return out, nil
}

// ask sends one object to the webhook and returns what it makes of it.
func (w *webhook) ask(obj *unstructured.Unstructured, to schema.GroupVersion) ([]runtime.RawExtension, error) {
	uid := types.UID(uuid.NewString())
	question, answer, err := reviewOf(w.versions, apiextensionsv1.ConversionRequest{UID: uid, DesiredAPIVersion: to.String(), Objects: []runtime.RawExtension{{Object: obj}}})
	if err != nil {
		return nil, err
	}
	client, err := w.client.REST()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), reach.MostTime) // of all tries, as a webhook may ask for more
	defer cancel()
	if err := client.Post().Body(question).Do(ctx).Into(answer); err != nil {
		return nil, err
	}
	response, err := answered(answer, uid)
	if err != nil {
		return nil, err
	}
	if result := response.Result; result.Status != metav1.StatusSuccess {
		if result.Message != "" {
			return nil, errors.New(result.Message)
		}
		return nil, fmt.Errorf("response.result.status was '%s', not 'Success'", result.Status)
	}
	return response.ConvertedObjects, nil
}

// reviewOf makes a review of the first version that a webhook knows, and the empty one into which its answer is read.
func reviewOf(versions []string, request apiextensionsv1.ConversionRequest) (question, answer runtime.Object, err error) {
	for _, version := range versions {
		switch version {
		case apiextensionsv1beta1.SchemeGroupVersion.Version:
			older := apiextensionsv1beta1.ConversionRequest(request)
			return &apiextensionsv1beta1.ConversionReview{Request: &older, Response: &apiextensionsv1beta1.ConversionResponse{}}, &apiextensionsv1beta1.ConversionReview{}, nil
		case apiextensionsv1.SchemeGroupVersion.Version:
			return &apiextensionsv1.ConversionReview{Request: &request, Response: &apiextensionsv1.ConversionResponse{}}, &apiextensionsv1.ConversionReview{}, nil
		}
	}
	return nil, nil, errors.New("no supported conversion review versions")
}

// answered checks an answer and returns it as v1 has it. What v1beta1 never asked of webhooks is not asked of them now.
func answered(review runtime.Object, uid types.UID) (*apiextensionsv1.ConversionResponse, error) {
	errAbsent := errors.New("no response provided")
	switch r := review.(type) {
	case *apiextensionsv1beta1.ConversionReview:
		if r.Response == nil {
			return nil, errAbsent
		}
		return (*apiextensionsv1.ConversionResponse)(r.Response), nil
	case *apiextensionsv1.ConversionReview:
		want := apiextensionsv1.SchemeGroupVersion.WithKind("ConversionReview")
		switch got := r.GroupVersionKind(); {
		case got != want:
			return nil, fmt.Errorf("expected webhook response of %v, got %v", want, got)
		case r.Response == nil:
			return nil, errAbsent
		case r.Response.UID != uid:
			return nil, fmt.Errorf("expected response.uid=%q, got %q", uid, r.Response.UID)
		}
		return r.Response, nil
	}
	return nil, fmt.Errorf("unrecognized response type: %T", review)
}

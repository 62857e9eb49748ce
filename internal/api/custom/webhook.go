package custom

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/observe/trace"
)

const (
	webhookTime   = 30 * time.Second // that one call of a webhook may take
	webhookAnswer = 16 << 20         // bytes that are read of an answer
	servicePort   = 443
)

// webhook is the conversion Webhook: somebody else's server, by the review protocol.
type webhook struct {
	config  apiextensionsv1.WebhookConversion
	resolve Resolver
	client  func() (*http.Client, error) // made when first needed
}

func newWebhook(config *apiextensionsv1.WebhookConversion, resolve Resolver) *webhook {
	w := &webhook{config: *config.DeepCopy(), resolve: resolve}
	w.client = sync.OnceValues(w.connect)
	return w
}

// connect makes the client: it trusts the definition's authorities, or else the system's, and reaches a service where it is now.
func (w *webhook) connect() (*http.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	bundle := w.config.ClientConfig.CABundle
	if !validAuthorities(bundle) {
		return nil, errors.New("unable to load root certificates: unable to parse bytes as PEM block")
	}
	if bundle = bytes.TrimSpace(bundle); len(bundle) > 0 {
		conf.RootCAs = x509.NewCertPool()
		conf.RootCAs.AppendCertsFromPEM(bundle)
	}
	transport := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute}
	if s := w.config.ClientConfig.Service; s != nil {
		conf.ServerName = s.Name + "." + s.Namespace + ".svc"
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			at, err := w.resolve(s.Namespace, s.Name, portOf(s))
			if err != nil {
				return nil, err
			}
			var dialer net.Dialer
			return dialer.DialContext(ctx, network, at.Host)
		}
	}
	return &http.Client{Transport: trace.Transport(transport)}, nil
}

// validAuthorities says whether a bundle has a certificate, or is empty.
func validAuthorities(bundle []byte) bool {
	bundle = bytes.TrimSpace(bundle)
	return len(bundle) == 0 || x509.NewCertPool().AppendCertsFromPEM(bundle)
}

func portOf(s *apiextensionsv1.ServiceReference) int32 {
	if s.Port != nil {
		return *s.Port
	}
	return servicePort
}

// url is where the webhook answers, by its name.
func (w *webhook) url() string {
	c := w.config.ClientConfig
	if c.Service == nil {
		if c.URL == nil {
			return ""
		}
		return *c.URL
	}
	at := url.URL{Scheme: "https", Host: net.JoinHostPort(c.Service.Name+"."+c.Service.Namespace+".svc", strconv.Itoa(int(portOf(c.Service))))}
	if c.Service.Path != nil {
		at.Path = *c.Service.Path
	}
	return at.String()
}

func (w *webhook) close() {
	if client, err := w.client(); err == nil {
		client.CloseIdleConnections()
	}
}

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

// review is a ConversionReview of v1 or v1beta1, which are the same but in what is required of an answer.
type review struct {
	metav1.TypeMeta `json:",inline"`
	Request         *apiextensionsv1.ConversionRequest  `json:"request,omitempty"`
	Response        *apiextensionsv1.ConversionResponse `json:"response,omitempty"`
}

// ask sends one object to the webhook and returns what it makes of it.
func (w *webhook) ask(obj *unstructured.Unstructured, to schema.GroupVersion) ([]runtime.RawExtension, error) {
	known := []string{"v1", "v1beta1"}
	i := slices.IndexFunc(w.config.ConversionReviewVersions, func(v string) bool { return slices.Contains(known, v) })
	if i < 0 {
		return nil, errors.New("no supported conversion review versions")
	}
	gvk := schema.GroupVersionKind{Group: apiextensionsv1.GroupName, Version: w.config.ConversionReviewVersions[i], Kind: "ConversionReview"}
	doc, err := obj.MarshalJSON()
	if err != nil {
		return nil, err
	}
	question := review{Request: &apiextensionsv1.ConversionRequest{
		UID: types.UID(uuid.NewString()), DesiredAPIVersion: to.String(), Objects: []runtime.RawExtension{{Raw: doc}},
	}}
	question.SetGroupVersionKind(gvk)
	var answer review
	if err := w.post(question, &answer); err != nil {
		return nil, err
	}
	switch got := answer.GroupVersionKind(); {
	case gvk.Version == "v1" && got != gvk:
		return nil, fmt.Errorf("expected webhook response of %v, got %v", gvk, got)
	case answer.Response == nil:
		return nil, errors.New("no response provided")
	case gvk.Version == "v1" && answer.Response.UID != question.Request.UID:
		return nil, fmt.Errorf("expected response.uid=%q, got %q", question.Request.UID, answer.Response.UID)
	}
	if result := answer.Response.Result; result.Status != metav1.StatusSuccess {
		if result.Message != "" {
			return nil, errors.New(result.Message)
		}
		return nil, fmt.Errorf("response.result.status was '%s', not 'Success'", result.Status)
	}
	return answer.Response.ConvertedObjects, nil
}

// post sends a question and reads its answer, within bounds of time and bytes.
func (w *webhook) post(question review, answer *review) error {
	client, err := w.client()
	if err != nil {
		return err
	}
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), webhookTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, webhookAnswer+1))
	switch {
	case err != nil:
		return err
	case len(data) > webhookAnswer:
		return fmt.Errorf("the answer has more than %d bytes", webhookAnswer)
	case resp.StatusCode < http.StatusOK || resp.StatusCode > http.StatusPartialContent:
		return apierrors.NewGenericServerResponse(resp.StatusCode, http.MethodPost, schema.GroupResource{}, "", string(data), 0, true)
	}
	return json.Unmarshal(data, answer)
}

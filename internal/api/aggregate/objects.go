package aggregate

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/floe-k8s/floe/internal/auth"
)

// metadataOnly asks for the metadata of an object, and takes the whole from servers that cannot leave the rest out.
const metadataOnly = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"

// Resource is where objects of a kind stand, as its server last said; ok false: none has said so lately.
func (a *Added) Resource(gvk schema.GroupVersionKind) (resource string, namespaced, ok bool) {
	for i := range a.Versions {
		v := &a.Versions[i]
		if v.GroupVersion != gvk.GroupVersion() {
			continue
		}
		for _, r := range v.Discovery.Resources {
			if k := r.ResponseKind; k != nil && k.Kind == gvk.Kind && (k.Group == "" || k.Group == gvk.Group) && (k.Version == "" || k.Version == gvk.Version) {
				return r.Resource, r.Scope == apidiscoveryv2.ScopeNamespace, true
			}
		}
	}
	return "", false, false
}

// Metadata asks, as a user, the server of a kind for the metadata of one object. The error is NotFound only if the server says in the form of the API that there is
// no object of that name: an answer of somebody between, or of a server that has lost the whole resource, is no such word.
func (p *Proxy) Metadata(ctx context.Context, user auth.User, gvk schema.GroupVersionKind, namespace, name string) (*metav1.PartialObjectMetadata, error) {
	if wrong := content.IsPathSegmentName(name); len(wrong) > 0 { // a reference's name may be anything
		return nil, fmt.Errorf("%s %q: %s", gvk.Kind, name, wrong[0])
	}
	resource, _, ok := p.Added().Resource(gvk)
	svc := p.Find(gvk.GroupVersion())
	if !ok || svc == nil || !available(svc) {
		return nil, fmt.Errorf("%s %s: no server answers for it", gvk.GroupVersion(), gvk.Kind)
	}
	client, err := p.client(svc)
	if err != nil {
		return nil, err
	}
	place := "/apis/" + gvk.Group + "/" + gvk.Version
	if namespace != "" {
		place += "/namespaces/" + url.PathEscape(namespace)
	}
	body, _, code, err := p.fetch(ctx, client, svc, user, place+"/"+resource+"/"+url.PathEscape(name), metadataOnly)
	if err != nil {
		return nil, err
	}
	if code == http.StatusOK {
		found := &metav1.PartialObjectMetadata{}
		if err := json.Unmarshal(body, found); err != nil {
			return nil, err
		}
		if found.UID == "" || found.Name != name {
			return nil, fmt.Errorf("%s %s: the server answered with something else", resource, name)
		}
		return found, nil
	}
	var status metav1.Status
	if code == http.StatusNotFound && json.Unmarshal(body, &status) == nil && status.Kind == "Status" && status.Reason == metav1.StatusReasonNotFound &&
		status.Details != nil && status.Details.Name == name {
		return nil, apierrors.NewNotFound(schema.GroupResource{Group: gvk.Group, Resource: resource}, name)
	}
	return nil, fmt.Errorf("%s %s: the server answered %d: %.200q", resource, name, code, body)
}

// client asks the server of svc, and goes nowhere else.
func (p *Proxy) client(svc *apiregistrationv1.APIService) (*http.Client, error) {
	transport, err := p.transport(svc)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: transport, Timeout: discoveryTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

// Read asks, as a user, the server of a version for the JSON at a path, which begins below the version, into a value. resource is the path's, as errors name it. The error is an
// API status error, the server's own where it gave one.
func (p *Proxy) Read(ctx context.Context, user auth.User, gv schema.GroupVersion, resource, path string, query url.Values, into any) error {
	about := schema.GroupResource{Group: gv.Group, Resource: resource}
	svc := p.Find(gv)
	if svc == nil {
		return apierrors.NewGenericServerResponse(http.StatusNotFound, "get", about, "", "", 0, true)
	}
	if !available(svc) {
		return apierrors.NewGenericServerResponse(http.StatusServiceUnavailable, "get", about, "", "", 0, true)
	}
	client, err := p.client(svc)
	if err != nil {
		return err
	}
	body, _, code, err := p.fetch(ctx, client, svc, user, "/apis/"+gv.String()+path+"?"+query.Encode(), "application/json")
	if err != nil {
		return err
	}
	if code != http.StatusOK {
		var status metav1.Status
		if json.Unmarshal(body, &status) == nil && status.Kind == "Status" && status.Status == metav1.StatusFailure {
			return &apierrors.StatusError{ErrStatus: status}
		}
		return apierrors.NewGenericServerResponse(code, "get", about, "", string(body[:min(len(body), 200)]), 0, true)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s of %s: the server answered with something else: %w", resource, gv, err)
	}
	return nil
}

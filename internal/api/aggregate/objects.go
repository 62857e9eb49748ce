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
	transport, err := p.transport(svc)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: transport, Timeout: discoveryTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
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

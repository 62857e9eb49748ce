package aggregate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/floe-k8s/floe/internal/auth"
)

const (
	maxDiscovery = 16 << 20 // bytes of what one server says of itself
	maxFetches   = 8        // at once
	maxObjects   = 1 << 16  // of one document; upstream's own of everything has 23,000
	maxValues    = 1 << 18  // of one document; upstream's own has 80,000
	maxKept      = 64 << 20 // bytes that are kept of all servers' documents together
	documents    = "/openapi/v3"
	wholeForm    = "as=APIGroupDiscoveryList"
	accepted     = "application/json;g=apidiscovery.k8s.io;v=v2;" + wholeForm + ",application/json;g=apidiscovery.k8s.io;v=v2beta1;" + wholeForm
)

// Added is what API services add to discovery. It is immutable; when it says something else there is another one.
type Added struct {
	Versions []Version // in the order of their places: of the group, of the version, and names
}

// Documents are where this server leads to OpenAPI documents of others, by their paths, such as apis/GROUP/VERSION.
func (a *Added) Documents() map[string]string {
	found := map[string]string{}
	if a == nil {
		return found
	}
	for _, v := range a.Versions {
		path := "apis/" + v.String()
		switch {
		case v.Document != "":
			found[path] = v.Document
		case v.Described != nil && v.Described.Converted != nil:
			found[path] = documents + "/" + path + "?" + url.Values{"hash": {v.Described.Hash}}.Encode()
		}
	}
	return found
}

// Version is a group and version that somebody else answers for, with its places among all: those of the API service.
type Version struct {
	schema.GroupVersion
	GroupPlace, VersionPlace int32
	// Discovery is what its server says it has. It is stale, and empty, while the server does not answer.
	Discovery apidiscoveryv2.APIVersionDiscovery
	// Document is where this server leads to its server's OpenAPI document, with what tells one text from the next; "": it has none.
	Document string
	// Described is its server's document of version 2; nil: it has none.
	Described *Described
}

// Added is what was last seen; it is never nil.
func (p *Proxy) Added() *Added { return p.added.Load() }

// Discover asks the servers of all of these API services what they have, and takes the answers, and the lack of them, as what is added. Local ones are passed
// over. It is called by one goroutine at a time, and takes some seconds at most.
func (p *Proxy) Discover(ctx context.Context, all []*apiregistrationv1.APIService) {
	next := &Added{}
	for _, svc := range all {
		if svc.Spec.Service != nil && svc.Spec.Group != "" {
			next.Versions = append(next.Versions, Version{
				GroupVersion: schema.GroupVersion{Group: svc.Spec.Group, Version: svc.Spec.Version}, GroupPlace: svc.Spec.GroupPriorityMinimum, VersionPlace: svc.Spec.VersionPriority,
			})
		}
	}
	var under sync.WaitGroup
	places := make(chan struct{}, maxFetches)
	for i := range next.Versions {
		v := &next.Versions[i]
		places <- struct{}{}
		under.Go(func() {
			defer func() { <-places }()
			p.discover(ctx, v)
		})
	}
	under.Wait()
	slices.SortFunc(next.Versions, func(a, b Version) int {
		return cmp.Or(cmp.Compare(b.GroupPlace, a.GroupPlace), cmp.Compare(a.Group, b.Group), cmp.Compare(b.VersionPlace, a.VersionPlace),
			-version.CompareKubeAwareVersionStrings(a.Version, b.Version))
	})
	bound(next.Versions)
	if ctx.Err() == nil && !reflect.DeepEqual(next, p.Added()) {
		p.added.Store(next)
	}
}

// bound forgets the documents of those that come last when all of them are more than is kept.
func bound(list []Version) {
	left := maxKept
	for i := range list {
		d := list[i].Described
		if d == nil {
			continue
		}
		if left -= len(d.paths) + len(d.Converted); left < 0 {
			list[i].Described = nil
		}
	}
}

// discover asks the server of one group and version what it has.
func (p *Proxy) discover(ctx context.Context, v *Version) {
	v.Discovery = apidiscoveryv2.APIVersionDiscovery{Version: v.Version, Freshness: apidiscoveryv2.DiscoveryFreshnessStale}
	v.Described = p.Added().before(v.GroupVersion)
	svc := p.Find(v.GroupVersion)
	if svc == nil || !available(svc) {
		return
	}
	transport, err := p.transport(svc)
	if err != nil {
		return
	}
	client := &http.Client{Transport: transport, Timeout: discoveryTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	found, err := p.whole(ctx, client, svc)
	if err != nil {
		return
	}
	v.Discovery = found
	v.Discovery.Version, v.Discovery.Freshness = v.Version, apidiscoveryv2.DiscoveryFreshnessCurrent
	legacy := false
	v.Document, legacy = p.document(ctx, client, svc)
	v.Described = p.described(ctx, client, svc, v.Described, legacy)
}

// document is where the server says that its OpenAPI document is. One that is elsewhere than clients look for it is none. legacy: it knows nothing of version 3.
func (p *Proxy) document(ctx context.Context, client *http.Client, svc *apiregistrationv1.APIService) (at string, legacy bool) {
	body, _, code, err := p.fetch(ctx, client, svc, aggregator(), documents, "application/json")
	if err != nil || code != http.StatusOK {
		return "", err == nil && code == http.StatusNotFound
	}
	var index struct {
		Paths map[string]struct {
			URL string `json:"serverRelativeURL"`
		} `json:"paths"`
	}
	path := "apis/" + svc.Spec.Group + "/" + svc.Spec.Version
	if json.Unmarshal(body, &index) != nil {
		return "", false
	}
	place, err := url.Parse(index.Paths[path].URL)
	if err != nil || place.Scheme != "" || place.Host != "" || place.Path != documents+"/"+path {
		return "", false
	}
	return place.String(), false
}

// whole asks for everything at once, and of a server that does not know that form for the group and version alone.
func (p *Proxy) whole(ctx context.Context, client *http.Client, svc *apiregistrationv1.APIService) (apidiscoveryv2.APIVersionDiscovery, error) {
	body, form, code, err := p.fetch(ctx, client, svc, aggregator(), "/apis", accepted)
	switch {
	case err != nil:
		return apidiscoveryv2.APIVersionDiscovery{}, err
	case code == http.StatusServiceUnavailable:
		return apidiscoveryv2.APIVersionDiscovery{}, fmt.Errorf("service %s/%s returned non-success response code: %d", svc.Spec.Service.Namespace, svc.Spec.Service.Name, code)
	case code == http.StatusOK && strings.Contains(form, wholeForm):
		var list apidiscoveryv2.APIGroupDiscoveryList
		if err := json.Unmarshal(body, &list); err != nil {
			return apidiscoveryv2.APIVersionDiscovery{}, err
		}
		return of(&list, svc), nil
	}
	path := "/apis/" + svc.Spec.Group + "/" + svc.Spec.Version
	if body, _, code, err = p.fetch(ctx, client, svc, aggregator(), path, "application/json"); err != nil {
		return apidiscoveryv2.APIVersionDiscovery{}, err
	}
	var list metav1.APIResourceList
	if code != http.StatusOK {
		return apidiscoveryv2.APIVersionDiscovery{}, fmt.Errorf("failed to download legacy discovery for %s: %d", path, code)
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return apidiscoveryv2.APIVersionDiscovery{}, err
	}
	return apidiscoveryv2.APIVersionDiscovery{Resources: resources(list.APIResources)}, nil
}

// fetch gets a page as a user.
func (p *Proxy) fetch(ctx context.Context, client *http.Client, svc *apiregistrationv1.APIService, user auth.User, path, accept string) (body []byte, form string, code int, err error) {
	at, err := p.resolve(svc)
	if err != nil {
		return nil, "", 0, err
	}
	if at, err = at.Parse(path); err != nil {
		return nil, "", 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, "", 0, err
	}
	identify(r.Header, user)
	r.Header.Set("Accept", accept)
	resp, err := client.Do(r)
	if err != nil {
		return nil, "", 0, err
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(http.MaxBytesReader(nil, resp.Body, maxDiscovery)); err == nil && !modest(body) {
		err = fmt.Errorf("%s of %s has too many parts", path, svc.Name)
	}
	return body, resp.Header.Get("Content-Type"), resp.StatusCode, err
}

// modest says whether a JSON document can be read in memory that is in proportion to what servers have to say: an empty schema is three bytes of text and a
// kilobyte when it is read. Marks inside of strings count too, which honest documents have few of.
func modest(body []byte) bool {
	objects := bytes.Count(body, []byte("{"))
	return objects <= maxObjects && objects+bytes.Count(body, []byte("["))+bytes.Count(body, []byte(",")) <= maxValues
}

// of is what a list says of the group and version of svc. Kinds that are not said are empty, since old clients cannot do without.
func of(list *apidiscoveryv2.APIGroupDiscoveryList, svc *apiregistrationv1.APIService) (found apidiscoveryv2.APIVersionDiscovery) {
	for _, group := range list.Items {
		for _, v := range group.Versions {
			if group.Name == svc.Spec.Group && v.Version == svc.Spec.Version {
				found = v
			}
		}
	}
	for i := range found.Resources {
		r := &found.Resources[i]
		r.ResponseKind = cmp.Or(r.ResponseKind, &metav1.GroupVersionKind{})
		for j := range r.Subresources {
			r.Subresources[j].ResponseKind = cmp.Or(r.Subresources[j].ResponseKind, &metav1.GroupVersionKind{})
		}
	}
	return found
}

// resources tells a list of the old form in the new one.
func resources(list []metav1.APIResource) (out []apidiscoveryv2.APIResourceDiscovery) {
	place := func(name string) *apidiscoveryv2.APIResourceDiscovery {
		at := slices.IndexFunc(out, func(r apidiscoveryv2.APIResourceDiscovery) bool { return r.Resource == name })
		if at < 0 {
			at = len(out)
			out = append(out, apidiscoveryv2.APIResourceDiscovery{Resource: name, Scope: apidiscoveryv2.ScopeCluster, ResponseKind: &metav1.GroupVersionKind{}})
		}
		return &out[at]
	}
	for _, r := range list {
		name, part, below := strings.Cut(r.Name, "/")
		to, kind := place(name), &metav1.GroupVersionKind{Group: r.Group, Version: r.Version, Kind: r.Kind}
		if r.Namespaced {
			to.Scope = apidiscoveryv2.ScopeNamespace
		}
		if below {
			to.Subresources = append(to.Subresources, apidiscoveryv2.APISubresourceDiscovery{Subresource: part, ResponseKind: kind, Verbs: r.Verbs})
			continue
		}
		to.ResponseKind, to.SingularResource, to.Verbs, to.ShortNames, to.Categories = kind, r.SingularName, r.Verbs, r.ShortNames, r.Categories
	}
	return out
}

package custom

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/kube-openapi/pkg/validation/spec"
	kjson "sigs.k8s.io/json"

	"github.com/floe-k8s/floe/internal/admission/webhook/reach"
	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

// definition is one CustomResourceDefinition as it is served. It is immutable but for what is atomic.
type definition struct {
	group      string
	names      apiextensionsv1.CustomResourceDefinitionNames
	namespaced bool
	preserve   bool   // whatever no schema knows, as definitions of old may say
	storage    string // the hub's version
	versions   map[string]*served
	convert    converter
	with       *surroundings
	types      func() (managedfields.TypeConverter, error)
	// text is the newest stored state with this specification, from which schemas are compiled.
	text        atomic.Pointer[store.Item]
	terminating atomic.Bool // no object is created any more
	kinds       []*kinds.Kind
}

// surroundings are what all definitions share.
type surroundings struct {
	webhooks reach.Means                             // of conversion
	metadata func() (map[string]*spec.Schema, error) // the schemas of metadata, which are not changed
}

// served is one version of a definition.
type served struct {
	of     *definition
	gvk    schema.GroupVersionKind
	schema func() (*compiled, error)
	status bool // there is a status subresource
	scale  *apiextensionsv1.CustomResourceSubresourceScale
}

// define makes what is served of a definition whose names are accepted. item is its stored state; the result keeps nothing else of crd but strings.
func define(crd *apiextensionsv1.CustomResourceDefinition, item *store.Item, with *surroundings) *definition {
	d := &definition{
		group: crd.Spec.Group, names: *crd.Status.AcceptedNames.DeepCopy(), namespaced: crd.Spec.Scope == apiextensionsv1.NamespaceScoped,
		preserve: crd.Spec.PreserveUnknownFields, versions: map[string]*served{}, convert: converterOf(crd, with.webhooks), with: with,
	}
	d.text.Store(item)
	d.types = sync.OnceValues(d.makeTypes)
	replicas := map[string][]string{}
	for i := range crd.Spec.Versions {
		v := &crd.Spec.Versions[i]
		if v.Storage {
			d.storage = v.Name
		}
		s := &served{of: d, gvk: schema.GroupVersionKind{Group: d.group, Version: v.Name, Kind: d.names.Kind}}
		s.schema = sync.OnceValues(s.compile)
		if sub := v.Subresources; sub != nil {
			s.status, s.scale = sub.Status != nil, sub.Scale.DeepCopy()
		}
		d.versions[v.Name], replicas[v.Name] = s, nil
		if s.scale != nil {
			replicas[v.Name] = split(s.scale.SpecReplicasPath)
		}
	}
	for i := range crd.Spec.Versions {
		v := &crd.Spec.Versions[i]
		if v.Served || v.Storage {
			d.kinds = append(d.kinds, d.versions[v.Name].kind(crd, v, replicas))
		}
	}
	return d
}

// split takes a simple path, such as .spec.replicas, apart.
func split(path string) []string { return strings.Split(strings.TrimPrefix(path, "."), ".") }

// spec is the definition's text, shared.
func (d *definition) spec() (*apiextensionsv1.CustomResourceDefinition, error) {
	obj, err := api.Object(d.text.Load())
	if err != nil {
		return nil, fmt.Errorf("read the definition of %s.%s: %w", d.names.Plural, d.group, err)
	}
	crd, ok := obj.(*apiextensionsv1.CustomResourceDefinition)
	if !ok {
		return nil, fmt.Errorf("the definition of %s.%s is a %T", d.names.Plural, d.group, obj)
	}
	return crd, nil
}

// load reads a stored document as an object of the hub: with the defaults of the version in which it was stored, then converted.
func (d *definition) load(doc []byte) (kinds.Object, error) {
	var fields map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(doc, &fields); err != nil {
		return nil, err
	}
	obj := &unstructured.Unstructured{Object: fields}
	v := d.versions[obj.GroupVersionKind().Version]
	if v == nil || obj.GroupVersionKind().Group != d.group {
		return nil, fmt.Errorf("request to convert CR from an invalid group/version: %s", obj.GetAPIVersion())
	}
	if _, err := v.coerce(obj, asStored); err != nil {
		return nil, err
	}
	if err := v.fill(obj); err != nil {
		return nil, err
	}
	return d.as(obj, d.storage)
}

// as returns an object in a version. One that is in it is returned itself; one that is not stays as it is.
func (d *definition) as(obj *unstructured.Unstructured, want string) (*unstructured.Unstructured, error) {
	to := d.versions[want]
	switch {
	case obj.GroupVersionKind().Version == want:
		return obj, nil
	case to == nil:
		return nil, fmt.Errorf("request to convert CR to an invalid group/version: %s/%s", d.group, want)
	case d.versions[obj.GroupVersionKind().Version] == nil:
		return nil, fmt.Errorf("request to convert CR from an invalid group/version: %s", obj.GetAPIVersion())
	}
	out, err := d.convert.convert(obj, to.gvk.GroupVersion())
	if err != nil {
		return nil, err
	}
	_, err = to.coerce(out, asConverted)
	return out, err
}

// refuseWhileTerminating is asked before an object is created.
func (d *definition) refuseWhileTerminating(_ kinds.Env, obj, old kinds.Object, _ kinds.Reader) error {
	if old != nil || !d.terminating.Load() {
		return nil
	}
	return apierrors.NewForbidden(schema.GroupResource{Group: d.group, Resource: d.names.Plural}, obj.GetName(),
		errors.New("create not allowed while custom resource definition is terminating"))
}

// inOrder sorts kinds as discovery shows them: groups by name, versions with the most mature and newest first, and resources by name.
func inOrder(list []*kinds.Kind) {
	slices.SortStableFunc(list, func(a, b *kinds.Kind) int {
		if c := strings.Compare(a.GVK.Group, b.GVK.Group); c != 0 {
			return c
		}
		if c := version.CompareKubeAwareVersionStrings(b.GVK.Version, a.GVK.Version); c != 0 {
			return c
		}
		return strings.Compare(a.Resource, b.Resource)
	})
}

package custom

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/util/jsonpath"

	"github.com/floe-k8s/floe/internal/kinds"
)

// kind is the version as the API serves it. text is the version of crd, of which only strings are kept; replicas are kinds.Dynamic.Versions.
func (v *served) kind(crd *apiextensionsv1.CustomResourceDefinition, text *apiextensionsv1.CustomResourceDefinitionVersion, replicas map[string][]string) *kinds.Kind {
	d := v.of
	k := &kinds.Kind{
		GVK: v.gvk, Resource: d.names.Plural, Singular: d.names.Singular, ShortNames: d.names.ShortNames, Categories: d.names.Categories,
		Namespaced: d.namespaced, Storage: d.group + "/" + d.names.Plural, StoredIn: d.storage,
		Verbs: []string{"delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"},
		New:   func() kinds.Object { return kinds.Unstructured(v.gvk) },
		NewList: func() runtime.Object {
			list := &unstructured.UnstructuredList{}
			list.SetGroupVersionKind(v.gvk.GroupVersion().WithKind(d.names.ListKind))
			return list
		},
		RequireVersion: true, PlainFinalizers: true,
		Default:       v.complete,
		Admission:     []kinds.Admission{{Plugin: "CustomResourceTerminating", Admit: d.refuseWhileTerminating}},
		PrepareCreate: v.prepareCreate, PrepareUpdate: v.prepareUpdate,
		ValidateCreate: v.validateCreate, ValidateUpdate: v.validateUpdate,
		Warnings: warnings, UnknownField: "field label not supported: %s", Fields: selectable(text.SelectableFields),
		Columns: columns(text.AdditionalPrinterColumns),
		Dynamic: v.dynamic(crd, text, replicas),
	}
	if v.status {
		k.Resets = []string{"status"}
		k.Subresources = append(k.Subresources, kinds.Subresource{
			Name: "status", GVK: v.gvk, Verbs: []string{"get", "patch", "update"}, Resets: []string{"metadata", "spec"}, Update: v.updateStatus,
		})
	}
	if v.scale != nil {
		k.Subresources = append(k.Subresources, kinds.Subresource{
			Name: "scale", GVK: autoscalingv1.SchemeGroupVersion.WithKind("Scale"), Verbs: []string{"get", "patch", "update"},
			New: func() runtime.Object { return &autoscalingv1.Scale{} }, Scale: v.scaled(),
		})
	}
	return k
}

// complete coerces an object of the version and gives it its defaults. What cannot be is left for validation to name.
func (v *served) complete(obj kinds.Object) {
	u := obj.(*unstructured.Unstructured)
	if u.GroupVersionKind() != v.gvk {
		return
	}
	_, _ = v.prune(u, asConverted)
	_ = v.fill(u)
}

func (v *served) dynamic(crd *apiextensionsv1.CustomResourceDefinition, text *apiextensionsv1.CustomResourceDefinitionVersion, replicas map[string][]string) *kinds.Dynamic {
	d := v.of
	out := &kinds.Dynamic{
		ListKind: d.names.ListKind, Types: d.types, Versions: replicas, Model: v.model,
		Identity: fmt.Sprintf("%s/%d/%s", crd.UID, crd.Generation, v.gvk), Warning: deprecation(crd, text),
		Coerce: func(obj kinds.Object, tell bool) ([]string, error) {
			return v.coerce(obj.(*unstructured.Unstructured), origin{tell: tell})
		},
		Save: func(obj kinds.Object) ([]byte, error) {
			stored, err := d.as(obj.(*unstructured.Unstructured), d.storage)
			if err != nil {
				return nil, err
			}
			doc, err := json.Marshal(stored.Object)
			return append(doc, '\n'), err
		},
		Convert: func(obj kinds.Object, version string) (kinds.Object, error) {
			return d.as(obj.(*unstructured.Unstructured), version)
		},
	}
	if v.gvk.Version == d.storage {
		out.Load = d.load
		return out
	}
	out.Show = func(hub kinds.Object) (kinds.Object, error) {
		return d.as(hub.(*unstructured.Unstructured), v.gvk.Version)
	}
	for i := range crd.Spec.Versions {
		if crd.Spec.Versions[i].Name == v.gvk.Version {
			out.Place = i + 1
		}
	}
	return out
}

// deprecation is what everyone is told who uses a version that is deprecated.
func deprecation(crd *apiextensionsv1.CustomResourceDefinition, text *apiextensionsv1.CustomResourceDefinitionVersion) string {
	switch {
	case !text.Deprecated:
		return ""
	case text.DeprecationWarning != nil:
		return *text.DeprecationWarning
	}
	best := ""
	for _, other := range crd.Spec.Versions {
		if other.Served && !other.Deprecated && version.CompareKubeAwareVersionStrings(cmp.Or(best, text.Name), other.Name) < 0 {
			best = other.Name
		}
	}
	said := fmt.Sprintf("%s/%s %s is deprecated", crd.Spec.Group, text.Name, crd.Spec.Names.Kind)
	if best != "" {
		said += fmt.Sprintf("; use %s/%s %s", crd.Spec.Group, best, crd.Spec.Names.Kind)
	}
	return said
}

// scaled maps objects of the version to Scales.
func (v *served) scaled() *kinds.Scale {
	number := func(obj kinds.Object, path string) (int32, bool, error) {
		n, found, err := unstructured.NestedInt64(obj.(*unstructured.Unstructured).Object, split(path)...)
		return int32(n), found, err
	}
	return &kinds.Scale{
		Read: func(obj kinds.Object) (want, have int32, selector string) {
			want, _, _ = number(obj, v.scale.SpecReplicasPath)
			have, _, _ = number(obj, v.scale.StatusReplicasPath)
			if path := v.scale.LabelSelectorPath; path != nil {
				selector, _, _ = unstructured.NestedString(obj.(*unstructured.Unstructured).Object, split(*path)...)
			}
			return want, have, selector
		},
		Missing: func(obj kinds.Object) error {
			_, found, err := number(obj, v.scale.SpecReplicasPath)
			if err == nil && !found {
				err = apierrors.NewInternalError(fmt.Errorf("the spec replicas field %q does not exist", v.scale.SpecReplicasPath))
			}
			return err
		},
		Write: func(obj kinds.Object, want int32) {
			// A path through something that is no object is refused when the object is read.
			_ = unstructured.SetNestedField(obj.(*unstructured.Unstructured).Object, int64(want), split(v.scale.SpecReplicasPath)...)
		},
	}
}

// finder reads one simple path of JSON. jsonpath's own parser cannot be shared by readers, and costs more than a definition that nobody uses should.
type finder struct {
	path   string // ".spec.color"
	mu     sync.Mutex
	parsed *jsonpath.JSONPath // nil: nobody has asked
	failed error
}

// find calls f with the first value at the path, of type any, and with what prints values; false: there is none. f must not keep path.
func (p *finder) find(fields map[string]any, f func(value any, path *jsonpath.JSONPath)) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.parsed == nil && p.failed == nil {
		p.parsed = jsonpath.New("path").AllowMissingKeys(true)
		p.failed = p.parsed.Parse("{" + p.path + "}")
	}
	if p.failed != nil {
		return false, p.failed
	}
	found, err := p.parsed.FindResults(fields)
	switch {
	case err != nil:
		return false, err
	case len(found) == 0 || len(found[0]) == 0:
		return false, nil
	case !found[0][0].IsValid():
		return false, errors.New("nothing is there")
	}
	f(found[0][0].Interface(), p.parsed)
	return true, nil
}

// selectable reads the fields that selectors may name. Of an object without one it is "".
func selectable(list []apiextensionsv1.SelectableField) func(kinds.Object) fields.Set {
	var paths []*finder
	for _, f := range list {
		paths = append(paths, &finder{path: f.JSONPath})
	}
	return func(obj kinds.Object) fields.Set {
		out := fields.Set{}
		for _, p := range paths {
			text := ""
			_, _ = p.find(obj.(*unstructured.Unstructured).Object, func(value any, _ *jsonpath.JSONPath) {
				if value != nil {
					text = fmt.Sprint(value)
				}
			})
			out[strings.TrimPrefix(p.path, ".")] = text
		}
		return out
	}
}

package wire

import (
	"fmt"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	metav1beta1 "k8s.io/apimachinery/pkg/apis/meta/v1beta1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/api/audit"
	"github.com/floe-k8s/floe/internal/kinds"
)

// The other forms in which objects are shown: a Table, or their metadata alone.
const (
	asPartial     = "PartialObjectMetadata"
	asPartialList = "PartialObjectMetadataList"
)

// metaGVK is a type of meta.k8s.io.
func metaGVK(version, kind string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: metav1.GroupName, Version: version, Kind: kind}
}

// transformed encodes objects as a Table or by their metadata only. many says that they are a list; opts are those of a table.
func (h *Handler) transformed(c *call, f format, opts *metav1.TableOptions, objects []kinds.Object, meta metav1.ListMeta, many bool) ([]byte, error) {
	switch {
	case f.as == "Table":
		made := c.between(audit.Transforming)
		table, err := h.table(c, f.version, opts, objects, meta)
		made()
		if err != nil {
			return nil, err
		}
		return encode(f, table, metaGVK(f.version, f.as))
	case f.as == asPartial && many:
		return nil, notAcceptable(fmt.Sprintf("you requested %s, but the requested object is a list (*%s.%sList)", f.as, hubName(c.kind.Stored().GVK.Group), c.kind.GVK.Kind))
	case f.as == asPartialList && !many:
		return nil, notAcceptable(fmt.Sprintf("you requested %s, but the requested object is not a list (*%s.%s)", f.as, hubName(c.kind.Stored().GVK.Group), c.kind.GVK.Kind))
	case many:
		made := c.between(audit.Transforming)
		list := partialList(c.kind, f.version, objects, meta)
		made()
		return encode(f, list, metaGVK(f.version, f.as))
	}
	made := c.between(audit.Transforming)
	one := partial(c.kind, objects[0], f.version)
	made()
	return encode(f, one, metaGVK(f.version, f.as))
}

// partial is an object's metadata alone. It shares what obj holds.
func partial(k *kinds.Kind, obj kinds.Object, version string) *metav1.PartialObjectMetadata {
	out := &metav1.PartialObjectMetadata{}
	out.SetGroupVersionKind(metaGVK(version, asPartial))
	if m, ok := obj.(metav1.ObjectMetaAccessor); ok {
		if meta, ok := m.GetObjectMeta().(*metav1.ObjectMeta); ok {
			out.ObjectMeta = *meta
			out.Annotations = outer(k, meta.Annotations)
		}
		return out
	}
	if u, ok := obj.(*unstructured.Unstructured); ok {
		if meta, ok := u.Object["metadata"].(map[string]any); ok {
			_ = runtime.DefaultUnstructuredConverter.FromUnstructured(meta, &out.ObjectMeta) // it was metadata when it was written
		}
	}
	return out
}

// outer are the annotations without those that are inner ones of the kind.
func outer(k *kinds.Kind, annotations map[string]string) map[string]string {
	for _, name := range k.Inner {
		if _, ok := annotations[name]; ok {
			annotations = maps.Clone(annotations)
			delete(annotations, name)
		}
	}
	return annotations
}

// partialList is a list of objects' metadata; one without any has no items at all, as upstream. In protobuf the two versions are not the same.
func partialList(k *kinds.Kind, version string, objects []kinds.Object, meta metav1.ListMeta) runtime.Object {
	var items []metav1.PartialObjectMetadata
	for _, obj := range objects {
		items = append(items, *partial(k, obj, version))
	}
	if version == metav1beta1.SchemeGroupVersion.Version {
		return &metav1beta1.PartialObjectMetadataList{ListMeta: meta, Items: items}
	}
	return &metav1.PartialObjectMetadataList{ListMeta: meta, Items: items}
}

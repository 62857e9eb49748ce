package wire

import (
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/kinds"
)

var (
	tableGVK   = metav1.SchemeGroupVersion.WithKind("Table")
	partialGVK = metav1.SchemeGroupVersion.WithKind("PartialObjectMetadata")
)

// transformed encodes objects as a Table or by their metadata only. many says that they are a list.
func (h *Handler) transformed(c *call, f format, objects []kinds.Object, meta metav1.ListMeta, many bool) ([]byte, error) {
	if f.as == "Table" {
		table, err := h.table(c, objects, meta)
		if err != nil {
			return nil, err
		}
		return encode(f, table, tableGVK)
	}
	if !many {
		return encode(f, partial(objects[0]), partialGVK)
	}
	list := &metav1.PartialObjectMetadataList{ListMeta: meta, Items: []metav1.PartialObjectMetadata{}}
	for _, obj := range objects {
		list.Items = append(list.Items, *partial(obj))
	}
	return encode(f, list, metav1.SchemeGroupVersion.WithKind("PartialObjectMetadataList"))
}

// partial is an object's metadata alone. It shares what obj holds.
func partial(obj kinds.Object) *metav1.PartialObjectMetadata {
	out := &metav1.PartialObjectMetadata{}
	out.SetGroupVersionKind(partialGVK)
	if m, ok := obj.(metav1.ObjectMetaAccessor); ok {
		if meta, ok := m.GetObjectMeta().(*metav1.ObjectMeta); ok {
			out.ObjectMeta = *meta
		}
	}
	return out
}

// table shows objects by their kind's columns (KEP-515).
func (h *Handler) table(c *call, objects []kinds.Object, meta metav1.ListMeta) (*metav1.Table, error) {
	var opts metav1.TableOptions
	if err := readQuery(c.r, &opts, metav1.Convert_url_Values_To_v1_TableOptions); err != nil {
		return nil, err
	}
	if errs := metavalidation.ValidateTableOptions(&opts); len(errs) > 0 {
		return nil, apierrors.NewInvalid(metav1.SchemeGroupVersion.WithKind("TableOptions").GroupKind(), "", errs)
	}
	out := &metav1.Table{ListMeta: meta, Rows: []metav1.TableRow{}}
	out.SetGroupVersionKind(tableGVK)
	if !opts.NoHeaders {
		for _, col := range c.kind.Columns {
			out.ColumnDefinitions = append(out.ColumnDefinitions, metav1.TableColumnDefinition{
				Name: col.Name, Type: col.Type, Format: col.Format, Description: col.Description, Priority: col.Priority,
			})
		}
	}
	env := kinds.Env{Now: h.Clock.Now(), User: c.user.Name}
	for _, obj := range objects {
		row := metav1.TableRow{}
		for _, col := range c.kind.Columns {
			row.Cells = append(row.Cells, col.Cell(env, obj))
		}
		raw, err := rowObject(c.kind, opts.IncludeObject, obj)
		if err != nil {
			return nil, err
		}
		row.Object = runtime.RawExtension{Raw: raw}
		out.Rows = append(out.Rows, row)
	}
	return out, nil
}

// rowObject is what stands beside a row's cells: by default the object's metadata.
func rowObject(k *kinds.Kind, policy metav1.IncludeObjectPolicy, obj kinds.Object) ([]byte, error) {
	switch policy {
	case metav1.IncludeNone:
		return nil, nil
	case metav1.IncludeObject:
		doc, err := json.Marshal(obj)
		if err != nil || !obj.GetObjectKind().GroupVersionKind().Empty() {
			return doc, err
		}
		return withType(doc, k.GVK), nil
	case metav1.IncludeMetadata, "":
		return json.Marshal(partial(obj))
	}
	return nil, apierrors.NewBadRequest(fmt.Sprintf("unrecognized includeObject value: %q", policy))
}

// statusGVK is the kind of every refusal.
var statusGVK = schema.GroupVersionKind{Version: "v1", Kind: "Status"}

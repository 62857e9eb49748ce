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

// statusGVK is the kind of every refusal.
var statusGVK = schema.GroupVersionKind{Version: "v1", Kind: "Status"}

// tableOptions reads what the query says of tables; nil when no table is wished.
func (c *call) tableOptions(f format) (*metav1.TableOptions, error) {
	if f.as != "Table" {
		return nil, nil
	}
	opts := &metav1.TableOptions{}
	if err := readQuery(c.r, opts, metav1.Convert_url_Values_To_v1_TableOptions); err != nil {
		return nil, err
	}
	switch errs := metavalidation.ValidateTableOptions(opts); len(errs) {
	case 0:
		return opts, nil
	case 1:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("Unable to convert to Table as requested: %v", errs[0]))
	default:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("Unable to convert to Table as requested: %v", errs))
	}
}

// table shows objects by their columns (KEP-515).
func (h *Handler) table(c *call, version string, opts *metav1.TableOptions, objects []kinds.Object, meta metav1.ListMeta) (*metav1.Table, error) {
	columns := c.kind.Table()
	part := c.part()
	if part != nil && part.Scale != nil {
		columns = scaleColumns()
	}
	out := &metav1.Table{ListMeta: meta}
	if c.kind.Columns != nil { // upstream's table of all others has no rows rather than an empty list of them
		out.Rows = []metav1.TableRow{}
	}
	out.SetGroupVersionKind(metaGVK(version, "Table"))
	if !opts.NoHeaders {
		for _, col := range columns {
			if col.Name == "" {
				continue
			}
			out.ColumnDefinitions = append(out.ColumnDefinitions, metav1.TableColumnDefinition{
				Name: col.Name, Type: col.Type, Format: col.Format, Description: col.Description, Priority: col.Priority,
			})
		}
	}
	env := kinds.Env{Now: h.Clock.Now(), User: c.user.Name}
	for _, obj := range objects {
		row := metav1.TableRow{}
		for _, col := range columns {
			row.Cells = append(row.Cells, col.Cell(env, obj))
		}
		if f := c.kind.RowConditions; f != nil && part == nil {
			row.Conditions = f(obj)
		}
		raw, err := rowObject(c.kind, version, opts.IncludeObject, obj)
		if err != nil {
			return nil, err
		}
		row.Object = runtime.RawExtension{Raw: raw}
		out.Rows = append(out.Rows, row)
	}
	return out, nil
}

// rowObject is what stands beside a row's cells: by default the object's metadata.
func rowObject(k *kinds.Kind, version string, policy metav1.IncludeObjectPolicy, obj kinds.Object) ([]byte, error) {
	switch policy {
	case metav1.IncludeNone:
		return nil, nil
	case metav1.IncludeObject:
		obj, err := k.Shown(obj)
		if err != nil {
			return nil, err
		}
		doc, err := json.Marshal(obj)
		if err != nil || !obj.GetObjectKind().GroupVersionKind().Empty() {
			return doc, err
		}
		return withType(doc, k.GVK), nil
	}
	return json.Marshal(partial(k, obj, version))
}

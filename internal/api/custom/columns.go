package custom

import (
	"bytes"
	"reflect"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/jsonpath"

	"github.com/floe-k8s/floe/internal/kinds"
)

// columns are a version's table: the name, and what the definition asks for, or else the age.
func columns(list []apiextensionsv1.CustomResourceColumnDefinition) []kinds.Column {
	if len(list) == 0 {
		list = []apiextensionsv1.CustomResourceColumnDefinition{{
			Name: "Age", Type: "date", Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"], JSONPath: ".metadata.creationTimestamp",
		}}
	}
	out := []kinds.Column{kinds.NameColumn()}
	for _, c := range list {
		if jsonpath.New(c.Name).Parse("{"+c.JSONPath+"}") != nil {
			break // upstream's table ends here, too
		}
		if c.Description == "" {
			c.Description = "Custom resource definition column (in JSONPath format): " + c.JSONPath
		}
		out = append(out, column(c))
	}
	return out
}

func column(c apiextensionsv1.CustomResourceColumnDefinition) kinds.Column {
	path := &finder{path: c.JSONPath}
	return kinds.Column{
		Name: c.Name, Type: c.Type, Format: c.Format, Description: c.Description, Priority: c.Priority,
		Cell: func(env kinds.Env, obj kinds.Object) (cell any) {
			u, ok := obj.(*unstructured.Unstructured)
			if !ok {
				return nil
			}
			_, _ = path.find(u.Object, func(value any, path *jsonpath.JSONPath) { // what cannot be found is an empty cell
				cell = cellOf(env, c.Type, value, path)
			})
			return cell
		},
	}
}

// cellOf shows a value in a column of a type; nil when it is none of the type.
func cellOf(env kinds.Env, kind string, value any, path *jsonpath.JSONPath) any {
	switch kind {
	case "string":
		var text bytes.Buffer
		if value == nil || path.PrintResults(&text, []reflect.Value{reflect.ValueOf(value)}) != nil {
			return nil
		}
		return text.String()
	case "integer":
		switch n := value.(type) {
		case int64:
			return n
		case float64:
			return int64(n)
		}
	case "number":
		switch n := value.(type) {
		case int64:
			return float64(n)
		case float64:
			return n
		}
	case "boolean":
		if b, ok := value.(bool); ok {
			return b
		}
	case "date":
		return dateOf(env, value)
	}
	return nil
}

// dateOf shows how long ago a time was.
func dateOf(env kinds.Env, value any) any {
	text, ok := value.(string)
	if !ok {
		return nil
	}
	var at metav1.Time
	if err := at.UnmarshalQueryParameter(text); err != nil {
		return "<invalid>"
	}
	return kinds.Age(env, at.Time)
}

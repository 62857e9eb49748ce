package generate

import (
	"reflect"
	"strings"

	"k8s.io/kube-openapi/pkg/common"
)

const prettyText = "If 'true', then the output is pretty printed. Defaults to 'false' unless the user-agent indicates a browser or command-line HTTP tool (curl and wget)."

// parameters are those of a path, of a query with its options (nil: it has none) and whatever else.
func parameters(place []common.Parameter, options any, more ...common.Parameter) []common.Parameter {
	list := append([]common.Parameter{inQuery("pretty", prettyText, "string")}, place...)
	if options != nil {
		list = append(list, query(options)...)
	}
	return append(list, more...)
}

// query are the fields of a type of options that a query can have: all but structs, and times, which upstream's documents leave out with them.
// Their descriptions are the type's own.
func query(options any) (list []common.Parameter) {
	of := reflect.TypeOf(options)
	texts := map[string]string{}
	if documented, ok := options.(interface{ SwaggerDoc() map[string]string }); ok {
		texts = documented.SwaggerDoc()
	}
	for i := range of.NumField() {
		f := of.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if t := queryType(f.Type); name != "" && t != "" {
			list = append(list, inQuery(name, texts[name], t))
		}
	}
	return list
}

// queryType is what JSON calls the values of a type; "" when they stand in no query.
func queryType(t reflect.Type) string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	switch kind := t.Kind(); {
	case kind == reflect.String:
		return "string"
	case kind == reflect.Bool:
		return "boolean"
	case kind >= reflect.Int && kind <= reflect.Uint64:
		return "integer"
	}
	return ""
}

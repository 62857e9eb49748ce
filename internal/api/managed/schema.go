package managed

import (
	_ "embed"
	"strings"
)

// schema.txt has a line for each type or field of which the published schema says something else than its Go type does by itself, which is that a list is one
// value, and that maps and structs are as many as they have fields:
//
//	TYPE atomic                     the struct is one value
//	TYPE FIELD atomic               the map or struct in the field is one value
//	TYPE FIELD granular             the struct in the field is not, though its type is
//	TYPE FIELD set                  the list's elements are
//	TYPE FIELD map KEY[=VALUE]...   the list's elements are structs, known by their keys; VALUE, in JSON, is the key where it is absent
//
// TYPE is a name in OpenAPI.
//
//go:embed schema.txt
var schemaText string

// relations is what schema.txt says: of a type, or of "TYPE FIELD".
type relations map[string]string

func readRelations() relations {
	out := relations{}
	for line := range strings.Lines(schemaText) {
		words := strings.Fields(line)
		switch {
		case len(words) < 2 || words[0] == "#":
		case len(words) == 2:
			out[words[0]] = words[1]
		default:
			out[words[0]+" "+words[1]] = strings.Join(words[2:], " ")
		}
	}
	return out
}

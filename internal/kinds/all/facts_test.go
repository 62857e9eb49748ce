package all

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/floe-k8s/floe/internal/kinds"
)

// TestFactPaths holds each fact's name against what the published types say of its field numbers.
func TestFactPaths(t *testing.T) {
	for _, k := range stored() {
		for _, f := range k.Facts {
			if name := nameOf(reflect.TypeOf(k.New()).Elem(), f.Path); name != f.Name {
				t.Errorf("%s: path %v is %q, not %q", k.GVK.Kind, f.Path, name, f.Name)
			}
			if _, ok := selectable(k)[f.Name]; !ok {
				t.Errorf("%s: %s is no selectable field", k.GVK.Kind, f.Name)
			}
		}
	}
}

// stored are the kinds that are no views: facts are read from what is stored.
func stored() []*kinds.Kind {
	return slices.DeleteFunc(Kinds(), func(k *kinds.Kind) bool { return k.View != nil })
}

func selectable(k *kinds.Kind) map[string]string {
	if k.Fields == nil {
		return nil
	}
	return k.Fields(k.New())
}

// nameOf follows field numbers through a type, and returns the JSON path that they are; "" when there is none, or it passes a list.
func nameOf(in reflect.Type, path []int32) string {
	for in.Kind() == reflect.Pointer {
		in = in.Elem()
	}
	if in.Kind() != reflect.Struct {
		return ""
	}
	for i := range in.NumField() {
		f := in.Field(i)
		tag := strings.Split(f.Tag.Get("protobuf"), ",")
		if len(tag) < 2 || tag[1] != strconv.Itoa(int(path[0])) {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if len(path) == 1 {
			leaf := f.Type
			if leaf.Kind() == reflect.Pointer { // on the wire a text that is not there is an empty one
				leaf = leaf.Elem()
			}
			if leaf.Kind() != reflect.String {
				return ""
			}
			return name
		}
		return name + "." + nameOf(f.Type, path[1:])
	}
	return ""
}

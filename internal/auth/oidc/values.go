package oidc

import (
	"encoding/json"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/lazy"

	"github.com/floe-k8s/floe/internal/auth"
)

// claimValues are claims as expressions see them: each is decoded when one looks at it.
func claimValues(said claims) *lazy.MapValue {
	values := lazy.NewMapValue(types.NewObjectType("kubernetes.claims"))
	for name, data := range said {
		values.Append(name, func(*lazy.MapValue) ref.Val {
			var value any
			if err := json.Unmarshal(data, &value); err != nil {
				return types.NewErr("claim %q failed to unmarshal: %w", name, err)
			}
			return native(value)
		})
	}
	return values
}

// userValues are a user as expressions see one.
func userValues(u *auth.User) *lazy.MapValue {
	values := lazy.NewMapValue(types.NewObjectType("kubernetes.UserInfo"))
	for name, value := range map[string]any{"username": u.Name, "uid": u.UID, "groups": u.Groups, "extra": u.Extra} {
		values.Append(name, func(*lazy.MapValue) ref.Val { return native(value) })
	}
	return values
}

func native(value any) ref.Val { return escapable(types.DefaultTypeAdapter.NativeToValue(value)) }

// escapable lets expressions name keys that are no identifiers, such as a__dot__b, however deep they stand.
func escapable(value ref.Val) ref.Val {
	switch v := value.(type) {
	case traits.Mapper:
		return escapedMap{v}
	case traits.Lister:
		return escapedList{v}
	}
	return value
}

type escapedMap struct{ traits.Mapper }

// Find implements traits.Mapper.
func (m escapedMap) Find(key ref.Val) (ref.Val, bool) {
	if name, ok := key.(types.String); ok {
		if plain, ok := cel.Unescape(string(name)); ok {
			key = types.String(plain)
		}
	}
	value, ok := m.Mapper.Find(key)
	return escapable(value), ok
}

type escapedList struct{ traits.Lister }

// Get implements traits.Lister.
func (l escapedList) Get(index ref.Val) ref.Val { return escapable(l.Lister.Get(index)) }

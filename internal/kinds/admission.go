package kinds

import "slices"

// ProtectInUse is upstream's StorageObjectInUseProtection: a new object gets a finalizer that a controller takes away when nothing uses the object.
func ProtectInUse(finalizer string) Admission {
	return Admission{Plugin: "StorageObjectInUseProtection", Admit: func(_ Env, obj, old Object, _ Reader) error {
		if list := obj.GetFinalizers(); old == nil && !slices.Contains(list, finalizer) {
			obj.SetFinalizers(append(slices.Clip(list), finalizer))
		}
		return nil
	}}
}

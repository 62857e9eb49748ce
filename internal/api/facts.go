package api

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

// Fields of every kind: metadata.ownerReferences, their UIDs and whether they are controllers, metadata.namespace, and metadata.labels.
var (
	ownersPath    = []int32{1, 13}
	ownerUIDPath  = []int32{1, 13, 4}
	namespacePath = []int32{1, 3}
	labelsPath    = []int32{1, 11}
	keyPath       = []int32{1} // in an entry of a map, and so
	valuePath     = []int32{2}
)

const ownerControls = 6 // in an owner reference

// factOf returns a fact of a stored object; "" when it is not set. ok is false when the bytes are no object.
func factOf(header string, f *kinds.Fact, item *store.Item) (value string, ok bool) {
	raw, err := unwrap(header, item.Value())
	if err != nil {
		return "", false
	}
	// Protocol Buffers take the last of several.
	ok = walk(raw, f.Path, func(v []byte) { value = string(v) })
	return value, ok
}

// indexOf is the index of a fact.
func indexOf(header string, f kinds.Fact) store.Index {
	return store.Index{Name: f.Name, Values: func(item *store.Item) []string {
		value, ok := factOf(header, &f, item)
		if !ok {
			return nil
		}
		return []string{value}
	}}
}

// decodedIndex is an index of what a kind says of its decoded objects.
func decodedIndex(i kinds.Index) store.Index {
	return store.Index{Name: i.Name, Values: func(item *store.Item) []string {
		obj, err := Object(item)
		if err != nil {
			return nil
		}
		return i.Values(obj)
	}}
}

// ownerIndex is the index that every collection has.
func ownerIndex(header string) store.Index {
	return store.Index{Name: OwnerIndex, Values: func(item *store.Item) (uids []string) {
		raw, err := unwrap(header, item.Value())
		if err != nil {
			return nil
		}
		if !walk(raw, ownerUIDPath, func(v []byte) { uids = append(uids, string(v)) }) {
			return nil
		}
		return uids
	}}
}

// orphanIndex is kinds.OrphanIndex.
func orphanIndex(header string) store.Index {
	return store.Index{Name: kinds.OrphanIndex, Values: func(item *store.Item) []string {
		raw, err := unwrap(header, item.Value())
		if err != nil {
			return nil
		}
		var namespace string
		owned := false
		whole := walk(raw, namespacePath, func(v []byte) { namespace = string(v) }) &&
			walk(raw, ownersPath, func(ref []byte) { owned = owned || controls(ref) })
		if !whole || owned {
			return nil
		}
		return []string{namespace}
	}}
}

// labelOf returns a label of a stored object; ok is false when it has none of that key, or the bytes are no object.
func labelOf(header, key string, item *store.Item) (value string, ok bool) {
	raw, err := unwrap(header, item.Value())
	if err != nil {
		return "", false
	}
	whole := walk(raw, labelsPath, func(entry []byte) {
		var k, v []byte
		walk(entry, keyPath, func(b []byte) { k = b })
		walk(entry, valuePath, func(b []byte) { v = b })
		if string(k) == key {
			value, ok = string(v), true
		}
	})
	return value, ok && whole
}

// controls says whether an owner reference is that of a controller.
func controls(ref []byte) (is bool) {
	for len(ref) > 0 {
		number, kind, n := protowire.ConsumeTag(ref)
		if n < 0 {
			return is
		}
		ref = ref[n:]
		if number == ownerControls && kind == protowire.VarintType {
			v, _ := protowire.ConsumeVarint(ref)
			is = v != 0
		}
		if n = protowire.ConsumeFieldValue(number, kind, ref); n < 0 {
			return is
		}
		ref = ref[n:]
	}
	return is
}

// walk calls each with every text at a path of field numbers in a message, in order. It returns false when the message is damaged; each may have been called then.
func walk(msg []byte, path []int32, each func([]byte)) bool {
	for len(msg) > 0 {
		number, kind, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return false
		}
		msg = msg[n:]
		if kind != protowire.BytesType || number != protowire.Number(path[0]) {
			if n = protowire.ConsumeFieldValue(number, kind, msg); n < 0 {
				return false
			}
			msg = msg[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(msg)
		if n < 0 {
			return false
		}
		msg = msg[n:]
		if len(path) == 1 {
			each(value)
		} else if !walk(value, path[1:], each) {
			return false
		}
	}
	return true
}

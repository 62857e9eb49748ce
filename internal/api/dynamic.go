package api

import (
	"bytes"
	"encoding/json"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/api/managed"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

// This file is what is different about kinds whose objects have no Go type: how they are stored, and who owns their fields.

// dynamicCollection is the store's collection of a dynamic kind, which is a hub.
func dynamicCollection(k *kinds.Kind) store.Collection {
	return store.Collection{
		Prefix: k.Prefix(),
		Decode: func(item *store.Item) (any, int, error) {
			obj, err := decodeDynamic(k, item)
			return obj, item.Size() * 5, err // about what its maps take
		},
		Indexes: []store.Index{{Name: OwnerIndex, Values: ownersInJSON}},
	}
}

func decodeDynamic(k *kinds.Kind, item *store.Item) (kinds.Object, error) {
	obj, err := k.Dynamic.Load(item.Value())
	if err != nil {
		return nil, unclassed(err)
	}
	obj.SetResourceVersion(Version(item.Revision))
	return obj, nil
}

var ownersKey = []byte(`"ownerReferences"`)

// ownersInJSON are the UIDs of a stored document's owners.
func ownersInJSON(item *store.Item) (uids []string) {
	if !bytes.Contains(item.Value(), ownersKey) {
		return nil
	}
	var doc struct {
		Metadata struct {
			OwnerReferences []struct {
				UID string `json:"uid"`
			} `json:"ownerReferences"`
		} `json:"metadata"`
	}
	if json.Unmarshal(item.Value(), &doc) != nil {
		return nil
	}
	for _, owner := range doc.Metadata.OwnerReferences {
		uids = append(uids, owner.UID)
	}
	return uids
}

// ObjectOf is Object for clients of a kind, who see its version of what is stored. It is shared.
func ObjectOf(k *kinds.Kind, item *store.Item) (kinds.Object, error) {
	obj, err := Object(item)
	if err != nil || k.Dynamic == nil || k.Dynamic.Show == nil {
		return obj, unwrapped(err)
	}
	obj, err = k.Dynamic.Show(obj)
	return obj, unclassed(err)
}

// unclassed is the answer to what upstream has no class for: its text alone. nil stays nil.
func unclassed(err error) error {
	if err == nil {
		return nil
	}
	return plain(err.Error())
}

// unwrapped is the answer within an error of the store, where there is one.
func unwrapped(err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.(error)
	}
	return err
}

// internal is the answer for an object that cannot be read.
func internal(err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return err
	}
	return apierrors.NewInternalError(err)
}

// typesOf is what the tracker of fields is told of a dynamic kind.
func typesOf(k *kinds.Kind) managed.Dynamic {
	d := managed.Dynamic{GVK: k.GVK, Types: k.Dynamic.Types, Default: defaulting(k), New: func() managed.Object { return k.New() }}
	for version := range k.Dynamic.Versions {
		d.Versions = append(d.Versions, schema.GroupVersion{Group: k.GVK.Group, Version: version})
	}
	d.Convert = func(obj managed.Object, version string) (managed.Object, error) {
		return k.Dynamic.Convert(obj, version)
	}
	return d
}

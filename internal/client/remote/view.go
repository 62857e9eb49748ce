package remote

import (
	"context"
	"errors"
	"fmt"
	"iter"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

// View implements client.Reader. It waits for the first load only.
func (c *Client) View(ctx context.Context) (client.View, error) {
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	return view{c, c.table.Snapshot()}, nil
}

type view struct {
	client   *Client
	snapshot *store.Snapshot
}

// Revision implements client.View.
func (v view) Revision() uint64 { return uint64(v.snapshot.Revision()) }

// kind returns what res is, when the client was made for it.
func (v view) kind(res client.Resource) *kinds.Kind {
	k := v.client.viewed[res]
	if k == nil {
		panic(fmt.Sprintf("view of %s: the client was not made for it", res))
	}
	return k
}

// Get implements client.View.
func (v view) Get(res client.Resource, namespace, name string) kinds.Object {
	item := v.snapshot.Get(keyOf(v.kind(res), namespace, name))
	if item == nil {
		return nil
	}
	return object(item)
}

// object decodes what the table holds, which has been read before it came there.
func object(item *store.Item) kinds.Object {
	obj, err := api.Object(item)
	if err != nil {
		panic(fmt.Sprintf("the table holds what cannot be read: %v", err))
	}
	return obj
}

// List implements client.View.
func (v view) List(res client.Resource, namespace string) iter.Seq[kinds.Object] {
	prefix := v.kind(res).Prefix()
	if namespace != "" {
		prefix += namespace + "/"
	}
	return objects(v.snapshot.Ascend(prefix, ""))
}

// Lookup implements client.View.
func (v view) Lookup(res client.Resource, index, value string) iter.Seq[kinds.Object] {
	k := v.kind(res)
	if !indexed(k, index) {
		panic(fmt.Sprintf("view of %s by %q: the kind has no such index", res, index)) // it would find nothing, for ever
	}
	return objects(v.snapshot.Lookup(k.Prefix(), index, value))
}

func indexed(k *kinds.Kind, index string) bool {
	return index == client.OwnerIndex || k.Indexed(index)
}

func objects(items iter.Seq[*store.Item]) iter.Seq[kinds.Object] {
	return func(yield func(kinds.Object) bool) {
		for item := range items {
			if !yield(object(item)) {
				return
			}
		}
	}
}

// Watch implements client.Reader, on the client's own table.
func (c *Client) Watch(ctx context.Context, res client.Resource, after uint64, index, value string) (client.Stream, error) {
	k := c.viewed[res]
	if k == nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("watch %s: the client was not made for it", res))
	}
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	cursor, err := c.table.Watch(store.WatchOptions{Prefix: k.Prefix(), After: store.Revision(after), Index: index, Value: value})
	switch {
	case errors.Is(err, store.ErrExpired):
		return nil, apierrors.NewResourceExpired(err.Error())
	case err != nil:
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return &follower{cursor}, nil
}

// follower is a cursor in the table's events. One that is dropped is found by the garbage collector.
type follower struct {
	cursor *store.Cursor
}

// Next implements client.Stream.
func (f *follower) Next(ctx context.Context) (client.Change, error) {
	e, err := f.cursor.Next(ctx)
	switch {
	case errors.Is(err, store.ErrExpired):
		return client.Change{}, apierrors.NewResourceExpired(err.Error())
	case errors.Is(err, store.ErrClosed):
		return client.Change{}, errStopped(err)
	case err != nil:
		return client.Change{}, err
	}
	change := client.Change{Revision: uint64(e.Revision)}
	if e.Item != nil {
		change.New = object(e.Item)
	}
	if e.Previous != nil {
		change.Old = object(e.Previous)
	}
	return change, nil
}

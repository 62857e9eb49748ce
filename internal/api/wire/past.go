package wire

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/api/history"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

// SnapshotPath is where the API answers with a snapshot of everything, see package store/backup.
const SnapshotPath = "/floe.dev/v1/snapshot"

// serveHistory answers with what an object has been, one version a line; see history.Path.
func (h *Handler) serveHistory(c *call) {
	key, err := h.storeKey(c.r.URL.Query().Get("key"))
	if err != nil {
		c.fail(apierrors.NewBadRequest(err.Error()))
		return
	}
	var out []byte
	err = h.API.Store.Versions(c.r.Context(), key, func(r store.Record, item *store.Item) error {
		v := history.Version{
			Revision: uint64(r.Revision), Previous: uint64(r.Previous), Time: r.Time, Actor: r.Actor, Cause: r.Cause, Deleted: item == nil,
		}
		if x := h.codecOf(key); item != nil && x != nil {
			if v.Object, err = x.append(nil, item, item.Revision, nil); err != nil {
				return err
			}
		}
		line, err := json.Marshal(v)
		out = append(append(out, line...), '\n')
		return err
	})
	switch {
	case err != nil:
		c.fail(apierrors.NewInternalError(err))
	case len(out) == 0:
		c.fail(apierrors.NewNotFound(schema.GroupResource{Resource: "versions"}, key))
	default:
		send(c.w, "application/jsonl", http.StatusOK, out)
	}
}

// codecOf is that of the kind that stores its objects where the key stands; nil when none does.
func (h *Handler) codecOf(key string) *codec {
	for _, k := range h.API.Catalog().All() {
		if k.View == nil && strings.HasPrefix(key, k.Prefix()) {
			return h.seen().codecs[k]
		}
	}
	return nil
}

// storeKey reads what names an object, see history.Path.
func (h *Handler) storeKey(text string) (string, error) {
	if strings.HasPrefix(text, "/") {
		return text, nil
	}
	parts := strings.Split(text, "/")
	resource, group, _ := strings.Cut(parts[0], ".")
	for _, k := range h.API.Catalog().All() {
		if !isCalled(k, resource) || group != "" && group != k.GVK.Group {
			continue
		}
		switch {
		case !k.Namespaced && len(parts) == 2:
			return k.Prefix() + parts[1], nil
		case k.Namespaced && len(parts) == 2:
			return k.Prefix() + metav1.NamespaceDefault + "/" + parts[1], nil
		case k.Namespaced && len(parts) == 3:
			return k.Prefix() + parts[1] + "/" + parts[2], nil
		}
		return "", fmt.Errorf("key %q: want RESOURCE/[NAMESPACE/]NAME", text)
	}
	return "", fmt.Errorf("key %q: the server doesn't have a resource type %q", text, parts[0])
}

func isCalled(k *kinds.Kind, name string) bool {
	return name == k.Resource || name == k.Singular || slices.Contains(k.ShortNames, name)
}

// serveSnapshot streams a snapshot. One that breaks off ends the connection, so that nobody takes it for whole.
func (h *Handler) serveSnapshot(c *call) {
	if h.Snapshot == nil {
		c.notFound()
		return
	}
	c.w.Header().Set("Content-Type", "application/octet-stream")
	if err := h.Snapshot(c.r.Context(), c.w); err != nil {
		h.Log.Error("a snapshot broke off", "remote", c.r.RemoteAddr, "err", err)
		panic(http.ErrAbortHandler)
	}
}

package garbage

import (
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/kinds"
)

// Others are servers of aggregated APIs, whose objects no view shows. It is safe for concurrent use, and each answer is bounded in time.
type Others interface {
	// Serves says whether one of them has said that it has a kind, and whether that has namespaces.
	Serves(gvk schema.GroupVersionKind) (namespaced, ok bool)
	// Object is what the server of a kind has by a name: NotFound when it says that there is none, any other error when nobody can tell. namespace is "" for kinds
	// without one.
	Object(gvk schema.GroupVersionKind, namespace, name string) (metav1.Object, error)
}

// trusted is how long an owner that a server has shown is not asked for again: a deletion that comes meanwhile is seen later, and nothing else changes.
const trusted = 30 * time.Second

// outside are the owners that other servers have shown lately. It is safe for concurrent use; its lock is a leaf.
type outside struct {
	others Others // nil: there are none

	mu    sync.Mutex
	shown map[place]time.Time // guarded by mu; at most remembered: when
}

// place is an owner as a dependent of a namespace may have it.
type place struct {
	owner     metav1.OwnerReference // without its pointers
	namespace string
}

// about is the verdict on a reference to an owner of a kind that this server does not have, and why nobody can tell.
func (o *outside) about(obj kinds.Object, ref metav1.OwnerReference, now time.Time) (v verdict, why string) {
	gvk := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	unknown := fmt.Sprintf("%s %s to be served", ref.APIVersion, ref.Kind)
	if o.others == nil {
		return ownerUnknown, unknown
	}
	namespaced, ok := o.others.Serves(gvk)
	switch {
	case !ok:
		return ownerUnknown, unknown
	case namespaced && obj.GetNamespace() == "":
		return ownerMisplaced, ""
	}
	at := place{owner: metav1.OwnerReference{APIVersion: ref.APIVersion, Kind: ref.Kind, Name: ref.Name, UID: ref.UID}}
	if namespaced {
		at.namespace = obj.GetNamespace()
	}
	if o.recent(at, now) {
		return ownerThere, ""
	}
	owner, err := o.others.Object(gvk, at.namespace, ref.Name)
	switch {
	case apierrors.IsNotFound(err), err == nil && owner.GetUID() != ref.UID:
		return ownerAbsent, ""
	case err != nil:
		return ownerUnknown, fmt.Sprintf("the server of %s to say whether there is %s %s: %v", ref.APIVersion, ref.Kind, ref.Name, err)
	case owner.GetDeletionTimestamp() != nil && slices.Contains(owner.GetFinalizers(), metav1.FinalizerDeleteDependents):
		return ownerWaits, ""
	}
	o.remember(at, now)
	return ownerThere, ""
}

func (o *outside) recent(at place, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	shown, ok := o.shown[at]
	return ok && now.Sub(shown) < trusted
}

func (o *outside) remember(at place, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.shown) >= remembered {
		clear(o.shown)
	}
	o.shown[at] = now
}

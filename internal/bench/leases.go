package bench

import (
	"context"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func leases() resourceKind {
	return resourceKind{name: "leases", version: coordinationv1.SchemeGroupVersion, example: func(o *Options) runtime.Object {
		holder, seconds := "floe-bench", int32(40)
		return &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: name(o.prefix(), 0)},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds},
		}
	}}
}

// prepareLease gives each worker a lease of its own. A lease is updated with the resourceVersion of the last answer, as a node does, so
// this scenario decodes and encodes one small object for each request.
func prepareLease(ctx context.Context, w *workspace) (*plan, error) {
	kind := leases()
	remove := func(ctx context.Context, _ int) error { return w.remove(ctx, kind, w.Clients, "") }
	if err := w.fill(ctx, kind, w.Clients); err != nil {
		return nil, w.undo(ctx, remove, err)
	}
	held := make([]*coordinationv1.Lease, len(w.sessions)) // each entry is its worker's alone
	do := func(ctx context.Context, s *session, _ int) error {
		path := w.collection(kind) + "/" + name(w.prefix(), s.number)
		if held[s.number] == nil {
			lease, err := w.readLease(ctx, s, request{method: "GET", path: path, accept: w.media})
			if err != nil {
				return err
			}
			held[s.number] = lease
		}
		lease := held[s.number]
		lease.Spec.RenewTime = &metav1.MicroTime{Time: w.Clock.Now()}
		body, err := encode(w.media, kind.version, lease)
		if err != nil {
			return err
		}
		held[s.number], err = w.readLease(ctx, s, request{method: "PUT", path: path, contentType: w.media, accept: w.media, body: body})
		return err // after an error there is no lease: the next update reads it again
	}
	return &plan{do: do, cleanup: remove}, nil
}

func (w *workspace) readLease(ctx context.Context, s *session, r request) (*coordinationv1.Lease, error) {
	raw, err := s.do(ctx, r)
	if err != nil {
		return nil, err
	}
	lease := &coordinationv1.Lease{}
	if err := decode(raw, lease); err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	return lease, nil
}

package scheduler

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/scheduler/queue"
	"github.com/floe-k8s/floe/internal/scheduler/volumes"
)

// applyVolumes brings a change to the index of volumes and tells the queue of it; false: it is of another kind.
func (s *Scheduler) applyVolumes(c client.Change, obj kinds.Object, gone bool) bool {
	if !s.index.Apply(obj, gone) {
		return false
	}
	s.stirred = true
	s.happened(func() (queue.Event, bool) {
		did := queue.Updated
		if gone {
			did = queue.Deleted
		} else if c.Old == nil {
			did = queue.Added
		}
		return queue.Event{What: whatOf(obj), Did: did, Old: c.Old, New: c.New}, true
	}, "")
	return true
}

// whatOf is how the queue names what volumes follow.
func whatOf(obj kinds.Object) queue.What {
	switch obj.(type) {
	case *corev1.PersistentVolume:
		return queue.Volume
	case *corev1.PersistentVolumeClaim:
		return queue.Claim
	case *storagev1.StorageClass:
		return queue.StorageClass
	case *storagev1.CSIDriver:
		return queue.CSIDriver
	case *storagev1.CSINode:
		return queue.CSINode
	case *storagev1.CSIStorageCapacity:
		return queue.CSIStorageCapacity
	}
	return queue.VolumeAttachment
}

// assume counts what the claims of a pod get on a node, when its profile binds claims at all.
func (s *Scheduler) assume(pod *corev1.Pod, node string) (*volumes.Bindings, error) {
	if !slices.Contains(s.profiles[pod.Spec.SchedulerName].Policy.Filters, volumes.VolumeBinding) {
		return nil, nil
	}
	b, err := s.index.Assume(pod, node)
	if err != nil {
		return nil, fmt.Errorf("running Reserve plugin %q: %w", volumes.VolumeBinding, err)
	}
	return b, nil
}

// claim writes what the claims of a pod get, and lets the pod wait for it.
func (s *Scheduler) claim(ctx context.Context, t *try) {
	uid := t.pod.UID
	s.claiming[uid] = t
	s.errands.add(func() errand {
		if s.claiming[uid] != t {
			return nil
		}
		writes := t.claims.Writes()
		return func(beside context.Context) func() {
			wrote, err := s.writeClaims(beside, t, writes)
			return func() { s.claimed(ctx, t, wrote, err) }
		}
	})
}

// writeClaims writes volumes and claims, in their order, after telling where the pod is to come. It runs beside the loop.
func (s *Scheduler) writeClaims(ctx context.Context, t *try, writes []kinds.Object) (wrote []kinds.Object, err error) {
	ctx = client.WithCause(ctx, causeOf(t.pod))
	_, err = amend(ctx, s.cfg.Client, t.pod, func(p *corev1.Pod) *corev1.Pod { return amended(p, nil, &t.node) })
	if err != nil && ctx.Err() == nil {
		s.cfg.Log.Warn("nomination not written", "pod", t.pod.Namespace+"/"+t.pod.Name, "err", err) // it is for others to know
	}
	for _, o := range writes {
		res := corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")
		if _, ok := o.(*corev1.PersistentVolume); ok {
			res.Resource = "persistentvolumes"
		}
		answer, err := s.cfg.Client.Update(ctx, res, o, "")
		if err != nil {
			return wrote, fmt.Errorf("updating %s %s: %w", res.Resource, o.GetName(), err)
		}
		wrote = append(wrote, answer)
	}
	return wrote, nil
}

// claimed takes what came of writing.
func (s *Scheduler) claimed(ctx context.Context, t *try, wrote []kinds.Object, err error) {
	for _, o := range wrote {
		t.claims.Wrote(o)
	}
	if s.claiming[t.pod.UID] != t {
		return // it has gone, or has been put out
	}
	if err != nil {
		s.giveUp(ctx, t, err)
		return
	}
	t.late = s.cfg.Clock.Now().Add(cmp.Or(s.profiles[t.pod.Spec.SchedulerName].BindTimeout, volumes.BindTimeout))
	s.checkClaim(ctx, t)
}

// checkClaims looks after the pods that wait for their claims, if anything happened that they wait for.
func (s *Scheduler) checkClaims(ctx context.Context) {
	if !s.stirred {
		return
	}
	s.stirred = false
	var waiting []*try
	for _, t := range s.claiming {
		if !t.late.IsZero() {
			waiting = append(waiting, t)
		}
	}
	slices.SortFunc(waiting, func(a, b *try) int { return cmp.Compare(a.pod.UID, b.pod.UID) })
	for _, t := range waiting {
		s.checkClaim(ctx, t)
	}
}

// checkClaim lets a pod be bound whose claims are, and gives up one whose claims will not be.
func (s *Scheduler) checkClaim(ctx context.Context, t *try) {
	done, err := s.index.Check(t.claims)
	if err == nil && !done && !s.cfg.Clock.Now().Before(t.late) {
		err = volumes.ErrLate
	}
	switch {
	case err != nil:
		s.giveUp(ctx, t, err)
	case done:
		delete(s.claiming, t.pod.UID)
		s.tries = append(s.tries, t)
	}
}

// giveUp says that a pod's claims will not be bound where it was to come.
func (s *Scheduler) giveUp(ctx context.Context, t *try, err error) {
	delete(s.claiming, t.pod.UID)
	s.fail(ctx, t, fmt.Errorf("running PreBind plugin %q: %w", volumes.VolumeBinding, err))
}

// unclaim ends the wait of a pod that has gone, or that another has bound.
func (s *Scheduler) unclaim(pod *corev1.Pod) {
	if t := s.claiming[pod.UID]; t != nil {
		delete(s.claiming, pod.UID)
		s.index.Undo(t.claims)
	}
}

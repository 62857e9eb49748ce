package scheduler

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/scheduler/claims"
	"github.com/floe-k8s/floe/internal/scheduler/queue"
	"github.com/floe-k8s/floe/internal/scheduler/volumes"
)

// applyClaimed brings a change to what knows of volumes and devices and tells the queue of it; false: it is of another kind.
func (s *Scheduler) applyClaimed(c client.Change, obj kinds.Object, gone bool) bool {
	if !s.index.Apply(obj, gone) && !s.devices.Apply(obj, gone) {
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

// whatOf is how the queue names what volumes and claims follow.
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
	case *resourcev1.ResourceClaim:
		return queue.ResourceClaim
	case *resourcev1.ResourceSlice:
		return queue.ResourceSlice
	case *resourcev1.DeviceClass:
		return queue.DeviceClass
	}
	return queue.VolumeAttachment
}

// assume counts what the claims of a pod get on the node that was chosen for it, as far as its profile goes by them.
func (s *Scheduler) assume(t *try) (err error) {
	profile := s.profiles[t.pod.Spec.SchedulerName]
	if slices.Contains(profile.Policy.Filters, volumes.VolumeBinding) {
		if t.volumes, err = s.index.Assume(t.pod, t.node); err != nil {
			return fmt.Errorf("running Reserve plugin %q: %w", volumes.VolumeBinding, err)
		}
	}
	if profile.Devices == nil {
		return nil
	}
	if t.bindings, err = profile.Devices.Reserve(t.pod, t.node); err != nil {
		s.index.Undo(t.volumes)
		return fmt.Errorf("running Reserve plugin %q: %w", claims.Name, err)
	}
	if t.bindings == nil { // they may have been written by a scheduler that was killed, and not be ready
		ready, err := profile.Devices.Bound(t.pod)
		t.unready = err != nil || !ready
	}
	return nil
}

// claims says whether something is to be written or waited for before the pod is bound.
func (t *try) claims() bool { return t.volumes != nil || t.bindings != nil || t.unready }

// due is when a try has waited too long for its claims; zero: it does not wait yet.
func (t *try) due() time.Time {
	if t.volumes == nil || !t.devicesLate.IsZero() && t.devicesLate.Before(t.volumesLate) {
		return t.devicesLate
	}
	return t.volumesLate
}

// claim writes what the claims of a pod get, and lets the pod wait for it.
func (s *Scheduler) claim(ctx context.Context, t *try) {
	s.claiming[t.pod.UID] = t
	s.errands.add(func() errand {
		if t.ended != nil {
			return nil
		}
		t.writing = true
		writes := t.volumes.Writes()
		return func(beside context.Context) func() {
			beside = client.WithCause(beside, causeOf(t.pod))
			s.announce(beside, t)
			wrote, err := s.writeVolumes(beside, writes)
			plugin := volumes.VolumeBinding
			var given []kinds.Object
			if err == nil {
				plugin = claims.Name
				given, err = s.bindDevices(beside, t)
			}
			return func() { s.claimed(ctx, t, wrote, given, plugin, err) }
		}
	})
}

// announce tells where a pod is to come. It runs beside the loop.
func (s *Scheduler) announce(ctx context.Context, t *try) {
	_, err := amend(ctx, s.cfg.Client, t.pod, func(p *corev1.Pod) *corev1.Pod { return amended(p, nil, &t.node) })
	if err != nil && ctx.Err() == nil {
		s.cfg.Log.Warn("nomination not written", "pod", t.pod.Namespace+"/"+t.pod.Name, "err", err) // it is for others to know
	}
}

// writeVolumes writes volumes and claims, in their order. It runs beside the loop.
func (s *Scheduler) writeVolumes(ctx context.Context, writes []kinds.Object) (wrote []kinds.Object, err error) {
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

// claimed takes what came of writing: volumes and their claims, and claims for devices.
func (s *Scheduler) claimed(ctx context.Context, t *try, wrote, given []kinds.Object, plugin string, err error) {
	t.writing = false
	for _, o := range wrote {
		t.volumes.Wrote(o)
	}
	for _, o := range given {
		s.devices.Apply(o, false)
	}
	switch {
	case t.ended != nil: // it has gone, or has been put out
		s.end(ctx, t, t.ended)
		return
	case err != nil:
		s.giveUp(ctx, t, plugin, err)
		return
	}
	now, profile := s.cfg.Clock.Now(), s.profiles[t.pod.Spec.SchedulerName]
	t.volumesLate = now.Add(cmp.Or(profile.BindTimeout, volumes.BindTimeout))
	if profile.Devices != nil {
		t.devicesLate = now.Add(profile.Devices.Timeout())
		s.beginWait(ctx, t, profile)
	}
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
		if t.ended == nil && !t.due().IsZero() {
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
	done, err := s.index.Check(t.volumes)
	if err == nil && !done && !s.cfg.Clock.Now().Before(t.volumesLate) {
		err = volumes.ErrLate
	}
	if err != nil {
		s.giveUp(ctx, t, volumes.VolumeBinding, err)
		return
	}
	ready, err := s.checkDevices(t)
	switch {
	case err != nil:
		s.giveUp(ctx, t, claims.Name, err)
	case done && ready:
		delete(s.claiming, t.pod.UID)
		s.tries = append(s.tries, t)
	}
}

// giveUp says that a pod's claims will not be bound where it was to come.
func (s *Scheduler) giveUp(ctx context.Context, t *try, plugin string, err error) {
	s.end(ctx, t, func() { s.fail(ctx, t, fmt.Errorf("running PreBind plugin %q: %w", plugin, err)) })
}

// unclaim ends the wait of a pod that has gone, or that another has bound: what is written then stays.
func (s *Scheduler) unclaim(ctx context.Context, pod *corev1.Pod) {
	t := s.claiming[pod.UID]
	if t == nil || t.ended != nil {
		return
	}
	s.index.Undo(t.volumes)
	t.kept = pod.Spec.NodeName != ""
	s.end(ctx, t, func() {})
}

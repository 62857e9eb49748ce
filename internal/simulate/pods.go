package simulate

import (
	"context"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/record"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/simulate/podlife"
)

// pod is a pod of a simulated node of which something is due. One that stays as it is has none: its status says all. It belongs to the loop.
type pod struct {
	task
	obj       *corev1.Pod
	revision  uint64        // of obj
	life      *podlife.Life // nil: to be made from obj's status
	behaviour podlife.Behaviour
	seed      uint64
	ips       []string
	deleted   bool // the deletion was sent
	staged    staged
	told      string
}

// revisionOf is the revision in which an object was written.
func revisionOf(obj kinds.Object) uint64 {
	n, _ := strconv.ParseUint(obj.GetResourceVersion(), 10, 64) // the server's own
	return n
}

// podChanged takes in a change of a pod.
func (s *Simulator) podChanged(c client.Change, newest *corev1.Pod) {
	m := s.machines[newest.Spec.NodeName]
	if m == nil || c.Revision <= m.since {
		return
	}
	if c.New == nil || podlife.Ended(&newest.Status) {
		delete(m.ports, newest.UID)
	}
	old, _ := c.Old.(*corev1.Pod)
	if old != nil && !podlife.Ended(&old.Status) && (c.New == nil || podlife.Ended(&newest.Status)) && !old.Spec.HostNetwork {
		m.ips.mark(old.Status.PodIP, false)
	}
	if c.New == nil {
		s.podGone(m, newest.UID)
		return
	}
	s.podSeen(m, newest, c.Revision)
}

func (s *Simulator) podGone(m *machine, uid types.UID) {
	p := s.pods[uid]
	if p == nil {
		return
	}
	if p.obj.Status.PodIP == "" && !p.obj.Spec.HostNetwork { // given, and never written
		for _, ip := range p.ips {
			m.ips.mark(ip, false)
		}
	}
	s.forgetPod(p)
}

func (s *Simulator) forgetPod(p *pod) {
	s.wheel.wait(&p.task, time.Time{})
	delete(s.pods, p.obj.UID)
}

// podSeen takes in a pod of a node, and lets it take a turn.
func (s *Simulator) podSeen(m *machine, obj *corev1.Pod, revision uint64) {
	p := s.pods[obj.UID]
	switch {
	case p != nil && revision <= p.revision:
	case p != nil:
		p.obj, p.revision = obj, revision
		if p.life != nil {
			p.life.Follow(obj)
		}
	case podlife.Ended(&obj.Status) && obj.DeletionTimestamp == nil && len(s.stages.Pods) == 0:
		return
	default:
		p = &pod{obj: obj, revision: revision, seed: uint64(podlife.Share(s.cfg.Profile.Seed, string(obj.UID)) * (1 << 53))}
		p.task = task{place: -1, turn: func(now time.Time) *job { return s.podTurn(p, now) }}
		s.pods[obj.UID] = p
	}
	if m.crashed {
		s.begin(m, p, s.cfg.Clock.Now())
		p.life.Crash(obj, s.cfg.Clock.Now())
	}
	s.wake(&p.task)
}

// begin makes a pod's life, if it has none yet.
func (s *Simulator) begin(m *machine, p *pod, now time.Time) {
	if p.life == nil {
		p.life, _ = podlife.Recover(p.obj, now)
	}
	var err error
	p.behaviour, err = s.cfg.Profile.behaviour(p.obj, m.node)
	if err != nil && p.told != err.Error() {
		p.told = err.Error()
		s.cfg.Log.Warn("what a pod says of its simulation cannot be read and does not count", "pod", p.obj.Namespace+"/"+p.obj.Name, "err", err)
	}
}

// podTurn lets what is due happen to a pod.
func (s *Simulator) podTurn(p *pod, now time.Time) *job {
	m := s.machines[p.obj.Spec.NodeName]
	switch {
	case m == nil:
		s.forgetPod(p)
		return nil
	case m.down || m.node == nil:
		return nil // it is looked at when the node is back
	case !s.give(m, p):
		s.wheel.wait(&p.task, now.Add(again))
		return nil
	}
	if len(s.stages.Pods) > 0 {
		return s.stagePod(m, p, now)
	}
	s.begin(m, p, now)
	if !m.admit(p.obj) {
		return s.refuse(m, p)
	}
	status, next, done := p.life.Step(podlife.Input{
		Pod: p.obj, Behaviour: p.behaviour, Seed: p.seed, HostIPs: m.hostIPs, PodIPs: p.ips, Events: s.cfg.Profile.Events, Now: now,
	})
	switch {
	case !equality.Semantic.DeepEqual(&status, &p.obj.Status):
		return s.writeStatus(m, p, status, p.life.Events()...)
	case done && !p.deleted:
		return s.deletePod(m, p)
	case !next.IsZero():
		s.wheel.wait(&p.task, next)
	case p.obj.DeletionTimestamp == nil:
		s.forgetPod(p)
	}
	return nil
}

// give sees to it that a pod has its addresses; false: there are none left.
func (s *Simulator) give(m *machine, p *pod) bool {
	switch {
	case p.obj.Spec.HostNetwork:
		p.ips = m.hostIPs
	case len(p.ips) > 0:
	case p.obj.Status.PodIP != "" || podlife.Ended(&p.obj.Status):
		for _, ip := range p.obj.Status.PodIPs {
			p.ips = append(p.ips, ip.IP)
		}
	default:
		ip, ok := m.ips.take()
		if !ok {
			s.cfg.Log.Warn("a simulated node has no address left for a pod", "node", m.name, "pod", p.obj.Namespace+"/"+p.obj.Name)
			return false
		}
		p.ips = []string{ip.String()}
	}
	return true
}

func (s *Simulator) writeStatus(m *machine, p *pod, status corev1.PodStatus, told ...podlife.Event) *job {
	next, events := *p.obj, s.eventsOf(p, told)
	next.Status = status
	var written *corev1.Pod
	return &job{what: "pod", do: func(ctx context.Context) error {
		obj, err := m.api.Update(ctx, podResource(), &next, "status")
		if err != nil {
			return err
		}
		written = obj.(*corev1.Pod)
		for _, e := range events {
			s.recorder.Record(ctx, e)
		}
		return nil
	}, done: func(err error) {
		if err == nil {
			if revision := revisionOf(written); s.pods[next.UID] == p && revision > p.revision {
				p.obj, p.revision = written, revision
				p.life.Follow(written)
			}
		}
		s.settle(p, err, "the status of a simulated pod could not be written")
	}}
}

// settle looks at a pod again after a write: at once, or when it failed, a while later. A pod that is gone is forgotten by the stream's word.
func (s *Simulator) settle(p *pod, err error, what string) {
	switch {
	case s.pods[p.obj.UID] != p:
	case err == nil:
		s.wake(&p.task)
	case apierrors.IsConflict(err), apierrors.IsNotFound(err): // the stream brings what it is now
		s.wheel.sooner(&p.task, s.cfg.Clock.Now().Add(again))
	default:
		s.failed(&p.task, what, p.obj.Namespace+"/"+p.obj.Name, err)
	}
}

// deletePod takes a pod that has stopped out of the API, as kubelets do: this one, and at once.
func (s *Simulator) deletePod(m *machine, p *pod) *job {
	now, uid := int64(0), p.obj.UID
	opts := metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &uid}}
	return &job{what: "delete", do: func(ctx context.Context) error {
		_, err := m.api.Delete(ctx, podResource(), p.obj.Namespace, p.obj.Name, opts)
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			err = nil
		}
		return err
	}, done: func(err error) {
		p.deleted = err == nil
		s.settle(p, err, "a simulated pod could not be deleted")
	}}
}

func (s *Simulator) eventsOf(p *pod, told []podlife.Event) (out []record.Event) {
	if !s.cfg.Profile.Events {
		return nil
	}
	for _, e := range told {
		about := corev1.ObjectReference{
			Kind: "Pod", APIVersion: "v1", Namespace: p.obj.Namespace, Name: p.obj.Name, UID: p.obj.UID, ResourceVersion: p.obj.ResourceVersion, FieldPath: e.Container,
		}
		out = append(out, record.Event{About: about, Type: e.Type, Reason: e.Reason, Message: e.Message})
	}
	return out
}

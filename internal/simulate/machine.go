package simulate

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/simulate/podlife"
)

// machine is one simulated node. It belongs to the loop.
//
//	planned ──join──► registered ──failure──► down ──comes back──► registered
//	                      └── its object is deleted: away, until a new one is made or the simulation begins anew
type machine struct {
	plan
	adopted bool // somebody else made the object
	api     client.Client
	joins   time.Time

	node     *corev1.Node // nil: not registered
	revision uint64       // of node
	since    uint64       // revision of the view in which its pods were seen first
	lease    *coordinationv1.Lease
	ips      addresses
	ports    ports
	hostIPs  []string

	outage  *outage // the next, or the one that lasts; nil: none
	down    bool
	crashed bool      // its containers have ended since it was seen last
	away    bool      // its object was deleted
	reports time.Time // when its status is written next
	counted string    // as what it stands in the metrics
	staged  staged
	care    task
	beat    task
}

// forget lets go of what a session knew, before the next one looks.
func (m *machine) forget() {
	m.node, m.lease, m.revision, m.away = nil, nil, 0, false
	m.ips.used, m.ports, m.staged = nil, nil, staged{}
	m.care.place, m.beat.place, m.care.busy, m.beat.busy, m.care.woken, m.beat.woken = -1, -1, false, false, false, false
}

// planMachines makes all machines of the profile, none of which is registered.
func (s *Simulator) planMachines() {
	p, number := &s.cfg.Profile, 0
	for i := range p.Nodes {
		g := &p.Nodes[i]
		for j := range g.Count {
			m := s.newMachine(p.plan(g, number, j, fmt.Sprintf("%s%d", g.Name, number)))
			m.joins = s.begun.Add(g.Join.At(podlife.Share(p.Seed, m.name, "join")))
			m.outage = nextOutage(g, p.Seed, m.name, m.joins, nil)
			number++
		}
	}
	s.numbers = number
}

func (s *Simulator) newMachine(p plan) *machine {
	m := &machine{plan: p, api: s.cfg.As(p.name)}
	m.care = task{place: -1, turn: func(now time.Time) *job { return s.careTurn(m, now) }}
	m.beat = task{place: -1, beat: true, turn: func(now time.Time) *job { return s.beatTurn(m, now) }}
	s.machines[m.name] = m
	s.count(m, false)
	return m
}

// nodeSeen takes in a Node object. view is where its pods are found when it is new; nil: the newest.
func (s *Simulator) nodeSeen(view client.View, n *corev1.Node, revision uint64) {
	m := s.machines[n.Name]
	switch {
	case m == nil && !isFake(n):
		return
	case m == nil:
		m = s.newMachine(plan{group: &Group{}, name: n.Name})
		m.adopted = true
		m.ip, m.pods = s.cfg.Profile.place(s.numbers)
		s.numbers++
	case !isMade(n) && !isFake(n):
		s.cfg.Log.Warn("a node that a simulated one would have the name of is there already, and is left alone", "node", n.Name)
		s.drop(m)
		return
	}
	if revision < m.revision {
		return
	}
	first := m.node == nil
	m.node, m.revision, m.away = n, revision, false
	s.count(m, false)
	if prefix, err := netip.ParsePrefix(n.Spec.PodCIDR); err == nil && prefix != m.ips.prefix {
		m.ips = addresses{prefix: prefix}
	}
	m.hostIPs = m.hostIPs[:0:0]
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			m.hostIPs = append(m.hostIPs, a.Address)
		}
	}
	if first {
		if m.reports = s.begun.Add(s.phase(m, s.cfg.Profile.StatusEvery.Duration)); isReady(n) {
			m.reports = later(m.reports, s.cfg.Clock.Now(), s.cfg.Profile.StatusEvery.Duration)
		}
		s.takeIn(view, m)
		s.wheel.wait(&m.beat, s.nextBeat(m, s.cfg.Clock.Now()))
	}
	if first || !isReady(n) || len(s.stages.Nodes) > 0 {
		s.wake(&m.care)
	}
}

// phase is where in a period a node's turns are, so that all together are spread evenly.
func (s *Simulator) phase(m *machine, every time.Duration) time.Duration {
	return time.Duration(podlife.Share(s.cfg.Profile.Seed, m.name, "phase") * float64(every))
}

// later is the first of the times at, at+every, at+2*every, ... after now.
func later(at, now time.Time, every time.Duration) time.Time {
	if behind := now.Sub(at); behind >= 0 {
		at = at.Add((behind/every + 1) * every)
	}
	return at
}

func (s *Simulator) nodeGone(name string) {
	m := s.machines[name]
	if m == nil {
		return
	}
	if m.adopted {
		s.drop(m)
		return
	}
	m.node, m.lease = nil, nil
	m.away = !m.down || m.outage.kind != Removal
	s.count(m, false)
	s.wake(&m.care)
}

// drop leaves a node to others.
func (s *Simulator) drop(m *machine) {
	s.wheel.wait(&m.care, time.Time{})
	s.wheel.wait(&m.beat, time.Time{})
	m.node, m.away = nil, true // a job that is on its way finds nothing to do any more
	delete(s.machines, m.name)
	s.count(m, true)
}

// takeIn looks at all pods of a node.
func (s *Simulator) takeIn(view client.View, m *machine) {
	if view == nil {
		var err error
		if view, err = s.cfg.Cloud.View(context.Background()); err != nil { // it never waits after a session has begun
			s.cfg.Log.Error("the pods of a simulated node could not be read", "node", m.name, "err", err)
			return
		}
	}
	m.since, m.ports = view.Revision(), nil
	for obj := range view.Lookup(podResource(), "spec.nodeName", m.name) {
		p := obj.(*corev1.Pod)
		if !podlife.Ended(&p.Status) && !p.Spec.HostNetwork {
			m.ips.mark(p.Status.PodIP, true)
		}
		if p.Status.StartTime != nil {
			m.admit(p)
		}
		s.podSeen(m, p, revisionOf(p))
	}
	m.crashed = false
}

// careTurn brings a node one step further: it fails, comes back, registers, or says how it is.
func (s *Simulator) careTurn(m *machine, now time.Time) *job {
	s.passOutages(m, now)
	next := m.reports
	switch {
	case m.down && m.outage.kind == Removal && m.node != nil:
		return s.remove(m)
	case m.down:
		next = m.outage.end
	case m.node == nil && m.away:
		return nil
	case m.node == nil && now.Before(m.joins):
		next = m.joins
	case m.node == nil:
		return s.register(m, now)
	case m.node.Spec.PodCIDR == "":
		return s.giveRange(m)
	case len(s.stages.Nodes) > 0:
		return s.stageNode(m, now)
	case !now.Before(m.reports) || !isReady(m.node):
		return s.report(m, now)
	}
	if o := m.outage; o != nil && !m.down && o.begin.Before(next) {
		next = o.begin
	}
	s.wheel.wait(&m.care, next)
	return nil
}

// passOutages lets all failures begin and end that are due.
func (s *Simulator) passOutages(m *machine, now time.Time) {
	for m.outage != nil && !m.outage.begin.After(now) {
		o := m.outage
		if !m.down {
			m.down = true
			s.count(m, false)
			s.cfg.Log.Info("a simulated node fails", "node", m.name, "failure", o.kind)
		}
		if o.end.IsZero() || o.end.After(now) {
			return
		}
		m.down, m.crashed, m.reports = false, m.crashed || o.kind != Partition, now
		m.outage = nextOutage(m.group, s.cfg.Profile.Seed, m.name, m.joins, o)
		s.count(m, false)
		s.cfg.Log.Info("a simulated node is back", "node", m.name)
		if m.node != nil {
			s.takeIn(nil, m)
			s.wake(&m.beat)
		}
	}
}

func (s *Simulator) register(m *machine, now time.Time) *job {
	var made *corev1.Node
	n := m.plan.node(s.cfg.KubernetesVersion, now)
	if len(s.stages.Nodes) > 0 {
		n.Status.Conditions = nil // they come by stages
	}
	return &job{what: "register", do: func(ctx context.Context) error {
		obj, err := m.api.Create(ctx, nodeResource(), n, metav1.CreateOptions{})
		if err == nil {
			made = obj.(*corev1.Node)
		}
		return err
	}, done: func(err error) {
		switch {
		case err == nil:
			s.nodeSeen(nil, made, revisionOf(made))
		case !apierrors.IsAlreadyExists(err): // else it comes by the stream
			s.failed(&m.care, "a simulated node could not register", m.name, err)
		}
	}}
}

// giveRange gives a node a range for its pods' addresses.
func (s *Simulator) giveRange(m *machine) *job {
	return s.written(m, "range", func(ctx context.Context) (kinds.Object, error) {
		data := fmt.Appendf(nil, `{"spec":{"podCIDR":%q,"podCIDRs":[%q]}}`, m.pods, m.pods)
		return s.cfg.Cloud.Patch(ctx, nodeResource(), "", m.name, types.MergePatchType, data, "")
	})
}

// report writes a node's status.
func (s *Simulator) report(m *machine, now time.Time) *job {
	next := *m.node
	next.Status = report(m.node, m.ip, s.cfg.KubernetesVersion, now)
	every := s.cfg.Profile.StatusEvery.Duration
	m.reports = later(s.begun.Add(s.phase(m, every)), now, every)
	return s.written(m, "node", func(ctx context.Context) (kinds.Object, error) {
		return m.api.Update(ctx, nodeResource(), &next, "status")
	})
}

// written is a job that writes a node's object, which the node then is.
func (s *Simulator) written(m *machine, what string, write func(context.Context) (kinds.Object, error)) *job {
	var stored *corev1.Node
	return &job{what: what, do: func(ctx context.Context) error {
		obj, err := write(ctx)
		if err == nil {
			stored = obj.(*corev1.Node)
		}
		return err
	}, done: func(err error) {
		switch {
		case m.node == nil || apierrors.IsNotFound(err): // the stream says so too
		case err == nil:
			s.nodeSeen(nil, stored, revisionOf(stored))
			s.wake(&m.care)
		case apierrors.IsConflict(err):
			m.reports = s.cfg.Clock.Now()
			s.wheel.sooner(&m.care, m.reports.Add(again))
		default:
			m.reports = s.cfg.Clock.Now()
			s.failed(&m.care, "a simulated node could not be written", m.name, err)
		}
	}}
}

// remove deletes a node's object, as the cloud does that has taken the machine away.
func (s *Simulator) remove(m *machine) *job {
	uid := m.node.UID
	return &job{what: "remove", do: func(ctx context.Context) error {
		_, err := s.cfg.Cloud.Delete(ctx, nodeResource(), "", m.name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			err = nil
		}
		return err
	}, done: func(err error) {
		if err != nil {
			s.failed(&m.care, "a simulated node could not be removed", m.name, err)
			return
		}
		m.node, m.lease = nil, nil
		s.count(m, false)
		s.wake(&m.care)
	}}
}

// failed logs what went wrong and has it tried again.
func (s *Simulator) failed(t *task, what, name string, err error) {
	s.cfg.Log.Warn(what+" and is tried again", "name", name, "again", again, "err", err)
	s.wheel.sooner(t, s.cfg.Clock.Now().Add(again))
}

// nextBeat is when a node renews its lease next.
func (s *Simulator) nextBeat(m *machine, now time.Time) time.Time {
	every := s.cfg.Profile.LeaseEvery.Duration
	return later(s.begun.Add(s.phase(m, every).Truncate(slot)), now, every)
}

// beatTurn renews a node's lease, or makes it.
func (s *Simulator) beatTurn(m *machine, now time.Time) *job {
	if m.down || m.node == nil {
		return nil // whoever brings it back wakes this
	}
	held, n := m.lease, m.node
	return &job{what: "lease", do: func(ctx context.Context) (err error) {
		held, err = s.renew(ctx, m.api, n, held, now)
		return err
	}, done: func(err error) {
		m.lease = held
		if err != nil {
			m.lease = nil // read again
			if m.node != nil {
				s.cfg.Log.Debug("the lease of a simulated node could not be renewed", "node", m.name, "err", err)
			}
		}
		if m.node != nil {
			s.wheel.wait(&m.beat, s.nextBeat(m, s.cfg.Clock.Now()))
		}
	}}
}

func (s *Simulator) renew(ctx context.Context, api client.Client, n *corev1.Node, held *coordinationv1.Lease, now time.Time) (*coordinationv1.Lease, error) {
	leases := coordinationv1.SchemeGroupVersion.WithResource("leases")
	if held == nil {
		obj, err := api.Get(ctx, leases, corev1.NamespaceNodeLease, n.Name)
		if apierrors.IsNotFound(err) {
			obj, err = api.Create(ctx, leases, lease(n, s.cfg.Profile.LeaseEvery.Duration, now), metav1.CreateOptions{})
			if err != nil {
				return nil, err
			}
			return obj.(*coordinationv1.Lease), nil
		}
		if err != nil {
			return nil, err
		}
		held = obj.(*coordinationv1.Lease)
	}
	obj, err := api.Update(ctx, leases, renewed(held, now), "")
	if err != nil {
		return nil, err
	}
	return obj.(*coordinationv1.Lease), nil
}

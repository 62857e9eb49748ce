package simulate

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/record"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/simulate/podlife"
	"github.com/floe-k8s/floe/internal/simulate/stage"
)

// staged is how far an object has come in its stages.
//
//	seen ──a rule selects it──► waits until due ──► played ──changed, or the rule is immediate──► seen
type staged struct {
	rule   *stage.Rule // that it waits for; nil: for none
	due    time.Time
	seen   string // resourceVersion for which a rule was looked for last
	played time.Time
	last   *stage.Rule
	again  bool
}

// next is the rule that is due, or when that will be; zero: nothing is to come until the object changes. A rule that selects the
// object still goes on waiting when it changes, so that heartbeats hold nothing up.
func (s *Simulator) next(st *staged, rules []*stage.Rule, obj kinds.Object, seen func() (*stage.Object, error), now time.Time) (*stage.Object, time.Time, error) {
	if st.seen == obj.GetResourceVersion() && !st.again {
		if st.rule == nil || st.due.After(now) {
			return nil, st.due, nil
		}
	}
	o, err := seen()
	if err != nil {
		return nil, time.Time{}, err
	}
	chance := func(step string) float64 {
		return podlife.Share(s.cfg.Profile.Seed, string(obj.GetUID()), obj.GetResourceVersion(), step)
	}
	if st.rule == nil || !st.rule.Selects(o) {
		st.rule = stage.Choose(rules, o, chance("choose"))
		if st.rule != nil {
			st.due = now.Add(st.rule.Delay(o, now, chance("delay")))
			if rest := st.played.Add(slot); st.rule == st.last && st.due.Before(rest) {
				st.due = rest // a stage that selects what it has just made
			}
		}
	}
	st.seen, st.again = obj.GetResourceVersion(), false
	switch {
	case st.rule == nil:
		st.due = time.Time{}
		return nil, time.Time{}, nil
	case st.due.After(now):
		return nil, st.due, nil
	}
	return o, now, nil
}

// play does what the rule says that is due, and notes that it was.
func (s *Simulator) play(st *staged, o *stage.Object, obj kinds.Object, t *target, host stage.Host) (*job, error) {
	rule := st.rule
	st.rule, st.last, st.played, st.due = nil, rule, host.Now, time.Time{}
	acts, err := rule.Play(o, host)
	if err != nil {
		return nil, err
	}
	return &job{what: "stage", do: func(ctx context.Context) error {
		for _, act := range acts {
			if err := s.act(ctx, obj, t, act); err != nil {
				return fmt.Errorf("%v: %w", rule, err)
			}
		}
		return nil
	}, done: func(err error) {
		st.again = rule.Again && err == nil
		if apierrors.IsNotFound(err) {
			err = nil // the stream says so too
		}
		if err != nil {
			st.seen = "" // once more
		}
		t.done(err)
	}}, nil
}

// target is where a play's acts go.
type target struct {
	res     client.Resource
	kind    string
	kubelet client.Client // who writes statuses
	done    func(error)
}

func (s *Simulator) act(ctx context.Context, obj kinds.Object, t *target, act stage.Act) error {
	switch {
	case act.Event != nil:
		about := corev1.ObjectReference{Kind: t.kind, APIVersion: "v1", Namespace: obj.GetNamespace(), Name: obj.GetName(), UID: obj.GetUID()}
		s.recorder.Record(ctx, record.Event{About: about, Type: act.Event.Type, Reason: act.Event.Reason, Message: act.Event.Message})
		return nil
	case act.Delete:
		now, uid := int64(0), obj.GetUID()
		_, err := s.cfg.Cloud.Delete(ctx, t.res, obj.GetNamespace(), obj.GetName(), metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &uid}})
		return err
	}
	by := s.cfg.Cloud
	if act.Patch.Subresource == "status" {
		by = t.kubelet
	}
	_, err := by.Patch(ctx, t.res, obj.GetNamespace(), obj.GetName(), act.Patch.Type, act.Patch.Data, act.Patch.Subresource)
	return err
}

// host answers templates for a machine's objects.
func (s *Simulator) host(m *machine, now time.Time, ips []string) stage.Host {
	first := func(list []string) string {
		if len(list) == 0 {
			return ""
		}
		return list[0]
	}
	own := first(m.hostIPs)
	if own == "" {
		own = m.ip.String()
	}
	return stage.Host{
		Now: now, Start: s.begun, Version: s.cfg.KubernetesVersion, Node: m.name, NodeIP: func(node string) string {
			if other := s.machines[node]; other != nil && other != m {
				return first(other.hostIPs)
			}
			return own
		}, PodIP: func(_ string, hostNetwork bool) string {
			if hostNetwork {
				return own
			}
			return first(ips)
		},
	}
}

// stagePod brings a pod one stage further.
func (s *Simulator) stagePod(m *machine, p *pod, now time.Time) *job {
	o, at, err := s.next(&p.staged, s.stages.Pods, p.obj, func() (*stage.Object, error) { return stage.See(p.obj) }, now)
	if err == nil && o != nil {
		t := &target{res: podResource(), kind: "Pod", kubelet: m.api, done: func(err error) { s.settle(p, err, "a stage of a simulated pod could not be played") }}
		var j *job
		if j, err = s.play(&p.staged, o, p.obj, t, s.host(m, now, p.ips)); err == nil {
			return j
		}
	}
	if err != nil {
		s.cfg.Log.Warn("a stage of a simulated pod cannot be played, and is passed over until the pod changes", "pod", p.obj.Namespace+"/"+p.obj.Name, "err", err)
		return nil
	}
	if !at.IsZero() {
		s.wheel.wait(&p.task, at)
	}
	return nil
}

// stageNode brings a node one stage further.
func (s *Simulator) stageNode(m *machine, now time.Time) *job {
	n := m.node
	o, at, err := s.next(&m.staged, s.stages.Nodes, n, func() (*stage.Object, error) { return stage.See(n) }, now)
	if err == nil && o != nil {
		t := &target{res: nodeResource(), kind: "Node", kubelet: m.api, done: func(err error) {
			if err != nil {
				s.failed(&m.care, "a stage of a simulated node could not be played", m.name, err)
				return
			}
			s.wake(&m.care)
		}}
		var j *job
		if j, err = s.play(&m.staged, o, n, t, s.host(m, now, nil)); err == nil {
			return j
		}
	}
	if err != nil {
		s.cfg.Log.Warn("a stage of a simulated node cannot be played, and is passed over until the node changes", "node", m.name, "err", err)
		at = time.Time{}
	}
	if b := m.outage; b != nil && !m.down && (at.IsZero() || b.begin.Before(at)) {
		at = b.begin
	}
	if !at.IsZero() {
		s.wheel.wait(&m.care, at)
	}
	return nil
}

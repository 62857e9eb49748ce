package scheduler

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/scheduler/extend"
	"github.com/floe-k8s/floe/internal/scheduler/place"
	"github.com/floe-k8s/floe/internal/scheduler/preempt"
)

// extension asks the extenders that have a say about pod; nil when there are none.
func (s *Scheduler) extension(ctx context.Context, pod *corev1.Pod) place.Extend {
	var asked []*extend.Extender
	for _, e := range s.cfg.Extenders {
		if e.Interested(pod) {
			asked = append(asked, e)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	nodes := func(names []string) []corev1.Node { return s.wholeNodes(ctx, names) }
	return func(names []string) (place.Extension, error) {
		x := place.Extension{Refused: map[string]*place.Status{}, Scores: map[string]int64{}}
		for _, e := range asked {
			if len(names) == 0 {
				break
			}
			left, refused, err := e.Filter(ctx, pod, names, nodes)
			if err != nil {
				return x, err
			}
			for name, status := range refused {
				x.Refused[name] = status
			}
			names = left
		}
		if len(names) < 2 { // upstream does not rank one
			return x, nil
		}
		for _, e := range asked {
			scores, err := e.Prioritize(ctx, pod, names, nodes)
			if err != nil {
				s.cfg.Log.Debug("extender gave no scores", "pod", pod.Namespace+"/"+pod.Name, "err", err) // others rank
			}
			for name, n := range scores {
				x.Scores[name] += n
			}
		}
		return x, nil
	}
}

// preemption asks the extenders that take part in it and have a say about pod; nil when there are none.
func (s *Scheduler) preemption(ctx context.Context, pod *corev1.Pod) preempt.Extend {
	var asked []*extend.Extender
	for _, e := range s.cfg.Extenders {
		if e.Preempts() && e.Interested(pod) {
			asked = append(asked, e)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	pods := extend.Pods{On: s.placedOn, Whole: func(p place.Placed) *corev1.Pod { return s.wholePod(ctx, p) }}
	return func(list []preempt.Candidate) (left []preempt.Candidate, err error) {
		left = list
		for _, e := range asked {
			if left, err = e.Preempt(ctx, pod, left, pods); err != nil || len(left) == 0 {
				return nil, err
			}
		}
		return left, nil
	}
}

// placedOn are the pods on a node; false when the table does not know it.
func (s *Scheduler) placedOn(node string) ([]place.Placed, bool) {
	if _, known := s.table.Site(node); !known {
		return nil, false
	}
	return slices.Collect(s.table.PodsOn(node)), true
}

// wholePod is a pod as the API has it; one that has gone there has only its names.
func (s *Scheduler) wholePod(ctx context.Context, p place.Placed) *corev1.Pod {
	if view, err := s.cfg.Client.View(ctx); err == nil {
		if pod, ok := view.Get(podResource(), p.Namespace, p.Name).(*corev1.Pod); ok && pod != nil && pod.UID == p.UID {
			return pod
		}
	}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, UID: p.UID, Labels: p.Labels}}
}

// wholeNodes are nodes as the API has them: the table keeps only what rules read.
func (s *Scheduler) wholeNodes(ctx context.Context, names []string) []corev1.Node {
	view, err := s.cfg.Client.View(ctx)
	if err != nil {
		return nil // the session ends
	}
	out := make([]corev1.Node, 0, len(names))
	for _, name := range names {
		if node, ok := view.Get(nodeResource(), "", name).(*corev1.Node); ok && node != nil {
			out = append(out, *node)
		}
	}
	return out
}

// bindByExtender binds with the first extender that binds such pods; false: none does, or its error is passed over.
func (s *Scheduler) bindByExtender(ctx context.Context, pod *corev1.Pod, b *corev1.Binding) (bool, error) {
	for _, e := range s.cfg.Extenders {
		if !e.Binder() || !e.Interested(pod) {
			continue
		}
		err := e.Bind(ctx, b)
		if err == nil || !e.Ignorable() {
			return true, err
		}
		s.cfg.Log.Info("extender did not bind and is passed over", "pod", pod.Namespace+"/"+pod.Name, "err", err)
	}
	return false, nil
}

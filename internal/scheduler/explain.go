package scheduler

import (
	"context"
	"fmt"
	"math"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/floe-k8s/floe/internal/scheduler/place"
	"github.com/floe-k8s/floe/internal/scheduler/preempt"
	"github.com/floe-k8s/floe/internal/scheduler/queue"
	"github.com/floe-k8s/floe/internal/scheduler/why"
)

// question asks the loop about a pod.
type question struct {
	pod    *corev1.Pod
	answer chan answer // holds one, so that the loop need not wait
}

type answer struct {
	facts    why.Facts
	state    string
	attempts int
	err      error
}

// Why says why a pod has the node that it has, or none. It waits for the loop, at most until ctx ends. Its errors are the API's: NotFound, and
// BadRequest for a pod of another scheduler. It is safe for concurrent use while Run runs.
func (s *Scheduler) Why(ctx context.Context, namespace, name string) (why.Report, error) {
	view, err := s.cfg.Client.View(ctx)
	if err != nil {
		return why.Report{}, fmt.Errorf("view: %w", err)
	}
	pod, _ := view.Get(podResource(), namespace, name).(*corev1.Pod)
	if pod == nil {
		return why.Report{}, apierrors.NewNotFound(corev1.Resource("pods"), name)
	}
	q := question{pod, make(chan answer, 1)}
	select {
	case s.questions <- q:
	case <-ctx.Done():
		return why.Report{}, fmt.Errorf("ask the scheduler: %w", context.Cause(ctx))
	}
	a := <-q.answer
	if a.err != nil {
		return why.Report{}, a.err
	}
	a.facts.Node = func(name string) *corev1.Node {
		node, _ := view.Get(nodeResource(), "", name).(*corev1.Node)
		return node
	}
	r := why.New(a.facts)
	r.State, r.Attempts = a.state, a.attempts
	return r, nil
}

// explain answers a question. It runs in the loop.
func (s *Scheduler) explain(q question) answer {
	profile := s.profiles[q.pod.Spec.SchedulerName]
	if profile == nil {
		return answer{err: apierrors.NewBadRequest(fmt.Sprintf("pod %s/%s names the scheduler %q, which is not this one", q.pod.Namespace, q.pod.Name, q.pod.Spec.SchedulerName))}
	}
	a := answer{state: s.state(q.pod), facts: why.Facts{Pod: q.pod, Room: map[string]map[corev1.ResourceName]int64{}}}
	if it := s.queue.Get(q.pod.UID); it != nil {
		a.attempts = it.Attempts
	}
	pod := q.pod
	if node := s.table.NodeOf(pod.UID); node != "" { // think it away, and put it back
		was := pod
		s.lift(pod.UID)
		defer s.settleOn(was, node)
	}
	if pod.Spec.NodeName != "" {
		pod = pod.DeepCopy()
		pod.Spec.NodeName, pod.Status.NominatedNodeName = "", ""
	}
	e, err := s.table.Explain(pod, profile.Policy)
	if err != nil {
		return answer{err: apierrors.NewBadRequest(err.Error())}
	}
	a.facts.Explain = e
	for _, v := range e.Nodes {
		if v.Status.Failed() && v.Status.Plugin == place.NodeResourcesFit {
			a.facts.Room[v.Node] = s.table.Room(v.Node, math.MinInt32)
		}
	}
	return a
}

// state is where a pod stands, in words.
func (s *Scheduler) state(pod *corev1.Pod) string {
	if pod.Spec.NodeName != "" {
		return "is on node " + pod.Spec.NodeName
	}
	switch s.queue.Where(pod.UID) {
	case queue.Active, queue.InFlight:
		return "is about to be tried"
	case queue.Backoff:
		return "rests and is tried again"
	case queue.Parked:
		return "waits for a change that may help it"
	case queue.Gated:
		switch it := s.queue.Get(pod.UID); {
		case it.Held():
			return preempt.MessageUnderway
		case it.Barred():
			return "waits for its resource claims: " + s.profiles[pod.Spec.SchedulerName].Devices.Gate(pod).Message()
		}
		return "waits for its scheduling gates to be removed"
	case queue.Planned:
		if s.claiming[pod.UID] != nil {
			return "waits for its claims to be bound before it comes to node " + s.table.NodeOf(pod.UID)
		}
		return "is being bound to node " + s.table.NodeOf(pod.UID)
	}
	return "is not known to the scheduler yet"
}

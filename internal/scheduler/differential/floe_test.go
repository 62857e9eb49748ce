package differential

import (
	"errors"
	"fmt"
	"math/rand"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/scheduler/claims"
	"github.com/floe-k8s/floe/internal/scheduler/place"
	"github.com/floe-k8s/floe/internal/scheduler/preempt"
	"github.com/floe-k8s/floe/internal/scheduler/volumes"
	"github.com/floe-k8s/floe/test/peers/scheduling/answers"
	"github.com/floe-k8s/floe/test/peers/scheduling/cases"
)

// errMissing says that floe lacks what a case needs.
var errMissing = errors.New("floe does not have this yet")

// decider decides the pods of a case.
type decider interface {
	decide(pod string) decision
}

// scheduler is floe's table with a case's objects.
type scheduler struct {
	table     *place.Table
	index     *volumes.Index
	policy    *place.Policy
	claims    *claims.Rule
	budgets   *preempt.Budgets
	preemptor *preempt.Preemptor
	pods      map[string]*corev1.Pod // by namespace/name
	nodes     []string
	seed      int64
}

// floe loads a case.
func floe(c cases.Case) (decider, error) {
	s := &scheduler{table: place.NewTable(), budgets: &preempt.Budgets{}, pods: map[string]*corev1.Pod{}}
	s.preemptor = preempt.New(s.table, s.budgets)
	s.index, s.claims = volumes.New(s.table.Touch), claims.New(s.table, claims.Config{Clock: clock.RealClock{}})
	profile, err := profileOf(c.Configuration, append(s.index.Rules(), s.claims))
	if err != nil {
		return nil, err
	}
	if s.policy, err = profile.Compile(); err != nil {
		return nil, err
	}
	var nominated []*corev1.Pod
	for _, o := range c.Objects {
		switch o := o.(type) {
		case *corev1.Node:
			s.table.SetNode(o)
			s.index.SetNode(o)
			s.nodes = append(s.nodes, o.Name)
		case *corev1.Pod:
			s.pods[o.Namespace+"/"+o.Name] = o
			if o.Spec.NodeName != "" {
				s.table.SetPod(o, o.Spec.NodeName)
				s.index.SetPod(o, o.Spec.NodeName)
			} else if o.Status.NominatedNodeName != "" {
				nominated = append(nominated, o)
			}
		default:
			if err := s.load(o); err != nil {
				return nil, err
			}
		}
	}
	for _, o := range nominated {
		if s.claims.Gate(o) == nil { // a pod that is kept out of the queue is nominated nowhere
			s.table.Nominate(o, o.Status.NominatedNodeName)
			s.index.Nominate(o, true)
		}
	}
	return s, nil
}

// load adds what default spreading and namespace selectors look at.
func (s *scheduler) load(o any) error {
	owner := func(kind place.OwnerKind, meta metav1.ObjectMeta, selector labels.Selector) {
		s.table.SetOwner(place.Owner{Kind: kind, Namespace: meta.Namespace, Name: meta.Name}, selector)
	}
	switch o := o.(type) {
	case *corev1.Namespace:
		s.table.SetNamespace(o.Name, o.Labels)
	case *policyv1.PodDisruptionBudget:
		s.budgets.Set(o)
	case *resourcev1.ResourceClaim:
		s.claims.SetClaim(o)
	case *resourcev1.DeviceClass:
		s.claims.SetClass(o)
	case *resourcev1.ResourceSlice:
		s.claims.SetSlice(o)
	case *corev1.Service:
		s.table.SetService(o.Namespace, o.Name, o.Spec.Selector)
	case *corev1.ReplicationController:
		owner(place.ReplicationController, o.ObjectMeta, labels.SelectorFromSet(o.Spec.Selector))
	case *appsv1.ReplicaSet:
		selector, err := metav1.LabelSelectorAsSelector(o.Spec.Selector)
		owner(place.ReplicaSet, o.ObjectMeta, selector)
		return err
	case *appsv1.StatefulSet:
		selector, err := metav1.LabelSelectorAsSelector(o.Spec.Selector)
		owner(place.StatefulSet, o.ObjectMeta, selector)
		return err
	}
	s.loadVolumes(o)
	return nil
}

// loadVolumes adds what the rules of volumes look at.
func (s *scheduler) loadVolumes(o any) {
	switch o := o.(type) {
	case *corev1.PersistentVolumeClaim:
		s.index.SetClaim(o)
	case *corev1.PersistentVolume:
		s.index.SetVolume(o)
	case *storagev1.StorageClass:
		s.index.SetClass(o)
	case *storagev1.CSINode:
		s.index.SetCSINode(o)
	case *storagev1.CSIDriver:
		s.index.SetDriver(o)
	case *storagev1.CSIStorageCapacity:
		s.index.SetCapacity(o)
	case *storagev1.VolumeAttachment:
		s.index.SetAttachment(o)
	}
}

func (s *scheduler) decide(name string) decision {
	s.seed++
	pod := s.pods[name]
	var d decision
	if g := s.claims.Gate(pod); g != nil {
		d.Gated = &answers.Status{Code: g.Code.String(), Plugin: g.Plugin, Reasons: g.Reasons}
		return d
	}
	plan, err := s.table.Decide(pod, s.policy, rand.New(rand.NewSource(s.seed)), nil)
	if err != nil {
		d.Error, d.errors = err.Error(), s.errors(pod)
		return d
	}
	d.chosen, d.score = plan.Node, plan.Score
	if plan.Failure != nil {
		if err := s.preempt(pod, plan.Failure, &d); err != nil {
			d.Error = "Preempt: " + err.Error()
			return d
		}
	}
	e, err := s.table.Explain(pod, s.policy)
	if err != nil {
		d.Error = "Explain: " + err.Error()
		return d
	}
	d.explain(e)
	if plan.Node != "" && plan.Node == pod.Status.NominatedNodeName {
		d.Feasible, d.Refused = []string{plan.Node}, nil
	}
	return d
}

// errors are what nodes' devices give for errors.
func (s *scheduler) errors(pod *corev1.Pod) (list []string) {
	asked, err := s.claims.Prepare(pod)
	if err != nil || asked.Filter == nil {
		return nil
	}
	for _, node := range s.nodes {
		site, _ := s.table.Site(node)
		if v := asked.Filter(site); v.Failed() && v.Code == place.Error {
			list = append(list, fmt.Sprintf("running %q filter plugin: %s", claims.Name, v.Message()))
		}
	}
	return list
}

// preempt fills in what preemption comes to.
func (s *scheduler) preempt(pod *corev1.Pod, f *place.Failure, d *decision) error {
	d.preempts = true
	release, err := s.claims.Release(pod, s.policy, f)
	if err != nil {
		return err
	}
	if release.Final {
		d.Post = release.Message
		d.Message = f.Message(d.Post)
		return nil
	}
	plan, err := s.preemptor.Preempt(pod, s.policy, f, nil)
	if err != nil {
		return err
	}
	if plan.Failed {
		d.Post = plan.Message
	} else if plan.Node == "" {
		d.Post = preempt.Tail(release.Message, plan.Message)
	} else {
		v := answers.Victims{Violations: int64(plan.Violations)}
		for _, p := range plan.Victims {
			v.Pods = append(v.Pods, p.Namespace+"/"+p.Name)
		}
		d.Best, d.Victims = []string{plan.Node}, map[string]answers.Victims{plan.Node: v}
	}
	d.Message = f.Message(d.Post)
	return nil
}

// explain fills in what floe says of each node.
func (d *decision) explain(e place.Explanation) {
	for _, v := range e.Nodes {
		if s := v.Status; s != nil {
			d.Refused = append(d.Refused, answers.Refusal{
				Status: answers.Status{Code: s.Code.String(), Plugin: s.Plugin, Reasons: s.Reasons}, Nodes: []string{v.Node},
			})
			continue
		}
		d.Feasible = append(d.Feasible, v.Node)
		d.Totals = append(d.Totals, v.Total)
		for _, s := range v.Scores {
			if d.Scores == nil {
				d.Scores = map[string][]int64{}
			}
			d.Scores[s.Plugin] = append(d.Scores[s.Plugin], s.Score)
		}
	}
}

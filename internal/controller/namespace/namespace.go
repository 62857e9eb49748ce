// Package namespace empties a namespace that is being deleted and lets it go when nothing is left.
//
// # Vocabulary
//
// Content is every object of every kind that has a namespace and can be deleted. It is wanted gone when it has a deletionTimestamp, and
// remains until finalizers and grace periods are over.
//
//	terminating ─ pods wanted gone ─ no pod remains ─ all else wanted gone ─ nothing remains ─ finalizer "kubernetes" removed
//
// # Laws
//
//   - The finalizer "kubernetes" in spec.finalizers is removed, through the finalize subresource, only on a view that
//     shows no content in the namespace, while every API that is registered answers. Until then conditions say what remains and why, in upstream's words.
//   - Pods go first, each with its own grace period: nothing that they use is taken from them before they have ended.
//   - A round asks for 1,000 deletions at most; the next one follows at once.
//   - What cannot be deleted is tried again after 5 ms, doubled up to a minute. What only takes its time is looked at after half of what it is thought to
//     take, as upstream does, and whenever some of it goes.
//
// The API refuses new content from the moment a namespace is marked, in one order with the mark, so a view after the mark shows all there will ever be.
//
// # What it leaves to others
//
// Refusing new objects in a terminating namespace belongs to api; ending pods to the node. The content of aggregated APIs belongs to their
// servers, which see the namespace go.
package namespace

import (
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

const (
	round = 1000             // deletions asked for at once
	next  = time.Millisecond // until the round after one that deleted something
	held  = 15 * time.Second // what content that finalizers hold is thought to take
	most  = 60 * time.Second // longest wait after a failure
)

func namespaces() client.Resource { return corev1.SchemeGroupVersion.WithResource("namespaces") }
func pods() client.Resource       { return corev1.SchemeGroupVersion.WithResource("pods") }
func services() client.Resource {
	return apiregistrationv1.SchemeGroupVersion.WithResource("apiservices")
}

// New returns the controller; content is what the catalog names at the time.
func New(catalog engine.Catalog) engine.Controller {
	return engine.Controller{
		Name: "namespace", Component: "namespace-controller", RetryMost: most,
		User: "system:serviceaccount:kube-system:namespace-controller", Workers: 10,
		Inputs: []engine.Input{{Resource: namespaces(), Keys: func(_ client.View, c client.Change) []engine.Key {
			if c.New == nil || c.New.GetDeletionTimestamp() == nil {
				return nil
			}
			return []engine.Key{{Resource: namespaces(), Name: c.New.GetName()}}
		}}},
		Every: func(k *kinds.Kind) func(client.View, client.Change) []engine.Key {
			if !content(k) {
				return nil
			}
			return gone
		},
		Outputs: []engine.Output{
			{Resource: namespaces(), Fields: []string{"spec.finalizers[kubernetes]", "status.conditions", "status.phase"}},
			{Resource: engine.Every()},
		},
		Reconcile: func(view client.View, k engine.Key, now time.Time) (engine.Plan, error) {
			ns, ok := view.Get(namespaces(), "", k.Name).(*corev1.Namespace)
			if !ok || ns.DeletionTimestamp == nil || !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
				return engine.Plan{}, nil
			}
			served, _ := catalog()
			return empty(view, ns, served, now), nil
		},
	}
}

// content says whether objects of k are deleted with their namespace.
func content(k *kinds.Kind) bool {
	return k.Namespaced && k.Keeps() && (k.Verbs == nil || slices.Contains(k.Verbs, "delete") && slices.Contains(k.Verbs, "list"))
}

// gone wakes a terminating namespace when some of its content is.
func gone(view client.View, c client.Change) []engine.Key {
	if c.New != nil {
		return nil
	}
	name := c.Old.GetNamespace()
	if ns := view.Get(namespaces(), "", name); ns == nil || ns.GetDeletionTimestamp() == nil {
		return nil
	}
	return []engine.Key{{Resource: namespaces(), Name: name}}
}

// empty asks for the deletion of everything that is not wanted gone yet, or says what remains, or finishes.
func empty(view client.View, ns *corev1.Namespace, served []*kinds.Kind, now time.Time) engine.Plan {
	rep := report{missing: missing(view)}
	var rest []*kinds.Kind
	for _, k := range served {
		switch {
		case !content(k):
		case k.GVR() == pods():
			rep.look(view, k, ns, now)
		default:
			rest = append(rest, k)
		}
	}
	if rep.total == 0 {
		for _, k := range rest {
			rep.look(view, k, ns, now)
		}
	}
	switch {
	case len(rep.wanted) > 0:
		return engine.Plan{Writes: rep.wanted, After: next, OnFailure: func(err error) []engine.Write {
			rep.fail(err)
			return rep.say(ns, now)
		}}
	case rep.total > 0 || len(rep.missing) > 0:
		plan := engine.Plan{Writes: rep.say(ns, now), Waiting: "content to go", Failed: rep.failed()}
		if plan.Failed == nil {
			plan.After = rep.takes/2 + time.Second
		}
		return plan
	}
	// Only who holds the namespace besides, or saw what was wrong before, will see that all is well.
	if len(ns.Finalizers) > 0 || len(ns.Spec.Finalizers) > 1 || len(ns.Status.Conditions) > 0 {
		if writes := rep.say(ns, now); len(writes) > 0 {
			return engine.Plan{Writes: writes, After: next}
		}
	}
	done := ns.DeepCopy()
	done.Spec.Finalizers = slices.DeleteFunc(done.Spec.Finalizers, func(f corev1.FinalizerName) bool { return f == corev1.FinalizerKubernetes })
	return engine.Plan{Writes: []engine.Write{engine.NewUpdate(namespaces(), done, "finalize")}}
}

// look counts what there is of one kind, and asks for what is not wanted gone yet.
func (r *report) look(view client.View, k *kinds.Kind, ns *corev1.Namespace, now time.Time) {
	n, finalizers := 0, false
	var grace time.Duration
	for obj := range view.List(k.GVR(), ns.Name) {
		n++
		for _, f := range obj.GetFinalizers() {
			r.hold(f)
			finalizers = true
		}
		grace = max(grace, graceOf(obj))
		if obj.GetDeletionTimestamp() == nil && len(r.wanted) < round {
			w := engine.NewDelete(k.GVR(), obj, metav1.DeletePropagationBackground)
			w.Batch = 1
			r.wanted = append(r.wanted, w)
		}
	}
	if n == 0 {
		return
	}
	r.remain(k, n)
	switch {
	case now.Sub(ns.DeletionTimestamp.Time) < grace:
		r.takes = max(r.takes, grace)
	case finalizers:
		r.takes = max(r.takes, held)
	default:
		res := k.GVR()
		r.errs = append(r.errs, fmt.Errorf("unexpected items still remain in namespace: %s for gvr: %v", ns.Name, res))
	}
}

// graceOf is how long a pod that runs may take to end.
func graceOf(obj kinds.Object) time.Duration {
	pod, ok := obj.(*corev1.Pod)
	if !ok || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed || pod.Spec.TerminationGracePeriodSeconds == nil {
		return 0
	}
	return time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second
}

// missing are the versions of groups that are registered and whose servers do not answer, sorted.
func missing(view client.View) []string {
	var all []string
	for obj := range view.List(services(), "") {
		s, ok := obj.(*apiregistrationv1.APIService)
		if !ok || s.Spec.Service == nil {
			continue
		}
		if !slices.ContainsFunc(s.Status.Conditions, func(c apiregistrationv1.APIServiceCondition) bool {
			return c.Type == apiregistrationv1.Available && c.Status == apiregistrationv1.ConditionTrue
		}) {
			all = append(all, s.Spec.Group+"/"+s.Spec.Version)
		}
	}
	slices.Sort(all)
	return all
}

// failed is what makes the round a failure; nil when content only takes its time.
func (r *report) failed() error {
	errs := slices.Clone(r.errs)
	if len(r.missing) > 0 {
		errs = append(errs, errors.New(r.discovery()))
	}
	return errors.Join(errs...)
}

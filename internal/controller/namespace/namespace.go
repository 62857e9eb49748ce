// Package namespace empties a namespace that is being deleted and lets it go when nothing is left.
//
// # Laws
//
// The finalizer "kubernetes" in spec.finalizers is removed, through the finalize subresource, only on a view that
// shows no object of any given resource in the namespace. Until then conditions say what remains.
//
// # What it leaves to others
//
// Refusing new objects in a terminating namespace belongs to api; ending pods to the node.
package namespace

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

func namespaces() client.Resource { return corev1.SchemeGroupVersion.WithResource("namespaces") }

// New returns the controller; resources are all namespaced ones.
func New(resources []client.Resource) engine.Controller {
	resources = slices.Clone(resources)
	ctl := engine.Controller{
		Name: "namespace", Component: "namespace-controller",
		User: "system:serviceaccount:kube-system:namespace-controller", Workers: 2,
		Inputs: []engine.Input{{Resource: namespaces(), Keys: func(_ client.View, c client.Change) []engine.Key {
			if c.New == nil {
				return nil
			}
			return key(c.New.GetName())
		}}},
		Outputs: []engine.Output{{Resource: namespaces(), Fields: []string{"spec.finalizers[kubernetes]", "status.conditions"}}},
		Reconcile: func(view client.View, k engine.Key, now time.Time) (engine.Plan, error) {
			ns, ok := view.Get(namespaces(), "", k.Name).(*corev1.Namespace)
			if !ok || ns.DeletionTimestamp == nil {
				return engine.Plan{}, nil
			}
			return empty(view, ns, resources, now), nil
		},
	}
	for _, res := range resources {
		ctl.Inputs = append(ctl.Inputs, engine.Input{Resource: res, Keys: func(view client.View, c client.Change) []engine.Key {
			obj := c.Newest()
			ns := view.Get(namespaces(), "", obj.GetNamespace())
			if ns == nil || ns.GetDeletionTimestamp() == nil {
				return nil
			}
			return key(obj.GetNamespace())
		}})
	}
	return ctl
}

func key(name string) []engine.Key { return []engine.Key{{Resource: namespaces(), Name: name}} }

// empty asks for the deletion of everything that is not being deleted yet, or finishes.
func empty(view client.View, ns *corev1.Namespace, resources []client.Resource, now time.Time) engine.Plan {
	var plan engine.Plan
	left, held := map[string]int{}, map[string]int{}
	for _, res := range resources {
		for obj := range view.List(res, ns.Name) {
			left[name(res)]++
			for _, f := range obj.GetFinalizers() {
				held[f]++
			}
			if obj.GetDeletionTimestamp() == nil {
				w := engine.NewDelete(res, obj, metav1.DeletePropagationBackground)
				w.Batch = 1
				plan.Writes = append(plan.Writes, w)
			}
		}
	}
	if len(left) > 0 {
		plan.Waiting = "content to go"
		plan.After = 5 * time.Second // and on each change before
		if next := conditions(ns, left, held, now); next != nil {
			plan.Writes = append([]engine.Write{engine.NewUpdate(namespaces(), next, "status")}, plan.Writes...)
		}
		return plan
	}
	if !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		return plan
	}
	next := ns.DeepCopy()
	next.Spec.Finalizers = slices.DeleteFunc(next.Spec.Finalizers, func(f corev1.FinalizerName) bool { return f == corev1.FinalizerKubernetes })
	plan.Writes = append(plan.Writes, engine.NewUpdate(namespaces(), next, "finalize"))
	return plan
}

func name(res client.Resource) string { return res.Resource + "." + res.Group }

// conditions returns ns with upstream's five conditions set, or nil when they are already.
func conditions(ns *corev1.Namespace, left, held map[string]int, now time.Time) *corev1.Namespace {
	next := ns.DeepCopy()
	set := func(t corev1.NamespaceConditionType, st corev1.ConditionStatus, reason, message string) {
		c := corev1.NamespaceCondition{Type: t, Status: st, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(now)}
		i := slices.IndexFunc(next.Status.Conditions, func(o corev1.NamespaceCondition) bool { return o.Type == t })
		if i < 0 {
			next.Status.Conditions = append(next.Status.Conditions, c)
			return
		}
		if next.Status.Conditions[i].Status == st {
			c.LastTransitionTime = next.Status.Conditions[i].LastTransitionTime
		}
		next.Status.Conditions[i] = c
	}
	set(corev1.NamespaceDeletionDiscoveryFailure, corev1.ConditionFalse, "ResourcesDiscovered", "All resources successfully discovered")
	set(corev1.NamespaceDeletionGVParsingFailure, corev1.ConditionFalse, "ParsedGroupVersions", "All legacy kube types successfully parsed")
	set(corev1.NamespaceDeletionContentFailure, corev1.ConditionFalse, "ContentDeleted", "All content successfully deleted, may be waiting on finalization")
	set(corev1.NamespaceContentRemaining, corev1.ConditionTrue, "SomeResourcesRemain",
		"Some resources are remaining: "+counts(left, func(k string, n int) string { return fmt.Sprintf("%s has %d resource instances", k, n) }))
	if len(held) > 0 {
		set(corev1.NamespaceFinalizersRemaining, corev1.ConditionTrue, "SomeFinalizersRemain",
			"Some content in the namespace has finalizers remaining: "+counts(held, func(k string, n int) string { return fmt.Sprintf("%s in %d resource instances", k, n) }))
	} else {
		set(corev1.NamespaceFinalizersRemaining, corev1.ConditionFalse, "ContentHasNoFinalizers", "All content-preserving finalizers finished")
	}
	if reflect.DeepEqual(ns.Status, next.Status) {
		return nil
	}
	return next
}

func counts(m map[string]int, text func(string, int) string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, text(k, m[k]))
	}
	return strings.Join(parts, ", ")
}

// Package servicecidr says of each range of services' addresses whether it may be taken from, and holds one that is being deleted while
// addresses would be left without a range.
//
// # Vocabulary
//
// A range is a ServiceCIDR. It covers an address or another range that lies in it. An address is held by the ranges that cover it.
//
// # Laws
//
//   - A range that is not being deleted has the finalizer and the condition Ready.
//   - The finalizer of one that is goes when other ranges cover all of it, or every address in it, and not before grace is over: until
//     then an API server that has not heard of the deletion may still take from it.
//
// # What it leaves to others
//
// Taking from ranges belongs to core.Service; making the first one to controller/bootstrap.
package servicecidr

import (
	"net/netip"
	"slices"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/allocation"
)

const (
	// finalizer is upstream's.
	finalizer = "networking.k8s.io/service-cidr-finalizer"
	grace     = 10 * time.Second
	component = "service-cidr-controller" // also who applies conditions
)

// New returns the controller.
func New() engine.Controller {
	return engine.Controller{
		Name: "service-cidr", Component: component, User: "system:serviceaccount:kube-system:service-cidrs-controller",
		Inputs: []engine.Input{{Resource: allocation.Ranges, Keys: neighbours}, {Resource: allocation.Addresses, Keys: holders}},
		Outputs: []engine.Output{
			{Resource: allocation.Ranges, Fields: []string{"metadata.finalizers[" + finalizer + "]", "status.conditions[Ready]"}},
		},
		Reconcile: func(view client.View, k engine.Key, now time.Time) (engine.Plan, error) {
			c, ok := view.Get(allocation.Ranges, "", k.Name).(*networkingv1.ServiceCIDR)
			switch {
			case !ok:
				return engine.Plan{}, nil
			case c.DeletionTimestamp != nil:
				return deleting(view, c, now), nil
			case !slices.Contains(c.Finalizers, finalizer):
				next := c.DeepCopy()
				next.Finalizers = append(next.Finalizers, finalizer)
				return engine.Plan{Writes: []engine.Write{engine.NewUpdate(allocation.Ranges, next, "")}}, nil
			}
			return say(c, now, metav1.ConditionTrue, "", "Kubernetes Service CIDR is ready"), nil
		},
	}
}

// deleting lets a range go, or says what it waits for.
func deleting(view client.View, c *networkingv1.ServiceCIDR, now time.Time) engine.Plan {
	if !mayGo(view, c) {
		plan := say(c, now, metav1.ConditionFalse, networkingv1.ServiceCIDRReasonTerminating,
			"There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR")
		plan.Waiting = "addresses that no other range covers"
		return plan
	}
	if left := grace - now.Sub(c.DeletionTimestamp.Time); left > 0 {
		return engine.Plan{After: left, Waiting: "every API server to hear of it"}
	}
	if !slices.Contains(c.Finalizers, finalizer) {
		return engine.Plan{}
	}
	next := c.DeepCopy()
	next.Finalizers = slices.DeleteFunc(next.Finalizers, func(f string) bool { return f == finalizer })
	return engine.Plan{Writes: []engine.Write{engine.NewUpdate(allocation.Ranges, next, "")}}
}

// say sets the condition where it says something else.
func say(c *networkingv1.ServiceCIDR, now time.Time, status metav1.ConditionStatus, reason, message string) engine.Plan {
	old := meta.FindStatusCondition(c.Status.Conditions, networkingv1.ServiceCIDRConditionReady)
	if old != nil && old.Status == status && old.Reason == reason && old.Message == message {
		return engine.Plan{}
	}
	next := metav1.Condition{Type: networkingv1.ServiceCIDRConditionReady, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(now)}
	fields := map[string]any{"status": map[string]any{"conditions": []metav1.Condition{next}}}
	gvk := networkingv1.SchemeGroupVersion.WithKind("ServiceCIDR")
	return engine.Plan{Writes: []engine.Write{engine.NewApply(gvk, allocation.Ranges, c, component, fields, "status")}}
}

// mayGo says that no address would be left without a range.
func mayGo(view client.View, c *networkingv1.ServiceCIDR) bool {
	others := slices.DeleteFunc(all(view), func(o *networkingv1.ServiceCIDR) bool { return o.Name == c.Name })
	covered := func(p netip.Prefix) bool {
		return slices.ContainsFunc(others, func(o *networkingv1.ServiceCIDR) bool {
			return slices.ContainsFunc(prefixes(o), func(op netip.Prefix) bool { return op.Overlaps(p) && op.Bits() <= p.Bits() })
		})
	}
	own := prefixes(c)
	if !slices.ContainsFunc(own, func(p netip.Prefix) bool { return !covered(p) }) {
		return true
	}
	for obj := range view.List(allocation.Addresses, "") {
		addr, managed := addressOf(obj)
		if managed && covers(c, addr) && !slices.ContainsFunc(others, func(o *networkingv1.ServiceCIDR) bool { return covers(o, addr) }) {
			return false
		}
	}
	return true
}

// addressOf is what an object says is taken; managed says that services' addresses are meant.
func addressOf(obj kinds.Object) (addr netip.Addr, managed bool) {
	addr, err := netip.ParseAddr(obj.GetName())
	return addr, err == nil && obj.GetLabels()[networkingv1.LabelManagedBy] == allocation.Manager
}

func covers(c *networkingv1.ServiceCIDR, addr netip.Addr) bool {
	return slices.ContainsFunc(allocation.RangesOf(c), func(r allocation.Range) bool { return r.Contains(addr) })
}

func all(view client.View) (list []*networkingv1.ServiceCIDR) {
	for obj := range view.List(allocation.Ranges, "") {
		list = append(list, obj.(*networkingv1.ServiceCIDR))
	}
	return list
}

func prefixes(c *networkingv1.ServiceCIDR) (list []netip.Prefix) {
	for _, r := range allocation.RangesOf(c) {
		list = append(list, r.Prefix)
	}
	return list
}

// neighbours are a range and those that overlap it, whose deletion it may hold or let go.
func neighbours(view client.View, change client.Change) (keys []engine.Key) {
	c := change.Newest().(*networkingv1.ServiceCIDR)
	for _, o := range all(view) {
		overlap := slices.ContainsFunc(prefixes(o), func(p netip.Prefix) bool { return slices.ContainsFunc(prefixes(c), p.Overlaps) })
		if o.Name == c.Name || overlap {
			keys = append(keys, engine.Key{Resource: allocation.Ranges, Name: o.Name})
		}
	}
	return keys
}

// holders are the ranges that are being deleted and cover an address.
func holders(view client.View, change client.Change) (keys []engine.Key) {
	addr, managed := addressOf(change.Newest())
	for _, c := range all(view) {
		if managed && c.DeletionTimestamp != nil && covers(c, addr) {
			keys = append(keys, engine.Key{Resource: allocation.Ranges, Name: c.Name})
		}
	}
	return keys
}

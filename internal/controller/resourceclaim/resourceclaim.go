package resourceclaim

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	upstream "k8s.io/dynamic-resource-allocation/resourceclaim"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/kinds"
)

// manager is whose the claims' names in pods' statuses are.
const manager = "ResourceClaimController"

// User is the controller's.
const User = "system:serviceaccount:kube-system:resource-claim-controller"

func claims() client.Resource { return resourcev1.SchemeGroupVersion.WithResource("resourceclaims") }
func templates() client.Resource {
	return resourcev1.SchemeGroupVersion.WithResource("resourceclaimtemplates")
}

// New returns the controller; metrics may be nil.
func New(metrics *Metrics) engine.Controller {
	return engine.Controller{
		Name: "resource-claim", Component: "resource_claim", User: User, Queue: "resource_claim", Workers: 10,
		Inputs: []engine.Input{
			{Resource: pods.Resource(), Keys: podKeys}, {Resource: claims(), Keys: claimKeys}, {Resource: templates(), Keys: templateKeys},
		},
		Outputs: []engine.Output{
			{Resource: claims(), Fields: []string{"status.reservedFor", "status.allocation", "metadata.finalizers[" + resourcev1.Finalizer + "]"}},
			{Resource: pods.Resource(), Fields: []string{"status.resourceClaimStatuses"}},
		},
		Reconcile: func(view client.View, key engine.Key, _ time.Time) (engine.Plan, error) {
			switch obj := view.Get(key.Resource, key.Namespace, key.Name).(type) {
			case *corev1.Pod:
				return decidePod(view, obj, metrics), nil
			case *resourcev1.ResourceClaim:
				return decideClaim(view, obj), nil
			}
			return engine.Plan{}, nil
		},
	}
}

func podKey(p *corev1.Pod) engine.Key {
	return engine.Key{Resource: pods.Resource(), Namespace: p.Namespace, Name: p.Name}
}

// claimNames are the claims that a pod has by its specification and status, as far as they are known.
func claimNames(p *corev1.Pod) (names []string) {
	for i := range p.Spec.ResourceClaims {
		if name, _, err := upstream.Name(p, &p.Spec.ResourceClaims[i]); err == nil && name != nil {
			names = append(names, *name)
		}
	}
	if s := p.Status.ExtendedResourceClaimStatus; s != nil {
		names = append(names, s.ResourceClaimName)
	}
	return names
}

// done says that a pod does not use its claims and will not.
func done(p *corev1.Pod) bool {
	return pods.Ended(p) || p.DeletionTimestamp != nil && p.Spec.NodeName == ""
}

// podKeys are a pod with claims that may need them, or the claims of one that does not any more.
func podKeys(_ client.View, ch client.Change) (keys []engine.Key) {
	for _, obj := range []kinds.Object{ch.New, ch.Old} {
		p, ok := obj.(*corev1.Pod)
		if !ok || len(p.Spec.ResourceClaims) == 0 && p.Status.ExtendedResourceClaimStatus == nil {
			continue
		}
		gone := ch.New == nil || ch.New.GetUID() != p.UID
		if gone || done(p) {
			for _, name := range claimNames(p) {
				keys = append(keys, engine.Key{Resource: claims(), Namespace: p.Namespace, Name: name})
			}
		}
		if !gone && obj == ch.New && p.DeletionTimestamp == nil {
			keys = append(keys, podKey(p))
		}
	}
	return keys
}

// claimKeys are a claim, the pod that controls it, those that it is reserved for, and those without a node that name it.
func claimKeys(view client.View, ch client.Change) (keys []engine.Key) {
	c := ch.Newest().(*resourcev1.ResourceClaim)
	if ch.New != nil {
		keys = append(keys, engine.Key{Resource: claims(), Namespace: c.Namespace, Name: c.Name})
	}
	if name, _ := owningPod(c); name != "" {
		keys = append(keys, engine.Key{Resource: pods.Resource(), Namespace: c.Namespace, Name: name})
	}
	for obj := range view.Lookup(pods.Resource(), "spec.nodeName", "") {
		if p := obj.(*corev1.Pod); p.Namespace == c.Namespace && len(p.Spec.ResourceClaims) > 0 && slices.Contains(claimNames(p), c.Name) {
			keys = append(keys, podKey(p))
		}
	}
	return keys
}

// templateKeys are the pods without a node that name a template: those that have one have their claims.
func templateKeys(view client.View, ch client.Change) (keys []engine.Key) {
	if ch.New == nil {
		return nil
	}
	for obj := range view.Lookup(pods.Resource(), "spec.nodeName", "") {
		p := obj.(*corev1.Pod)
		if p.Namespace == ch.New.GetNamespace() && slices.ContainsFunc(p.Spec.ResourceClaims, func(c corev1.PodResourceClaim) bool {
			return ptr.Deref(c.ResourceClaimTemplateName, "") == ch.New.GetName()
		}) {
			keys = append(keys, podKey(p))
		}
	}
	return keys
}

// owningPod is the pod that controls a claim; "": none does.
func owningPod(c *resourcev1.ResourceClaim) (name, uid string) {
	if ref := metav1.GetControllerOf(c); ref != nil && ref.APIVersion == "v1" && ref.Kind == "Pod" {
		return ref.Name, string(ref.UID)
	}
	return "", ""
}

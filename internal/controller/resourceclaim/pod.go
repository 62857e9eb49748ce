package resourceclaim

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	upstream "k8s.io/dynamic-resource-allocation/resourceclaim"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/kinds"
)

// soon is when to look again at a pod that has a node and waits for a claim, which nothing tells of.
const soon = 5 * time.Second

// nameMost is how long a generated name may be before the five letters that chance adds, so that it is also a label.
const nameMost = 57

// decidePod makes the claims that a pod lacks, says in its status what they are called, and reserves what is allocated for one that has a node without the scheduler's doing.
func decidePod(view client.View, p *corev1.Pod, metrics *Metrics) (plan engine.Plan) {
	if p.DeletionTimestamp != nil || done(p) { // what is made for one that is done is deleted at once
		return plan
	}
	names := map[string]string{} // new ones, by their names in the pod
	for i := range p.Spec.ResourceClaims {
		asked := &p.Spec.ResourceClaims[i]
		name, w, err := claimFor(view, p, asked, metrics)
		switch {
		case err != nil:
			plan.Events = append(plan.Events, refused(p, asked, err))
			plan.Failed = fmt.Errorf("pod %s/%s, PodResourceClaim %s: %w", p.Namespace, p.Name, asked.Name, err)
			return plan
		case w != nil: // what it is called is known afterwards, which wakes the pod
			plan.Writes = append(plan.Writes, *w)
		case name != "":
			names[asked.Name] = name
		}
	}
	if len(names) > 0 {
		plan.Writes = append(plan.Writes, nameIn(p, names))
	}
	if p.Spec.NodeName != "" && len(plan.Writes) == 0 {
		return reserve(view, p)
	}
	return plan
}

func refused(p *corev1.Pod, asked *corev1.PodResourceClaim, err error) engine.Event {
	return engine.Event{About: engine.Refer("v1", "Pod", p), Type: corev1.EventTypeWarning, Reason: "FailedResourceClaimCreation",
		Message: fmt.Sprintf("PodResourceClaim %s: %v", asked.Name, err)}
}

// claimFor is the name of the claim that a pod asks for by a template, or the write that makes it; neither when the pod's status says it, or there is nothing to make.
func claimFor(view client.View, p *corev1.Pod, asked *corev1.PodResourceClaim, metrics *Metrics) (name string, w *engine.Write, err error) {
	known, owned, err := upstream.Name(p, asked)
	switch {
	case errors.Is(err, upstream.ErrClaimNotFound):
	case err != nil:
		return "", nil, fmt.Errorf("checking for claim before creating it: %w", err)
	case known == nil:
		return "", nil, nil
	default:
		c, ok := view.Get(claims(), p.Namespace, *known).(*resourcev1.ResourceClaim)
		if ok && (!owned || upstream.IsForPod(p, c, false) == nil) {
			return "", nil, nil
		}
	}
	if asked.ResourceClaimTemplateName == nil {
		return "", nil, nil
	}
	for obj := range view.Lookup(claims(), client.OwnerIndex, string(p.UID)) {
		if obj.GetAnnotations()[resourcev1.PodResourceClaimAnnotation] == asked.Name && metav1.IsControlledBy(obj, p) {
			return obj.GetName(), nil, nil
		}
	}
	t, ok := view.Get(templates(), p.Namespace, *asked.ResourceClaimTemplateName).(*resourcev1.ResourceClaimTemplate)
	if !ok {
		missing := apierrors.NewNotFound(resourcev1.Resource("resourceclaimtemplate"), *asked.ResourceClaimTemplateName)
		return "", nil, fmt.Errorf("resource claim template %q: %w", *asked.ResourceClaimTemplateName, missing)
	}
	c := fromTemplate(t, p, asked)
	create := engine.NewCreate(claims(), c)
	create.Event = func(_ kinds.Object, err error) *engine.Event {
		metrics.made(c, err)
		if err == nil {
			return nil
		}
		ev := refused(p, asked, fmt.Errorf("create ResourceClaim %s: %w", c.Name, err))
		return &ev
	}
	return "", &create, nil
}

// fromTemplate is the claim of a pod.
func fromTemplate(t *resourcev1.ResourceClaimTemplate, p *corev1.Pod, asked *corev1.PodResourceClaim) *resourcev1.ResourceClaim {
	s := t.Spec.DeepCopy()
	notes := s.Annotations
	if notes == nil {
		notes = map[string]string{}
	}
	notes[resourcev1.PodResourceClaimAnnotation] = asked.Name
	name := p.Name + "-" + asked.Name + "-"
	if long := len(name); long > nameMost { // each part loses as much of its length
		name = p.Name[:len(p.Name)*nameMost/long] + "-" + asked.Name[:len(asked.Name)*nameMost/long]
	}
	return &resourcev1.ResourceClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.Namespace, GenerateName: name, Labels: s.Labels, Annotations: notes,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: p.Name, UID: p.UID, Controller: ptr.To(true)}},
		},
		Spec: s.Spec,
	}
}

// nameIn says in a pod's status what its claims are called. What the controller said before stays: applied anew, what is left out goes.
func nameIn(p *corev1.Pod, names map[string]string) engine.Write {
	all := map[string]string{}
	for _, s := range p.Status.ResourceClaimStatuses {
		all[s.Name] = ptr.Deref(s.ResourceClaimName, "")
	}
	maps.Copy(all, names)
	var list []any
	for _, name := range slices.Sorted(maps.Keys(all)) {
		entry := map[string]any{"name": name}
		if all[name] != "" {
			entry["resourceClaimName"] = all[name]
		}
		list = append(list, entry)
	}
	return engine.NewApply(corev1.SchemeGroupVersion.WithKind("Pod"), pods.Resource(), p, manager, map[string]any{
		"status": map[string]any{"resourceClaimStatuses": list},
	}, "status")
}

// reserve reserves the allocated claims of a pod that has a node.
func reserve(view client.View, p *corev1.Pod) (plan engine.Plan) {
	for i := range p.Spec.ResourceClaims {
		name, owned, err := upstream.Name(p, &p.Spec.ResourceClaims[i])
		if err != nil || name == nil {
			continue
		}
		c, ok := view.Get(claims(), p.Namespace, *name).(*resourcev1.ResourceClaim)
		switch {
		case !ok, c.Status.Allocation == nil:
			plan.After, plan.Waiting = soon, "claim "+*name+" to be allocated"
		case owned && upstream.IsForPod(p, c, false) != nil, upstream.IsReservedForPod(p, c, false), len(c.Status.ReservedFor) >= resourcev1.ResourceClaimReservedForMaxSize:
		default:
			next := c.DeepCopy()
			next.Status.ReservedFor = append(next.Status.ReservedFor, resourcev1.ResourceClaimConsumerReference{Resource: "pods", Name: p.Name, UID: p.UID})
			plan.Writes = append(plan.Writes, engine.NewUpdate(claims(), next, "status"))
		}
	}
	return plan
}

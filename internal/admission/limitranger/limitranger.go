// Package limitranger is the admission plug-in LimitRanger: pods and volume claims keep to the limit ranges of their namespace, and containers that say nothing
// of a resource get what the ranges say.
//
// # Laws
//
//   - A new pod's containers are given defaults, which an annotation tells; a resized pod's too. Then pods, containers and claims are held against the ranges,
//     and all that is wrong by one range is told at once.
//   - Objects that are being deleted are left alone. Ranges are read in the order of their names; upstream's is none.
package limitranger

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	resourcehelper "k8s.io/component-helpers/resource"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/quota"
)

// New returns the plug-in.
func New() admission.Plugin {
	return admission.Plugin{
		Name: "LimitRanger",
		Admit: func(_ context.Context, a *admission.Attributes) error {
			pod, ok := a.Object.(*corev1.Pod)
			return each(a, func(r *corev1.LimitRange) error {
				if ok {
					complete(pod, r)
				}
				return nil
			})
		},
		Validate: func(_ context.Context, a *admission.Attributes) error {
			return each(a, func(r *corev1.LimitRange) error {
				switch obj := a.Object.(type) {
				case *corev1.Pod:
					return judgePod(obj, r)
				case *corev1.PersistentVolumeClaim:
					return judgeClaim(obj, r)
				}
				return nil
			})
		},
	}
}

// concerns says whether a write is held against limit ranges. What containers a pod has is not changed by a plain update.
func concerns(a *admission.Attributes) bool {
	if old, ok := a.Old.(metav1.Object); ok && old.GetDeletionTimestamp() != nil {
		return false
	}
	change := a.Operation == admission.Create || a.Operation == admission.Update
	return a.Is("", "pods", "") && a.Operation == admission.Create || a.Is("", "pods", "resize") && a.Operation == admission.Update ||
		a.Is("", "persistentvolumeclaims", "") && change
}

// each calls f with every limit range of the namespace, until one refuses.
func each(a *admission.Attributes, f func(*corev1.LimitRange) error) (err error) {
	if !concerns(a) {
		return nil
	}
	a.See.Each(corev1.SchemeGroupVersion.WithResource("limitranges"), a.Namespace, func(obj kinds.Object) bool {
		if bad := f(obj.(*corev1.LimitRange)); bad != nil {
			err = a.Forbid(bad)
		}
		return err == nil
	})
	return err
}

// complete gives containers what they do not say themselves.
func complete(pod *corev1.Pod, r *corev1.LimitRange) {
	var requests, limits corev1.ResourceList
	for _, item := range r.Spec.Limits {
		if item.Type == corev1.LimitTypeContainer {
			requests, limits = merge(requests, item.DefaultRequest), merge(limits, item.Default)
		}
	}
	var told []string
	fill := func(list []corev1.Container, what string) {
		for i := range list {
			c := &list[i]
			if given := missing(&c.Resources.Requests, requests); given != "" {
				told = append(told, fmt.Sprintf("%s request for %s %s", given, what, c.Name))
			}
			if given := missing(&c.Resources.Limits, limits); given != "" {
				told = append(told, fmt.Sprintf("%s limit for %s %s", given, what, c.Name))
			}
		}
	}
	fill(pod.Spec.Containers, "container")
	fill(pod.Spec.InitContainers, "init container")
	if len(told) > 0 {
		metav1.SetMetaDataAnnotation(&pod.ObjectMeta, "kubernetes.io/limit-ranger", "LimitRanger plugin set: "+strings.Join(told, "; "))
	}
}

// merge puts more over list.
func merge(list, more corev1.ResourceList) corev1.ResourceList {
	if list == nil {
		list = corev1.ResourceList{}
	}
	for name, q := range more {
		list[name] = q
	}
	return list
}

// missing adds to list what it lacks of defaults, and says which: "cpu, memory".
func missing(list *corev1.ResourceList, defaults corev1.ResourceList) string {
	var added []string
	for _, name := range quota.Names(defaults) {
		if _, has := (*list)[name]; has {
			continue
		}
		if *list == nil {
			*list = corev1.ResourceList{}
		}
		(*list)[name] = defaults[name].DeepCopy()
		added = append(added, string(name))
	}
	return strings.Join(added, ", ")
}

func judgePod(pod *corev1.Pod, r *corev1.LimitRange) error {
	var errs []error
	for _, item := range r.Spec.Limits {
		switch item.Type {
		case corev1.LimitTypeContainer:
			for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
				errs = append(errs, judge(item, c.Resources.Requests, c.Resources.Limits)...)
			}
		case corev1.LimitTypePod:
			opts := resourcehelper.PodResourcesOptions{ExcludeOverhead: true}
			errs = append(errs, judge(item, resourcehelper.PodRequests(pod, opts), resourcehelper.PodLimits(pod, opts))...)
		}
	}
	return utilerrors.NewAggregate(errs)
}

func judgeClaim(pvc *corev1.PersistentVolumeClaim, r *corev1.LimitRange) error {
	var errs []error
	for _, item := range r.Spec.Limits {
		if item.Type != corev1.LimitTypePersistentVolumeClaim {
			continue
		}
		asked := pvc.Spec.Resources.Requests
		for _, name := range quota.Names(item.Min) {
			errs = append(errs, atLeast(item.Type, name, item.Min[name], asked, nil))
		}
		for _, name := range quota.Names(item.Max) {
			errs = append(errs, asksAtMost(item.Type, name, item.Max[name], asked))
		}
	}
	return utilerrors.NewAggregate(errs)
}

// judge holds requests and limits against one item of a range. Some of what it returns may be nil.
func judge(item corev1.LimitRangeItem, requests, limits corev1.ResourceList) (errs []error) {
	for _, name := range quota.Names(item.Min) {
		errs = append(errs, atLeast(item.Type, name, item.Min[name], requests, limits))
	}
	for _, name := range quota.Names(item.Max) {
		errs = append(errs, atMost(item.Type, name, item.Max[name], requests, limits))
	}
	for _, name := range quota.Names(item.MaxLimitRequestRatio) {
		errs = append(errs, ratio(item.Type, name, item.MaxLimitRequestRatio[name], requests, limits))
	}
	return errs
}

// compare compares as upstream does: by the thousandth where that fits in 64 bits, else by whole numbers, rounded up.
func compare(a, b resource.Quantity) int {
	if a.Value() <= resource.MaxMilliValue && b.Value() <= resource.MaxMilliValue {
		return cmp.Compare(a.MilliValue(), b.MilliValue())
	}
	return cmp.Compare(a.Value(), b.Value())
}

func atLeast(of corev1.LimitType, name corev1.ResourceName, least resource.Quantity, requests, limits corev1.ResourceList) error {
	asked, asks := requests[name]
	limit, limited := limits[name]
	switch {
	case !asks:
		return fmt.Errorf("minimum %s usage per %s is %s.  No request is specified", name, of, least.String())
	case compare(asked, least) < 0:
		return fmt.Errorf("minimum %s usage per %s is %s, but request is %s", name, of, least.String(), asked.String())
	case limited && compare(limit, least) < 0:
		return fmt.Errorf("minimum %s usage per %s is %s, but limit is %s", name, of, least.String(), limit.String())
	}
	return nil
}

func atMost(of corev1.LimitType, name corev1.ResourceName, most resource.Quantity, requests, limits corev1.ResourceList) error {
	asked, asks := requests[name]
	limit, limited := limits[name]
	switch {
	case !limited:
		return fmt.Errorf("maximum %s usage per %s is %s.  No limit is specified", name, of, most.String())
	case compare(limit, most) > 0:
		return fmt.Errorf("maximum %s usage per %s is %s, but limit is %s", name, of, most.String(), limit.String())
	case asks && compare(asked, most) > 0:
		return fmt.Errorf("maximum %s usage per %s is %s, but request is %s", name, of, most.String(), asked.String())
	}
	return nil
}

// asksAtMost is atMost where only requests count.
func asksAtMost(of corev1.LimitType, name corev1.ResourceName, most resource.Quantity, requests corev1.ResourceList) error {
	asked, asks := requests[name]
	switch {
	case !asks:
		return fmt.Errorf("maximum %s usage per %s is %s.  No request is specified", name, of, most.String())
	case compare(asked, most) > 0:
		return fmt.Errorf("maximum %s usage per %s is %s, but request is %s", name, of, most.String(), asked.String())
	}
	return nil
}

// ratio refuses a limit that is too many times what is asked.
func ratio(of corev1.LimitType, name corev1.ResourceName, most resource.Quantity, requests, limits corev1.ResourceList) error {
	asked, limit := requests[name], limits[name]
	switch {
	case asked.IsZero():
		return fmt.Errorf("%s max limit to request ratio per %s is %s, but no request is specified or request is 0", name, of, most.String())
	case limit.IsZero():
		return fmt.Errorf("%s max limit to request ratio per %s is %s, but no limit is specified or limit is 0", name, of, most.String())
	}
	var found float64
	if asked.Value() <= resource.MaxMilliValue && limit.Value() <= resource.MaxMilliValue && most.Value() <= resource.MaxMilliValue {
		found = float64(limit.MilliValue()) / float64(asked.MilliValue())
	} else {
		found = float64(limit.Value()) / float64(asked.Value())
	}
	scaled, bound := found, float64(most.Value())
	if most.Value() <= resource.MaxMilliValue {
		scaled, bound = found*1000, float64(most.MilliValue())
	}
	if scaled > bound {
		return fmt.Errorf("%s max limit to request ratio per %s is %s, but provided ratio is %f", name, of, most.String(), found)
	}
	return nil
}

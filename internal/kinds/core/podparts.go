package core

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// bindPod gives a pod its node. Its annotations and labels come along, and it counts as scheduled.
func bindPod(env kinds.Env, obj kinds.Object, body runtime.Object, _ kinds.Call) (none kinds.Effect, err error) {
	pod, b := obj.(*corev1.Pod), body.(*corev1.Binding)
	refuse := func(format string, args ...any) (kinds.Effect, error) {
		return none, apierrors.NewConflict(corev1.Resource("pods/binding"), pod.Name, fmt.Errorf(format, args...))
	}
	switch {
	case b.UID != "" && b.UID != pod.UID:
		return none, otherPod(pod, "UID", b.UID, pod.UID)
	case b.ResourceVersion != "" && b.ResourceVersion != pod.ResourceVersion:
		return none, otherPod(pod, "ResourceVersion", b.ResourceVersion, pod.ResourceVersion)
	case pod.DeletionTimestamp != nil:
		return refuse("pod %s is being deleted, cannot be assigned to a host", pod.Name)
	case pod.Spec.NodeName != "":
		return refuse("pod %v is already assigned to node %q", pod.Name, pod.Spec.NodeName)
	case len(pod.Spec.SchedulingGates) > 0:
		return refuse("pod %v has non-empty .spec.schedulingGates", pod.Name)
	}
	pod.Spec.NodeName = b.Target.Name
	for k, v := range b.Annotations {
		if pod.Annotations == nil {
			pod.Annotations = map[string]string{}
		}
		pod.Annotations[k] = v
	}
	for k, v := range b.Labels {
		if pod.Labels == nil {
			pod.Labels = map[string]string{}
		}
		pod.Labels[k] = v
	}
	scheduled := corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, ObservedGeneration: 0, LastTransitionTime: metav1.NewTime(env.Now).Rfc3339Copy()}
	if i := conditionAt(pod.Status.Conditions, corev1.PodScheduled); i >= 0 {
		pod.Status.Conditions[i] = scheduled
	} else {
		pod.Status.Conditions = append(pod.Status.Conditions, scheduled)
	}
	pod.Status.NominatedNodeName = ""
	return none, nil
}

// otherPod says that pod is not the one that a binding means, as upstream's storage tells it.
func otherPod(pod *corev1.Pod, what string, wanted, found any) error {
	return apierrors.NewConflict(corev1.Resource("pods"), pod.Name, fmt.Errorf("StorageError: invalid object, Code: 4, Key: /registry/pods/%[1]s/%[2]s, ResourceVersion: 0, "+
		"AdditionalErrorMsg: Precondition failed: %[3]s in precondition: %[4]v, %[3]s in object meta: %[5]v", pod.Namespace, pod.Name, what, wanted, found))
}

// validBinding says what is wrong with a binding; upstream gives the error no class.
func validBinding(body runtime.Object) error {
	b := body.(*corev1.Binding)
	var errs field.ErrorList
	target := field.NewPath("target")
	if kind := b.Target.Kind; kind != "" && kind != "Node" {
		errs = append(errs, field.NotSupported(target.Child("kind"), kind, []string{"Node", "<empty>"}))
	}
	if b.Target.Name == "" {
		errs = append(errs, field.Required(target.Child("name"), ""))
	}
	if len(errs) == 0 {
		return nil
	}
	return errs.ToAggregate()
}

// podLog says where a container's log is: on the pod's node, below /containerLogs.
func podLog(obj kinds.Object, query url.Values) (node, path string, rest url.Values, err error) {
	pod := obj.(*corev1.Pod)
	if errs := validateLogOptions(query); len(errs) > 0 {
		return "", "", nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("PodLogOptions").GroupKind(), pod.Name, errs)
	}
	container, err := logContainer(pod, query.Get("container"))
	if err != nil {
		return "", "", nil, err
	}
	rest = url.Values{}
	for _, name := range []string{"follow", "previous", "timestamps", "sinceSeconds", "sinceTime", "tailLines", "limitBytes", "stream"} {
		if v, ok := query[name]; ok {
			rest[name] = v
		}
	}
	return pod.Spec.NodeName, "/containerLogs/" + pod.Namespace + "/" + pod.Name + "/" + container, rest, nil
}

func logContainer(pod *corev1.Pod, name string) (string, error) {
	var names []string
	for _, c := range pod.Spec.InitContainers {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.Containers {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.EphemeralContainers {
		names = append(names, c.Name)
	}
	switch {
	case name != "" && slices.Contains(names, name):
		return name, nil
	case name != "":
		return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", name, pod.Name))
	case len(pod.Spec.Containers) == 1:
		return pod.Spec.Containers[0].Name, nil
	}
	return "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s, choose one of: %s", pod.Name, names))
}

func validateLogOptions(query url.Values) (errs field.ErrorList) {
	number := func(name string, least int64, detail string) {
		text := query.Get(name)
		if text == "" {
			return
		}
		if n, err := strconv.ParseInt(text, 10, 64); err != nil {
			errs = append(errs, field.Invalid(field.NewPath(name), text, err.Error()))
		} else if n < least {
			errs = append(errs, field.Invalid(field.NewPath(name), n, detail))
		}
	}
	number("tailLines", 0, "must be greater than or equal to 0")
	number("limitBytes", 1, "must be greater than 0")
	number("sinceSeconds", 1, "must be greater than 0")
	if t := query.Get("sinceTime"); t != "" {
		if _, err := time.Parse(time.RFC3339, t); err != nil {
			errs = append(errs, field.Invalid(field.NewPath("sinceTime"), t, err.Error()))
		}
		if query.Get("sinceSeconds") != "" {
			errs = append(errs, field.Forbidden(field.NewPath(""), "at most one of `sinceTime` or `sinceSeconds` may be specified"))
		}
	}
	if s := query.Get("stream"); s != "" && s != "All" {
		errs = append(errs, field.NotSupported(field.NewPath("stream"), s, []string{"All"}))
	}
	return errs
}

// Package pods is the admission plug-ins that look at one pod, and perhaps its node, and need no settings:
//
//   - NodeDeclaredFeatureValidator: a bound pod is not changed in a way that its node does not serve.
//   - AlwaysPullImages: nobody runs an image that another has pulled (off by default).
//   - ExtendedResourceToleration: who asks for an extended resource tolerates the taint of nodes that keep to it (off by default).
//   - PodTopologyLabels: a pod that is bound to a node gets its zone and region as labels.
//   - PodResizeValidator: a bound pod is not resized to more than its node has.
package pods

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/component-helpers/resource"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

// New returns the plug-ins.
func New() []admission.Plugin {
	return []admission.Plugin{
		{Name: "NodeDeclaredFeatureValidator", Validate: servedByNode},
		{Name: "AlwaysPullImages", Admit: pullAlways, Validate: pulledAlways},
		{Name: "ExtendedResourceToleration", Admit: tolerateExtended},
		{Name: "PodTopologyLabels", Admit: labelTopology},
		{Name: "PodResizeValidator", Validate: resizedWithinNode},
	}
}

// changed returns a pod that is made or changed as a whole; nil when the wish is another.
func changed(a *admission.Attributes) *corev1.Pod {
	if !a.Is("", "pods", "") || a.Operation != admission.Create && a.Operation != admission.Update {
		return nil
	}
	pod, _ := a.Object.(*corev1.Pod)
	return pod
}

// newImages returns a pod that runs images that it did not run before; nil when there are none.
func newImages(a *admission.Attributes) *corev1.Pod {
	pod := changed(a)
	old, ok := a.Old.(*corev1.Pod)
	if pod == nil || !ok {
		return pod
	}
	known, fresh := map[string]bool{}, false
	podspec.Containers(&old.Spec, nil, func(c *corev1.Container, _ *field.Path) { known[c.Image] = true })
	podspec.Containers(&pod.Spec, nil, func(c *corev1.Container, _ *field.Path) { fresh = fresh || !known[c.Image] })
	if !fresh {
		return nil
	}
	return pod
}

func pullAlways(_ context.Context, a *admission.Attributes) error {
	pod := newImages(a)
	if pod == nil {
		return nil
	}
	podspec.Containers(&pod.Spec, nil, func(c *corev1.Container, _ *field.Path) { c.ImagePullPolicy = corev1.PullAlways })
	for i := range pod.Spec.Volumes {
		if image := pod.Spec.Volumes[i].Image; image != nil {
			image.PullPolicy = corev1.PullAlways
		}
	}
	return nil
}

func pulledAlways(_ context.Context, a *admission.Attributes) error {
	pod := newImages(a)
	if pod == nil {
		return nil
	}
	var errs []error
	judge := func(policy corev1.PullPolicy, at *field.Path) {
		if policy != corev1.PullAlways {
			errs = append(errs, a.Forbid(field.NotSupported(at, policy, []string{string(corev1.PullAlways)})))
		}
	}
	spec := field.NewPath("spec")
	podspec.Containers(&pod.Spec, spec, func(c *corev1.Container, at *field.Path) { judge(c.ImagePullPolicy, at.Child("imagePullPolicy")) })
	for i, v := range pod.Spec.Volumes {
		if v.Image != nil {
			judge(v.Image.PullPolicy, spec.Child("volumes").Index(i).Child("image", "pullPolicy"))
		}
	}
	return utilerrors.NewAggregate(errs)
}

func tolerateExtended(_ context.Context, a *admission.Attributes) error {
	pod := changed(a)
	if pod == nil {
		return nil
	}
	var names []string
	for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		for name := range c.Resources.Requests {
			if podspec.Extended(name) {
				names = append(names, string(name))
			}
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		want := corev1.Toleration{Key: name, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}
		i := slices.IndexFunc(pod.Spec.Tolerations, func(t corev1.Toleration) bool { return want.MatchToleration(&t) })
		if i < 0 {
			pod.Spec.Tolerations = append(pod.Spec.Tolerations, want)
		} else {
			pod.Spec.Tolerations[i] = want
		}
	}
	return nil
}

// labelTopology labels a binding, whose labels its pod gets, or a pod that is made on a node.
func labelTopology(_ context.Context, a *admission.Attributes) error {
	if a.Operation != admission.Create || a.Resource().GroupResource() != corev1.Resource("pods") {
		return nil
	}
	var node string
	var meta *metav1.ObjectMeta
	switch obj := a.Object.(type) {
	case *corev1.Binding:
		if a.Subresource == "binding" && obj.Target.Kind == "Node" {
			node, meta = obj.Target.Name, &obj.ObjectMeta
		}
	case *corev1.Pod:
		if a.Subresource == "" {
			node, meta = obj.Spec.NodeName, &obj.ObjectMeta
		}
	}
	if node == "" {
		return nil
	}
	for _, key := range []string{corev1.LabelTopologyZone, corev1.LabelTopologyRegion} {
		// Nobody is refused for a node that is not there.
		if value, ok := a.See.Label(corev1.SchemeGroupVersion.WithResource("nodes"), "", node, key); ok {
			metav1.SetMetaDataLabel(meta, key, value)
		}
	}
	return nil
}

func nodeOf(a *admission.Attributes, name string) *corev1.Node {
	n, _ := a.See.Get(corev1.SchemeGroupVersion.WithResource("nodes"), "", name).(*corev1.Node)
	return n
}

func resizedWithinNode(_ context.Context, a *admission.Attributes) error {
	if a.Operation != admission.Update || !a.Is("", "pods", "resize") {
		return nil
	}
	pod, isPod := a.Object.(*corev1.Pod)
	old, hadPod := a.Old.(*corev1.Pod)
	if !isPod || !hadPod || pod.Spec.NodeName == "" || old.Generation == pod.Generation {
		return nil
	}
	n := nodeOf(a, pod.Spec.NodeName)
	if n == nil {
		return a.Forbidf("node %q not found", pod.Spec.NodeName)
	}
	if system, ok := n.Labels[corev1.LabelOSStable]; ok && system != "linux" {
		return because(a.Forbidf("pod resize is only supported on linux nodes, node %q is %q", n.Name, system), "UnsupportedPlatform")
	}
	requests := resource.PodRequests(pod, resource.PodResourcesOptions{})
	var over []string
	if has := n.Status.Allocatable.Cpu(); requests.Cpu().Cmp(*has) > 0 {
		over = append(over, fmt.Sprintf("cpu, requested: %d, allocatable: %d", requests.Cpu().MilliValue(), has.MilliValue()))
	}
	if has := n.Status.Allocatable.Memory(); requests.Memory().Cmp(*has) > 0 {
		over = append(over, fmt.Sprintf("memory, requested: %d, allocatable: %d", requests.Memory().Value(), has.Value()))
	}
	if len(over) == 0 {
		return nil
	}
	return because(a.Forbidf("node didn't have enough allocatable resources: %s", strings.Join(over, "; ")), "NodeCapacity")
}

// because adds a cause to a refusal.
func because(err error, cause metav1.CauseType) error {
	if status, ok := err.(*apierrors.StatusError); ok { //nolint:errorlint // Forbidf's own
		status.ErrStatus.Details.Causes = append(status.ErrStatus.Details.Causes, metav1.StatusCause{Type: cause})
	}
	return err
}

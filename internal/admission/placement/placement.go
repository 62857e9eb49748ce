// Package placement is two admission plug-ins, off by default, by which namespaces say to which nodes their pods may go:
//
//   - PodNodeSelector: a new pod gets the node selector of its namespace, and has no other labels in its own than the cluster's settings allow the namespace.
//   - PodTolerationRestriction: a pod gets the tolerations of its namespace, and has none that the namespace, or else the cluster, does not allow.
//
// Namespaces say so by annotations; where one does not, the cluster's settings hold.
//
// # Laws
//
//   - What a plug-in requires is held against the pod twice: when it has added its own, and when all others have changed the pod.
//   - An annotation that nobody understands refuses every pod of its namespace, with what is wrong with it.
package placement

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

// The annotations of namespaces, by upstream's names.
const (
	selectorKey = "scheduler.alpha.kubernetes.io/node-selector"
	defaultsKey = "scheduler.alpha.kubernetes.io/defaultTolerations"
	allowedKey  = "scheduler.alpha.kubernetes.io/tolerationsWhitelist"
)

// ClusterSelector is the key of Selectors that holds for namespaces without an annotation.
const ClusterSelector = "clusterDefaultNodeSelector"

// Settings are those of both plug-ins. They are only read; the zero value asks nothing of pods.
type Settings struct {
	// Selectors are label selectors of the form a=b,c=d: that of ClusterSelector, and under a namespace's name all labels that selectors of its pods may have.
	Selectors map[string]string
	// Default are the tolerations that new pods get, Allowed those that pods may have; none: all are.
	Default, Allowed []corev1.Toleration
}

// New returns the plug-ins.
func New(s Settings) []admission.Plugin {
	return []admission.Plugin{
		{Name: "PodNodeSelector", Admit: s.addSelector, Validate: s.selected},
		{Name: "PodTolerationRestriction", Admit: s.tolerate, Validate: s.tolerates},
	}
}

// podOf is the pod that is made, or changed as a whole; nil when the wish is another.
func podOf(a *admission.Attributes) *corev1.Pod {
	if !a.Is("", "pods", "") || a.Operation != admission.Create && a.Operation != admission.Update {
		return nil
	}
	pod, _ := a.Object.(*corev1.Pod)
	return pod
}

var errConflict = errors.New("pod node label selector conflicts with its namespace node label selector")

// compatible is the pod that is to be created, whose node selector does not contradict its namespace's, and the namespace's. The pod is nil when the wish is
// none to create a pod.
func (s Settings) compatible(a *admission.Attributes) (*corev1.Pod, labels.Set, error) {
	pod := podOf(a)
	if pod == nil || a.Operation != admission.Create {
		return nil, nil, nil
	}
	wanted, err := s.selectorOf(a)
	if err != nil {
		return nil, nil, err
	}
	if labels.Conflicts(wanted, pod.Spec.NodeSelector) {
		return nil, nil, forbid(pod, errConflict)
	}
	return pod, wanted, nil
}

func (s Settings) addSelector(_ context.Context, a *admission.Attributes) error {
	pod, wanted, err := s.compatible(a)
	if pod == nil || err != nil {
		return err
	}
	pod.Spec.NodeSelector = labels.Merge(wanted, pod.Spec.NodeSelector)
	return s.whitelisted(pod, a.Namespace)
}

func (s Settings) selected(_ context.Context, a *admission.Attributes) error {
	pod, _, err := s.compatible(a)
	if pod == nil || err != nil {
		return err
	}
	return s.whitelisted(pod, a.Namespace)
}

// whitelisted holds a pod's node selector against what the settings allow in its namespace.
func (s Settings) whitelisted(pod *corev1.Pod, namespace string) error {
	allowed, err := labels.ConvertSelectorToLabelsMap(s.Selectors[namespace])
	if err != nil || len(allowed) == 0 {
		return err
	}
	for key, value := range pod.Spec.NodeSelector {
		if may, ok := allowed[key]; !ok || may != value {
			return forbid(pod, errors.New("pod node label selector labels conflict with its namespace whitelist"))
		}
	}
	return nil
}

// forbid refuses a pod by its own name, which one that is to be named by the server does not have.
func forbid(pod *corev1.Pod, why error) error {
	return apierrors.NewForbidden(corev1.Resource("pods"), pod.Name, why)
}

// selectorOf is the node selector of the wish's namespace.
func (s Settings) selectorOf(a *admission.Attributes) (labels.Set, error) {
	ns := a.NamespaceObject()
	if ns == nil {
		return nil, apierrors.NewInternalError(fmt.Errorf("namespace %s does not exist", a.Namespace))
	}
	text, ok := ns.Annotations[selectorKey]
	if !ok {
		text = s.Selectors[ClusterSelector]
	}
	return labels.ConvertSelectorToLabelsMap(text)
}

func (s Settings) tolerate(ctx context.Context, a *admission.Attributes) error {
	pod := podOf(a)
	if pod == nil {
		return nil
	}
	var extra []corev1.Toleration
	if a.Operation == admission.Create {
		var err error
		if extra, _, err = annotated(a, defaultsKey, s.Default); err != nil {
			return err
		}
	}
	if podspec.ClassOf(pod) != corev1.PodQOSBestEffort {
		pressed := corev1.Toleration{Key: corev1.TaintNodeMemoryPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}
		extra = append(extra[:len(extra):len(extra)], pressed)
	}
	if len(extra) > 0 {
		pod.Spec.Tolerations = podspec.MergeTolerations(pod.Spec.Tolerations, extra)
	}
	return s.tolerates(ctx, a)
}

func (s Settings) tolerates(_ context.Context, a *admission.Attributes) error {
	pod := podOf(a)
	if pod == nil || len(pod.Spec.Tolerations) == 0 {
		return nil
	}
	allowed, scope, err := annotated(a, allowedKey, s.Allowed)
	if err != nil {
		return err
	}
	if !podspec.AllCovered(pod.Spec.Tolerations, allowed) {
		return fmt.Errorf("pod tolerations (possibly merged with namespace default tolerations) conflict with its %s whitelist", scope)
	}
	return nil
}

// annotated are the tolerations that the wish's namespace has in an annotation, or else the cluster's, and whose they are. An annotation that is empty is a list
// without any.
func annotated(a *admission.Attributes, key string, cluster []corev1.Toleration) (list []corev1.Toleration, scope string, err error) {
	ns := a.NamespaceObject()
	if ns == nil {
		return nil, "", apierrors.NewNotFound(corev1.Resource("namespaces"), a.Namespace)
	}
	text, ok := ns.Annotations[key]
	switch {
	case !ok:
		return cluster, "cluster", nil
	case text == "":
		return nil, "namespace", nil
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, "", err
	}
	return list, "namespace", nil
}

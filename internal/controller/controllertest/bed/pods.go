package bed

import (
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/client"
)

func podResource() client.Resource { return corev1.SchemeGroupVersion.WithResource("pods") }

// Pods are those of a namespace, as they are now.
func (b *Bed) Pods(namespace string) (list []*corev1.Pod) {
	b.Helper()
	view, err := b.Client.View(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for obj := range view.List(podResource(), namespace) {
		list = append(list, obj.(*corev1.Pod))
	}
	return list
}

// Run lets a pod, given as it is now, go one step on: to the node that its affinity names, or n, to running and ready, and when it is being deleted away. It says whether there was one
// to go.
func (b *Bed) Run(p *corev1.Pod) bool {
	b.Helper()
	switch {
	case p.DeletionTimestamp != nil:
		b.End(p)
	case p.Spec.NodeName == "":
		errs := b.Client.Bind(b.Context(), []*corev1.Binding{{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: nodeFor(p)}}})
		if errs[0] != nil {
			b.Fatal(errs[0])
		}
	case p.Status.Phase == corev1.PodPending:
		b.Ready(p, true)
	default:
		return false
	}
	return true
}

// nodeFor is the node that a pod's required affinity names, as those of daemon sets do; otherwise n.
func nodeFor(p *corev1.Pod) string {
	a := p.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return "n"
	}
	for _, term := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, r := range term.MatchFields {
			return r.Values[0]
		}
	}
	return "n"
}

// End takes a pod away at once.
func (b *Bed) End(p *corev1.Pod) {
	b.Helper()
	_, err := b.Client.Delete(b.Context(), podResource(), p.Namespace, p.Name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)})
	if err != nil && !apierrors.IsNotFound(err) {
		b.Fatal(err)
	}
}

// Ready makes a pod run, ready from now on or not.
func (b *Bed) Ready(p *corev1.Pod, ready bool) {
	b.Helper()
	c := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(b.Clock.Now())}
	if ready {
		c.Status = corev1.ConditionTrue
	}
	Change(b, podResource(), p.Namespace, p.Name, "status", func(p *corev1.Pod) {
		p.Status.Phase, p.Status.Conditions = corev1.PodRunning, []corev1.PodCondition{c}
	})
}

// Fail makes a pod fail.
func (b *Bed) Fail(p *corev1.Pod) {
	b.Helper()
	Change(b, podResource(), p.Namespace, p.Name, "status", func(p *corev1.Pod) { p.Status.Phase, p.Status.Conditions = corev1.PodFailed, nil })
}

// Rest lets the controllers and every pod go on until nothing is to be done.
func (b *Bed) Rest(namespace string) {
	b.Helper()
	for range 1000 {
		b.Settle()
		moved := false
		for _, p := range b.Pods(namespace) {
			moved = b.Run(p) || moved
		}
		if !moved {
			return
		}
	}
	b.Fatal("pods come and go without end")
}

package pods

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// nameMost is how long a generated name's beginning may be to be one of its own.
const nameMost = 253

// FromTemplate makes a pod for an owner, whose name its own begins with.
func FromTemplate(template *corev1.PodTemplateSpec, owner kinds.Object, ref metav1.OwnerReference) *corev1.Pod {
	t := template.DeepCopy()
	prefix := owner.GetName() + "-"
	if len(prefix) > nameMost { // a prefix that is no valid name alone is left as upstream leaves it
		prefix = owner.GetName()
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: owner.GetNamespace(), GenerateName: prefix, Labels: t.Labels, Annotations: t.Annotations, Finalizers: t.Finalizers,
			OwnerReferences: []metav1.OwnerReference{ref},
		},
		Spec: t.Spec,
	}
}

// Creations make pods in growing batches that follow the batch first-1, and tell of it in events about the owner: nothing when its namespace is being deleted.
func Creations(about corev1.ObjectReference, list []*corev1.Pod, first int) []engine.Write {
	writes := make([]engine.Write, 0, len(list))
	batch, size, room := first, 1, 1
	for _, p := range list {
		if room == 0 {
			size *= 2
			batch, room = batch+1, size
		}
		room--
		w := engine.NewCreate(Resource(), p)
		w.Batch = batch
		w.Event = func(stored kinds.Object, err error) *engine.Event {
			switch {
			case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
				return nil
			case err != nil:
				return &engine.Event{About: about, Type: corev1.EventTypeWarning, Reason: "FailedCreate", Message: fmt.Sprintf("Error creating: %v", err)}
			}
			return &engine.Event{About: about, Type: corev1.EventTypeNormal, Reason: "SuccessfulCreate", Message: "Created pod: " + stored.GetName()}
		}
		writes = append(writes, w)
	}
	return writes
}

// Deletions delete pods together, as the given batch, and tell of it in events about the owner.
func Deletions(about corev1.ObjectReference, list []*corev1.Pod, batch int) []engine.Write {
	writes := make([]engine.Write, 0, len(list))
	for _, p := range list {
		w := engine.NewDelete(Resource(), p, "")
		w.Batch = batch
		w.Event = func(_ kinds.Object, err error) *engine.Event {
			if err != nil {
				return &engine.Event{About: about, Type: corev1.EventTypeWarning, Reason: "FailedDelete", Message: fmt.Sprintf("Error deleting: %v", err)}
			}
			return &engine.Event{About: about, Type: corev1.EventTypeNormal, Reason: "SuccessfulDelete", Message: "Deleted pod: " + p.Name}
		}
		writes = append(writes, w)
	}
	return writes
}

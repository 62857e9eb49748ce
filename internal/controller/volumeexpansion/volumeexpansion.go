// Package volumeexpansion says of claims that ask for more than they have who will make their volumes grow.
//
// # Vocabulary and laws
//
// A claim grows when it is bound and asks for more than its status says that it has. An external controller, the resizer of the volume's driver, makes it grow; here nothing
// grows by itself, as floe has no volume plug-ins in its own tree. A claim whose volume is of a plug-in of upstream's that a driver has taken over is annotated with
// that driver (volume.kubernetes.io/storage-resizer), which it waits for.
//
// A claim is told of when it begins to grow, when it asks for still more, or was given less than it asks for: not when it changes otherwise.
//
// # What it leaves to others
//
// Sizes of volumes and of claims' status, their conditions and what becomes of failures belong to the external resizer and to the node.
package volumeexpansion

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	csitranslation "k8s.io/csi-translation-lib"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

const (
	resizer   = "volume.kubernetes.io/storage-resizer"
	preResize = "volume.alpha.kubernetes.io/pre-resize-capacity"
)

func claims() client.Resource {
	return corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")
}
func volumes() client.Resource {
	return corev1.SchemeGroupVersion.WithResource("persistentvolumes")
}

// New returns the controller.
func New() engine.Controller {
	return engine.Controller{
		Name: "persistentvolume-expander", Component: "volume_expand", User: "system:serviceaccount:kube-system:expand-controller", Queue: "volume_expand",
		Inputs:  []engine.Input{{Resource: claims(), Keys: keys}, {Resource: volumes()}},
		Outputs: []engine.Output{{Resource: claims(), Fields: []string{"metadata.annotations[" + resizer + "]"}}},
		Workers: 10,
		Reconcile: func(view client.View, key engine.Key, _ time.Time) (engine.Plan, error) {
			c, ok := view.Get(claims(), key.Namespace, key.Name).(*corev1.PersistentVolumeClaim)
			if !ok {
				return engine.Plan{}, nil
			}
			v, _ := view.Get(volumes(), "", c.Spec.VolumeName).(*corev1.PersistentVolume)
			return decide(c, v), nil
		},
	}
}

// keys are bound claims, when they are seen first, ask for more or have got more.
func keys(_ client.View, ch client.Change) []engine.Key {
	c, ok := ch.New.(*corev1.PersistentVolumeClaim)
	if !ok || c.Status.Phase != corev1.ClaimBound {
		return nil
	}
	if old, ok := ch.Old.(*corev1.PersistentVolumeClaim); ok &&
		c.Spec.Resources.Requests.Storage().Cmp(*old.Spec.Resources.Requests.Storage()) <= 0 && c.Status.Capacity.Storage().Cmp(*old.Status.Capacity.Storage()) <= 0 {
		return nil
	}
	return []engine.Key{{Resource: claims(), Namespace: c.Namespace, Name: c.Name}}
}

// decide is about a claim and its volume, which is nil when there is none.
func decide(c *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) engine.Plan {
	switch {
	case v == nil:
		return engine.Plan{Failed: fmt.Errorf("failed to get PV %q: persistentvolumes %q not found", c.Spec.VolumeName, c.Spec.VolumeName)}
	case v.Spec.ClaimRef == nil || v.Spec.ClaimRef.Namespace != c.Namespace || v.Spec.ClaimRef.UID != c.UID:
		return engine.Plan{Failed: fmt.Errorf("persistent Volume is not bound to PVC being updated : %s/%s", c.Namespace, c.Name)}
	case c.Spec.Resources.Requests.Storage().Cmp(*c.Status.Capacity.Storage()) <= 0 && v.Annotations[preResize] == "":
		return engine.Plan{}
	}
	tell := func(message string) engine.Plan {
		return engine.Plan{Waiting: message, Events: []engine.Event{{
			About: engine.Refer("v1", "PersistentVolumeClaim", c), Type: corev1.EventTypeNormal, Reason: "ExternalExpanding", Message: message,
		}}}
	}
	plugin, driver := takenOver(v)
	if driver == "" {
		return tell("waiting for an external controller to expand this PVC")
	}
	plan := tell(fmt.Sprintf("CSI migration enabled for %s; waiting for external resizer to expand the pvc", plugin))
	if c.Annotations[resizer] != driver {
		plan.Writes = []engine.Write{engine.NewPatch(claims(), c, map[string]any{"metadata": map[string]any{"annotations": map[string]any{resizer: driver}}})}
		plan.Writes[0].Subresource = "status" // the right that upstream's controller has
	}
	return plan
}

// takenOver are the plug-in of upstream's that a volume is of and the driver that stands for it; "": none does.
func takenOver(v *corev1.PersistentVolume) (plugin, driver string) {
	t := csitranslation.New()
	plugin, err := t.GetInTreePluginNameFromSpec(v, nil)
	if err != nil {
		return "", ""
	}
	if driver, err = t.GetCSINameFromInTreeName(plugin); err != nil {
		return "", ""
	}
	return plugin, driver
}

package volumes

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// zone is VolumeZone: labels of volumes that say where they are, as volumes had before they had affinity.
type zone struct{ x *Index }

var _ place.Rule = zone{}

// Name implements place.Rule.
func (zone) Name() string { return VolumeZone }

var statusZone = refuse(place.Unresolvable, reasonZone)

// zoneLabel is a label that says where things are, and what it is called today.
type zoneLabel struct{ key, today string }

func zoneLabels() [4]zoneLabel {
	return [...]zoneLabel{
		{corev1.LabelFailureDomainBetaZone, corev1.LabelTopologyZone}, {corev1.LabelFailureDomainBetaRegion, corev1.LabelTopologyRegion},
		{corev1.LabelTopologyZone, corev1.LabelTopologyZone}, {corev1.LabelTopologyRegion, corev1.LabelTopologyRegion},
	}
}

// where is one place that a volume is in, or several that are as good.
type where struct {
	zoneLabel
	values []string
}

// Prepare implements place.Rule.
func (r zone) Prepare(object *corev1.Pod) (place.Prepared, error) {
	var all []where
	var key keyWriter
	for name, own := range claimNames(object) {
		if own {
			continue
		}
		if name.Name == "" {
			return never(reasonNoClaim), nil
		}
		c, err := r.x.claimNamed(name)
		if err != nil {
			return never(err.Error()), nil
		}
		if c.Spec.VolumeName == "" {
			if reason := r.unassigned(c); reason != "" {
				return never(reason), nil
			}
			continue
		}
		v, err := r.x.volumeNamed(c.Spec.VolumeName)
		if err != nil {
			return never(err.Error()), nil
		}
		for _, l := range zoneLabels() {
			if text, ok := v.object.Labels[l.key]; ok {
				if values := split(text); values != nil {
					all = append(all, where{l, values})
					key.str(l.key)
					key.str(text)
				}
			}
		}
	}
	if len(all) == 0 {
		return place.Prepared{}, nil
	}
	return place.Prepared{Key: key.String(), Filter: func(s place.Site) *place.Status { return filterZone(s.Node.Labels, all) }}, nil
}

// unassigned is why a claim without a volume will not do; "" when it waits.
func (r zone) unassigned(c *corev1.PersistentVolumeClaim) string {
	name := className(c)
	if name == "" {
		return reasonNoClass
	}
	class := r.x.classes[name]
	switch {
	case class == nil || class.object == nil:
		return apierrors.NewNotFound(storagev1.Resource("storageclass"), name).Error()
	case class.object.VolumeBindingMode == nil:
		return modeUnset(name)
	case class.waits():
		return ""
	}
	return reasonNotAssigned
}

// split takes a label's list apart; nil when a part is empty, which makes the label say nothing.
func split(text string) []string {
	values := strings.Split(text, "__")
	for i, v := range values {
		if values[i] = strings.TrimSpace(v); values[i] == "" {
			return nil
		}
	}
	return values
}

// filterZone asks about a node, which will do if it does not say where it is.
func filterZone(set map[string]string, all []where) *place.Status {
	labels := zoneLabels()
	if !slices.ContainsFunc(labels[:], func(l zoneLabel) bool { _, ok := set[l.key]; return ok }) {
		return nil
	}
	for _, w := range all {
		value, ok := set[w.key]
		if !ok {
			value, ok = set[w.today]
		}
		if !ok || !slices.Contains(w.values, value) {
			return statusZone
		}
	}
	return nil
}

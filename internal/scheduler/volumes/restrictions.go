package volumes

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// restrictions is VolumeRestrictions: disks that pods name themselves and that must not be shared, and claims for one pod only.
type restrictions struct{ x *Index }

var _ place.Rule = restrictions{}

// Name implements place.Rule.
func (restrictions) Name() string { return VolumeRestrictions }

var (
	statusDisk    = refuse(place.Unschedulable, reasonDisk)
	statusOncePod = refuse(place.Unschedulable, reasonOncePod)
)

// Prepare implements place.Rule.
func (r restrictions) Prepare(object *corev1.Pod) (place.Prepared, error) {
	var disks []*corev1.Volume
	var alone []string // names of claims for one pod only
	taken := 0         // of them, those that pods have
	for i := range object.Spec.Volumes {
		v := &object.Spec.Volumes[i]
		if restricted(v) {
			disks = append(disks, v)
		}
		if v.PersistentVolumeClaim == nil {
			continue
		}
		name := nameOf(object)
		name.Name = v.PersistentVolumeClaim.ClaimName
		c, err := r.x.claimNamed(name)
		if err != nil {
			return never(err.Error()), nil
		}
		if slices.Contains(c.Spec.AccessModes, corev1.ReadWriteOncePod) && !slices.Contains(alone, c.Name) {
			alone = append(alone, c.Name)
			if r.x.claims[name].inUse() {
				taken++
			}
		}
	}
	if len(disks) == 0 && taken == 0 {
		return place.Prepared{}, nil
	}
	var key keyWriter
	key.num(uint64(taken))
	for _, v := range disks {
		key.str(v.VolumeSource.String())
	}
	key.WriteByte('|')
	for _, name := range alone {
		key.str(name)
	}
	return place.Prepared{Key: key.String(), Filter: func(s place.Site) *place.Status { return r.filter(s, disks, alone, taken) }}, nil
}

func (r restrictions) filter(s place.Site, disks []*corev1.Volume, alone []string, taken int) *place.Status {
	n := r.x.nodes[s.Node.Name]
	if n == nil {
		n = &node{}
	}
	for p := range n.pods {
		if s.Gone(p.object.UID) {
			taken -= p.names(alone)
		}
	}
	for p := range r.x.around(n, s) {
		if p.node == nil {
			taken += p.names(alone)
		}
		for _, v := range disks {
			if slices.ContainsFunc(p.disks, func(other corev1.Volume) bool { return clash(v, &other) }) {
				return statusDisk
			}
		}
	}
	if taken > 0 {
		return statusOncePod
	}
	return nil
}

// names is how many of a pod's volumes name one of some claims. As upstream has it the namespace does not matter.
func (p *pod) names(claims []string) (count int) {
	for _, c := range p.claims {
		if !c.own && slices.Contains(claims, c.name.Name) {
			count++
		}
	}
	return count
}

// restricted says whether a volume names a disk of a kind that must not be shared.
func restricted(v *corev1.Volume) bool {
	return v.GCEPersistentDisk != nil || v.AWSElasticBlockStore != nil || v.RBD != nil || v.ISCSI != nil
}

// clash says whether two pods must not have two volumes on one node.
func clash(a, b *corev1.Volume) bool {
	switch {
	case a.GCEPersistentDisk != nil && b.GCEPersistentDisk != nil:
		one, two := a.GCEPersistentDisk, b.GCEPersistentDisk
		return one.PDName == two.PDName && !(one.ReadOnly && two.ReadOnly)
	case a.AWSElasticBlockStore != nil && b.AWSElasticBlockStore != nil:
		return a.AWSElasticBlockStore.VolumeID == b.AWSElasticBlockStore.VolumeID
	case a.ISCSI != nil && b.ISCSI != nil:
		return a.ISCSI.IQN == b.ISCSI.IQN && !(a.ISCSI.ReadOnly && b.ISCSI.ReadOnly)
	case a.RBD != nil && b.RBD != nil:
		one, two := a.RBD, b.RBD
		shared := slices.ContainsFunc(one.CephMonitors, func(m string) bool { return slices.Contains(two.CephMonitors, m) })
		return shared && one.RBDPool == two.RBDPool && one.RBDImage == two.RBDImage && !(one.ReadOnly && two.ReadOnly)
	}
	return false
}

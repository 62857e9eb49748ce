package statefulset

import (
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/kinds"
)

func number(digits string) int {
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		return -1
	}
	return int(n)
}

// start is the first ordinal.
func start(set *appsv1.StatefulSet) int {
	if set.Spec.Ordinals == nil {
		return 0
	}
	return int(set.Spec.Ordinals.Start)
}

func inRange(set *appsv1.StatefulSet, ordinal int) bool {
	return ordinal >= start(set) && ordinal < start(set)+int(wanted(set))
}

// partition is how many replicas a rolling update leaves alone.
func partition(set *appsv1.StatefulSet) int32 {
	if ru := set.Spec.UpdateStrategy.RollingUpdate; ru != nil && ru.Partition != nil {
		return *ru.Partition
	}
	return 0
}

// member says that a pod's name is one of the set's.
func member(set *appsv1.StatefulSet, p kinds.Object) bool {
	name, _ := parent(p.GetName())
	return name == set.Name
}

func podName(set *appsv1.StatefulSet, ordinal int) string {
	return set.Name + "-" + strconv.Itoa(ordinal)
}

// revisionOf is the name of the revision that a pod was made of; "" when it does not say.
func revisionOf(p *corev1.Pod) string { return p.Labels[appsv1.StatefulSetRevisionLabel] }

// runs says that a pod is running and ready.
func runs(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning && pods.Ready(p) }

// pod makes the pod of an ordinal, of the current revision when a rolling update leaves it alone.
func (r *round) pod(ordinal int) *corev1.Pod {
	template, rev := r.rev.updated, r.rev.update
	kept := int(partition(r.Set))
	if strategy := r.Set.Spec.UpdateStrategy; strategy.RollingUpdate == nil {
		kept = 0
		if strategy.Type == appsv1.RollingUpdateStatefulSetStrategyType {
			kept = int(r.Set.Status.CurrentReplicas)
		}
	}
	if ordinal < r.first+kept {
		template, rev = r.rev.present, r.rev.current
	}
	p := pods.FromTemplate(template, r.Set, *metav1.NewControllerRef(r.Set, kind()))
	p.Name = podName(r.Set, ordinal)
	identify(r.Set, p)
	p.Spec.Hostname, p.Spec.Subdomain = p.Name, r.Set.Spec.ServiceName
	p.Labels[appsv1.StatefulSetRevisionLabel] = rev.Name
	mount(r.Set, p)
	return p
}

// identified says that a pod has its identity.
func identified(set *appsv1.StatefulSet, p *corev1.Pod) bool {
	_, ordinal := parent(p.Name)
	return p.Name == podName(set, ordinal) && p.Labels[appsv1.StatefulSetPodNameLabel] == p.Name
}

// identify gives a pod of the set its identity.
func identify(set *appsv1.StatefulSet, p *corev1.Pod) {
	_, ordinal := parent(p.Name)
	p.Name = podName(set, ordinal)
	if p.Labels == nil {
		p.Labels = map[string]string{}
	}
	p.Labels[appsv1.StatefulSetPodNameLabel] = p.Name
	p.Labels[appsv1.PodIndexLabel] = strconv.Itoa(ordinal)
}

// stored says that a pod's volumes are its claims.
func stored(set *appsv1.StatefulSet, p *corev1.Pod) bool {
	_, ordinal := parent(p.Name)
	for _, t := range set.Spec.VolumeClaimTemplates {
		i := slices.IndexFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == t.Name })
		if i < 0 || p.Spec.Volumes[i].PersistentVolumeClaim == nil || p.Spec.Volumes[i].PersistentVolumeClaim.ClaimName != claimName(set, t.Name, ordinal) {
			return false
		}
	}
	return true
}

// mount makes a pod's claims its volumes, also in the place of others of their names.
func mount(set *appsv1.StatefulSet, p *corev1.Pod) {
	_, ordinal := parent(p.Name)
	volumes := make([]corev1.Volume, 0, len(set.Spec.VolumeClaimTemplates)+len(p.Spec.Volumes))
	for _, t := range set.Spec.VolumeClaimTemplates {
		source := &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claimName(set, t.Name, ordinal)}
		volumes = append(volumes, corev1.Volume{Name: t.Name, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: source}})
	}
	for _, v := range p.Spec.Volumes {
		if !hasTemplate(set, v.Name) {
			volumes = append(volumes, v)
		}
	}
	p.Spec.Volumes = volumes
}

func hasTemplate(set *appsv1.StatefulSet, name string) bool {
	return slices.ContainsFunc(set.Spec.VolumeClaimTemplates, func(t corev1.PersistentVolumeClaim) bool { return t.Name == name })
}

func claimName(set *appsv1.StatefulSet, template string, ordinal int) string {
	return template + "-" + podName(set, ordinal)
}

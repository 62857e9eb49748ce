package deployment

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/floe-k8s/floe/internal/controller/revision"
)

// historyMost is how long, in bytes, the list of a set's former revisions may get.
const historyMost = 2000

// syncRevision gives the new set, made if need be and create allows, the highest revision and the deployment's annotations.
func (r *rollout) syncRevision(create bool) {
	var last int64
	for _, rs := range r.old() {
		n, _ := number(rs, revisionKey)
		last = max(last, n)
	}
	if r.fresh == nil {
		if create {
			r.make(last + 1)
			r.dec.Revision = r.fresh.Annotations[revisionKey]
		}
		return
	}
	annotate(r.d, r.fresh, last+1)
	r.fresh.Spec.MinReadySeconds = r.d.Spec.MinReadySeconds
	r.dec.Revision = r.fresh.Annotations[revisionKey]
	if hasDeadline(r.d) && findCondition(&r.d.Status, appsv1.DeploymentProgressing) == nil {
		r.note(appsv1.DeploymentProgressing, corev1.ConditionTrue, "FoundNewReplicaSet", fmt.Sprintf("Found new replica set %q", r.fresh.Name))
	}
}

// annotate gives a set the deployment's annotations and, when it has a lower one, a revision. A text that is no number is left as it is.
func annotate(d *appsv1.Deployment, rs *appsv1.ReplicaSet, newest int64) {
	if rs.Annotations == nil {
		rs.Annotations = map[string]string{}
	}
	maps.Copy(rs.Annotations, inherited(d))
	was, had := rs.Annotations[revisionKey]
	if n, ok := number(rs, revisionKey); was != "" && !ok || n >= newest {
		return
	}
	rs.Annotations[revisionKey] = strconv.FormatInt(newest, 10)
	if had {
		remember(rs, was)
	}
}

// remember adds a revision to those that the set has been, for which the oldest make room.
func remember(rs *appsv1.ReplicaSet, was string) {
	text := rs.Annotations[historyKey]
	if text == "" {
		rs.Annotations[historyKey] = was
		return
	}
	list := strings.Split(text, ",")
	length := len(text) + len(was) + 1
	for length > historyMost && len(list) > 0 {
		length -= len(list[0]) + 1
		list = list[1:]
	}
	if length <= historyMost {
		rs.Annotations[historyKey] = strings.Join(append(list, was), ",")
	}
}

// make plans the new set, already at the size that the strategy allows at first.
func (r *rollout) make(number int64) {
	t := r.d.Spec.Template.DeepCopy()
	hash := revision.TemplateHash(&r.d.Spec.Template, r.d.Status.CollisionCount)
	if t.Labels == nil {
		t.Labels = map[string]string{}
	}
	t.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	sel := r.d.Spec.Selector.DeepCopy()
	if sel.MatchLabels == nil {
		sel.MatchLabels = map[string]string{}
	}
	sel.MatchLabels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	n := int32(0)
	rs := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.d.Namespace, Name: setName(r.d.Name, hash), Labels: maps.Clone(t.Labels),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(r.d, kind())}},
		Spec: appsv1.ReplicaSetSpec{Replicas: &n, MinReadySeconds: r.d.Spec.MinReadySeconds, Selector: sel, Template: *t},
	}
	annotate(r.d, rs, number)
	r.sets = append(r.sets, rs)
	r.fresh = rs
	r.share(rs, r.newSize())
	if hasDeadline(r.d) {
		r.note(appsv1.DeploymentProgressing, corev1.ConditionTrue, "NewReplicaSetCreated", fmt.Sprintf("Created new replica set %q", rs.Name))
	}
}

// setName is that of a deployment's set; a long deployment's name is cut, so that the whole is a name still.
func setName(deployment, hash string) string {
	return deployment[:min(len(deployment), validation.DNS1123SubdomainMaxLength-1-len(hash))] + "-" + hash
}

// own says that an annotation is of one object only: a set does not inherit it, and a return to a set's template leaves the deployment's.
func own(key string) bool {
	switch key {
	case corev1.LastAppliedConfigAnnotation, revisionKey, historyKey, desiredKey, maxKey, appsv1.DeprecatedRollbackTo:
		return true
	}
	return false
}

// inherited are the deployment's annotations that its sets carry too.
func inherited(d *appsv1.Deployment) map[string]string {
	m := maps.Clone(d.Annotations)
	maps.DeleteFunc(m, func(key, _ string) bool { return own(key) })
	return m
}

// rollbackTo is the revision that the deployment is asked to return to by a deprecated annotation; 0 means the one before.
func rollbackTo(d *appsv1.Deployment) (number int64, asked bool) {
	n, err := strconv.ParseInt(d.Annotations[appsv1.DeprecatedRollbackTo], 10, 64)
	return n, err == nil
}

// rollBack gives the deployment the template of a revision, and ends the wish for it. Nothing is rolled until that is stored.
func (r *rollout) rollBack(to int64) {
	next := r.d.DeepCopy()
	delete(next.Annotations, appsv1.DeprecatedRollbackTo)
	if r.dec.Revision != "" {
		next.Annotations[revisionKey] = r.dec.Revision
	}
	r.dec.Return = next
	if to == 0 {
		if to = r.before(); to == 0 {
			r.tell(corev1.EventTypeWarning, "DeploymentRollbackRevisionNotFound", "Unable to find last revision.")
			return
		}
	}
	i := slices.IndexFunc(r.sets, func(rs *appsv1.ReplicaSet) bool { n, ok := number(rs, revisionKey); return ok && n == to })
	switch {
	case i < 0:
		r.tell(corev1.EventTypeWarning, "DeploymentRollbackRevisionNotFound", "Unable to find the revision to rollback to.")
	case sameTemplate(&r.d.Spec.Template, &r.sets[i].Spec.Template):
		r.tell(corev1.EventTypeWarning, "DeploymentRollbackTemplateUnchanged",
			fmt.Sprintf("The rollback revision contains the same template as current deployment %q", r.d.Name))
	default:
		next.Spec.Template = *r.sets[i].Spec.Template.DeepCopy()
		delete(next.Spec.Template.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
		maps.DeleteFunc(next.Annotations, func(key, _ string) bool { return !own(key) })
		for key, value := range r.sets[i].Annotations {
			if !own(key) {
				next.Annotations[key] = value
			}
		}
		r.tell(corev1.EventTypeNormal, "DeploymentRollback", fmt.Sprintf("Rolled back deployment %q to revision %d", r.d.Name, to))
	}
}

// before is the second highest revision; 0 when there is none.
func (r *rollout) before() int64 {
	var highest, second int64
	for _, rs := range r.sets {
		n, _ := number(rs, revisionKey)
		if n >= highest {
			highest, second = n, highest
		} else {
			second = max(second, n)
		}
	}
	return second
}

// cleanUp plans to delete the oldest empty sets above the history limit.
func (r *rollout) cleanUp() {
	limit := r.d.Spec.RevisionHistoryLimit
	if limit == nil || *limit == math.MaxInt32 {
		return
	}
	old := slices.DeleteFunc(r.old(), func(rs *appsv1.ReplicaSet) bool { return rs.DeletionTimestamp != nil })
	slices.SortStableFunc(old, func(a, b *appsv1.ReplicaSet) int {
		x, _ := number(a, revisionKey)
		y, _ := number(b, revisionKey)
		return cmp.Compare(x, y)
	})
	for _, rs := range old[:max(0, len(old)-int(*limit))] {
		if rs.Status.Replicas == 0 && size(rs) == 0 && rs.Generation <= rs.Status.ObservedGeneration {
			r.dec.Delete = append(r.dec.Delete, rs)
		}
	}
}

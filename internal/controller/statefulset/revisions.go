package statefulset

import (
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/revision"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

// hashLabel tells the hash of a revision's data.
const hashLabel = "controller.kubernetes.io/hash"

// revisions is where a set stands in its history.
type revisions struct {
	list             []*appsv1.ControllerRevision // as it was, sorted
	current, update  *appsv1.ControllerRevision
	present, updated *corev1.PodTemplateSpec // the templates of both; shared, not to be changed
	collisions       int32
	steps            []Step // what makes it so
}

// revisionsOf finds the set's template in its history, or plans to record it there.
func revisionsOf(in Input) (revisions, error) {
	rev := revisions{list: slices.Clone(in.Revisions)}
	if c := in.Set.Status.CollisionCount; c != nil {
		rev.collisions = *c
	}
	revision.Sort(rev.list)
	rev.find(in)
	rev.current = rev.update
	if i := slices.IndexFunc(rev.list, func(r *appsv1.ControllerRevision) bool { return r.Name == in.Set.Status.CurrentRevision }); i >= 0 {
		rev.current = rev.list[i]
	}
	template, err := &in.Set.Spec.Template, error(nil)
	if rev.updated = template; !revision.Holds(rev.update, revision.Data(template)) {
		if rev.updated, err = revision.Template(template, rev.update); err != nil {
			return rev, err
		}
	}
	if rev.present = rev.updated; rev.current != rev.update {
		rev.present, err = revision.Template(template, rev.current)
	}
	return rev, err
}

// find sets the update revision: the newest when it records the set's template, an older one that does and is to be the newest again, or a new one.
func (rev *revisions) find(in Input) {
	data := revision.Data(&in.Set.Spec.Template)
	for i, r := range slices.Backward(rev.list) {
		if !revision.Holds(r, data) {
			continue
		}
		if rev.update = r; i == len(rev.list)-1 || revision.Holds(rev.list[len(rev.list)-1], data) {
			rev.update = rev.list[len(rev.list)-1]
			return
		}
		rev.update = r.DeepCopy()
		rev.update.Revision = revision.Next(rev.list)
		rev.steps = []Step{{Verb: engine.Update, Object: rev.update}}
		return
	}
	if n := len(rev.list); n > 0 && alike(&in.Set.Spec.Template, rev.list[n-1], data) {
		rev.update = rev.list[n-1]
		return
	}
	rev.record(in, data)
}

// alike says that a revision records in other words what data does: with values that were written out then and are defaults now, or the other way round.
func alike(template *corev1.PodTemplateSpec, r *appsv1.ControllerRevision, data []byte) bool {
	restored, err := revision.Template(template, r)
	if err != nil {
		return false
	}
	podspec.Default(&restored.Spec)
	return slices.Equal(revision.Data(restored), data)
}

// record plans a new revision, under a name that no other data has. What has the name and the same data is it already, whosever it is.
func (rev *revisions) record(in Input, data []byte) {
	labels := maps.Clone(in.Set.Spec.Template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[hashLabel] = revision.DataHash(data, &rev.collisions) // stays that of before, whatever collides
	r := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Namespace: in.Set.Namespace, Labels: labels, Annotations: maps.Clone(in.Set.Annotations),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(in.Set, kind())}},
		Data: runtime.RawExtension{Raw: data}, Revision: revision.Next(rev.list),
	}
	for {
		r.Name = revision.Name(in.Set.Name, revision.DataHash(data, &rev.collisions))
		switch taken := in.Taken(r.Name); {
		case taken == nil:
			rev.update, rev.steps = r, []Step{{Verb: engine.Create, Object: r}}
			return
		case revision.Holds(taken, data):
			rev.update = taken
			return
		}
		rev.collisions++
	}
}

// surplus is the part of the history that goes: the oldest revisions above the limit, of those that are neither current nor any pod's.
func (r *round) surplus() []*appsv1.ControllerRevision {
	live := map[string]bool{r.rev.current.Name: true, r.rev.update.Name: true}
	for _, p := range r.Pods {
		live[revisionOf(p)] = true
	}
	past := slices.DeleteFunc(slices.Clone(r.rev.list), func(rev *appsv1.ControllerRevision) bool { return live[rev.Name] })
	limit := r.Set.Spec.RevisionHistoryLimit
	if limit == nil || *limit < 0 || len(past) <= int(*limit) {
		return nil
	}
	return past[:len(past)-int(*limit)]
}

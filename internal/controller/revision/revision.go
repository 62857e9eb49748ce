// Package revision keeps the history of pod templates, so that a workload's pods can be told apart by the template that they were made from, and a
// former template can be returned to.
//
// # Vocabulary
//
// A revision is a ControllerRevision. Its data is a patch that, merged strategically into the workload, replaces spec.template by the one that was recorded. Its
// number says when it was last the newest; a return to an old template gives the old revision the highest number. A collision is a name that another
// template has taken; how many there were is hashed along with the template, so that the next name is another one.
//
// # Laws
//
//   - Data is a function of the template alone, byte for byte upstream's: revisions that kube-controller-manager has recorded are found again, and the other
//     way round.
//   - Hashes are upstream's too: clients see them in names and labels.
//   - All here is pure; what is given is not changed.
//
// # What it leaves to others
//
// Who owns revisions belongs to package claim; when to record, renumber and delete them to the controllers.
package revision

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/utils/dump"

	"github.com/floe-k8s/floe/internal/client"
)

// ownerMost is how much of the owner's name a revision's name begins with, in bytes.
const ownerMost = 223

// Resource is controllerrevisions.
func Resource() client.Resource { return appsv1.SchemeGroupVersion.WithResource("controllerrevisions") }

// Data is what a revision of a template records.
func Data(t *corev1.PodTemplateSpec) []byte {
	var fields map[string]any
	// Over a map, which sorts the fields of all levels by their names.
	if err := json.Unmarshal(encoded(t), &fields); err != nil {
		panic(fmt.Sprintf("revision: a template that does not read what it wrote: %v", err))
	}
	fields["$patch"] = "replace"
	return encoded(map[string]any{"spec": map[string]any{"template": fields}})
}

func encoded(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("revision: a template that is no JSON: %v", err)) // its quantities and times have been validated
	}
	return data
}

// Holds says that a revision records this data.
func Holds(r *appsv1.ControllerRevision, data []byte) bool { return bytes.Equal(r.Data.Raw, data) }

// Template is the template that a revision returns to, from the one that is there now.
func Template(now *corev1.PodTemplateSpec, r *appsv1.ControllerRevision) (*corev1.PodTemplateSpec, error) {
	// Any workload will do that has its template at the same place.
	carrier := &appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Template: *now}}
	merged, err := strategicpatch.StrategicMergePatch(encoded(carrier), r.Data.Raw, carrier)
	if err != nil {
		return nil, fmt.Errorf("revision %s/%s: restore its template: %w", r.Namespace, r.Name, err)
	}
	restored := &appsv1.DaemonSet{}
	if err := json.Unmarshal(merged, restored); err != nil {
		return nil, fmt.Errorf("revision %s/%s: read its template: %w", r.Namespace, r.Name, err)
	}
	return &restored.Spec.Template, nil
}

// DataHash names data after so many collisions, as StatefulSets do; nil is not the same as none.
func DataHash(data []byte, collisions *int32) string {
	h := fnv.New32()
	h.Write(data)
	if collisions != nil {
		h.Write(strconv.AppendInt(nil, int64(*collisions), 10))
	}
	return rand.SafeEncodeString(strconv.FormatUint(uint64(h.Sum32()), 10))
}

// TemplateHash names a template after so many collisions, as Deployments and DaemonSets do; nil is not the same as none.
func TemplateHash(t *corev1.PodTemplateSpec, collisions *int32) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%v", dump.ForHash(*t))
	if collisions != nil {
		var b [8]byte
		binary.LittleEndian.PutUint32(b[:], uint32(*collisions))
		h.Write(b[:])
	}
	return rand.SafeEncodeString(strconv.FormatUint(uint64(h.Sum32()), 10))
}

// Name is that of an owner's revision with a hash, as StatefulSets name theirs: a long owner's name is cut, so that the whole is a name still.
func Name(owner, hash string) string {
	return owner[:min(len(owner), ownerMost)] + "-" + hash
}

// Sort sorts revisions in place by number; those of one number by age, the eldest first, and by name.
func Sort(list []*appsv1.ControllerRevision) {
	slices.SortStableFunc(list, func(a, b *appsv1.ControllerRevision) int {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision), a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
}

// Next is the number of a revision that is to be the newest.
func Next(list []*appsv1.ControllerRevision) int64 {
	var last int64
	for _, r := range list {
		last = max(last, r.Revision)
	}
	return last + 1
}

package managed

import (
	"cmp"
	"encoding/json"
	"reflect"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

const (
	fieldsV1    = "FieldsV1"
	ancient     = "ancient-changes" // who owns what those owned who were too many
	maxUpdaters = 10                // managers by Update that are kept apart
)

// owner is one manager's fields while they are worked on.
type owner struct {
	metav1.ManagedFieldsEntry
	fields set
	// written: FieldsV1 says what fields says, so that it need not be written again.
	written bool
}

// same says whether two entries are of one manager. An applier is the same in every version.
func (o *owner) same(e *owner) bool {
	return o.Manager == e.Manager && o.Operation == e.Operation && o.Subresource == e.Subresource &&
		(o.APIVersion == e.APIVersion || o.Operation == metav1.ManagedFieldsOperationApply)
}

// readOwners reads entries; of several of one manager the last counts. Sets that are in written stand as this package or upstream wrote them; others may be written
// anyhow. ok is false when upstream would read none of the entries.
func readOwners(entries, written []metav1.ManagedFieldsEntry) (list []owner, ok bool) {
	list = make([]owner, 0, len(entries)+1)
	for i := range entries {
		e := &entries[i]
		o := owner{ManagedFieldsEntry: *e, written: true}
		o.FieldsV1 = nil
		switch {
		case e.Operation != metav1.ManagedFieldsOperationApply && e.Operation != metav1.ManagedFieldsOperationUpdate, e.APIVersion == "", e.FieldsType != fieldsV1:
			return nil, false
		case e.FieldsV1 != nil:
			text := e.FieldsV1.GetRawString()
			if slices.ContainsFunc(written, func(w metav1.ManagedFieldsEntry) bool { return w.FieldsV1 != nil && w.FieldsV1.Equal(*e.FieldsV1) }) {
				if o.fields, o.written = parseSet(text); o.written {
					o.FieldsV1 = &metav1.FieldsV1{}
					*o.FieldsV1 = *e.FieldsV1
					break
				}
			}
			if o.fields, ok = readForeign(text); !ok {
				return nil, false
			}
			o.written = false
		}
		list = append(slices.DeleteFunc(list, func(other owner) bool { return other.same(&o) }), o)
	}
	return list, true
}

// readForeign reads a set that is written otherwise than upstream writes it, or that is none.
func readForeign(text string) (set, bool) {
	var s fieldpath.Set
	var fields metav1.FieldsV1
	fields.SetRawString(text)
	if err := s.FromJSON(fields.GetRawReader()); err != nil {
		return nil, false
	}
	canonical, err := s.ToJSON()
	if err != nil {
		return nil, false
	}
	return parseSet(string(canonical))
}

// writeOwners writes the entries in upstream's order; nil for none.
func writeOwners(list []owner) []metav1.ManagedFieldsEntry {
	if len(list) == 0 {
		return nil
	}
	out := make([]metav1.ManagedFieldsEntry, len(list))
	for i := range list {
		o := &list[i]
		if !o.written {
			o.FieldsV1 = &metav1.FieldsV1{}
			o.FieldsV1.SetRawBytes(o.fields.appendJSON(make([]byte, 0, o.fields.jsonSize())))
		}
		o.FieldsType = fieldsV1
		out[i] = o.ManagedFieldsEntry
	}
	slices.SortFunc(out, inOrder)
	return out
}

// inOrder is upstream's order of entries.
func inOrder(a, b metav1.ManagedFieldsEntry) int {
	return cmp.Or(
		cmp.Compare(a.Operation, b.Operation), cmp.Compare(unix(a.Time), unix(b.Time)), cmp.Compare(a.Manager, b.Manager),
		cmp.Compare(a.APIVersion, b.APIVersion), cmp.Compare(a.Subresource, b.Subresource),
	)
}

func unix(t *metav1.Time) int64 {
	if t == nil {
		return 0
	}
	return t.Unix()
}

// seconds is a time as entries have it.
func seconds(t time.Time) *metav1.Time { return &metav1.Time{Time: t.UTC().Truncate(time.Second)} }

// OnlyTimesDiffer says whether the entries are the same but for the times in them, which are not.
func OnlyTimesDiffer(a, b []metav1.ManagedFieldsEntry) bool {
	if len(a) != len(b) {
		return false
	}
	times := false
	for i := range a {
		x, y := a[i], b[i]
		times = times || !x.Time.Equal(y.Time)
		x.Time, y.Time = nil, nil
		if !reflect.DeepEqual(x, y) {
			return false
		}
	}
	return times
}

// capUpdaters keeps no more than maxUpdaters managers by Update: those that wrote longest ago become one for each version.
func capUpdaters(list []owner) []owner {
	var eldest []owner
	for i := range list {
		if list[i].Operation == metav1.ManagedFieldsOperationUpdate {
			eldest = append(eldest, list[i])
		}
	}
	if len(eldest) <= maxUpdaters {
		return list
	}
	slices.SortFunc(eldest, func(a, b owner) int {
		return cmp.Or(cmp.Compare(unix(a.Time), unix(b.Time)), cmp.Compare(a.identity(), b.identity()))
	})
	left, first := len(eldest), map[string]*owner{}
	for i := 0; i < len(eldest) && left > maxUpdaters; i++ {
		o := &eldest[i]
		if first[o.APIVersion] == nil {
			first[o.APIVersion] = o
			continue
		}
		bucket := owner{ManagedFieldsEntry: metav1.ManagedFieldsEntry{
			Manager: ancient, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: o.APIVersion, Time: o.Time,
		}}
		at := slices.IndexFunc(list, func(e owner) bool { return e.same(&bucket) })
		earlier := *first[o.APIVersion]
		if at >= 0 {
			earlier = list[at]
		}
		o.fields.appendUnion(&bucket.fields, earlier.fields)
		list = slices.DeleteFunc(list, func(e owner) bool { return e.same(&earlier) || e.same(o) })
		if !o.same(&bucket) { // upstream loses the bucket that it merges into itself
			list = append(list, bucket)
		}
		left--
	}
	return list
}

// identity orders managers that wrote in one second.
func (o *owner) identity() string {
	e := metav1.ManagedFieldsEntry{Manager: o.Manager, Operation: o.Operation, APIVersion: o.APIVersion, Subresource: o.Subresource}
	text, err := json.Marshal(e)
	if err != nil {
		panic("managed: an entry cannot be written: " + err.Error()) // it is strings
	}
	return string(text)
}

// jsonSize is at least how long the set is as JSON.
func (s set) jsonSize() int {
	n := 2
	for i := range s {
		n += len(s[i].key) + len(`"":{},`)
		if s[i].marks != 0 && s[i].size > 1 {
			n += len(`".":{},`)
		}
	}
	return n
}

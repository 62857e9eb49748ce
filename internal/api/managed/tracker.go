package managed

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Object is any API object.
type Object interface {
	runtime.Object
	metav1.Object
}

// Tracker knows the types whose fields it has tracked. It is safe for concurrent use.
type Tracker struct {
	compiled sync.Map // reflect.Type of a pointer to it -> *tracked
	walkers  sync.Pool
	// documents are the types that apply works with: path of an OpenAPI document -> func() (managedfields.TypeConverter, error)
	documents sync.Map

	mu       sync.Mutex
	compiler compiler // guarded by mu
}

// tracked is an object's type.
type tracked struct {
	shape *shape
	zero  value // what a new object is compared with
}

// NewTracker returns a tracker that has seen no type.
func NewTracker() *Tracker {
	return &Tracker{walkers: sync.Pool{New: func() interface{} { return &walker{} }}}
}

// Write says who writes an object, and how.
type Write struct {
	Manager     string // "": unknown
	APIVersion  string // of the objects
	Subresource string // "": the object itself
	// Resets are the fields, such as "status" or "metadata.labels", that a write of this kind does not change whatever it says: nobody owns them by it.
	Resets []string
	// Only are the fields that a write of this kind can change, with "*" for any element of a list or map: "spec.containers.*.resources". What stands on the way
	// to one, and appears or goes with it, counts. Of paths that part behind a "*" only the first does, as in structured-merge-diff, so there must be one. nil: all but
	// Resets, which must be nil otherwise.
	Only []string
	Now  time.Time
	// As returns an object of this version in another version of its kind, for those who own fields of that one; obj stays as it is, and the result may share
	// what it holds. ok is false when there is no such version, or none of the object: its owners are forgotten. nil: there is no other version.
	As func(apiVersion string, obj Object) (shown Object, ok bool)
}

// Update sets the managed fields of obj, which a client has made of live; live nil: obj is new. What obj says of them before is what the client sent. live is not
// changed.
func (t *Tracker) Update(w Write, live, obj Object) {
	owners := before(w, live, obj.GetManagedFields())
	obj.SetManagedFields(nil)
	if len(owners) == 0 && live != nil {
		return // nobody wants to know
	}
	walk := t.walkers.Get().(*walker)
	defer t.walkers.Put(walk)
	owners = t.elsewhere(walk, w, owners, live, obj)
	if !t.walk(walk, w, live, obj) {
		return
	}
	if changes := walk.out; len(changes) > 0 {
		owners = w.take(owners, changes)
	}
	owners = drop(owners, func(o *owner) bool { return len(o.fields) == 0 })
	obj.SetManagedFields(writeOwners(capUpdaters(owners)))
}

// elsewhere takes from those who own fields of other versions what the write changes there, and forgets the owners of versions that there are not.
func (t *Tracker) elsewhere(walk *walker, w Write, owners []owner, live, obj Object) []owner {
	var done []string
	for i := 0; i < len(owners); i++ {
		version := owners[i].APIVersion
		if version == w.APIVersion || slices.Contains(done, version) {
			continue
		}
		if !t.walkAs(walk, w, version, live, obj) {
			owners = drop(owners, func(o *owner) bool { return o.APIVersion == version })
			i--
			continue
		}
		done = append(done, version)
		for j := i; j < len(owners); j++ {
			if owners[j].APIVersion == version {
				owners[j].lose(walk.out)
			}
		}
	}
	return owners
}

// walkAs is walk over both objects in another version.
func (t *Tracker) walkAs(walk *walker, w Write, version string, live, obj Object) bool {
	if w.As == nil {
		return false
	}
	var was Object
	if live != nil {
		shown, ok := w.As(version, live)
		if !ok {
			return false
		}
		was = shown
	}
	now, ok := w.As(version, obj)
	return ok && t.walk(walk, w, was, now)
}

// lose takes changes from an owner.
func (o *owner) lose(changes set) {
	left := make(set, 0, len(o.fields))
	o.fields.appendDifference(&left, changes)
	o.written = o.written && len(left) == len(o.fields) && count(left) == count(o.fields)
	o.fields = left
}

// before returns who owned what until now.
func before(w Write, live Object, sent []metav1.ManagedFieldsEntry) []owner {
	var stored []metav1.ManagedFieldsEntry
	if live != nil {
		stored = live.GetManagedFields()
	}
	if w.Subresource == "" && sent != nil {
		if len(sent) == 0 || len(sent) == 1 && sent[0] == (metav1.ManagedFieldsEntry{}) {
			return nil
		}
		if owners, ok := readOwners(sent, stored); ok {
			return owners
		}
	}
	owners, _ := readOwners(stored, stored)
	return owners
}

// walk collects in walk what the write changes. It returns false when that cannot be said.
func (t *Tracker) walk(walk *walker, w Write, live, obj Object) bool {
	typ := t.typeOf(obj)
	old := typ.zero
	if live != nil {
		old = reflect.ValueOf(live).Elem()
	}
	walk.out, walk.failed = walk.out[:0], false
	walk.compare(typ.shape, old, reflect.ValueOf(obj).Elem(), w.Resets)
	if w.Only != nil {
		within := make(set, 0, len(walk.out))
		walk.out.appendWithin(&within, w.Only)
		walk.out = append(walk.out[:0], within...)
	}
	return !walk.failed
}

// take gives the manager what it has changed, and takes it from the others of its version.
func (w Write) take(owners []owner, changes set) []owner {
	own := owner{ManagedFieldsEntry: metav1.ManagedFieldsEntry{
		Manager: w.Manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: w.APIVersion, Subresource: w.Subresource,
		Time: seconds(w.Now),
	}}
	if own.Manager == "" {
		own.Manager = "unknown"
	}
	own.fields = make(set, 0, len(changes))
	changes.appendMarked(&own.fields, added|modified)
	for i := range owners {
		if o := &owners[i]; o.APIVersion == w.APIVersion {
			o.lose(changes)
		}
	}
	if len(own.fields) == 0 {
		return owners
	}
	for i := range owners {
		if o := &owners[i]; o.same(&own) {
			all := make(set, 0, len(o.fields)+len(own.fields))
			own.fields.appendUnion(&all, o.fields)
			own.fields = all
			*o = own
			return owners
		}
	}
	return append(owners, own)
}

// count is how many members a set has.
func count(s set) (n int) {
	for i := range s {
		if s[i].marks != 0 {
			n++
		}
	}
	return n
}

func drop(list []owner, is func(*owner) bool) []owner {
	out := list[:0]
	for i := range list {
		if !is(&list[i]) {
			out = append(out, list[i])
		}
	}
	return out
}

// typeOf compiles an object's type the first time.
func (t *Tracker) typeOf(obj Object) *tracked {
	typ := reflect.TypeOf(obj)
	if known, ok := t.compiled.Load(typ); ok {
		return known.(*tracked)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.compiler.types == nil {
		t.compiler = compiler{schema: readRelations(), types: map[reflect.Type]*shape{}}
	}
	out := &tracked{t.compiler.object(typ.Elem()), reflect.New(typ.Elem()).Elem()}
	t.compiled.Store(typ, out)
	return out
}

// ManagerOf is the name of who sends a User-Agent header, for want of a better one: what can be printed of it up to the first slash.
func ManagerOf(userAgent string) string {
	product, _, _ := strings.Cut(userAgent, "/")
	var out strings.Builder
	for _, r := range product {
		if !unicode.IsPrint(r) {
			continue
		}
		if out.Len()+utf8.RuneLen(r) > maxManager {
			break
		}
		out.WriteRune(r)
	}
	return out.String()
}

// maxManager bounds the bytes of a manager's name.
const maxManager = 128

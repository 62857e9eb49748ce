// Package kinds says what the API is: every resource that floe serves, as one value each.
//
// # Vocabulary
//
// A kind is a named schema in a group and version (Pod in v1); its resource is the plural under which it is
// served (pods). A subresource is a part or a verb of a resource with a path of its own (pods/status,
// pods/binding). A view is a kind whose objects are
// those of another, its hub, in a second version or group. A column is one cell of the tables that kubectl prints. An index names a value of an object by
// which readers look it up.
//
// # Laws
//
//   - Pure: a kind reads objects and an Env and returns objects, errors or deletions; it has no clock, no
//     I/O, no state.
//   - All that is particular to a kind's API stands in its one file; nothing here knows HTTP or the store.
//   - Package all lists every kind, in the order in which discovery shows them; there is no registration.
//
// # What it leaves to others
//
// How resources are served, stored and watched is written once, in api and store. Shared parts, such as the pod
// template, have packages of their own below this one.
package kinds

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
)

// Object is any API object.
type Object interface {
	runtime.Object
	metav1.Object
}

// Env is what a kind may know of the request besides its objects.
type Env struct {
	Now time.Time
	// User is the authenticated user's name; UID, Groups and Extra are what else is known of them, which the kind does not change.
	User   string
	UID    string
	Groups []string
	Extra  map[string][]string
	// Pick returns a number from 0 to below n by chance. nil where nothing is chosen: in tables.
	Pick func(n int) int
	// Verb is what the user does, as authorization knows it: "update" or "patch". Only Rights are told.
	Verb string
	// Powers are the user's. Admission and Rights may ask; elsewhere nil.
	Powers Powers
	// DryRun: nothing will be kept of what is claimed.
	DryRun bool
}

// Wish is something that a user may be allowed: a verb on a resource, of one object or with Name "" of all, in a namespace or with "" in all. No such resource
// needs to be served.
type Wish struct {
	Verb, Group, Resource, Subresource, Namespace, Name string
}

// Powers say what the user of a request may do.
type Powers interface {
	// Refuse says why the user must not do what w says; nil: they may.
	Refuse(w Wish) error
	// Uncovered says which of rules, in a namespace or with "" in all, the user does not hold, and so must not give away; nil: they hold all.
	Uncovered(namespace string, rules []rbacv1.PolicyRule) error
}

// Reader finds other objects that a decision rests on. What it returns is shared and not to be changed.
type Reader interface {
	// Get returns the newest state of an object, which may not be durable yet, and the same when it is asked again; nil when there is none. namespace
	// is "" for kinds without one.
	Get(res schema.GroupVersionResource, namespace, name string) Object
	// Label returns a label of the object that Get returns, which need not be decoded for it. ok is false when there is no such object, or it has no such label.
	Label(res schema.GroupVersionResource, namespace, name, key string) (value string, ok bool)
	// Each calls f with every object of a kind, in the order of their keys, until f returns false. Objects may be a moment old.
	Each(res schema.GroupVersionResource, namespace string, f func(Object) bool)
}

// LabelOf returns a label of obj, which may be nil: it has none then.
func LabelOf(obj Object, key string) (value string, ok bool) {
	if obj == nil {
		return "", false
	}
	value, ok = obj.GetLabels()[key]
	return value, ok
}

// Write is a change of another object that is committed in one transaction with the object that asks for it, on condition that nobody changed the other
// since Reader.Get returned it. One that is new gets its UID and its time from the server; one that is removed and that finalizers hold is only marked.
type Write struct {
	Resource        schema.GroupVersionResource
	Namespace, Name string
	Subresource     string // which part of it is said to be written, of which the server's own manager of fields then owns what changes; "": the whole
	Object          Object // nil: it is removed
}

// Admission is what one of upstream's admission plug-ins does with objects of a kind.
type Admission struct {
	Plugin string // upstream's name, by which it is switched on and off: "Priority"
	// Part is the subresource through which obj is written; "": it is written as a whole.
	Part string
	// Admit changes obj, defaulted, in place, or returns an API status error for what it refuses. old, nil for a new object, is only read. nil: nothing.
	Admit func(env Env, obj, old Object, see Reader) error
	// Validate says the same of obj, prepared and valid, which it only reads. nil: nothing.
	Validate func(env Env, obj, old Object, see Reader) error
}

// Kind is all that is particular to one served kind. Functions may be nil where there is nothing to do.
// They are called with objects of the type that New returns, which the callee may change only where said; those of a view with objects of its hub.
type Kind struct {
	GVK        schema.GroupVersionKind
	Resource   string // plural, lower case
	Singular   string
	ShortNames []string
	Categories []string
	Namespaced bool
	Storage    string   // path below /registry; "" means Resource. Nodes stand under "minions", as upstream's do
	StoredIn   string   // the version upstream stores objects in, of which discovery tells a hash; "" means the kind's own, which floe always stores
	Verbs      []string // as discovery lists them; nil: all eight. Namespaces, for example, have no deletecollection
	New        func() Object
	NewList    func() runtime.Object
	// Dynamic: objects have no Go type. nil: they have.
	Dynamic *Dynamic
	// View: the kind has no objects of its own and shows another's. nil: it has.
	View *View
	// Answered: objects of the kind are never stored, but answered by package api's Answer of its resource. Nothing of the kind but its names, its
	// types, Validate and Columns is asked then, and NewList may be nil.
	Answered bool

	// ValidName says what is wrong with a name, or with prefix set with a generateName. nil: the rules of a DNS subdomain.
	ValidName func(name string, prefix bool) []string
	// NameOf is ValidName of kinds whose names follow from what is in the object. nil: ValidName says it all.
	NameOf func(obj Object) func(name string, prefix bool) []string
	// BaseIsName: a name that is to be generated is the generateName as it is, so that no object is ever made by one (addresses).
	BaseIsName bool
	// CreateOnUpdate: a put of an object that does not exist creates it (leases).
	CreateOnUpdate bool
	// RequireVersion: a put must name the resourceVersion that it replaces (leases).
	RequireVersion bool

	// ReturnDeleted: a deletion answers with the object that is gone, not with a Status (pods).
	ReturnDeleted bool

	// Default fills unset fields of obj in place. Idempotent. Of a status it fills only what follows from the object itself.
	Default func(obj Object)
	// Admission are the plug-ins that see objects of this kind, in upstream's order, before they are prepared.
	Admission []Admission
	// PrepareCreate changes obj, already defaulted, into what is stored: status cleared, generation set.
	PrepareCreate func(env Env, obj Object)
	// PrepareUpdate changes obj in place; old is read only. It keeps what a plain update may not touch (status), and
	// raises the generation when the specification changed.
	PrepareUpdate func(env Env, obj, old Object)
	// Validate and ValidateUpdate report every violation, with upstream's paths, types and details. Both run on
	// an update. Object metadata is validated by the caller.
	Validate       func(obj Object) field.ErrorList
	ValidateUpdate func(obj, old Object) field.ErrorList
	// ValidateAgain is asked instead of Validate about an object that replaces old, where what is wrong with it depends on what it was. nil: Validate is.
	ValidateAgain func(obj, old Object) field.ErrorList
	// ValidateCreate reports what is wrong with a new object only, besides Validate.
	ValidateCreate func(obj Object) field.ErrorList
	// MetaAgain are the rules of metadata that upstream's own rules of an update of the kind repeat, so that what is wrong there is named again.
	MetaAgain MetaRules
	// MetaLate: what is wrong with the metadata of a new object is told after what Validate finds, and before what ValidateCreate does.
	MetaLate bool
	// PlainFinalizers: the names of finalizers need no domain.
	PlainFinalizers bool
	// Warnings are told to who writes obj, which is prepared and valid. old is nil for a new object. nil: there are none.
	Warnings func(obj, old Object) []string
	// Canonical changes obj, which is valid, from how a client wrote it into how it is stored and answered, where these differ. Idempotent.
	Canonical func(obj Object)
	// Resets are the fields, such as "status" or "metadata.labels", that a write of the whole object leaves as they are whatever it says, so that nobody comes to
	// own them by it: what upstream's strategy says, which is not always what it does.
	Resets []string
	// Claim gives obj in place what no two objects may share, such as an address, and returns the writes that take it or release it. It is asked before
	// obj is prepared and validated, which judge what it gave, and again, with all that follows, whenever another writer was quicker; for a dry run too, which
	// commits nothing. What it was given is only as valid as its decoding made it. old is nil for a new object, obj is nil when old is removed; a
	// subresource is not asked for, except when old goes with its change. The error is an API status error, or one that is answered with its text.
	Claim func(env Env, obj, old Object, see Reader) ([]Write, error)
	// Protected says why the object of a name is never deleted; "" when it may be. nil: every one may be.
	Protected func(name string) string
	// Dependents says what becomes of objects that obj owns when a deletion does not say.
	Dependents Dependents
	// Orphaning is told to who deletes objects without saying what becomes of those that they own. "": nothing.
	Orphaning string
	// Delete is asked on every delete request, whether finalizers hold obj or not. It may change obj, a copy of what is stored (a
	// namespace's phase becomes Terminating). nil: removed as soon as no finalizer is left.
	Delete func(env Env, obj Object, opts *metav1.DeleteOptions) Deletion
	// Gone says that nothing of the kind's own holds obj any longer. It is asked after each change of an object that has a
	// deletionTimestamp and no finalizer left; true removes it. nil: it goes when its grace period is 0.
	Gone func(obj Object) bool
	// Expires says when an object is removed by itself (events); the zero time is never. nil: none of the kind is.
	Expires func(obj Object) time.Time
	// Minor says that history need not keep what a change made of old once there is a newer version, such as a sign of life; old nil: obj is new. Reads
	// at a revision that need such a version answer that it has expired. nil: every version is kept as long as history goes.
	Minor func(old, obj Object) bool
	// Complete fills in place what clients see of obj and its stored message has no place for: the types of objects within it. Idempotent. nil: there are none.
	Complete func(obj Object)
	// Blank fills in place what upstream shows of obj, an object in which nothing was ever set, as that of a bookmark. nil: nothing but its metadata.
	Blank func(obj Object)
	// Inner are annotations that upstream's own form of an object has as fields: of objects that are shown by their metadata alone they are left out.
	Inner []string
	// Uncached: upstream reads the kind from its store, not from a cache, which refuses a bad resourceVersion in words of its own (events).
	Uncached bool
	// DefaultsOnRead: upstream stores objects without some of their defaults and fills them in when it reads one.
	DefaultsOnRead bool
	// CreatedBare: it stores every new object so, and the first update of one, whatever it says, is a change that watchers see.
	CreatedBare bool
	// OlderJSON reads what upstream stores of the kind as JSON in another version than the kind's own. nil: it does not.
	OlderJSON func(version string, doc []byte) (Object, error)
	// Deprecated is of which every answer warns: since when the kind is deprecated and, after a semicolon, what takes its place: "v1.19+". "": it is not.
	Deprecated string
	// Columns are the kind's table. The first is always Name. nil: upstream has no table of its own for the kind, see Table, or none at all for one that
	// is Answered.
	Columns []Column
	// RowConditions say of obj's row in a table what readers may pass over, such as that it is completed. nil: nothing.
	RowConditions func(obj Object) []metav1.TableRowCondition
	// Fields are the selectable fields besides metadata.name and metadata.namespace.
	Fields func(obj Object) fields.Set
	// UnknownField is what is answered to a selector of any other field, with %s where its name goes. "": what most kinds say.
	UnknownField string
	// Facts are read from an object's stored bytes, without decoding it.
	Facts []Fact
	// Indexes let readers look objects up by what takes more than a fact.
	Indexes []Index
	// Adopted kinds have OrphanIndex, for controllers that take objects without one as theirs.
	Adopted bool
	// Rights says what of obj, which was admitted and is not yet prepared, the user must not write although they may write objects of the kind: an API status
	// error. old is nil for a new object. nil: nothing. A write through a subresource is not asked for.
	Rights func(env Env, obj, old Object, see Reader) error
	// Subresources by name.
	Subresources []Subresource
}

// MetaRules are rules of metadata: those that every object keeps, and those that each change keeps, such as that the UID stays.
type MetaRules int

const (
	MetaChange      MetaRules = iota // those of a change
	MetaAll                          // those of every object, before Validate, and those of a change, after it
	MetaChangeFirst                  // those of a change and those of every object, both before Validate
	MetaObject                       // those of every object
	MetaTwice                        // those of every object, before Validate and after it
	MetaNone                         // none: a new object's metadata is looked at only when nothing else is wrong, too
)

// Dependents is what becomes of the objects that an object of a kind owns, for the garbage collector.
type Dependents int

const (
	DependentsDeleted  Dependents = iota // after it, unless the deletion says otherwise
	DependentsOrphaned                   // left, unless the deletion says otherwise (jobs, as the older APIs did)
	DependentsNone                       // nothing is owned by it, and no deletion can say anything (events)
)

// Deletion is what becomes of an object that is asked to go. Graceful false: it is removed at once (once no
// finalizer is left). Graceful true: it stays with a deletionTimestamp of now + Grace and this grace
// period until someone deletes it with grace 0, or until Kind.Gone says so.
type Deletion struct {
	Graceful bool
	Grace    time.Duration // not negative
}

// Column is one cell of a kind's table. Priority 0 is always shown, 1 with -o wide. One without a name is a cell for which upstream's tables have no header.
type Column struct {
	Name, Type, Format, Description string
	Priority                        int32
	// Cell returns a string or an integer. Ages are printed by the kind from env.Now.
	Cell func(env Env, obj Object) any
}

// Fact is a small text in an object, such as a pod's "spec.nodeName". A field selector that asks for facts alone decodes nothing.
type Fact struct {
	Name string // the field's path in JSON; a selectable field when Fields has it
	// Path is the same in field numbers of the stored message: 2, 10. The fields on it are not repeated.
	Path []int32
	// Index lets readers look objects up by it, and wakes a watch for its value only.
	Index bool
}

// Index lets readers look objects up by values that are made of a decoded object: always the same for the same object, without zero bytes.
type Index struct {
	Name   string
	Values func(obj Object) []string
}

// OrphanIndex is an index of Adopted kinds: the namespace of each object that no controller owns.
const OrphanIndex = "orphan"

// Indexed says whether readers can look the kind's objects up by the named index.
func (k *Kind) Indexed(name string) bool {
	return k.Adopted && name == OrphanIndex ||
		slices.ContainsFunc(k.Facts, func(f Fact) bool { return f.Index && f.Name == name }) ||
		slices.ContainsFunc(k.Indexes, func(i Index) bool { return i.Name == name })
}

// Subresource is a part or a verb of a resource with a path of its own. Exactly one of Update, Create, Node,
// Proxy and Scale says how it is served.
type Subresource struct {
	Name  string
	GVK   schema.GroupVersionKind // kind of its body, such as Scale in autoscaling/v1
	Verbs []string
	New   func() runtime.Object // an empty body
	// Older are types that a body may also say it is, which have the same fields.
	Older []schema.GroupVersionKind
	// Update serves those of get, update and patch that Verbs names, on the whole object where only a part may change (status). It changes obj in
	// place so that everything else is old's, and reports violations.
	Update func(env Env, obj, old Object) field.ErrorList
	// Rights says what of obj, as Update made it, the user must not change although they may write here. It is told before what Update found. nil: nothing.
	Rights func(env Env, obj, old Object, see Reader) field.ErrorList
	// Warnings are told to who updates obj, which is valid, through here. nil: there are none.
	Warnings func(obj Object) []string
	// Resets are Kind.Resets of a write through here.
	Resets []string
	// Owns are the only fields that somebody comes to own by a write through here, with "*" for any element of a list or map: "spec.containers.*.resources". nil:
	// all but Resets, which are nil otherwise.
	Owns []string
	// Tableless: upstream has no table of what is read through here.
	Tableless bool
	// Create serves create with a body of type New: it changes obj, a copy of the stored parent, in place
	// (a binding), or returns an API status error. It is asked again when another writer was quicker.
	Create func(env Env, obj Object, body runtime.Object, call Call) (Effect, error)
	// ValidateBody says what is wrong with a body of a create whatever the object is. It is asked before the object is looked for, and returns an API status
	// error, or one that is answered with its text. nil: nothing is.
	ValidateBody func(body runtime.Object) error
	// Unnamed: the name in a body of Create need not be that in the path; Create looks at it itself.
	Unnamed bool
	// Scale serves get, update and patch of a Scale.
	Scale *Scale
	// Node says where the node that runs obj answers (log, exec): the node's name, and the path and query on its own API. It returns
	// an API status error for bad options; node "" says that there is nothing to answer yet.
	Node func(obj Object, query url.Values) (node, path string, rest url.Values, err error)
	// Upgrade says that the node's answer is a connection in another protocol (exec).
	Upgrade bool
	// Proxy says where all of a request goes, with what its path has after the subresource. id is the name in the path, which may be SCHEME:NAME:PORT. It
	// returns an API status error when there is no such place.
	Proxy func(env Env, see Reader, namespace, id string) (Place, error)
}

// Place is where a proxy leads: to the API of a node, or else to a scheme and host.
type Place struct {
	Node string
	URL  *url.URL
}

// Call is what Subresource.Create may know of its request.
type Call struct {
	DryRun []string // of the request's options
	See    Reader
	Tokens Tokens
	// Issue signs a token as Tokens.Issue does, for as long as the request lasts; nil: the server has no key.
	Issue func(w TokenWish) (Token, error)
}

// Effect is what Subresource.Create asks for besides the parent's change. The zero value asks for nothing.
type Effect struct {
	// Remove: the parent, as it was changed, is deleted with these options, whose preconditions Create has checked (an eviction). nil: it stays.
	Remove *metav1.DeleteOptions
	DryRun bool    // nothing is committed, whatever the request's own options say
	Writes []Write // committed in one transaction with the parent
	// Answer is what the client gets, of the subresource's own type, not shared; nil: a Status that says that it was done.
	Answer   runtime.Object
	Warnings []string          // for the client
	Remarks  map[string]string // annotations of the audit trail
}

// Scale maps an object to and from autoscaling/v1's Scale.
type Scale struct {
	// Read returns the wanted and the present replicas and the pod selector in string form.
	Read func(obj Object) (want, have int32, selector string)
	// Missing is the answer, an API status error, for an object that has no wanted replicas. nil: every object has.
	Missing func(obj Object) error
	// Write sets the wanted replicas of obj in place.
	Write func(obj Object, want int32)
}

// GVR is the kind's group, version and resource.
func (k *Kind) GVR() schema.GroupVersionResource {
	return k.GVK.GroupVersion().WithResource(k.Resource)
}

// ReadJSON reads a stored JSON document of the kind, in its version or an older one.
func (k *Kind) ReadJSON(doc []byte) (Object, error) {
	var found metav1.TypeMeta
	if err := json.Unmarshal(doc, &found); err != nil {
		return nil, err
	}
	gvk := found.GroupVersionKind()
	switch {
	case gvk == k.GVK:
		obj := k.New()
		return obj, kjson.UnmarshalCaseSensitivePreserveInts(doc, obj)
	case gvk.GroupKind() == k.GVK.GroupKind() && k.OlderJSON != nil:
		return k.OlderJSON(gvk.Version, doc)
	}
	return nil, fmt.Errorf("%s is no stored form of %s", gvk, k.GVK)
}

// Prefix is where the kind's objects stand in the store, such as "/registry/pods/"; those of a view stand where its hub's do.
func (k *Kind) Prefix() string { return "/registry/" + k.storage() + "/" }

func (k *Kind) storage() string {
	if k.Storage != "" {
		return k.Storage
	}
	return k.Resource
}

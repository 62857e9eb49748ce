package volumes

import (
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	upstream "k8s.io/component-helpers/storage/volume"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/scheduler/place"
)

const driver, trackedDriver = "disk.example.com", "file.example.com"

// history is a cluster to which things happen: what the API has, what an index was told of it, and pods between decision and binding.
type history struct {
	*rand.Rand
	t       *testing.T
	x       *Index
	table   *place.Table
	objects map[string]kinds.Object // what the API serves, by kind and name
	placed  map[types.UID]string    // where pods on nodes are
	pods    []*corev1.Pod
	pending map[types.UID]*Bindings // assumed, neither bound nor undone
	version int

	assumed                 map[string]assumption // what ought to be, by the object's key
	decided, written, bound int                   // how often
}

// assumption is that of an object until the API serves another version of it, or the pod is undone before it was written.
type assumption struct {
	by      types.UID
	version string
	written bool
}

func newPolicy(t testing.TB, x *Index) *place.Policy {
	p := place.DefaultProfile()
	p.Filters = slices.Insert(p.Filters, slices.Index(p.Filters, place.PodTopologySpread), Names()...)
	p.Rules = x.Rules()
	policy, err := p.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

func newHistory(t *testing.T, seed int64) *history {
	h := &history{Rand: rand.New(rand.NewSource(seed)), t: t, table: place.NewTable(), objects: map[string]kinds.Object{},
		placed: map[types.UID]string{}, pending: map[types.UID]*Bindings{}, assumed: map[string]assumption{}}
	h.x = New(h.table.Touch)
	h.x.plenty = 2 + int(seed%2)
	for i := range 6 {
		h.node(i)
	}
	for _, name := range classNames() {
		h.class(name)
	}
	for _, name := range []string{driver, trackedDriver} {
		h.set(&storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: storagev1.CSIDriverSpec{StorageCapacity: new(name == trackedDriver)}})
	}
	return h
}

func classNames() []string { return []string{"local", "wait", "tracked", "now"} }

func (h *history) one(of ...string) string { return of[h.Intn(len(of))] }

func keyOf(o kinds.Object) string { return fmt.Sprintf("%T %s/%s", o, o.GetNamespace(), o.GetName()) }

// set has the API serve an object, and tells index and table.
func (h *history) set(o kinds.Object) {
	h.version++
	o.SetResourceVersion(strconv.Itoa(h.version))
	h.objects[keyOf(o)] = o
	delete(h.assumed, keyOf(o))
	tell(h.x, h.table, o, false)
}

func (h *history) remove(o kinds.Object) {
	delete(h.objects, keyOf(o))
	delete(h.assumed, keyOf(o))
	tell(h.x, h.table, o, true)
}

func tell(x *Index, table *place.Table, o kinds.Object, gone bool) {
	x.Apply(o, gone)
	if n, ok := o.(*corev1.Node); ok {
		if gone {
			table.RemoveNode(n.Name)
		} else {
			table.SetNode(n)
		}
	}
}

func all[T kinds.Object](h *history) []T {
	var out []T
	for _, k := range slices.Sorted(maps.Keys(h.objects)) {
		if o, ok := h.objects[k].(T); ok {
			out = append(out, o)
		}
	}
	return out
}

func some[T any](h *history, list []T) (T, bool) {
	var zero T
	if len(list) == 0 {
		return zero, false
	}
	return list[h.Intn(len(list))], true
}

// decide places a pod and assumes its volumes, or finds that it fits nowhere.
func (h *history) decide() {
	p := h.pod()
	plan, err := h.table.Decide(p, newPolicy(h.t, h.x), h.Rand, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	if plan.Node == "" {
		return
	}
	h.likeUpstream(p, plan.Node)
	b, err := h.x.Assume(p, plan.Node)
	if err != nil {
		h.t.Fatalf("pod %s was decided for %s: %v", p.Name, plan.Node, err)
	}
	h.decided++
	h.pods = append(h.pods, p)
	h.placed[p.UID] = plan.Node
	h.table.SetPod(p, plan.Node)
	h.x.SetPod(p, plan.Node)
	if b == nil {
		return
	}
	h.pending[p.UID] = b
	for _, o := range b.Writes() {
		h.assumed[keyOf(o)] = assumption{by: p.UID, version: o.GetResourceVersion()}
	}
}

// likeUpstream holds the volume for each claim against the one that upstream's own function finds.
func (h *history) likeUpstream(p *corev1.Pod, node string) {
	w, err := h.x.wishes(p)
	if err != nil {
		h.t.Fatal(err)
	}
	taken := map[string]*corev1.PersistentVolume{}
	f := h.x.look(w, node, h.x.nodes[node].labels)
	mine := slices.Clone(f.static)
	for _, one := range w.open {
		var list []*corev1.PersistentVolume
		for _, name := range slices.Sorted(maps.Keys(h.x.volumes)) {
			if v := h.x.volumes[name].now(); v != nil && volumeClass(v) == className(one.claim) {
				list = append(list, v)
			}
		}
		n := h.objects[keyOf(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}})].(*corev1.Node)
		want, err := upstream.FindMatchingVolume(one.claim, list, n, taken, true, true)
		if err != nil {
			h.t.Fatal(err)
		}
		var got *corev1.PersistentVolume
		if len(mine) > 0 && mine[0].claim == one.claim {
			got, mine = mine[0].volume.now(), mine[1:]
		}
		if (got == nil) != (want == nil) || got != nil && got.Name != want.Name {
			h.t.Fatalf("claim %s on %s: %v, upstream %v", one.claim.Name, node, got, want)
		}
		if got != nil {
			taken[got.Name] = got
		}
	}
}

// progress brings a pod that waits for its claims nearer to its binding, or fails it.
func (h *history) progress() {
	uid, ok := some(h, slices.Sorted(maps.Keys(h.pending)))
	if !ok {
		return
	}
	b := h.pending[uid]
	if writes := b.Writes(); len(writes) > 0 && h.Intn(3) > 0 {
		h.write(uid, b, writes[0])
		return
	}
	if h.Intn(6) == 0 {
		h.unplace(uid)
		return
	}
	h.control(b)
	if done, err := h.x.Check(b); err != nil {
		h.unplace(uid)
	} else if done {
		h.bound++
		delete(h.pending, uid)
	}
}

// control plays the controller of claims and the drivers.
func (h *history) control(b *Bindings) {
	for _, p := range b.volumes {
		if o, ok := h.objects[fmt.Sprintf("%T %s", &corev1.PersistentVolumeClaim{}, p.claim)].(*corev1.PersistentVolumeClaim); ok && p.done && !bound(o) {
			next := o.DeepCopy()
			bind(next, p.object.Name)
			h.set(next)
		}
	}
	for _, c := range b.claims { // as the controller of claims would
		if o, ok := h.objects[keyOf(c.object)].(*corev1.PersistentVolumeClaim); ok && len(b.Writes()) == 0 && !bound(o) {
			if pv, ok := some(h, all[*corev1.PersistentVolume](h)); ok {
				next := o.DeepCopy()
				bind(next, pv.Name)
				h.set(next)
			}
		}
	}
}

// write plays the API: it refuses what was decided on another version.
func (h *history) write(uid types.UID, b *Bindings, o kinds.Object) {
	if have := h.objects[keyOf(o)]; have == nil || have.GetResourceVersion() != o.GetResourceVersion() {
		h.unplace(uid)
		return
	}
	h.written++
	h.version++
	o.SetResourceVersion(strconv.Itoa(h.version))
	h.objects[keyOf(o)] = o
	b.Wrote(o.DeepCopyObject().(kinds.Object))
	if a := h.assumed[keyOf(o)]; a.by == uid {
		a.written = true
		h.assumed[keyOf(o)] = a
	}
	if done, _ := h.x.Check(b); done {
		h.t.Fatalf("%s was written and not told of, and yet all is done", keyOf(o))
	}
	if h.Intn(8) == 0 { // the stream is slow
		h.unplace(uid)
		h.holds("undone after a write")
	}
	delete(h.assumed, keyOf(o))
	tell(h.x, h.table, o, false)
}

// holds compares what is assumed with what ought to be.
func (h *history) holds(when string) {
	got := map[string]string{}
	for _, v := range h.x.volumes {
		if v.assumed != nil {
			got[keyOf(v.assumed)] = v.assumed.ResourceVersion
		}
	}
	for _, c := range h.x.claims {
		if c.assumed != nil {
			got[keyOf(c.assumed)] = c.assumed.ResourceVersion
		}
	}
	want := map[string]string{}
	for k, a := range h.assumed {
		want[k] = a.version
	}
	if !maps.Equal(got, want) {
		h.t.Fatalf("%s: assumed are %v, want %v", when, got, want)
	}
}

func (h *history) unplace(uid types.UID) {
	h.x.Undo(h.pending[uid])
	maps.DeleteFunc(h.assumed, func(_ string, a assumption) bool { return a.by == uid && !a.written })
	delete(h.pending, uid)
	delete(h.placed, uid)
	h.pods = slices.DeleteFunc(h.pods, func(p *corev1.Pod) bool { return p.UID == uid })
	h.table.RemovePod(uid)
	h.x.RemovePod(uid)
}

func (h *history) step() {
	switch h.Intn(20) {
	case 0:
		h.node(h.Intn(6))
	case 1, 2:
		h.volume()
	case 3, 4:
		h.claim()
	case 5:
		h.class(h.one(classNames()...))
	case 6:
		h.csiNode(h.Intn(6))
	case 7:
		h.capacity()
	case 8:
		h.attachment()
	case 9, 10, 11, 12:
		h.decide()
	case 13, 14, 15, 16, 17:
		h.progress()
		h.progress()
	default:
		if p, ok := some(h, h.pods); ok && h.Intn(2) > 0 {
			h.unplace(p.UID)
		} else if o, ok := h.objects[h.one(slices.Sorted(maps.Keys(h.objects))...)]; ok {
			h.remove(o)
		}
	}
}

// anew builds index and table from what the API serves and what is assumed.
func (h *history) anew() (*Index, *place.Table) {
	table := place.NewTable()
	x := New(table.Touch)
	x.plenty = h.x.plenty
	for _, k := range slices.Sorted(maps.Keys(h.objects)) {
		tell(x, table, h.objects[k], false)
	}
	for _, p := range h.pods {
		table.SetPod(p, h.placed[p.UID])
		x.SetPod(p, h.placed[p.UID])
	}
	for name, v := range h.x.volumes {
		if v.assumed != nil {
			x.volumes[name].assumed = v.assumed
			x.shelve(x.volumes[name])
		}
	}
	for name, c := range h.x.claims {
		if c.assumed != nil {
			x.claims[name].assumed = c.assumed
		}
	}
	return x, table
}

func (h *history) statuses(table *place.Table, policy *place.Policy, p *corev1.Pod) string {
	e, err := table.Explain(p, policy)
	if err != nil {
		return err.Error()
	}
	var out string
	for _, n := range e.Nodes {
		out += n.Node + ":"
		if n.Status != nil {
			out += fmt.Sprint(n.Status.Code, n.Status.Plugin, n.Status.Reasons)
		}
		out += "\n"
	}
	return out
}

// TestHistories holds an index that was told of a long history, and a table that keeps what its rules said, against ones made anew:
// no answer may be left over. What Assume chooses is what upstream's own function finds; an index whose objects have all gone is empty.
func TestHistories(t *testing.T) {
	var decided, written, bound int
	for seed := range int64(60) {
		h := newHistory(t, seed)
		policy := newPolicy(t, h.x)
		for i := range 150 {
			h.step()
			h.holds(fmt.Sprintf("seed %d, step %d", seed, i))
			x, table := h.anew()
			fresh := newPolicy(t, x)
			for range 3 {
				p := h.pod()
				got, want := h.statuses(h.table, policy, p), h.statuses(table, fresh, p)
				if got != want {
					t.Fatalf("seed %d, step %d, pod of %v:\n%s\nmade anew:\n%s", seed, i, p.Spec.Volumes, got, want)
				}
			}
		}
		h.end()
		decided, written, bound = decided+h.decided, written+h.written, bound+h.bound
	}
	if decided < 500 || written < 100 || bound < 40 {
		t.Errorf("%d pods were decided, %d writes made, %d pods' claims bound: the histories are poor", decided, written, bound)
	}
	t.Logf("%d pods decided, %d writes, %d pods bound", decided, written, bound)
}

// end takes everything away.
func (h *history) end() {
	for _, p := range slices.Clone(h.pods) {
		h.unplace(p.UID)
	}
	for _, k := range slices.Sorted(maps.Keys(h.objects)) {
		h.remove(h.objects[k])
	}
	x := h.x
	if n := len(x.claims) + len(x.volumes) + len(x.pools) + len(x.classes) + len(x.drivers) + len(x.capacities) + len(x.attachments) +
		len(x.handles) + len(x.nodes) + len(x.pods); n != 0 {
		h.t.Errorf("%d things are left: %v %v %v %v %v %v", n, x.claims, x.volumes, x.pools, x.classes, x.handles, x.nodes)
	}
}

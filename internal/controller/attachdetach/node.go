package attachdetach

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/kinds"
)

// node decides about all volumes of a node, which may be gone.
func (j *judge) node(view client.View, name string, now time.Time) engine.Plan {
	j.seen(name)
	n, _ := view.Get(nodes(), "", name).(*corev1.Node)
	var wants map[string]*target
	var unready bool
	if isManaged(n) {
		wants, unready = wanted(view, name)
	}
	r := round{judge: j, view: view, name: name, node: n, now: now, before: j.recall(name), notes: map[string]note{}}
	there := map[string]bool{}
	for _, a := range attached(view, name, n) {
		there[a.Name] = true
		if t := wants[a.Name]; t != nil {
			r.keep(a, t)
		} else {
			r.let(a)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(wants)) {
		if !there[id] {
			r.attach(id, wants[id])
		}
	}
	if unready {
		r.again(5 * soon)
	}
	j.remember(name, r.notes)
	return r.done()
}

// round is one look at a node, and what comes of it.
type round struct {
	*judge
	view client.View
	name string
	node *corev1.Node // nil: it is gone
	now  time.Time

	reports []corev1.AttachedVolume // what the node is to be told that it has
	before  map[string]note         // what was remembered; not changed
	notes   map[string]note         // what is to be
	writes  []engine.Write          // of attachments
	fresh   []*held                 // newly attached
	events  []engine.Event
	next    time.Duration
	waiting string
}

// again asks for another look in d, or sooner.
func (r *round) again(d time.Duration) {
	if r.next == 0 || d < r.next {
		r.next = d
	}
}

func (r *round) tell(to []*corev1.Pod, level, reason, message string) {
	for _, pod := range to {
		r.events = append(r.events, engine.Event{About: engine.Refer("v1", "Pod", pod), Type: level, Reason: reason, Message: message})
	}
}

const failedAttach = "FailedAttachVolume"

// keep is about an attachment that is wanted.
func (r *round) keep(a *held, t *target) {
	fail := func(why string) {
		r.tell(t.users, corev1.EventTypeWarning, failedAttach, fmt.Sprintf("AttachVolume.Attach failed for volume %q : %s", t.name, why))
	}
	switch {
	case a.DeletionTimestamp != nil: // its end wakes the node
		r.waiting = "attachment " + a.Name + " to go"
	case a.Status.Attached:
		r.report(a)
		if !r.reported(a.unique) {
			r.fresh = append(r.fresh, a)
			r.tell(t.users, corev1.EventTypeNormal, "SuccessfulAttachVolume", fmt.Sprintf("AttachVolume.Attach succeeded for volume %q ", t.name))
		}
	default:
		r.waiting = "driver " + t.driver
		r.slow(a, t, fail)
	}
}

// slow tells of what the driver could not attach, and of what takes it long.
func (r *round) slow(a *held, t *target, fail func(string)) {
	last := r.before[a.Name].told
	if e := a.Status.AttachError; e != nil {
		if e.Time.After(last) || last.IsZero() {
			last = r.now
			fail(e.Message)
		}
		r.notes[a.Name] = note{told: last}
		return
	}
	r.notes[a.Name] = note{told: last}
	if last.Before(a.CreationTimestamp.Time) {
		last = a.CreationTimestamp.Time
	}
	if left := slow - r.now.Sub(last); left > 0 {
		r.again(left)
		return
	}
	r.notes[a.Name] = note{told: r.now}
	r.again(slow)
	fail(fmt.Sprintf("timed out waiting for external-attacher of %s CSI driver to attach volume %s", t.driver, t.handle))
}

// let is about an attachment that is not wanted.
func (r *round) let(a *held) {
	if a.DeletionTimestamp != nil {
		r.waiting = "attachment " + a.Name + " to go"
		return
	}
	since := r.before[a.Name].unwanted
	if since.IsZero() {
		since = r.now
	}
	r.notes[a.Name] = note{unwanted: since}
	left := patience - r.now.Sub(since)
	// Of a node that is gone nobody knows what it has mounted.
	mounted := r.node == nil || slices.Contains(r.node.Status.VolumesInUse, a.unique)
	overdue := left <= 0 && !ready(r.node)
	if mounted && !overdue && !outOfService(r.node) {
		r.report(a)
		r.waiting = "node " + r.name + " to unmount"
		if left > 0 {
			r.again(left)
		}
		return
	}
	w := engine.NewDelete(attachments(), a.VolumeAttachment, "")
	if mounted {
		w.Event = r.metrics.forced(overdue)
	}
	r.writes = append(r.writes, w)
}

// attach asks for an attachment, unless another node has the volume and may not share it.
func (r *round) attach(id string, t *target) {
	if obj, ok := r.view.Get(attachments(), "", id).(*storagev1.VolumeAttachment); ok {
		r.waiting = "attachment " + obj.Name + " to go" // of that name, and of something else
		return
	}
	if !t.shared() {
		var others []string
		for obj := range r.view.Lookup(attachments(), kinds.AttachedIndex, t.indexed()) {
			others = append(others, obj.(*storagev1.VolumeAttachment).Spec.NodeName)
		}
		if len(others) == 0 {
			if other := r.grant(t.indexed(), r.name); other != "" {
				others = append(others, other)
			}
		}
		if len(others) > 0 {
			r.several(id, t, others)
			return
		}
	}
	a := &storagev1.VolumeAttachment{ObjectMeta: metav1.ObjectMeta{Name: id}}
	a.Spec = storagev1.VolumeAttachmentSpec{NodeName: r.name, Attacher: t.driver, Source: *t.source.DeepCopy()}
	r.writes = append(r.writes, engine.NewCreate(attachments(), a))
}

// several tells pods once that other nodes have the volume, and who uses it there.
func (r *round) several(id string, t *target, others []string) {
	r.waiting = "node " + strings.Join(others, ", ") + " to let go of volume " + t.name
	r.again(soon)
	r.notes[id] = note{several: true}
	if r.before[id].several {
		return
	}
	var users []*corev1.Pod
	for _, node := range others {
		if there, _ := wanted(r.view, node); there[attachment(t.driver, t.handle, node)] != nil {
			users = append(users, there[attachment(t.driver, t.handle, node)].users...)
		}
	}
	for _, pod := range t.users {
		r.tell([]*corev1.Pod{pod}, corev1.EventTypeWarning, failedAttach, fmt.Sprintf("Multi-Attach error for volume %q %s", t.name, usedBy(pod, users)))
	}
}

// usedBy says to a pod who else uses a volume: names of its own namespace only.
func usedBy(pod *corev1.Pod, users []*corev1.Pod) string {
	var names []string
	for _, u := range users {
		if u.Namespace == pod.Namespace {
			names = append(names, u.Name)
		}
	}
	foreign := len(users) - len(names)
	switch {
	case len(users) == 0:
		return "Volume is already exclusively attached to one node and can't be attached to another"
	case len(names) == 0:
		return fmt.Sprintf("Volume is already used by %d pod(s) in different namespaces", foreign)
	case foreign > 0:
		return fmt.Sprintf("Volume is already used by pod(s) %s and %d pod(s) in different namespaces", strings.Join(names, ", "), foreign)
	}
	return "Volume is already used by pod(s) " + strings.Join(names, ", ")
}

// report has the node told that it has a volume.
func (r *round) report(a *held) {
	if a.Status.Attached {
		r.reports = append(r.reports, corev1.AttachedVolume{Name: a.unique})
	}
}

func (r *round) reported(name corev1.UniqueVolumeName) bool {
	return r.node != nil && slices.ContainsFunc(r.node.Status.VolumesAttached, func(v corev1.AttachedVolume) bool { return v.Name == name })
}

// done is the plan of a round: the node is told first what it loses, and then the attachments are written.
func (r *round) done() engine.Plan {
	plan := engine.Plan{Events: r.events, After: r.next, Waiting: r.waiting}
	if w, ok := r.told(); ok {
		plan.Writes = append(plan.Writes, w)
	}
	plan.Writes = append(plan.Writes, r.writes...)
	return plan
}

// told is the write of the node's list, if it differs. What is not of drivers is left in it.
func (r *round) told() (engine.Write, bool) {
	if !isManaged(r.node) {
		return engine.Write{}, false
	}
	list := slices.DeleteFunc(slices.Clone(r.node.Status.VolumesAttached), func(v corev1.AttachedVolume) bool {
		return strings.HasPrefix(string(v.Name), plugin+"/")
	})
	list = append(list, r.reports...)
	byName := func(a, b corev1.AttachedVolume) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortFunc(list, byName)
	list = slices.Compact(list)
	if slices.Equal(list, slices.SortedFunc(slices.Values(r.node.Status.VolumesAttached), byName)) {
		return engine.Write{}, false
	}
	next := r.node.DeepCopy()
	next.Status.VolumesAttached = list
	w := engine.NewUpdate(nodes(), next, "status")
	w.Event = r.metrics.attached(r.fresh, r.now)
	return w, true
}

// podsOf is for metrics: every volume of every pod that has a node.
func podsOf(view client.View, each func(node string, t *target)) {
	for obj := range view.List(pods.Resource(), "") {
		pod := obj.(*corev1.Pod)
		if pod.Spec.NodeName == "" {
			continue
		}
		for i := range pod.Spec.Volumes {
			if t, _ := targetOf(view, pod, &pod.Spec.Volumes[i]); t != nil {
				each(pod.Spec.NodeName, t)
			}
		}
	}
}

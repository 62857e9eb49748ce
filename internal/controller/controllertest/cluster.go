// Package controllertest is an API in memory for the tests of controllers and the scheduler.
//
// # Vocabulary and laws
//
// A Cluster stands for API and store: it keeps immutable objects by resource, gives each write one revision,
// refuses stale resourceVersions with a conflict, honours finalizers and preconditions, and takes nothing new for a namespace that is being
// deleted. It keeps every
// change, so streams from any revision work until Expire. Names and UIDs are counted, so runs repeat exactly.
// All methods are safe for concurrent use. Lock: Cluster.mu is a leaf.
//
// # What it leaves to others
//
// Defaulting, validation and authorization: objects are stored as given.
package controllertest

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
)

var _ client.Client = (*Cluster)(nil)

type table map[client.Resource]map[string]kinds.Object // "namespace/name" → object

// Cluster is an API in memory.
type Cluster struct {
	clock clock.PassiveClock

	mu      sync.Mutex // guards all below
	objects table
	changes map[client.Resource][]client.Change
	wake    chan struct{} // closed and replaced at each change
	rev     uint64
	names   int
	expired uint64 // streams that began at or before it are dead
	fail    func(verb string, res client.Resource, obj kinds.Object) error
	causes  []string
}

// New returns an empty cluster at revision 1.
func New(c clock.PassiveClock) *Cluster {
	return &Cluster{clock: c, objects: table{}, changes: map[client.Resource][]client.Change{}, wake: make(chan struct{}), rev: 1}
}

// Fail makes writes fail for which f returns an error; nil ends that. obj is nil for deletions by name.
func (c *Cluster) Fail(f func(verb string, res client.Resource, obj kinds.Object) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = f
}

// Expire makes every open stream answer 410.
func (c *Cluster) Expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expired = c.rev
	c.announceLocked()
}

// Causes returns the causes of all writes so far.
func (c *Cluster) Causes() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.causes)
}

func (c *Cluster) announceLocked() {
	close(c.wake)
	c.wake = make(chan struct{})
}

func (c *Cluster) failLocked(ctx context.Context, verb string, res client.Resource, obj kinds.Object) error {
	c.causes = append(c.causes, client.Cause(ctx))
	if c.fail == nil {
		return nil
	}
	return c.fail(verb, res, obj)
}

// putLocked stores obj, a private copy; nil removes.
func (c *Cluster) putLocked(res client.Resource, key string, obj kinds.Object) {
	c.rev++
	old := c.objects[res][key]
	next := maps.Clone(c.objects[res])
	if next == nil {
		next = map[string]kinds.Object{}
	}
	if obj == nil {
		delete(next, key)
	} else {
		obj.SetResourceVersion(strconv.FormatUint(c.rev, 10))
		next[key] = obj
	}
	c.objects = maps.Clone(c.objects)
	c.objects[res] = next
	c.changes[res] = append(c.changes[res], client.Change{New: obj, Old: old, Revision: c.rev})
	c.announceLocked()
}

func clone(obj kinds.Object) kinds.Object { return obj.DeepCopyObject().(kinds.Object) }

func keyOf(obj kinds.Object) string { return obj.GetNamespace() + "/" + obj.GetName() }

// Create stores a copy of obj with name, UID, creation time and revision set.
func (c *Cluster) Create(ctx context.Context, res client.Resource, obj kinds.Object, _ metav1.CreateOptions) (kinds.Object, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.failLocked(ctx, "create", res, obj); err != nil {
		return nil, err
	}
	if ns := c.objects[corev1.SchemeGroupVersion.WithResource("namespaces")]["/"+obj.GetNamespace()]; ns != nil && ns.GetDeletionTimestamp() != nil {
		return nil, apierrors.NewForbidden(res.GroupResource(), obj.GetName(), fmt.Errorf("namespace %s is being terminated", ns.GetName()))
	}
	obj = clone(obj)
	c.names++
	if obj.GetName() == "" {
		obj.SetName(fmt.Sprintf("%s%05d", obj.GetGenerateName(), c.names))
	}
	if c.objects[res][keyOf(obj)] != nil {
		return nil, apierrors.NewAlreadyExists(res.GroupResource(), obj.GetName())
	}
	if obj.GetUID() == "" {
		obj.SetUID(types.UID(fmt.Sprintf("uid-%d", c.names)))
	}
	if created := obj.GetCreationTimestamp(); created.IsZero() {
		obj.SetCreationTimestamp(metav1.NewTime(c.clock.Now()))
	}
	if obj.GetGeneration() == 0 {
		obj.SetGeneration(1)
	}
	c.putLocked(res, keyOf(obj), obj)
	return obj, nil
}

// Update replaces an object. An object that is being deleted goes when nothing holds it any more. An
// update without a subresource raises the generation.
func (c *Cluster) Update(ctx context.Context, res client.Resource, obj kinds.Object, subresource string) (kinds.Object, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.failLocked(ctx, "update", res, obj); err != nil {
		return nil, err
	}
	old := c.objects[res][keyOf(obj)]
	if old == nil {
		return nil, apierrors.NewNotFound(res.GroupResource(), obj.GetName())
	}
	if v := obj.GetResourceVersion(); v != "" && v != old.GetResourceVersion() {
		return nil, apierrors.NewConflict(res.GroupResource(), obj.GetName(), fmt.Errorf("wanted %s, found %s", v, old.GetResourceVersion()))
	}
	obj = clone(obj)
	if subresource == "" {
		obj.SetGeneration(old.GetGeneration() + 1)
	}
	if obj.GetDeletionTimestamp() != nil && !held(obj) {
		c.putLocked(res, keyOf(obj), nil)
		obj.SetResourceVersion(strconv.FormatUint(c.rev, 10))
		return obj, nil
	}
	c.putLocked(res, keyOf(obj), obj)
	return obj, nil
}

func held(obj kinds.Object) bool {
	if ns, ok := obj.(*corev1.Namespace); ok && len(ns.Spec.Finalizers) > 0 {
		return true
	}
	return len(obj.GetFinalizers()) > 0
}

// Patch merges data (RFC 7386; no other patch is known) into an object as Update would: its resourceVersion and UID are preconditions.
func (c *Cluster) Patch(ctx context.Context, res client.Resource, namespace, name string, pt types.PatchType, data []byte, subresource string) (kinds.Object, error) {
	old, err := c.Get(ctx, res, namespace, name)
	if err != nil {
		return nil, err
	}
	if pt != types.MergePatchType {
		return nil, apierrors.NewMethodNotSupported(res.GroupResource(), string(pt))
	}
	before, err := json.Marshal(old)
	if err != nil {
		return nil, err
	}
	after, err := jsonpatch.MergePatch(before, data)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	next := reflect.New(reflect.TypeOf(old).Elem()).Interface().(kinds.Object)
	if err := json.Unmarshal(after, next); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if next.GetUID() != old.GetUID() {
		return nil, apierrors.NewConflict(res.GroupResource(), name, fmt.Errorf("wanted uid %s, found %s", next.GetUID(), old.GetUID()))
	}
	return c.Update(ctx, res, next, subresource)
}

// Apply is refused, too: it takes the whole API of a bed.
func (c *Cluster) Apply(context.Context, client.Resource, string, string, []byte, string, string) (kinds.Object, error) {
	return nil, apierrors.NewMethodNotSupported(corev1.Resource("any"), "apply")
}

// Delete removes an object, or marks it when a finalizer holds it or the policy adds one, and returns the revision of that.
func (c *Cluster) Delete(ctx context.Context, res client.Resource, namespace, name string, opts metav1.DeleteOptions) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.objects[res][namespace+"/"+name]
	if err := c.failLocked(ctx, "delete", res, old); err != nil {
		return 0, err
	}
	if old == nil {
		return 0, apierrors.NewNotFound(res.GroupResource(), name)
	}
	if p := opts.Preconditions; p != nil && p.UID != nil && *p.UID != old.GetUID() {
		return 0, apierrors.NewConflict(res.GroupResource(), name, fmt.Errorf("wanted uid %s, found %s", *p.UID, old.GetUID()))
	}
	if p := opts.Preconditions; p != nil && p.ResourceVersion != nil && *p.ResourceVersion != old.GetResourceVersion() {
		return 0, apierrors.NewConflict(res.GroupResource(), name, fmt.Errorf("wanted version %s, found %s", *p.ResourceVersion, old.GetResourceVersion()))
	}
	obj := clone(old)
	if p := opts.PropagationPolicy; p != nil {
		obj.SetFinalizers(finalizers(obj, *p))
	}
	if obj.GetDeletionTimestamp() != nil && slices.Equal(obj.GetFinalizers(), old.GetFinalizers()) {
		return revisionOf(old), nil
	}
	if !held(obj) {
		c.putLocked(res, keyOf(obj), nil)
		return c.rev, nil
	}
	if obj.GetDeletionTimestamp() == nil {
		now := metav1.NewTime(c.clock.Now())
		obj.SetDeletionTimestamp(&now)
	}
	if ns, ok := obj.(*corev1.Namespace); ok {
		ns.Status.Phase = corev1.NamespaceTerminating
	}
	c.putLocked(res, keyOf(obj), obj)
	return c.rev, nil
}

// finalizers are those of obj after a wish to delete it with a policy, in the place of what was wished before.
func finalizers(obj kinds.Object, policy metav1.DeletionPropagation) []string {
	list := slices.DeleteFunc(slices.Clone(obj.GetFinalizers()), func(f string) bool {
		return f == metav1.FinalizerDeleteDependents || f == metav1.FinalizerOrphanDependents
	})
	switch policy {
	case metav1.DeletePropagationForeground:
		return append(list, metav1.FinalizerDeleteDependents)
	case metav1.DeletePropagationOrphan:
		return append(list, metav1.FinalizerOrphanDependents)
	}
	return list
}

func revisionOf(obj kinds.Object) uint64 {
	rev, err := strconv.ParseUint(obj.GetResourceVersion(), 10, 64)
	if err != nil {
		panic(err) // every stored object got one from a counter
	}
	return rev
}

// Bind sets the node of pods that have none.
func (c *Cluster) Bind(ctx context.Context, bindings []*corev1.Binding) []error {
	res := corev1.SchemeGroupVersion.WithResource("pods")
	errs := make([]error, len(bindings))
	for i, b := range bindings {
		obj, err := c.Get(ctx, res, b.Namespace, b.Name)
		if err != nil {
			errs[i] = err
			continue
		}
		pod := obj.(*corev1.Pod).DeepCopy()
		if pod.Spec.NodeName != "" {
			errs[i] = apierrors.NewConflict(res.GroupResource(), pod.Name, fmt.Errorf("pod is already assigned to node %q", pod.Spec.NodeName))
			continue
		}
		pod.Spec.NodeName = b.Target.Name
		_, errs[i] = c.Update(ctx, res, pod, "binding")
	}
	return errs
}

// Get returns the newest state.
func (c *Cluster) Get(_ context.Context, res client.Resource, namespace, name string) (kinds.Object, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if obj := c.objects[res][namespace+"/"+name]; obj != nil {
		return obj, nil
	}
	return nil, apierrors.NewNotFound(res.GroupResource(), name)
}

// View returns the newest state of everything.
func (c *Cluster) View(context.Context) (client.View, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return view{c.objects, c.rev}, nil
}

// Watch follows res; index and value may select by "spec.nodeName" or "owner".
func (c *Cluster) Watch(_ context.Context, res client.Resource, after uint64, index, value string) (client.Stream, error) {
	return &stream{cluster: c, res: res, begun: after, after: after, index: index, value: value}, nil
}

type view struct {
	objects table
	rev     uint64
}

// Revision is the view's.
func (v view) Revision() uint64 { return v.rev }

// Get returns nil for what is not there.
func (v view) Get(res client.Resource, namespace, name string) kinds.Object {
	return v.objects[res][namespace+"/"+name]
}

// List goes in key order.
func (v view) List(res client.Resource, namespace string) iter.Seq[kinds.Object] {
	return func(yield func(kinds.Object) bool) {
		for _, k := range slices.Sorted(maps.Keys(v.objects[res])) {
			if namespace != "" && !strings.HasPrefix(k, namespace+"/") {
				continue
			}
			if !yield(v.objects[res][k]) {
				return
			}
		}
	}
}

// Lookup goes in key order through what has value in index.
func (v view) Lookup(res client.Resource, index, value string) iter.Seq[kinds.Object] {
	return func(yield func(kinds.Object) bool) {
		for obj := range v.List(res, "") {
			if slices.Contains(indexed(obj, index), value) && !yield(obj) {
				return
			}
		}
	}
}

func indexed(obj kinds.Object, index string) []string {
	switch index {
	case "owner":
		var uids []string
		for _, ref := range obj.GetOwnerReferences() {
			uids = append(uids, string(ref.UID))
		}
		return uids
	case kinds.OrphanIndex:
		if metav1.GetControllerOf(obj) == nil {
			return []string{obj.GetNamespace()}
		}
	case "spec.nodeName":
		if pod, ok := obj.(*corev1.Pod); ok {
			return []string{pod.Spec.NodeName}
		}
	}
	return nil
}

type stream struct {
	cluster      *Cluster
	res          client.Resource
	begun, after uint64
	index, value string
}

// Next returns the next change, a 410 after Expire, or ctx's error.
func (s *stream) Next(ctx context.Context) (client.Change, error) {
	for {
		s.cluster.mu.Lock()
		changes, wake := s.cluster.changes[s.res], s.cluster.wake
		dead := s.cluster.expired != 0 && s.begun <= s.cluster.expired
		s.cluster.mu.Unlock()
		if dead {
			return client.Change{}, apierrors.NewResourceExpired("too old resource version")
		}
		i, _ := slices.BinarySearchFunc(changes, s.after+1, func(c client.Change, rev uint64) int { return int(c.Revision) - int(rev) })
		for _, ch := range changes[i:] {
			s.after = ch.Revision
			if s.wants(ch) {
				return ch, nil
			}
		}
		select {
		case <-ctx.Done():
			return client.Change{}, ctx.Err()
		case <-wake:
		}
	}
}

func (s *stream) wants(ch client.Change) bool {
	if s.index == "" {
		return true
	}
	for _, obj := range []kinds.Object{ch.New, ch.Old} {
		if obj != nil && slices.Contains(indexed(obj, s.index), s.value) {
			return true
		}
	}
	return false
}

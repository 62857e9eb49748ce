package api

import (
	"context"
	"errors"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Delete removes an object, or marks it when its grace period or a finalizer holds it.
func (s *Server) Delete(ctx context.Context, req Request, opts metav1.DeleteOptions) (Result, error) {
	if err := s.authorize(ctx, req, "delete"); err != nil {
		return Result{}, err
	}
	if err := CheckDelete(opts); err != nil {
		return Result{}, err
	}
	return s.delete(ctx, req, opts)
}

func (s *Server) delete(ctx context.Context, req Request, opts metav1.DeleteOptions) (Result, error) {
	req.said.deletion = opts
	if f := req.Kind.Protected; f != nil {
		if reason := f(req.Name); reason != "" {
			return Result{}, apierrors.NewForbidden(req.resource(), req.Name, errors.New(reason))
		}
	}
	dryRun, blank := isDryRun(opts.DryRun), false
	result, err := s.reviseInSteps(ctx, req, dryRun, func(old kinds.Object) (decision, error) {
		if err := checkPreconditions(req, opts.Preconditions, old.GetUID(), old.GetResourceVersion()); err != nil {
			return decision{}, err
		}
		if err := s.ask(ctx, req.asked(), admission.Delete, req.Kind.GVK, nil, old, dryRun).both(ctx); err != nil {
			return decision{}, err
		}
		d := decideDelete(s.env(req), req.Kind, copyOf(old), opts)
		blank = dryRun && d.remove && !d.next.GetDeletionTimestamp().IsZero() && slices.ContainsFunc(old.GetFinalizers(), ofDependents)
		return d, nil
	})
	if err == nil && blank { // upstream's trial gives up midway, with nothing to show
		return Result{Object: req.Kind.Stored().New()}, nil
	}
	if err == nil && result.Removed { // upstream answers with the revision of the deletion here
		result.Object.(kinds.Object).SetResourceVersion(Version(result.Revision))
	}
	return result, err
}

// asked is the request as plug-ins are told of it: what goes with its collection has no name.
func (r Request) asked() Request {
	if r.together {
		r.Name = ""
	}
	return r
}

// reviseInSteps is revise, but that what a deletion with a grace period of 0 removes is marked first, as upstream's is, so that watchers see both.
func (s *Server) reviseInSteps(ctx context.Context, req Request, dryRun bool, decide func(old kinds.Object) (decision, error)) (Result, error) {
	marked := false
	result, err := s.revise(ctx, req, dryRun, func(old kinds.Object) (decision, error) {
		d, err := decide(old)
		if marked = err == nil && d.marks && !dryRun && !d.dryRun; marked {
			d.remove = false
		}
		return d, err
	})
	if err != nil || !marked {
		return result, err
	}
	last := result.Object.(kinds.Object)
	gone, err := s.revise(ctx, req, false, func(old kinds.Object) (decision, error) {
		if old.GetUID() != last.GetUID() {
			return decision{}, apierrors.NewNotFound(req.resource(), req.Name)
		}
		return decision{next: copyOf(old), remove: true}, nil
	})
	if apierrors.IsNotFound(err) { // somebody else was quicker: what was marked is gone
		result.Removed = true
		return result, nil
	}
	return gone, err
}

// decideDelete makes obj, private to the caller, what it is after the wish to delete it.
//
//	│ delete                      grace 0, no finalizer, kind lets go
//	├───────────────────────────────────────────────────────────────► removed
//	│ delete with grace                                                  ▲
//	├──────────────► deletionTimestamp, grace > 0 ── delete, grace 0 ────┤
//	│ finalizer, or held by the kind              │                      │
//	└──────────────► deletionTimestamp, grace 0 ◄─┘ ── let go by update ─┘
func decideDelete(env kinds.Env, k *kinds.Kind, obj kinds.Object, opts metav1.DeleteOptions) decision {
	pending := obj.GetDeletionTimestamp() != nil
	var d kinds.Deletion
	if k.Delete != nil {
		d = k.Delete(env, obj, &opts)
	}
	grace, was := int64(d.Grace/time.Second), obj.GetDeletionGracePeriodSeconds()
	again := k.Gone != nil || d.Graceful && (opts.GracePeriodSeconds == nil || was != nil && grace >= *was)
	if k.Dependents != kinds.DependentsNone && !(pending && again) { // a second wish changes nothing but the time
		setFinalizers(obj, opts, k.Dependents == kinds.DependentsOrphaned)
	}
	switch at := obj.GetDeletionTimestamp(); {
	case at == nil && d.Graceful:
		mark(env, obj, grace)
	case at == nil && k.Gone != nil: // no grace is over that never began
		begin(env, obj, 0)
	case at == nil:
		if len(obj.GetFinalizers()) > 0 {
			mark(env, obj, 0)
		}
	case was == nil || !d.Graceful:
	case opts.GracePeriodSeconds != nil && grace < *was: // only ever shorter
		sooner := metav1.NewTime(at.Add(time.Duration(grace-*was) * time.Second))
		obj.SetDeletionTimestamp(&sooner)
		obj.SetDeletionGracePeriodSeconds(&grace)
	}
	remove, now := obj.GetDeletionTimestamp() == nil || released(k, obj), obj.GetDeletionGracePeriodSeconds()
	shortened := d.Graceful && k.Gone == nil && now != nil && (was == nil || *now < *was)
	return decision{next: obj, remove: remove, marks: remove && shortened}
}

// mark gives obj, which is being deleted from now on, its grace period in seconds.
func mark(env kinds.Env, obj kinds.Object, grace int64) {
	begin(env, obj, grace)
	obj.SetDeletionGracePeriodSeconds(&grace)
}

// begin says that obj is being deleted: now plus the grace period, in seconds. It is a change of what is wanted.
func begin(env kinds.Env, obj kinds.Object, grace int64) {
	at := metav1.NewTime(env.Now.Add(time.Duration(grace) * time.Second)).Rfc3339Copy()
	obj.SetDeletionTimestamp(&at)
	if obj.GetGeneration() > 0 {
		obj.SetGeneration(obj.GetGeneration() + 1)
	}
}

// released says that nothing holds an object that is being deleted.
func released(k *kinds.Kind, obj kinds.Object) bool {
	if obj.GetDeletionTimestamp() == nil || len(obj.GetFinalizers()) > 0 {
		return false
	}
	if k.Gone != nil {
		return k.Gone(obj)
	}
	grace := obj.GetDeletionGracePeriodSeconds()
	return grace == nil || *grace == 0
}

// OrphanDependents is the older form of the propagation policy; nil when it is not used.
func OrphanDependents(opts metav1.DeleteOptions) *bool {
	//lint:ignore SA1019 clients still send it
	return opts.OrphanDependents
}

// setFinalizers records what is to become of dependents, for the garbage collector: what opts say, or what obj has said before, or else that they stay
// when byDefault is set.
func setFinalizers(obj kinds.Object, opts metav1.DeleteOptions, byDefault bool) {
	want := ""
	orphan := OrphanDependents(opts)
	switch {
	case orphan != nil && *orphan:
		want = metav1.FinalizerOrphanDependents
	case opts.PropagationPolicy == nil && orphan == nil:
		if !byDefault || slices.ContainsFunc(obj.GetFinalizers(), ofDependents) {
			return // those that the object has stay
		}
		want = metav1.FinalizerOrphanDependents
	case opts.PropagationPolicy != nil && *opts.PropagationPolicy == metav1.DeletePropagationOrphan:
		want = metav1.FinalizerOrphanDependents
	case opts.PropagationPolicy != nil && *opts.PropagationPolicy == metav1.DeletePropagationForeground:
		want = metav1.FinalizerDeleteDependents
	}
	list := slices.DeleteFunc(slices.Clone(obj.GetFinalizers()), ofDependents)
	if want != "" {
		list = append(list, want)
	}
	obj.SetFinalizers(list)
}

// ofDependents says whether a finalizer is about dependents.
func ofDependents(f string) bool {
	return f == metav1.FinalizerOrphanDependents || f == metav1.FinalizerDeleteDependents
}

// DeleteCollection deletes every object that list selects, and returns them as they were listed.
func (s *Server) DeleteCollection(ctx context.Context, req Request, opts metav1.DeleteOptions, list metav1.ListOptions) (List, error) {
	if err := s.Allow(ctx, req.User, req.selecting("deletecollection", list.FieldSelector, list.LabelSelector)); err != nil {
		return List{}, err
	}
	if err := CheckDelete(opts); err != nil {
		return List{}, err
	}
	found, err := s.list(ctx, req, list)
	if err != nil {
		return List{}, err
	}
	for _, item := range found.Items {
		obj, err := ObjectOf(req.Kind, item)
		if err != nil {
			return List{}, internal(err)
		}
		one := req
		one.Namespace, one.Name, one.together = obj.GetNamespace(), obj.GetName(), true
		if _, err := s.delete(ctx, one, opts); err != nil && !apierrors.IsNotFound(err) {
			return List{}, err
		}
	}
	return found, nil
}

// Gone is what answers a deletion that is done, for kinds that do not return the object.
func Gone(req Request, obj runtime.Object) *metav1.Status {
	details := &metav1.StatusDetails{Name: req.Name, Group: req.Kind.GVK.Group, Kind: req.Kind.Resource}
	if o, ok := obj.(kinds.Object); ok {
		details.UID = o.GetUID()
	}
	return &metav1.Status{Status: metav1.StatusSuccess, Details: details}
}

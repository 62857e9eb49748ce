package api

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Update replaces an object, or the part of it that the request's subresource is.
func (s *Server) Update(ctx context.Context, req Request, given runtime.Object, opts metav1.UpdateOptions) (Result, error) {
	if err := s.authorize(ctx, req, "update"); err != nil {
		return Result{}, err
	}
	req.verb = "update"
	req = req.saying(opts.FieldManager, opts.FieldValidation)
	if err := CheckUpdate(opts); err != nil {
		return Result{}, err
	}
	part, err := subresource(req, "update")
	if err != nil {
		return Result{}, err
	}
	if part != nil && part.Scale != nil {
		return s.updateScale(ctx, req, part.Scale, given, isDryRun(opts.DryRun))
	}
	obj, ok := given.(kinds.Object)
	if !ok {
		return Result{}, apierrors.NewBadRequest(fmt.Sprintf("%T has no metadata", given))
	}
	obj = owned(req.Kind, obj)
	if err := sameName(req, obj); err != nil {
		return Result{}, err
	}
	result, err := s.revise(ctx, req, isDryRun(opts.DryRun), func(old kinds.Object) (decision, error) {
		if err := checkUID(req, obj.GetUID(), old.GetUID(), isDryRun(opts.DryRun)); err != nil {
			return decision{}, err
		}
		return s.decideUpdate(ctx, req, part, copyOf(obj), old, isDryRun(opts.DryRun))
	})
	if apierrors.IsNotFound(err) && part == nil && req.Kind.CreateOnUpdate {
		return s.createInstead(ctx, req, copyOf(obj), isDryRun(opts.DryRun))
	}
	return result, err
}

// createInstead stores obj, private to the caller, that an update has not found, whatever version it wanted to replace.
func (s *Server) createInstead(ctx context.Context, req Request, obj kinds.Object, dryRun bool) (Result, error) {
	if err := s.authorize(ctx, req, "create"); err != nil {
		return Result{}, err
	}
	if err := checkUID(req, obj.GetUID(), "", dryRun); err != nil {
		return Result{}, err
	}
	obj.SetResourceVersion("")
	return s.create(ctx, req, obj, dryRun)
}

// sameName holds the object's name and namespace against the request's, and completes the namespace.
func sameName(req Request, obj kinds.Object) error {
	if err := exactName(req, obj); err != nil {
		return err
	}
	return ownNamespace(req, obj)
}

// decideUpdate makes obj, private to the caller, old's next state.
func (s *Server) decideUpdate(ctx context.Context, req Request, part *kinds.Subresource, obj, old kinds.Object, dryRun bool) (decision, error) {
	if err := checkVersion(req, obj, old); err != nil {
		return decision{}, err
	}
	keepMeta(obj, old)
	if f := req.Kind.Default; f != nil {
		f(obj)
	}
	s.track(req, part, old, obj)
	asked := s.ask(ctx, req, admission.Update, req.Kind.GVK, obj, old, dryRun)
	if !req.admitted {
		if err := asked.admit(ctx); err != nil {
			return decision{}, err
		}
	}
	var errs field.ErrorList
	var further further
	if part != nil {
		var err error
		if errs, err = s.updatePart(ctx, req, part, obj, old); err != nil {
			return decision{}, err
		}
	} else {
		if err := s.rights(ctx, req, obj, old); err != nil {
			return decision{}, err
		}
		var err error
		if further, err = s.claim(ctx, req, obj, old, dryRun); err != nil {
			return decision{}, err
		}
		if f := req.Kind.PrepareUpdate; f != nil {
			f(s.env(req), obj, old)
		}
	}
	errs = append(errs, validateUpdate(req.Kind, part, obj, old)...)
	if len(errs) > 0 {
		return decision{}, apierrors.NewInvalid(req.Kind.Stored().GVK.GroupKind(), obj.GetName(), errs)
	}
	if f := req.Kind.Canonical; f != nil {
		f(obj)
	}
	switch {
	case part == nil:
		req.tell(obj, old)
	case part.Warnings != nil && req.Warn != nil: // most who report a status know what they do
		for _, text := range part.Warnings(obj) {
			req.Warn(text)
		}
	}
	d := decision{next: obj, remove: released(req.Kind, obj), further: further}
	if !req.admitted {
		if err := asked.validate(ctx); err != nil {
			return decision{}, err
		}
		var err error
		if d.beside, err = asked.charge(ctx); err != nil {
			return decision{}, err
		}
	}
	return d, nil
}

// validateUpdate says what is wrong with obj as old's next state; of a part only what all parts are held to.
func validateUpdate(k *kinds.Kind, part *kinds.Subresource, obj, old kinds.Object) field.ErrorList {
	if part != nil {
		meta := validateMetaUpdate(k, kinds.MetaChange, obj, old)
		return append(meta.common, meta.before...)
	}
	meta := validateMetaUpdate(k, k.MetaAgain, obj, old)
	errs := append(meta.common, meta.before...)
	errs = append(errs, validateAgain(k, obj, old)...)
	errs = append(errs, meta.after...)
	if k.ValidateUpdate != nil {
		errs = append(errs, k.ValidateUpdate(obj, old)...)
	}
	return errs
}

// validateAgain says what is wrong with obj, old's next state, but for what may not have changed.
func validateAgain(k *kinds.Kind, obj, old kinds.Object) field.ErrorList {
	switch {
	case k.ValidateAgain != nil:
		return k.ValidateAgain(obj, old)
	case k.Validate != nil:
		return k.Validate(obj)
	}
	return nil
}

// updatePart makes obj what a write of old's part makes of it, and says what is wrong with that.
func (s *Server) updatePart(ctx context.Context, req Request, part *kinds.Subresource, obj, old kinds.Object) (field.ErrorList, error) {
	errs := part.Update(s.env(req), obj, old)
	if part.Rights == nil {
		return errs, nil
	}
	see := &reader{server: s}
	denied := part.Rights(s.asking(ctx, req), obj, old, see)
	if len(denied) == 0 {
		return errs, nil
	}
	return append(denied, errs...), s.settle(ctx, see.newest, nil)
}

// checkVersion holds what the client read against what there is.
func checkVersion(req Request, obj, old kinds.Object) error {
	version, err := parseVersion(obj.GetResourceVersion())
	switch {
	case err != nil:
		return err
	case version == 0 && req.Kind.RequireVersion: // upstream names the resource here, where it should the kind
		return apierrors.NewInvalid(schema.GroupKind{Group: req.resource().Group, Kind: req.resource().Resource}, req.Name, field.ErrorList{
			field.Invalid(field.NewPath("metadata", "resourceVersion"), uint64(version), "must be specified for an update"),
		})
	case version != 0 && Version(version) != old.GetResourceVersion():
		return conflict(req, errModified)
	}
	return nil
}

// keepMeta keeps of old what no update may change, where the update leaves it out. What it says otherwise is validated.
func keepMeta(obj, old kinds.Object) {
	obj.SetName(old.GetName())
	obj.SetNamespace(old.GetNamespace())
	if obj.GetUID() == "" {
		obj.SetUID(old.GetUID())
	}
	obj.SetResourceVersion(old.GetResourceVersion())
	obj.SetCreationTimestamp(old.GetCreationTimestamp())
	obj.SetGeneration(old.GetGeneration())
	obj.SetSelfLink("")
	if at := old.GetDeletionTimestamp(); at != nil {
		obj.SetDeletionTimestamp(at)
	}
	if obj.GetDeletionGracePeriodSeconds() == nil {
		obj.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	}
}

// subresource finds the part that the request names and asks whether it has the verb; nil without one.
func subresource(req Request, verb string) (*kinds.Subresource, error) {
	if req.Subresource == "" {
		return nil, nil
	}
	for i := range req.Kind.Subresources {
		part := &req.Kind.Subresources[i]
		if part.Name != req.Subresource {
			continue
		}
		for _, v := range part.Verbs {
			if v == verb {
				return part, nil
			}
		}
		return nil, apierrors.NewMethodNotSupported(schema.GroupResource{Group: req.Kind.GVK.Group, Resource: req.Kind.Resource + "/" + req.Subresource}, verb)
	}
	return nil, apierrors.NewNotFound(req.resource(), req.Name)
}

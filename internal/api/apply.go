package api

import (
	"context"
	"fmt"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/managedfields"

	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/floe-k8s/floe/internal/api/managed"
	"github.com/floe-k8s/floe/internal/kinds"
)

// This file is server-side apply. What is declared is decoded again for each attempt, as upstream does, so that refusals come in its order.

// apply makes an object what its manager declares, or creates it.
func (s *Server) apply(ctx context.Context, req Request, part *kinds.Subresource, p Patch, opts metav1.PatchOptions) (Result, error) {
	kind := managed.Applied{
		GVK: req.Kind.GVK, Document: document(req.Kind), New: func() managed.Object { return req.Kind.New() },
		Default: defaulting(req.Kind),
	}
	for _, form := range s.forms(req.Kind) {
		kind.Others = append(kind.Others, managed.Version{GVK: form.GVK, Document: document(form), Show: func(obj managed.Object) (managed.Object, error) {
			return showAs(req.Kind, form, obj)
		}, Own: func(obj managed.Object) (managed.Object, error) {
			return showAs(form, req.Kind, obj)
		}, New: func() managed.Object { return form.New() }})
	}
	declare := func(old kinds.Object) (kinds.Object, error) {
		shown, err := req.Kind.Shown(old)
		if err != nil {
			return nil, apierrors.NewInternalError(err)
		}
		if req.Kind.Dynamic != nil {
			return s.declaredDynamic(req, part, shown, p, opts)
		}
		obj, err := s.declared(s.writeOf(req, part), kind, shown, p, opts)
		if err != nil || req.Kind.View == nil {
			return obj, err
		}
		return req.Kind.View.Own(obj), nil
	}
	req.tracked = true
	for range attempts {
		result, err := s.revise(ctx, req, isDryRun(opts.DryRun), func(old kinds.Object) (decision, error) {
			obj, err := declare(old)
			if err != nil {
				return decision{}, err
			}
			if err := ownNamespace(req, obj); err != nil {
				return decision{}, err
			}
			if err := exactName(req, obj); err != nil {
				return decision{}, err
			}
			return s.decideUpdate(ctx, req, part, obj, old, isDryRun(opts.DryRun))
		})
		if !apierrors.IsNotFound(err) || part != nil {
			return result, err
		}
		result, err = s.createDeclared(ctx, req, declare, isDryRun(opts.DryRun))
		if !apierrors.IsAlreadyExists(err) { // else someone was quicker
			return result, err
		}
	}
	return Result{}, apierrors.NewServerTimeout(req.resource(), "patch", 1)
}

// defaulting fills unset fields of an object in the form that the kind's clients see.
func defaulting(k *kinds.Kind) func(managed.Object) {
	f := k.Default
	if k.View != nil {
		f = k.View.Default
	}
	return func(obj managed.Object) {
		if f != nil {
			f(obj)
		}
	}
}

// createDeclared creates what an apply declares of an object that there is not.
func (s *Server) createDeclared(ctx context.Context, req Request, declare func(old kinds.Object) (kinds.Object, error), dryRun bool) (Result, error) {
	obj, err := declare(req.Kind.Stored().New())
	switch {
	case err != nil:
		return Result{}, Classed(err)
	case obj.GetUID() != "":
		return Result{}, conflict(req, fmt.Errorf("uid mismatch: the provided object specified uid %s, and no existing object was found", obj.GetUID()))
	}
	if err := ownNamespace(req, obj); err != nil {
		return Result{}, err
	}
	if err := exactName(req, obj); err != nil {
		return Result{}, err
	}
	if err := s.authorize(ctx, req, "create"); err != nil {
		return Result{}, err
	}
	return s.create(ctx, req, obj, dryRun)
}

// exactName holds the name that an object has against the request's.
func exactName(req Request, obj kinds.Object) error {
	switch name := obj.GetName(); name {
	case req.Name:
		return nil
	case "":
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s based on URL) was undeterminable: name must be provided", req.Name))
	default:
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", name, req.Name))
	}
}

// declared is old with what the apply declares on it.
func (s *Server) declared(w managed.Write, kind managed.Applied, old kinds.Object, p Patch, opts metav1.PatchOptions) (kinds.Object, error) {
	fields, err := p.declares()
	if err != nil {
		return nil, err
	}
	obj, err := s.fields.Apply(w, kind, old, fields, opts.Force != nil && *opts.Force)
	if err != nil {
		return nil, err
	}
	return obj, p.strictly()
}

// declaredDynamic is declared for a kind without a Go type.
func (s *Server) declaredDynamic(req Request, part *kinds.Subresource, old kinds.Object, p Patch, opts metav1.PatchOptions) (kinds.Object, error) {
	fields, err := p.declares()
	if err != nil {
		return nil, err
	}
	obj, err := s.fields.ApplyDynamic(s.writeOf(req, part), typesOf(req.Kind), old, fields, opts.Force != nil && *opts.Force)
	if err != nil {
		return nil, err
	}
	return obj, p.strictly()
}

// declares are the fields that an apply declares.
func (p Patch) declares() (map[string]any, error) {
	var fields map[string]any
	err := yaml.Unmarshal(p.Data, &fields)
	if doc, unread := yaml.YAMLToJSON(p.Data); err == nil && unread == nil {
		fields = nil
		err = kjson.UnmarshalCaseSensitivePreserveInts(doc, &fields) // of an object without a Go type, an integer must be one
	}
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("error decoding YAML: %v", err))
	}
	if fields == nil {
		fields = map[string]any{}
	}
	return fields, nil
}

// strictly says of an apply what validation says of fields that come twice; those that are unknown never get so far.
func (p Patch) strictly() error {
	if p.Validation == metav1.FieldValidationIgnore {
		return nil
	}
	err := yaml.UnmarshalStrict(p.Data, &map[string]any{})
	switch {
	case err == nil:
	case p.Validation == metav1.FieldValidationStrict:
		return apierrors.NewBadRequest(fmt.Sprintf("error strict decoding YAML: %v", err))
	case p.Warn != nil:
		p.Warn(err.Error())
	}
	return nil
}

// applyScale makes an object's Scale what its manager declares.
func (s *Server) applyScale(ctx context.Context, req Request, scale *kinds.Scale, p Patch, opts metav1.PatchOptions) (Result, error) {
	kind := managed.Applied{GVK: scaleGVK, Document: document(req.Kind), New: func() managed.Object { return &autoscalingv1.Scale{} }}
	return s.scale(ctx, req, scale, isDryRun(opts.DryRun), func(have *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
		obj, err := s.declared(s.writeScale(req), kind, have, p, opts)
		if err != nil {
			return nil, err
		}
		return obj.(*autoscalingv1.Scale), nil
	})
}

// Types are the schemas of a kind and of the bodies of its subresources, by which apply configurations are merged. They are made when they are first asked for.
func (s *Server) Types(k *kinds.Kind) (managedfields.TypeConverter, error) {
	if k.Dynamic != nil {
		return k.Dynamic.Types()
	}
	return s.fields.Types(document(k))
}

// document is the path of the OpenAPI document that has a kind's schemas.
func document(k *kinds.Kind) string {
	if k.GVK.Group == "" {
		return "api/" + k.GVK.Version
	}
	return "apis/" + k.GVK.GroupVersion().String()
}

package api

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/kinds"
)

// Patch is a change of an object in one of the patch languages: JSON patch (RFC 6902), JSON merge patch (RFC 7386),
// Kubernetes' strategic merge patch, or an apply, which declares what its manager wants of the object.
type Patch struct {
	Type types.PatchType
	Data []byte // JSON; of an apply YAML
	// Validation is what becomes of fields that are unknown or come twice: an error (Strict), a call of Warn (Warn or "") or nothing (Ignore).
	Validation string
	Warn       func(text string) // nil: nobody listens
	// Decode reads a patched document, which says its kind, into an empty object, and returns what validation says of its fields.
	Decode func(data []byte, into runtime.Object) (strict []error, err error)
}

// Patch changes an object, or its part that the request's subresource is.
func (s *Server) Patch(ctx context.Context, req Request, p Patch, opts metav1.PatchOptions) (Result, error) {
	if err := s.authorize(ctx, req, "patch"); err != nil {
		return Result{}, err
	}
	req.verb = "patch"
	if err := CheckPatch(opts, p.Type); err != nil {
		return Result{}, err
	}
	part, err := subresource(req, "patch")
	if err != nil {
		return Result{}, err
	}
	req = req.saying(opts.FieldManager, opts.FieldValidation)
	switch {
	case p.Type == types.ApplyYAMLPatchType && part != nil && part.Scale != nil:
		return s.applyScale(ctx, req, part.Scale, p, opts)
	case p.Type == types.ApplyYAMLPatchType:
		return s.apply(ctx, req, part, p, opts)
	case part != nil && part.Scale != nil:
		return s.patchScale(ctx, req, part.Scale, p, isDryRun(opts.DryRun))
	}
	return s.revise(ctx, req, isDryRun(opts.DryRun), func(old kinds.Object) (decision, error) {
		obj, err := p.object(req.Kind, old)
		if err != nil {
			return decision{}, err
		}
		if obj.GetNamespace() == "" {
			obj.SetNamespace(old.GetNamespace())
		}
		if err := sameName(req, obj); err != nil {
			return decision{}, err
		}
		if obj.GetResourceVersion() == "" { // the patch does not care
			obj.SetResourceVersion(old.GetResourceVersion())
		}
		return s.decideUpdate(ctx, req, part, obj, old, isDryRun(opts.DryRun))
	})
}

// object returns old with the patch on it, private to the caller. The patch applies to the form that the kind's clients see.
func (p Patch) object(k *kinds.Kind, old kinds.Object) (kinds.Object, error) {
	shown, err := k.Shown(old)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	obj := k.New()
	if err := p.apply(k.GVK, shown, obj); err != nil {
		return nil, err
	}
	if k.View != nil {
		obj = k.View.Own(obj)
	}
	return obj, nil
}

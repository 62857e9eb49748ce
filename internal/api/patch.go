package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/mergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/floe-k8s/floe/internal/kinds"
)

// maxPatchOps bounds the operations of one JSON patch, as upstream does.
const maxPatchOps = 10000

// Patch is a change of an object in one of the patch languages: JSON patch (RFC 6902), JSON merge patch (RFC 7386) or
// Kubernetes' strategic merge patch.
type Patch struct {
	Type types.PatchType
	Data []byte // JSON
	// Decode reads the patched document into into. It says of an unknown or duplicate field what the request wants said.
	Decode func(data []byte, into runtime.Object) error
}

// Patch changes an object, or its part that the request's subresource is.
func (s *Server) Patch(ctx context.Context, req Request, p Patch, opts metav1.PatchOptions) (Result, error) {
	if err := s.authorize(req, "patch"); err != nil {
		return Result{}, err
	}
	if errs := metavalidation.ValidatePatchOptions(&opts, p.Type); len(errs) > 0 {
		return Result{}, apierrors.NewInvalid(optionsKind("PatchOptions"), "", errs)
	}
	part, err := subresource(req, "patch")
	if err != nil {
		return Result{}, err
	}
	if part != nil && part.Scale != nil {
		return s.patchScale(ctx, req, part.Scale, p, isDryRun(opts.DryRun))
	}
	return s.revise(ctx, req, isDryRun(opts.DryRun), func(old kinds.Object) (decision, error) {
		obj := req.Kind.New()
		if err := p.apply(old, obj); err != nil {
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
		return s.decideUpdate(req, part, obj, old)
	})
}

// apply writes old with the patch on it to into, which is empty.
func (p Patch) apply(old, into runtime.Object) error {
	doc, err := json.Marshal(old)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	if doc, err = p.applyTo(doc, into); err != nil {
		return err
	}
	return p.Decode(doc, into)
}

func (p Patch) applyTo(doc []byte, schema runtime.Object) ([]byte, error) {
	switch p.Type {
	case types.JSONPatchType:
		ops, err := jsonpatch.DecodePatch(p.Data)
		if err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
		}
		if len(ops) > maxPatchOps {
			return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("The allowed maximum operations in a JSON patch is %d, got %d", maxPatchOps, len(ops)))
		}
		out, err := ops.Apply(doc)
		if err != nil {
			return nil, unprocessable(err.Error())
		}
		return out, nil
	case types.MergePatchType:
		var check any
		if err := json.Unmarshal(p.Data, &check); err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
		}
		out, err := jsonpatch.MergePatch(doc, p.Data)
		if err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		return out, nil
	case types.StrategicMergePatchType:
		out, err := strategicpatch.StrategicMergePatch(doc, p.Data, schema)
		switch {
		case errors.Is(err, mergepatch.ErrBadJSONDoc):
			return nil, apierrors.NewBadRequest(err.Error())
		case err != nil:
			return nil, unprocessable(err.Error())
		}
		return out, nil
	}
	return nil, apierrors.NewBadRequest(fmt.Sprintf("unknown Content-Type header for patch: %s", p.Type))
}

package api

import (
	"context"
	"fmt"
	"strings"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/api/audit"
	"github.com/floe-k8s/floe/internal/api/managed"
	"github.com/floe-k8s/floe/internal/kinds"
)

// CreatePart serves create on a subresource, such as a binding or an eviction of a pod. Its answer is what the subresource makes, or a Status.
func (s *Server) CreatePart(ctx context.Context, req Request, body runtime.Object, opts metav1.CreateOptions) (Result, error) {
	if err := s.authorize(ctx, req, "create"); err != nil {
		return Result{}, err
	}
	if err := CheckCreate(opts); err != nil {
		return Result{}, err
	}
	return s.createPart(ctx, req, body, opts)
}

// createPart is CreatePart for who has been authorized.
func (s *Server) createPart(ctx context.Context, req Request, body runtime.Object, opts metav1.CreateOptions) (Result, error) {
	part, err := subresource(req, "create")
	if err != nil {
		return Result{}, err
	}
	req = req.saying(opts.FieldManager, opts.FieldValidation)
	if body, err = s.admitBody(ctx, req, part, body, isDryRun(opts.DryRun)); err != nil {
		return Result{}, err
	}
	var effect kinds.Effect
	call := kinds.Call{DryRun: opts.DryRun, Tokens: s.Tokens}
	if s.Tokens.Issue != nil {
		call.Issue = func(w kinds.TokenWish) (kinds.Token, error) { return s.Tokens.Issue(ctx, w) }
	}
	result, err := s.reviseInSteps(ctx, req, isDryRun(opts.DryRun), func(old kinds.Object) (decision, error) {
		env, obj, see := s.env(req), copyOf(old), &reader{server: s}
		call.See = see
		var err error
		if effect, err = part.Create(env, obj, body, call); err != nil {
			return decision{}, s.settle(ctx, see.newest, Classed(err))
		}
		d := decision{next: obj, remove: released(req.Kind, obj)}
		if effect.Remove != nil {
			d = decideDelete(env, req.Kind, obj, *effect.Remove)
		}
		d.dryRun = effect.DryRun
		d.beside, err = s.gather(effect.Writes, env, see)
		return d, err
	})
	if err != nil {
		return Result{}, err
	}
	for key, value := range effect.Remarks {
		audit.From(ctx).Annotate(key, value)
	}
	var answer runtime.Object = &metav1.Status{Status: metav1.StatusSuccess, Code: 201}
	if effect.Answer != nil {
		answer = effect.Answer
		answer.GetObjectKind().SetGroupVersionKind(part.GVK) // else it would be taken for an object of the parent's kind
	}
	return Result{Object: answer, Created: true, Revision: result.Revision, Warnings: effect.Warnings}, nil
}

// admitBody returns what plug-ins make of body, which is valid and has a name under which something may be stored.
func (s *Server) admitBody(ctx context.Context, req Request, part *kinds.Subresource, body runtime.Object, dryRun bool) (runtime.Object, error) {
	body = body.DeepCopyObject()
	asked := s.ask(ctx, req, admission.Create, part.GVK, body, nil, dryRun)
	if !req.admitted {
		if err := asked.admit(ctx); err != nil {
			return nil, err
		}
	}
	if named, ok := body.(metav1.Object); ok && !part.Unnamed && named.GetName() != req.Name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in " + part.GVK.Kind + " object")
	}
	if f := part.ValidateBody; f != nil {
		if err := f(body); err != nil {
			return nil, Classed(err)
		}
	}
	if err := checkKey(req.Name); err != nil || req.admitted {
		return body, err
	}
	return body, asked.validate(ctx)
}

// checkKey says why nothing is stored under a name; one that is in a path has been checked, one that only a body says (bindings) has not.
func checkKey(name string) error {
	if name == "" {
		return apierrors.NewBadRequest("Name parameter required.")
	}
	if problems := content.IsPathSegmentName(name); len(problems) > 0 {
		return apierrors.NewBadRequest(fmt.Sprintf("Name parameter invalid: %q: %s", name, strings.Join(problems, ";")))
	}
	return nil
}

var scaleGVK = autoscalingv1.SchemeGroupVersion.WithKind("Scale")

// scaleOf is an object's Scale.
func scaleOf(scale *kinds.Scale, obj kinds.Object) *autoscalingv1.Scale {
	want, have, selector := scale.Read(obj)
	return &autoscalingv1.Scale{
		TypeMeta: metav1.TypeMeta{APIVersion: autoscalingv1.SchemeGroupVersion.String(), Kind: "Scale"},
		ObjectMeta: metav1.ObjectMeta{
			Name: obj.GetName(), Namespace: obj.GetNamespace(), UID: obj.GetUID(),
			ResourceVersion: obj.GetResourceVersion(), CreationTimestamp: obj.GetCreationTimestamp(),
		},
		Spec:   autoscalingv1.ScaleSpec{Replicas: want},
		Status: autoscalingv1.ScaleStatus{Replicas: have, Selector: selector},
	}
}

func (s *Server) updateScale(ctx context.Context, req Request, scale *kinds.Scale, given runtime.Object, dryRun bool) (Result, error) {
	wanted, ok := given.(*autoscalingv1.Scale)
	if !ok {
		return Result{}, apierrors.NewBadRequest(fmt.Sprintf("expected input object type to be Scale, but %T", given))
	}
	return s.scale(ctx, req, scale, dryRun, func(have *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
		next := wanted.DeepCopy()
		s.fields.Update(s.writeScale(req), have, next)
		return next, nil
	})
}

func (s *Server) patchScale(ctx context.Context, req Request, scale *kinds.Scale, p Patch, dryRun bool) (Result, error) {
	return s.scale(ctx, req, scale, dryRun, func(old *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
		next := &autoscalingv1.Scale{}
		if err := p.apply(scaleGVK, old, next); err != nil {
			return nil, err
		}
		s.fields.Update(s.writeScale(req), old, next)
		return next, nil
	})
}

// writeScale is how the request writes a Scale.
func (s *Server) writeScale(req Request) managed.Write {
	return managed.Write{Manager: req.Manager, APIVersion: scaleGVK.GroupVersion().String(), Subresource: req.Subresource, Now: s.Clock.Now()}
}

// scale sets what next makes of the object's present Scale. next says in the Scale who owns its fields.
func (s *Server) scale(ctx context.Context, req Request, scale *kinds.Scale, dryRun bool,
	next func(old *autoscalingv1.Scale) (*autoscalingv1.Scale, error)) (Result, error) {
	result, err := s.revise(ctx, req, dryRun, func(old kinds.Object) (decision, error) {
		if err := scalable(scale, old); err != nil {
			return decision{}, err
		}
		have, owners := scaleOf(scale, old), managed.NewScaled(req.Kind.GVK.GroupVersion(), replicas(req.Kind), old.GetManagedFields())
		var err error
		if have.ManagedFields, err = owners.Scale(); err != nil {
			return decision{}, err
		}
		wanted, err := next(have)
		if err != nil {
			return decision{}, err
		}
		asked := s.ask(ctx, req, admission.Update, scaleGVK, wanted, have, dryRun)
		if err := asked.admit(ctx); err != nil {
			return decision{}, err
		}
		obj := copyOf(old)
		if err := checkScale(req, wanted, obj, dryRun); err != nil {
			return decision{}, err
		}
		scale.Write(obj, wanted.Spec.Replicas)
		after, err := owners.Object(wanted.ManagedFields)
		if err != nil {
			return decision{}, err
		}
		obj.SetManagedFields(after)
		plain := req
		plain.Subresource, plain.tracked, plain.admitted = "", true, true
		d, err := s.decideUpdate(ctx, plain, nil, obj, old, dryRun)
		if err != nil {
			return decision{}, err
		}
		return d, asked.validate(ctx)
	})
	if err != nil {
		return Result{}, err
	}
	return Result{Object: scaleOf(scale, result.Object.(kinds.Object)), Revision: result.Revision}, nil
}

// scalable says why an object has no Scale.
func scalable(scale *kinds.Scale, obj kinds.Object) error {
	if scale.Missing == nil {
		return nil
	}
	return scale.Missing(obj)
}

// replicas is where the wanted replicas stand in each version of a kind; nil: in spec.replicas of the only one.
func replicas(k *kinds.Kind) map[string][]string {
	if k.Dynamic == nil {
		return nil
	}
	out := map[string][]string{}
	for version, path := range k.Dynamic.Versions {
		out[k.GVK.Group+"/"+version] = path
	}
	return out
}

// checkScale refuses a Scale that cannot be, and gives obj the version that it wants to replace.
func checkScale(req Request, wanted *autoscalingv1.Scale, obj kinds.Object, dryRun bool) error {
	if wanted.Name != "" && wanted.Name != req.Name {
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", wanted.Name, req.Name))
	}
	if wanted.Spec.Replicas < 0 {
		return apierrors.NewInvalid(scaleGVK.GroupKind(), req.Name, field.ErrorList{
			field.Invalid(field.NewPath("spec", "replicas"), wanted.Spec.Replicas, "must be greater than or equal to 0"),
		})
	}
	if wanted.ResourceVersion != "" {
		obj.SetResourceVersion(wanted.ResourceVersion)
	}
	return checkUID(req, wanted.UID, obj.GetUID(), dryRun)
}

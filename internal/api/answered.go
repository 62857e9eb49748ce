package api

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Answer serves a kind of which nothing is stored (kinds.Kind.Answered). Functions of verbs that the kind does not name are nil. They are called when the user
// has been authorized, by several goroutines at once, and return API status errors.
type Answer struct {
	// Create returns what answers given, which is valid and its own: an object of the kind, or a Status.
	Create func(ctx context.Context, req Request, given kinds.Object, opts metav1.CreateOptions) (runtime.Object, error)
	// Each calls f with every object that there is now, in the order in which they are listed, and stops when f returns false.
	Each func(ctx context.Context, f func(kinds.Object) bool) error
	// Missing says that there is no object of a name.
	Missing func(name string) error
}

// Answers are the answers by resource.
type Answers map[schema.GroupVersionResource]Answer

// unanswered: a kind that is never stored has nobody who answers. It is a broken composition.
func unanswered(req Request) error {
	return apierrors.NewInternalError(errors.New("nobody answers for " + req.Kind.GVR().String()))
}

func (s *Server) answerCreate(ctx context.Context, req Request, given kinds.Object, opts metav1.CreateOptions) (Result, error) {
	answer := s.answers[req.Kind.GVR()]
	if answer.Create == nil {
		return Result{}, unanswered(req)
	}
	obj := copyOf(given)
	wipeMeta(obj)
	if err := ownNamespace(req, obj); err != nil {
		return Result{}, err
	}
	req = req.saying(opts.FieldManager, opts.FieldValidation)
	s.track(req, nil, nil, obj)
	asked := s.ask(ctx, req, admission.Create, req.Kind.GVK, obj, nil, isDryRun(opts.DryRun))
	if err := asked.admit(ctx); err != nil {
		return Result{}, err
	}
	if f := req.Kind.Validate; f != nil {
		if errs := f(obj); len(errs) > 0 { // upstream leaves out the kind
			return Result{}, apierrors.NewInvalid(schema.GroupKind{Group: req.Kind.GVK.Group}, "", errs)
		}
	}
	if err := asked.validate(ctx); err != nil {
		return Result{}, err
	}
	out, err := answer.Create(ctx, req, obj, opts)
	if err != nil {
		return Result{}, Classed(err)
	}
	if _, ok := out.(kinds.Object); ok {
		out.GetObjectKind().SetGroupVersionKind(req.Kind.GVK)
	}
	return Result{Object: out, Created: true}, nil
}

func (s *Server) answerGet(ctx context.Context, req Request) (Result, error) {
	answer := s.answers[req.Kind.GVR()]
	if answer.Each == nil {
		return Result{}, unanswered(req)
	}
	var found kinds.Object
	err := answer.Each(ctx, func(obj kinds.Object) bool {
		if obj.GetName() == req.Name {
			found = obj
		}
		return found == nil
	})
	switch {
	case err != nil:
		return Result{}, Classed(err)
	case found == nil:
		return Result{}, answer.Missing(req.Name)
	}
	found.GetObjectKind().SetGroupVersionKind(req.Kind.GVK)
	return Result{Object: found}, nil
}

// Answered lists the objects of a kind of which nothing is stored. They are the caller's.
func (s *Server) Answered(ctx context.Context, req Request, opts metav1.ListOptions) ([]kinds.Object, error) {
	if err := s.Allow(ctx, req.User, req.selecting("list", opts.FieldSelector, opts.LabelSelector)); err != nil {
		return nil, err
	}
	answer := s.answers[req.Kind.GVR()]
	if answer.Each == nil {
		return nil, unanswered(req)
	}
	if err := validateList(opts); err != nil {
		return nil, err
	}
	sel, err := newSelector(req, opts)
	if err != nil {
		return nil, err
	}
	var list []kinds.Object
	err = answer.Each(ctx, func(obj kinds.Object) bool {
		if sel.labels.Matches(labels.Set(obj.GetLabels())) && sel.fields.Matches(selectable(req.Kind, obj)) {
			list = append(list, obj)
		}
		return true
	})
	return list, Classed(err)
}

// bindings answers v1 Binding, the older way to what the subresource of the pod does.
func (s *Server) bindings() Answer {
	return Answer{Create: func(ctx context.Context, req Request, given kinds.Object, opts metav1.CreateOptions) (runtime.Object, error) {
		if _, err := s.namespaceAccepts(ctx, req, given); err != nil {
			return nil, err
		}
		on := req
		on.admitted = true
		on.Kind, on.Name, on.Subresource = s.Kind(corev1.SchemeGroupVersion.WithResource("pods")), given.GetName(), "binding"
		if on.Kind == nil {
			return nil, unanswered(req)
		}
		result, err := s.createPart(ctx, on, given, opts)
		return result.Object, err
	}}
}

// Authorize says whether the request's user may.
func (s *Server) Authorize(ctx context.Context, req Request, verb string) error {
	return s.authorize(ctx, req, verb)
}

// Place says where a proxied request goes.
func (s *Server) Place(req Request, part *kinds.Subresource) (kinds.Place, error) {
	return part.Proxy(s.env(req), &reader{server: s}, req.Namespace, req.Name)
}

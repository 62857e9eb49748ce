package api

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

const (
	nameLetters    = "bcdfghjklmnpqrstvwxz2456789" // upstream's: no vowels, nothing that looks alike
	nameSuffix     = 5
	maxGeneratedAt = 63 - nameSuffix // a longer generateName is cut
	nameTries      = 8               // as upstream, when a generated name is taken
)

// Create stores a new object.
func (s *Server) Create(ctx context.Context, req Request, given kinds.Object, opts metav1.CreateOptions) (Result, error) {
	if err := s.authorize(ctx, req, "create"); err != nil {
		return Result{}, err
	}
	if err := CheckCreate(opts); err != nil {
		return Result{}, err
	}
	if req.Kind.Answered {
		return s.answerCreate(ctx, req, given, opts)
	}
	req.verb = "create"
	return s.create(ctx, req.saying(opts.FieldManager, opts.FieldValidation), owned(req.Kind, given), isDryRun(opts.DryRun))
}

func (s *Server) create(ctx context.Context, req Request, given kinds.Object, dryRun bool) (Result, error) {
	for try, lost := 1, 0; ; try++ {
		obj := copyOf(given)
		rests, err := s.prepareCreate(ctx, req, obj, dryRun)
		if err != nil {
			return Result{}, err
		}
		result, err := s.insert(ctx, req, obj, rests, dryRun)
		if apierrors.IsRequestEntityTooLargeError(err) && forgo(req, obj) {
			result, err = s.insert(ctx, req, obj, rests, dryRun)
		}
		if errors.Is(err, store.ErrConflict) {
			if lost++; lost == attempts {
				return Result{}, apierrors.NewServerTimeout(req.resource(), "create", 1)
			}
			try--
			continue
		}
		if generated := given.GetName() == "" && given.GetGenerateName() != ""; generated && apierrors.IsAlreadyExists(err) {
			if try < nameTries {
				continue
			}
			return Result{}, apierrors.NewGenerateNameConflict(req.resource(), obj.GetName(), 1)
		}
		return result, err
	}
}

// rests is what a new object rests on: that its namespace stands (an empty condition: it has none), that what it takes is free, and what plug-ins charge
// for it.
type rests struct {
	namespace store.Condition
	further   further
	asked     asked
}

// prepareCreate changes obj, private to the caller, into what is stored, and returns what it rests on.
func (s *Server) prepareCreate(ctx context.Context, req Request, obj kinds.Object, dryRun bool) (on rests, err error) {
	if err := ownNamespace(req, obj); err != nil {
		return on, err
	}
	if on.namespace, err = s.namespaceAccepts(ctx, req, obj); err != nil { // before its content is looked at
		return on, err
	}
	if k := req.Kind; k.Default != nil {
		k.Default(obj)
	}
	wipeMeta(obj)
	s.track(req, nil, nil, obj)
	on.asked = s.ask(ctx, req, admission.Create, req.Kind.GVK, obj, nil, dryRun)
	if err := on.asked.admit(ctx); err != nil {
		return on, err
	}
	if err := s.fillMeta(req.Kind, obj); err != nil {
		return on, apierrors.NewInternalError(err)
	}
	if err := s.rights(ctx, req, obj, nil); err != nil {
		return on, err
	}
	if on.further, err = s.claim(ctx, req, obj, nil, dryRun); err != nil {
		return on, err
	}
	if f := req.Kind.PrepareCreate; f != nil {
		f(s.env(req), obj)
	}
	sent := obj.GetResourceVersion()
	obj.SetResourceVersion("") // a trial may say one: by its absence some kinds know what is new
	if errs := validateNew(req.Kind, obj); len(errs) > 0 {
		return on, apierrors.NewInvalid(req.Kind.Stored().GVK.GroupKind(), obj.GetName(), errs)
	}
	if f := req.Kind.Canonical; f != nil {
		f(obj)
	}
	obj.SetResourceVersion(sent)
	req.tell(obj, nil)
	return on, on.asked.validate(ctx)
}

// ownNamespace holds the object's namespace against the one that the request names, and completes it. That of a kind without namespaces is taken away.
func ownNamespace(req Request, obj kinds.Object) error {
	switch {
	case !req.Kind.Namespaced:
		obj.SetNamespace("")
	case obj.GetNamespace() == "":
		obj.SetNamespace(req.Namespace)
	case obj.GetNamespace() != req.Namespace:
		return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	return nil
}

// wipeMeta clears what the system owns of a new object's metadata.
func wipeMeta(obj kinds.Object) {
	obj.SetUID("")
	obj.SetCreationTimestamp(metav1.Time{})
	obj.SetDeletionTimestamp(nil)
	obj.SetDeletionGracePeriodSeconds(nil)
	obj.SetSelfLink("")
}

// fillMeta sets what the system owns of a new object's metadata.
func (s *Server) fillMeta(k *kinds.Kind, obj kinds.Object) error {
	id, err := uuid.NewRandomFromReader(s.Random)
	if err != nil {
		return fmt.Errorf("making a UID: %w", err)
	}
	obj.SetUID(types.UID(id.String()))
	obj.SetCreationTimestamp(metav1.NewTime(s.Clock.Now()).Rfc3339Copy())
	switch base := obj.GetGenerateName(); {
	case obj.GetName() != "" || base == "":
	case k.BaseIsName:
		obj.SetName(base)
	default:
		suffix, err := randomName(s.Random)
		if err != nil {
			return err
		}
		obj.SetName(base[:min(len(base), maxGeneratedAt)] + suffix)
	}
	return nil
}

func randomName(random io.Reader) (string, error) {
	var out []byte
	var b [1]byte
	for len(out) < nameSuffix {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return "", fmt.Errorf("making a name: %w", err)
		}
		// 9 x 27 values: the rest would favour some letters.
		if n := int(b[0]); n < 9*len(nameLetters) {
			out = append(out, nameLetters[n%len(nameLetters)])
		}
	}
	return string(out), nil
}

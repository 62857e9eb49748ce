package custom

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/admission/webhook/reach"
	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

// again is how long after a failure, or while objects of a definition that is going are still there, the Keeper looks again.
const again = time.Second

// Config is what a Keeper is made from. All fields are needed.
type Config struct {
	API      *api.Server
	User     auth.User // as whom it writes and deletes
	Clock    clock.WithDelayedExecution
	Log      *slog.Logger
	Webhooks reach.Means // of conversion; without As and Codec
}

// Keeper follows the definitions. One goroutine uses it.
type Keeper struct {
	Config
	with    *surroundings
	known   map[string]*state // by name
	changed bool              // what is served is no longer what the API serves
	pending sets.Set[string]  // names to be looked at again
}

// state is what the Keeper knows of one definition.
type state struct {
	uid        types.UID
	group      string
	generation int64
	accepted   apiextensionsv1.CustomResourceDefinitionNames
	waits      bool        // some of its names are another's
	serving    *definition // nil: it is not served
}

// New returns a Keeper that has seen nothing.
func New(cfg Config) *Keeper {
	cfg.Webhooks.Codec = reviews()
	return &Keeper{
		Config: cfg, with: &surroundings{webhooks: cfg.Webhooks, metadata: sync.OnceValues(metadataModels)},
		known: map[string]*state{}, pending: sets.New[string](),
	}
}

// Load serves what is defined already. It is called before the API answers anyone, and needs no running table.
func (k *Keeper) Load() error {
	for item := range k.API.Store.Snapshot().Ascend(k.request("").Kind.Prefix(), "") {
		obj, err := api.Object(item)
		if err != nil {
			k.Log.Error("a definition cannot be read", "key", item.Key, "err", err)
			continue
		}
		k.see(obj.(*apiextensionsv1.CustomResourceDefinition), item)
	}
	return k.extend()
}

// Run follows the definitions until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := k.follow(ctx); err != nil && ctx.Err() == nil {
			k.Log.Info("definitions are read anew", "err", err)
			rest, cancel := api.WithTimeout(ctx, k.Clock, again)
			<-rest.Done()
			cancel()
		}
	}
	return ctx.Err()
}

// request is about one definition, or about all.
func (k *Keeper) request(name string) api.Request {
	return api.Request{User: k.User, Kind: k.API.Kind(apiextensionsv1.SchemeGroupVersion.WithResource("customresourcedefinitions")), Name: name, Manager: "kube-apiserver"}
}

// follow keeps up with the definitions until the watch of them ends.
func (k *Keeper) follow(ctx context.Context) error {
	watch, err := k.API.Watch(ctx, k.request(""), metav1.ListOptions{})
	if err != nil {
		return err
	}
	defer watch.Close()
	missing := sets.KeySet(k.known) // until the first events, which are all that there are, have been seen
	for first := true; ; {
		touched := sets.New[string]()
		for {
			e, ok, err := watch.TryNext()
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			touched.Insert(k.event(e))
		}
		if first {
			first = false
			for name := range missing.Difference(touched) {
				k.forget(name)
				touched.Insert(name)
			}
		}
		touched = touched.Union(k.pending)
		k.pending = sets.New[string]()
		if err := k.settle(ctx, touched); err != nil {
			return err
		}
		if err := k.wait(ctx, watch); err != nil {
			return err
		}
	}
}

// wait returns when there is an event, or when it is time to look again at what is pending.
func (k *Keeper) wait(ctx context.Context, watch *api.Watch) error {
	wake, now := watch.Ready()
	if now {
		return nil
	}
	var rest <-chan struct{}
	if len(k.pending) > 0 {
		timed, cancel := api.WithTimeout(ctx, k.Clock, again)
		defer cancel()
		rest = timed.Done()
	}
	select {
	case <-wake:
		return nil
	case <-rest:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// event takes one change in, and returns the name that it is about.
func (k *Keeper) event(e api.Event) string {
	obj, err := api.Object(e.Item)
	if err != nil {
		k.Log.Error("a definition cannot be read", "key", e.Item.Key, "err", err)
		return ""
	}
	crd := obj.(*apiextensionsv1.CustomResourceDefinition)
	if e.Type == "DELETED" {
		k.forget(crd.Name)
	} else {
		k.see(crd, e.Item)
	}
	return crd.Name
}

// forget stops serving a definition that is gone.
func (k *Keeper) forget(name string) {
	s := k.known[name]
	if s == nil {
		return
	}
	delete(k.known, name)
	k.drop(s)
	k.reconsider(s.group)
}

// drop stops serving a definition.
func (k *Keeper) drop(s *state) {
	if s.serving != nil {
		s.serving.convert.close()
		s.serving, k.changed = nil, true
	}
}

// reconsider looks again at who waits for names in a group.
func (k *Keeper) reconsider(group string) {
	for name, s := range k.known {
		if s.group == group && s.waits {
			k.pending.Insert(name)
		}
	}
}

// see takes in the newest state of a definition.
func (k *Keeper) see(crd *apiextensionsv1.CustomResourceDefinition, item *store.Item) {
	s := k.known[crd.Name]
	if s != nil && s.uid != crd.UID {
		k.forget(crd.Name)
		s = nil
	}
	if s == nil {
		s = &state{uid: crd.UID, group: crd.Spec.Group}
		k.known[crd.Name] = s
	}
	same := s.serving != nil && s.generation == crd.Generation && equality.Semantic.DeepEqual(s.accepted, crd.Status.AcceptedNames)
	if !equality.Semantic.DeepEqual(s.accepted, crd.Status.AcceptedNames) {
		k.reconsider(s.group)
	}
	s.generation, s.accepted = crd.Generation, *crd.Status.AcceptedNames.DeepCopy()
	s.waits = !equality.Semantic.DeepEqual(s.accepted, crd.Spec.Names)
	switch {
	case same:
		s.serving.text.Store(item)
	case apihelpers.IsCRDConditionTrue(crd, apiextensionsv1.Established) || apihelpers.IsCRDConditionTrue(crd, apiextensionsv1.NamesAccepted):
		k.serve(s, crd, item)
	default:
		k.drop(s)
	}
	if s.serving != nil {
		s.serving.terminating.Store(apihelpers.IsCRDConditionTrue(crd, apiextensionsv1.Terminating))
	}
}

// serve begins to serve a definition whose names are accepted, in place of what was served of it.
func (k *Keeper) serve(s *state, crd *apiextensionsv1.CustomResourceDefinition, item *store.Item) {
	k.drop(s)
	n := &crd.Status.AcceptedNames
	if n.Plural == "" || n.Singular == "" || n.Kind == "" || n.ListKind == "" {
		return
	}
	s.serving, k.changed = define(crd, item, k.with), true
}

// extend tells the API what is served, when that has changed.
func (k *Keeper) extend() error {
	if !k.changed {
		return nil
	}
	var list []*kinds.Kind
	for _, s := range k.known {
		if s.serving == nil {
			continue
		}
		for _, one := range s.serving.kinds {
			if k.API.Owned(one.GVR().GroupResource()) {
				continue // floe's own kind of that name is served, as upstream's is
			}
			list = append(list, one)
		}
	}
	inOrder(list)
	if err := k.API.Extend(list); err != nil {
		return err
	}
	k.changed = false
	return nil
}

// settle brings what is served and what definitions say of themselves up to date for some names.
func (k *Keeper) settle(ctx context.Context, names sets.Set[string]) error {
	var late []*apiextensionsv1.CustomResourceDefinition
	for _, name := range sets.List(names) {
		next, item := k.judge(name)
		if next == nil {
			continue
		}
		if s := k.known[name]; s.serving == nil && apihelpers.IsCRDConditionTrue(next, apiextensionsv1.NamesAccepted) {
			s.accepted = *next.Status.AcceptedNames.DeepCopy()
			k.serve(s, next, item) // before anyone reads that it is
		}
		late = append(late, next)
	}
	if err := k.extend(); err != nil {
		return err
	}
	for _, next := range late {
		if err := k.write(ctx, next); err != nil {
			k.Log.Info("the status of a definition was not written", "name", next.Name, "err", err)
			k.pending.Insert(next.Name)
		}
	}
	for _, name := range sets.List(names) {
		if err := k.finalize(ctx, name); err != nil && ctx.Err() == nil {
			k.Log.Info("the objects of a definition that is going are not gone", "name", name, "err", err)
			k.pending.Insert(name)
		}
	}
	return ctx.Err()
}

// read returns a definition as the table has it, shared; nil when there is none.
func (k *Keeper) read(name string) (*apiextensionsv1.CustomResourceDefinition, *store.Item) {
	item := k.API.Store.Snapshot().Get(k.request("").Kind.Prefix() + name)
	if item == nil {
		return nil, nil
	}
	obj, err := api.Object(item)
	if err != nil {
		return nil, nil
	}
	return obj.(*apiextensionsv1.CustomResourceDefinition), item
}

// judge returns a definition with the status that it should have; nil when it has it.
func (k *Keeper) judge(name string) (*apiextensionsv1.CustomResourceDefinition, *store.Item) {
	crd, item := k.read(name)
	if crd == nil || k.known[name] == nil {
		return nil, nil
	}
	next, now := withStatus(crd), metav1.NewTime(k.Clock.Now()).Rfc3339Copy()
	others := taken{sets.New[string](), sets.New[string]()}
	for other, s := range k.known {
		if other != name && s.group == crd.Spec.Group {
			others.add(&s.accepted)
		}
	}
	acceptNames(next, others, now)
	establish(next, now)
	approve(next, now)
	nonStructural(next, now)
	if equality.Semantic.DeepEqual(next.Status, crd.Status) {
		return nil, nil
	}
	return next, item
}

// withStatus is a copy whose metadata and status may be changed; the specification is shared.
func withStatus(crd *apiextensionsv1.CustomResourceDefinition) *apiextensionsv1.CustomResourceDefinition {
	return &apiextensionsv1.CustomResourceDefinition{ObjectMeta: *crd.ObjectMeta.DeepCopy(), Spec: crd.Spec, Status: *crd.Status.DeepCopy()}
}

// write stores what a definition says of itself. Where somebody was quicker there will be an event.
func (k *Keeper) write(ctx context.Context, next *apiextensionsv1.CustomResourceDefinition) error {
	req := k.request(next.Name)
	req.Subresource = "status"
	_, err := k.API.Update(ctx, req, next, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

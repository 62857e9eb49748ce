package api

import (
	"cmp"
	"slices"

	"github.com/floe-k8s/floe/internal/api/managed"
	"github.com/floe-k8s/floe/internal/kinds"
)

// by is the request as its options want it: their field manager goes before the one that the request came with.
func (r Request) by(manager string) Request {
	r.Manager = cmp.Or(manager, r.Manager)
	return r
}

// track sets who owns which field of obj, defaulted and not yet prepared, now that the request has made it of old; old nil: obj is new.
func (s *Server) track(req Request, part *kinds.Subresource, old, obj kinds.Object) {
	switch {
	case req.tracked:
		return
	case req.Kind.Dynamic != nil:
		s.fields.UpdateDynamic(s.writeOf(req, part), typesOf(req.Kind), old, obj)
		return
	case req.Kind.View != nil:
		s.trackView(req, part, old, obj)
		return
	}
	if old == nil {
		s.fields.Update(s.writeOf(req, part), nil, obj) // not an interface around a nil one
		return
	}
	s.fields.Update(s.writeOf(req, part), old, obj)
}

// ownManager is upstream's name of who owns the fields that a kind writes in other objects: its API server is a client of its own there.
const ownManager = "kube-apiserver"

// trackOwn is track for what a kind writes in another object. Nobody owns the fields of what is not served.
func (s *Server) trackOwn(k *kinds.Kind, subresource string, old, obj kinds.Object) {
	if s.Kind(k.GVR()) == nil {
		return
	}
	var part *kinds.Subresource
	if i := slices.IndexFunc(k.Subresources, func(p kinds.Subresource) bool { return p.Name == subresource }); i >= 0 {
		part = &k.Subresources[i]
	}
	s.track(Request{Kind: k, Manager: ownManager}, part, old, obj)
}

// trackView is track for a view, whose fields are those of the form that its clients see. What cannot be shown so is nobody's.
func (s *Server) trackView(req Request, part *kinds.Subresource, old, obj kinds.Object) {
	shown, err := req.Kind.Shown(copyOf(obj))
	if err != nil {
		obj.SetManagedFields(nil)
		return
	}
	var live managed.Object
	if old != nil {
		if was, err := req.Kind.Shown(old); err == nil {
			live = was
		}
	}
	s.fields.Update(s.writeOf(req, part), live, shown)
	obj.SetManagedFields(shown.GetManagedFields())
}

// writeOf is how the request writes.
func (s *Server) writeOf(req Request, part *kinds.Subresource) managed.Write {
	w := managed.Write{Manager: req.Manager, APIVersion: req.Kind.GVK.GroupVersion().String(), Resets: req.Kind.Resets, Now: s.Clock.Now(),
		As: func(apiVersion string, obj managed.Object) (managed.Object, bool) {
			return s.as(req.Kind, apiVersion, obj)
		}}
	if part != nil {
		w.Subresource, w.Resets, w.Only = part.Name, part.Resets, part.Owns
	}
	return w
}

// forms are the other kinds that show the objects that k does.
func (s *Server) forms(k *kinds.Kind) []*kinds.Kind {
	var out []*kinds.Kind
	for _, other := range s.Catalog().All() {
		if other != k && other.Stored() == k.Stored() {
			out = append(out, other)
		}
	}
	return out
}

// as is an object of k's form in that of another version; ok is false when there is none.
func (s *Server) as(k *kinds.Kind, apiVersion string, obj managed.Object) (shown managed.Object, ok bool) {
	for _, form := range s.forms(k) {
		if form.GVK.GroupVersion().String() == apiVersion {
			shown, err := showAs(k, form, obj)
			return shown, err == nil
		}
	}
	return nil, false
}

// showAs is an object of k's form as form shows it.
func showAs(k, form *kinds.Kind, obj kinds.Object) (kinds.Object, error) {
	if k.View != nil {
		obj = k.View.From(copyOf(obj))
	} else {
		obj = copyOf(obj)
	}
	return form.Shown(obj)
}

// forgo drops who owns which field of obj, which is too large to store. It returns false when that would not make it smaller, and of what was applied, which is
// nothing without its owners.
func forgo(req Request, obj kinds.Object) bool {
	if req.tracked || obj == nil || len(obj.GetManagedFields()) == 0 {
		return false
	}
	obj.SetManagedFields(nil)
	return true
}
